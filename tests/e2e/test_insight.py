"""The overview, charts of sessions, and forgetting, with a real call."""

import json

import pytest

from causeway import HOST, Causeway, wait_until
from test_stories import call, exchange, timeline
from turn_client import TurnClient


@pytest.fixture(scope="module")
def relay():
    with Causeway(allow_peer=["198.51.100.0/24"], usage_flush_interval="1s") as running:
        yield running


def get(relay, path):
    status, _, body = relay.request(path)
    assert status == 200, (path, body)
    return json.loads(body)


def live_sessions(relay, room):
    return get(relay, f"/api/v1/sessions?room={room}&active=true")["data"]


def test_the_overview_follows_a_call(relay):
    alice, bob = call(relay, "overview")
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        exchange(first, second, count=100)

        def is_seen():
            told = get(relay, "/api/v1/overview")
            live = told["live"]
            return live["sessions"] == 2 and live["rooms"] == 1 and live["clients"] == 2 and told["today"]["bytesIn"] > 100_000 and told

        told = wait_until(is_seen, 15, "the call in the overview")
        assert told["today"]["minted"] == 2 and told["today"]["sessions"] == 2
        assert told["health"]["status"] == "ok"
        assert [region["isOperational"] for region in told["regions"]] == [True]
        assert sum(region["liveSessions"] for region in told["regions"]) <= 2
        session = live_sessions(relay, "overview")[0]
        live = wait_until(
            lambda: (s := get(relay, f"/api/v1/sessions/{session['id']}")) and sum(s["bitrate"]["bytesIn"]) >= 50_000 and s,
            10,
            "a chart of the live session",
        )
        assert live["firstSentMs"] is not None and live["firstHeardMs"] is not None
        assert "peer_named" in [mark["kind"] for mark in live["marks"]]
        assert first.refresh(0).code == 0 and second.refresh(0).code == 0
    ended = wait_until(
        lambda: (s := get(relay, f"/api/v1/sessions/{session['id']}")) and s["endedAt"] and s, 10, "the end of the session"
    )
    # The chart adds up to the figures, to the byte.
    assert (sum(ended["bitrate"]["bytesIn"]), sum(ended["bitrate"]["bytesOut"])) == (ended["bytesIn"], ended["bytesOut"])
    wait_until(lambda: get(relay, "/api/v1/overview")["live"]["sessions"] == 0, 10, "the end in the overview")
    rows = get(relay, "/api/v1/usage?group_by=room")
    sessions = get(relay, "/api/v1/sessions?room=overview")["data"]
    assert sum(row["bytesIn"] for row in rows if row["key"] == "overview") == sum(s["bytesIn"] for s in sessions)
    status, headers, text = relay.request("/api/v1/usage?group_by=room&format=csv")
    assert status == 200 and headers["Content-Type"].startswith("text/csv")
    assert text.splitlines()[0] == "start,key,bytesIn,bytesOut,sessions,seconds"
    assert sum(int(line.split(",")[2]) for line in text.splitlines()[1:]) == sum(row["bytesIn"] for row in rows)


def test_a_room_is_forgotten_while_it_lives_and_stays_forgotten(relay):
    alice, bob = call(relay, "to-forget")
    with alice.client() as first, bob.client(password="guessed") as second:
        assert first.allocate().code == 0
        assert second.allocate().code == 401
        wait_until(lambda: live_sessions(relay, "to-forget"), 10, "the session")
        wait_until(lambda: get(relay, "/api/v1/failures?room=to-forget")["data"], 10, "the refusal")
        assert timeline(relay, "to-forget")["entries"]
        status, _, body = relay.request("/api/v1/rooms/to-forget/erase", "POST")
        receipt = json.loads(body)
        assert status == 200 and (receipt["sessions"], receipt["credentials"], receipt["failures"]) == (1, 2, 1), body
        assert first.refresh().code in (437, 401), "its session is over"
    for path in ("/api/v1/rooms/to-forget", "/api/v1/rooms/to-forget/timeline"):
        assert relay.request(path)[0] == 404
    for path in ("/api/v1/sessions", "/api/v1/failures", "/api/v1/credentials", "/api/v1/audit", "/api/v1/rooms"):
        assert "to-forget" not in relay.request(f"{path}?limit=200")[2], path
    audit = get(relay, "/api/v1/audit")["data"][0]
    assert (audit["action"], audit["subject"]) == ("room.erase", receipt["id"])


def test_a_doctor_link_opens_for_anybody_and_gives_nothing_else(relay):
    status, _, body = relay.request("/api/v1/doctor", "POST", {"name": "for bob", "maxOpens": 2})
    assert status == 201, body
    token = json.loads(body)["token"]
    status, _, body = relay.request(f"/api/v1/doctor/{token}", token=False)
    assert status == 200, body
    servers = json.loads(body)["iceServers"]
    assert {len(server["urls"]) for server in servers} == {1}
    turn = next(server for server in servers if server["urls"][0].startswith("turn:") and "transport=udp" in server["urls"][0])
    with TurnClient((HOST, relay.turn_port), turn["username"], turn["credential"], source=(HOST, 0)) as client:
        assert client.allocate().code == 0
    report = {"result": {"passes": [{"url": turn["urls"][0], "verdict": "ok"}]}}
    assert relay.request(f"/api/v1/doctor/{token}/result", "POST", report, token=False)[0] == 200
    assert relay.request(f"/api/v1/doctor/{token}", token=False)[0] == 200
    assert relay.request(f"/api/v1/doctor/{token}", token=False)[0] == 404, "opened often enough"
    link = get(relay, "/api/v1/doctor")["data"][0]
    assert (link["name"], link["opened"], link["results"]) == ("for bob", 2, 1)
    assert get(relay, f"/api/v1/doctor/results?link={link['id']}")["data"][0]["result"] == report["result"]
    # The link opens nothing else.
    for path in ("/api/v1/rooms", "/api/v1/doctor", "/api/v1/overview"):
        assert relay.request(path, headers={"Authorization": f"Bearer {token}"}, token=False)[0] == 401


def test_the_server_examines_what_it_advertises(relay):
    status, _, body = relay.request("/api/v1/doctor/check", "POST")
    assert status == 200, body
    passes = json.loads(body)["passes"]
    by_transport = {}
    for one in passes:
        by_transport.setdefault(one["transport"], []).append(one)
    assert {one["verdict"] for one in by_transport["udp"]} == {"ok"}, passes
    assert {one["verdict"] for one in by_transport["tcp"]} == {"ok"}, passes
    # Its certificate signs itself: a browser would not trust it, and that is what is said.
    assert all("certificate" in one["sentence"] for one in by_transport.get("tls", [])), passes
