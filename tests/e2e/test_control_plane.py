"""The control plane over a running server: what is recorded, taking it back, projects that do not see each other."""

import contextlib
import json
import time
import urllib.parse

import pytest

from causeway import HOST, wait_until
from event_stream import EventStream
from turn_client import TurnClient

SESSIONS = 100


def address(server):
    return HOST, server.turn_port


def turn_pair(answer):
    turn = answer["iceServers"][-1]
    return turn["username"], turn["credential"]


def get(server, path, token=None, **query):
    """The JSON of a GET that must succeed."""
    path = path + ("?" + urllib.parse.urlencode(query) if query else "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, _, body = server.request(path, headers=headers)
    assert status == 200, body
    return json.loads(body)


def send(server, method, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, _, text = server.request(path, method, body, headers)
    return status, json.loads(text) if text else None


def everything(server, path, **query):
    """All pages of a list."""
    entries, cursor = [], None
    while True:
        page = get(server, path, limit=30, **query, **({"cursor": cursor} if cursor else {}))
        entries += page["data"]
        cursor = page["nextCursor"]
        if cursor is None:
            return entries


def test_revoking_a_room_ends_its_hundred_sessions_within_a_second(start):
    server = start(usage_flush_interval=1)
    with contextlib.ExitStack() as stack:
        clients = []
        for n in range(SESSIONS):
            pair = turn_pair(server.mint(room="big", initiator_client=f"client-{n % 10}", ttl=600))
            client = stack.enter_context(TurnClient(address(server), *pair))
            assert client.allocate().code == 0
            clients.append(client)
        other = stack.enter_context(TurnClient(address(server), *turn_pair(server.mint(room="small", ttl=600))))
        assert other.allocate().code == 0
        wait_until(lambda: len(everything(server, "/api/v1/sessions", room="big", active="true")) == SESSIONS, 10, "the sessions")
        assert get(server, "/api/v1/rooms/big")["activeSessions"] == SESSIONS

        before = time.monotonic()
        status, answer = send(server, "POST", "/api/v1/credentials/revoke", {"room": "big"})
        took = time.monotonic() - before
        print(f"revoking {SESSIONS} credentials took {took * 1000:.0f} ms")
        assert (status, answer) == (200, {"revoked": SESSIONS, "sessionsEnded": SESSIONS})
        assert took < 1
        assert server.metric("causeway_allocations") == 1
        # Nothing is left of them: neither the allocation nor a credential to open another with.
        assert clients[0].refresh().code == 401
        again = stack.enter_context(TurnClient(address(server), clients[0].username, clients[0].password))
        assert again.allocate().code == 401
        assert other.refresh().code == 0
        wait_until(lambda: get(server, "/api/v1/rooms/big")["activeSessions"] == 0, 10, "the records")
        ended = everything(server, "/api/v1/rooms/big/sessions")
        assert {session["endReason"] for session in ended} == {"terminated"} and len(ended) == SESSIONS


def test_a_session_is_ended_by_its_id_and_only_once(start):
    server = start(usage_flush_interval=1)
    pair = turn_pair(server.mint(room="one", ttl=600))
    with TurnClient(address(server), *pair) as client:
        assert client.allocate().code == 0
        sessions = wait_until(lambda: get(server, "/api/v1/sessions", room="one")["data"], 10, "the session")
        path = f"/api/v1/sessions/{sessions[0]['id']}"
        assert send(server, "DELETE", path) == (204, None)
        assert client.refresh().code == 437
        assert send(server, "DELETE", path)[0] == 404
        ended = wait_until(lambda: get(server, path)["endedAt"] and get(server, path), 10, "the end")
        assert ended["endReason"] == "terminated"
    # The credential is still good.
    with TurnClient(address(server), *pair) as client:
        assert client.allocate().code == 0


def test_a_credential_that_is_taken_back_keeps_its_session_unless_told_otherwise(start):
    server = start()
    username, password = turn_pair(server.mint(ttl=600))
    with TurnClient(address(server), username, password) as client:
        assert client.allocate().code == 0
        assert send(server, "DELETE", f"/api/v1/credentials/{username}") == (204, None)
        assert client.refresh().code == 0
        with TurnClient(address(server), username, password) as second:
            assert second.allocate().code == 401
        assert send(server, "DELETE", f"/api/v1/credentials/{username}?sessions=end") == (204, None)
        assert server.metric("causeway_allocations") == 0


def test_revoking_a_room_also_ends_what_an_earlier_revocation_left_alone(start):
    server = start(usage_flush_interval=1)
    username, password = turn_pair(server.mint(room="left", ttl=600))
    with TurnClient(address(server), username, password) as client:
        assert client.allocate().code == 0
        wait_until(lambda: get(server, "/api/v1/sessions", room="left")["data"], 10, "the session")
        assert send(server, "DELETE", f"/api/v1/credentials/{username}") == (204, None)
        assert client.refresh().code == 0
        answer = send(server, "POST", "/api/v1/credentials/revoke", {"room": "left"})
        assert answer == (200, {"revoked": 0, "sessionsEnded": 1})


def test_usage_is_the_sum_of_the_sessions_and_what_the_client_sent(start):
    server = start(usage_flush_interval=1)
    payload, n_sent = b"x" * 100, 50
    with TurnClient(address(server), *turn_pair(server.mint(room="metered", ttl=600))) as a:
        with TurnClient(address(server), *turn_pair(server.mint(room="metered", ttl=600))) as b:
            assert a.allocate().code == 0 and b.allocate().code == 0
            assert a.bind(0x4000, b.relayed).code == 0 and b.bind(0x4000, a.relayed).code == 0
            for _ in range(n_sent):
                a.send_channel(0x4000, payload)
                assert b.receive_payload() == payload
            assert a.refresh(0).code == 0 and b.refresh(0).code == 0

    def ended():
        sessions = get(server, "/api/v1/sessions", room="metered")["data"]
        return len(sessions) == 2 and all(session["endedAt"] for session in sessions) and sessions

    sessions = wait_until(ended, 10, "the ends")
    total = {key: sum(session[key] for session in sessions) for key in ("bytesIn", "bytesOut", "peerBytesOut", "peerBytesIn")}
    assert total["peerBytesOut"] == total["peerBytesIn"] == n_sent * len(payload)
    for group, key in (("room", "metered"), ("transport", "udp"), ("region", "local")):
        rows = [row for row in get(server, "/api/v1/usage", group_by=group) if row["key"] == key]
        assert sum(row["bytesIn"] for row in rows) == total["bytesIn"], group
        assert sum(row["bytesOut"] for row in rows) == total["bytesOut"], group
        assert sum(row["sessions"] for row in rows) == 2
    room = get(server, "/api/v1/rooms/metered")
    assert (room["bytesIn"], room["bytesOut"], room["sessions"]) == (total["bytesIn"], total["bytesOut"], 2)


def test_two_projects_do_not_see_each_other(start):
    server = start(usage_flush_interval=1)
    assert send(server, "POST", "/api/v1/projects", {"slug": "other"})[0] == 201

    def token(project):
        request = {"name": project, "scopes": ["credentials", "read", "admin"]}
        headers = {"X-Causeway-Project": project}
        status, _, body = server.request("/api/v1/tokens", "POST", request, headers)
        assert status == 201, body
        return json.loads(body)["value"]

    own, other = token("default"), token("other")
    assert own.startswith("cwp_")
    status, minted = send(server, "POST", "/api/v1/credentials/ice", {"room": "shared-name", "ttl": 600}, own)
    assert status == 200
    username, password = turn_pair(minted)
    with TurnClient(address(server), username, password) as client:
        assert client.allocate().code == 0
        session = wait_until(lambda: get(server, "/api/v1/sessions", token=own)["data"], 10, "the session")[0]["id"]
        for path in ("rooms", "clients", "sessions", "credentials"):
            assert get(server, f"/api/v1/{path}", token=other)["data"] == []
        assert get(server, "/api/v1/usage", token=other) == []
        for path in (f"rooms/shared-name", f"sessions/{session}", f"credentials/{username}"):
            assert send(server, "GET", f"/api/v1/{path}", token=other)[0] == 404
        assert send(server, "DELETE", f"/api/v1/sessions/{session}", token=other)[0] == 404
        assert send(server, "DELETE", f"/api/v1/credentials/{username}?sessions=end", token=other)[0] == 404
        nothing = {"revoked": 0, "sessionsEnded": 0}
        for by in ({"room": "shared-name"}, {"username": username}, {"createdBefore": "2100-01-01T00:00:00Z"}):
            assert send(server, "POST", "/api/v1/credentials/revoke", by, other) == (200, nothing)
        assert client.refresh().code == 0


def test_a_disabled_project_opens_nothing_and_comes_back(start):
    server = start()
    username, password = turn_pair(server.mint(ttl=600))
    with TurnClient(address(server), username, password) as client:
        assert client.allocate().code == 0
        status, project = send(server, "PATCH", "/api/v1/projects/default", {"disabled": True})
        assert status == 200 and project["disabled"] is True
        assert client.refresh().code == 0, "live ones go on"
        with TurnClient(address(server), username, password) as second:
            assert second.allocate().code == 401
    assert send(server, "POST", "/api/v1/credentials/ice", {})[1]["error"] == "project_disabled"
    assert send(server, "PATCH", "/api/v1/projects/default", {"disabled": False})[0] == 200
    with TurnClient(address(server), username, password) as client:
        assert client.allocate().code == 0


def test_a_token_works_until_it_is_revoked(start):
    server = start()
    status, made = send(server, "POST", "/api/v1/tokens", {"name": "ci", "scopes": ["read"]})
    assert status == 201
    assert get(server, "/api/v1/rooms", token=made["value"])["data"] == []
    assert send(server, "POST", "/api/v1/credentials/revoke", {"room": "x"}, made["value"])[0] == 403
    assert all("value" not in token for token in get(server, "/api/v1/tokens")["data"])
    assert send(server, "DELETE", f"/api/v1/tokens/{made['id']}") == (204, None)
    assert send(server, "GET", "/api/v1/rooms", token=made["value"])[0] == 401
    actions = [entry["action"] for entry in get(server, "/api/v1/audit")["data"]]
    assert actions[:2] == ["token.revoke", "token.create"]


@pytest.mark.parametrize("path", ["generate-ice-servers", "generate"])
def test_a_cloudflare_call_gets_a_credential_that_opens_and_is_taken_back(start, path):
    server = start()
    status, answer = send(server, "POST", f"/v1/turn/keys/any/credentials/{path}", {"ttl": 600})
    assert status == 201
    servers = answer["iceServers"]
    turn = servers[-1] if isinstance(servers, list) else servers
    with TurnClient(address(server), turn["username"], turn["credential"]) as client:
        assert client.allocate().code == 0
        assert send(server, "POST", f"/v1/turn/keys/any/credentials/{turn['username']}/revoke") == (204, None)
        assert server.metric("causeway_allocations") == 0


def test_a_credential_of_a_room_reaches_nobody_outside_on_any_path(start):
    server = start()
    # Allowed by the server's rules, and nobody of the room: what refuses it is the room.
    stranger = ("198.51.100.77", 9)

    def joins(stack, source, room, tcp=False, **limits):
        pair = turn_pair(server.mint(room=room, ttl=600, **limits))
        return stack.enter_context(TurnClient(address(server), *pair, tcp=tcp, source=(source, 0)))

    with contextlib.ExitStack() as stack:
        alice = joins(stack, "198.51.100.2", "bound", peer_scope="room")
        bob = joins(stack, "198.51.100.3", "bound")
        mallory = joins(stack, HOST, "another", peer_scope="any")
        for client in (alice, bob, mallory):
            assert client.allocate().code == 0
        # Permission and channel are refused, to an address and to another room's relay.
        assert alice.permit(stranger).code == 403 and alice.bind(0x4000, stranger).code == 403
        assert alice.bind(0x4000, mallory.relayed).code == 403
        assert mallory.permit(stranger).code == 0 and mallory.permit(alice.relayed).code == 0
        # The room itself is open: Bob is at the same IP as Mallory's relay, so a permission by IP is there for both.
        assert bob.permit(alice.relayed).code == 0 and alice.permit(mallory.relayed).code == 0
        wait_until(lambda: alice.bind(0x4001, bob.relayed).code == 0, 20, "Bob to be known in the room")
        alice.send_channel(0x4001, b"hello")
        assert bob.receive_payload() == b"hello"
        # Send, and what comes in, are dropped and counted.
        dropped = lambda: server.metric('causeway_drops_total{reason="peer_scope"}')
        before = dropped()
        alice.send_indication(mallory.relayed, b"out")
        wait_until(lambda: dropped() == before + 1, 20, "the Send to be dropped")
        mallory.send_indication(alice.relayed, b"in")
        wait_until(lambda: dropped() == before + 2, 20, "what comes in to be dropped")
        # Connect, of a credential of its own: TCP allocations are made over TCP.
        carol = joins(stack, "198.51.100.2", "bound", tcp=True, peer_scope="room")
        assert carol.allocate(transport=6).code == 0
        assert carol.connect_peer(stranger).code == 403


def test_each_limit_inside_a_credential_holds_at_the_relay(start):
    server = start()
    stream = EventStream(server, "?types=limit.reached,session.ended")
    told = lambda kind, name: [e for e in stream.events if e["type"] == kind and name in (e.get("username"), e.get("session", {}).get("username"))]

    def pair(headers=None, **limits):
        status, _, body = server.request("/api/v1/credentials/ice", "POST", {"ttl": 600, **limits}, headers)
        assert status == 200, body
        return turn_pair(json.loads(body))

    def joins(stack, pair, source=HOST):
        return stack.enter_context(TurnClient(address(server), *pair, source=(source, 0)))

    with contextlib.ExitStack() as stack:
        bound = pair({"X-TURN-CLIENT-IP": "198.51.100.2"}, bind_ip=True)
        assert joins(stack, bound).allocate().code == 401
        assert joins(stack, bound, "198.51.100.2").allocate().code == 0

        one = pair(max_allocations=1)
        assert joins(stack, one).allocate().code == 0 and joins(stack, one).allocate().code == 486
        wait_until(lambda: told("limit.reached", one[0]), 20, "the limit to be told")
        assert told("limit.reached", one[0])[0]["limit"] == "credential_allocations_max"

        slow = pair(max_bitrate=8000)
        client = joins(stack, slow)
        assert client.allocate().code == 0 and client.bind(0x4000, client.relayed).code == 0
        for _ in range(200):
            client.send_channel(0x4000, bytes(1000))
        wait_until(lambda: told("limit.reached", slow[0]), 20, "the limit to be told")
        assert [event["limit"] for event in told("limit.reached", slow[0])] == ["bandwidth_per_allocation"]

        few = pair(max_bytes=5000)
        client = joins(stack, few)
        assert client.allocate().code == 0 and client.bind(0x4000, client.relayed).code == 0
        for _ in range(10):
            client.send_channel(0x4000, bytes(1000))
        wait_until(lambda: told("session.ended", few[0]), 20, "the end")
        [ended] = told("session.ended", few[0])
        assert ended["reason"] == "quota_reached"
        assert [event["limit"] for event in told("limit.reached", few[0])] == ["credential_bytes_max"]


def test_each_way_to_revoke_ends_the_sessions_it_names_and_no_others(start):
    server = start(usage_flush_interval="1s")
    _, made = send(server, "POST", "/api/v1/tokens", {"name": "another", "scopes": ["credentials"]})
    live = lambda: {session["room"] for session in everything(server, "/api/v1/sessions", active="true")}
    with contextlib.ExitStack() as stack:

        def joins(room, token=None, **names):
            status, answer = send(server, "POST", "/api/v1/credentials/ice", {"room": room, "ttl": 600, **names}, token)
            assert status == 200, answer
            client = stack.enter_context(TurnClient(address(server), *turn_pair(answer)))
            assert client.allocate().code == 0
            return client

        by_client = joins("r-client", initiator_client="carol")
        by_token = joins("r-token", made["value"])
        by_time = joins("r-time")
        wait_until(lambda: live() == {"r-client", "r-token", "r-time"}, 20, "the sessions")
        revoke = lambda by: send(server, "POST", "/api/v1/credentials/revoke", by)
        assert revoke({"client": "carol"}) == (200, {"revoked": 1, "sessionsEnded": 1})
        assert revoke({"tokenId": made["id"]}) == (200, {"revoked": 1, "sessionsEnded": 1})
        assert by_client.refresh().code == by_token.refresh().code == 401
        assert by_time.refresh().code == 0
        assert revoke({"createdBefore": "2100-01-01T00:00:00Z"}) == (200, {"revoked": 1, "sessionsEnded": 1})
        assert by_time.refresh().code == 401
        wait_until(lambda: not live(), 20, "the records")
        assert revoke({"client": "nobody"}) == (200, {"revoked": 0, "sessionsEnded": 0})
