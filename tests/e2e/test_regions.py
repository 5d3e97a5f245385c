"""Regions over two real servers that share a PostgreSQL: health, choice, drains, what clients are handed."""

import json
import signal
import subprocess

import pytest

from causeway import HOST, wait_until
from event_stream import EventStream
from mmdb import write_mmdb
from postgres import Postgres
from turn_client import TurnClient

REGIONS = [
    {"slug": "eu-central", "nat2": "DE", "city": "Frankfurt", "name": "EU Central", "lat": 50.11, "lon": 8.68},
    {
        "slug": "us-east",
        "nat2": "US",
        "city": "Ashburn",
        "name": "US East",
        "lat": 39.04,
        "lon": -77.49,
        "cidrs": ["192.0.2.0/24", "2001:db8:77::/48"],
    },
]
# A server is gone when it was silent for so long; it tells of itself three times in this time.
TIMEOUT = "5s"


@pytest.fixture
def pair(start):
    """Two servers of two regions and one database."""
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": TIMEOUT}
        options = {"environment": environment, "regions": REGIONS, "drain_timeout": "0s"}
        eu = start(node_id="fra-1", region="eu-central", **options)
        us = start(node_id="iad-1", region="us-east", **options)
        wait_until(lambda: health(eu) == health(us) == {"eu-central": (True, True), "us-east": (True, True)}, 30, "both regions")
        yield eu, us


def regions(server):
    status, _, body = server.request("/api/v1/regions")
    assert status == 200, body
    return json.loads(body)


def health(server):
    return {region["slug"]: (region["is_online"], region["is_operational"]) for region in regions(server)}


def mint(server, headers=None, **parameters):
    status, _, body = server.request("/api/v1/credentials/ice", "POST", parameters, headers)
    return status, json.loads(body)


def ports(answer):
    """The ports of the URLs a client is handed: the servers of these tests differ by nothing else."""
    return {int(url.split("?")[0].rsplit(":", 1)[1]) for entry in answer["iceServers"] for url in entry["urls"]}


def allocates(server, answer):
    turn = answer["iceServers"][-1]
    with TurnClient((HOST, server.turn_port), turn["username"], turn["credential"]) as client:
        return client.allocate().code == 0


def test_a_client_is_handed_the_servers_of_the_region_asked_for(pair):
    eu, us = pair
    for server in pair:
        for slug, serving in (("eu-central", eu), ("us-east", us)):
            for parameter in ("fixed_region", "preferred_region", "preffered_region"):
                status, answer = mint(server, **{parameter: slug})
                assert (status, answer["region"]) == (200, slug), parameter
                assert ports(answer) == {serving.turn_port}
                assert allocates(serving, answer)
    assert mint(eu)[1]["region"] == "eu-central" and mint(us)[1]["region"] == "us-east"
    for client, slug in (("192.0.2.9", "us-east"), ("2001:db8:77::1", "us-east"), ("203.0.113.1", "eu-central")):
        assert mint(eu, {"X-TURN-CLIENT-IP": client})[1]["region"] == slug, client


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_region_whose_last_server_is_gone_gives_way(pair, how):
    eu, us = pair
    us.signal(how)
    us.process.wait(30)
    wait_until(lambda: health(eu)["us-east"] == (False, False), 30, "the region to be down")
    status, headers, body = eu.request("/api/v1/credentials/ice", "POST", {"fixed_region": "us-east"})
    assert (status, json.loads(body)["error"]) == (503, "region_unavailable")
    assert int(headers["Retry-After"]) > 0
    status, answer = mint(eu, fixed_region="atlantis")
    assert (status, answer["error"]) == (422, "invalid_parameter")
    assert answer["details"] == [{"field": "fixed_region", "code": "region_unknown"}]
    for spelling in ("preferred_region", "preffered_region"):
        status, answer = mint(eu, **{spelling: "us-east"})
        assert (status, answer["region"], ports(answer)) == (200, "eu-central", {eu.turn_port})
        assert allocates(eu, answer)
    # The nearest is down too.
    assert mint(eu, {"X-TURN-CLIENT-IP": "192.0.2.9"})[1]["region"] == "eu-central"
    us.__enter__()
    wait_until(lambda: health(eu)["us-east"] == (True, True), 30, "the region to be back")
    assert mint(eu, fixed_region="us-east")[0] == 200


def test_what_the_dart_sdks_cast_is_there_from_both_servers(pair):
    eu, us = pair
    us.signal(signal.SIGKILL)
    us.process.wait(30)
    wait_until(lambda: health(eu)["us-east"] == (False, False), 30, "the region to be down")
    answer = regions(eu)
    assert [region["slug"] for region in answer] == ["eu-central", "us-east"], "a bare array, by slug"
    for region in answer:
        assert all(type(region[key]) is str for key in ("slug", "nat2", "city", "name"))
        assert all(type(region[key]) in (int, float) for key in ("lat", "lon"))
        assert all(type(region[key]) is bool for key in ("is_online", "is_operational"))
    status, answer = mint(eu, preferred_region="us-east")
    assert status == 200 and type(answer["expiresAt"]) is str
    for entry in answer["iceServers"]:
        assert type(entry["urls"]) is list and all(type(url) is str for url in entry["urls"])


def test_a_session_belongs_to_the_region_where_it_is(pair):
    eu, us = pair
    # Minted for one region, used in the other: nothing keeps a client from it.
    status, answer = mint(eu, fixed_region="us-east", room="moved", ttl=600)
    turn = answer["iceServers"][-1]
    with TurnClient((HOST, eu.turn_port), turn["username"], turn["credential"]) as client:
        assert client.allocate().code == 0

        def sessions():
            return json.loads(us.request("/api/v1/sessions?room=moved")[2])["data"]

        assert wait_until(sessions, 30, "the session")[0]["region"] == "eu-central"


def test_what_a_server_left_open_that_never_comes_back_is_closed_by_another(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": "1s"}
        here, lost = (start(node_id=name, environment=environment, usage_flush_interval=1) for name in ("here", "lost"))
        turn = mint(lost, room="left", ttl=600)[1]["iceServers"][-1]

        def left():
            return json.loads(here.request("/api/v1/sessions?room=left")[2])["data"]

        with TurnClient((HOST, lost.turn_port), turn["username"], turn["credential"]) as client:
            assert client.allocate().code == 0
            wait_until(left, 30, "the session")
            lost.signal(signal.SIGKILL)
            lost.process.wait(30)
        # Twenty times the timeout.
        wait_until(lambda: left()[0]["endedAt"], 60, "the session to be closed")
        assert left()[0]["endReason"] == "server_restart"
        room = json.loads(here.request("/api/v1/rooms/left")[2])
        assert room["activeSessions"] == 0
        log = json.loads(here.request("/api/v1/sessions?active=true")[2])["data"]
        assert log == []


def test_a_database_that_is_away_takes_no_region_down(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": TIMEOUT}
        eu = start(node_id="fra-1", region="eu-central", regions=REGIONS, environment=environment)
        us = start(node_id="iad-1", region="us-east", regions=REGIONS, environment=environment)
        up = {"eu-central": (True, True), "us-east": (True, True)}
        wait_until(lambda: health(eu) == up, 30, "both regions")
        postgres.stop()
        wait_until(lambda: eu.health() == 503, 20, "the store to be missed")
        # Silence is not held against the other server, neither now nor when the database is back.
        postgres.start()
        wait_until(lambda: eu.health() == us.health() == 200, 30, "the store to be back")
        assert health(eu) == up


def test_a_server_that_ends_takes_no_new_clients(start):
    server = start(drain_timeout="30s")
    answer = mint(server, ttl=600)[1]
    turn = answer["iceServers"][-1]
    with TurnClient((HOST, server.turn_port), turn["username"], turn["credential"]) as client:
        assert client.allocate().code == 0
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.health() == 503, 20, "the drain")
        assert health(server) == {"local": (True, False)}
        status, headers, body = server.request("/api/v1/credentials/ice", "POST", {})
        assert (status, json.loads(body)["error"]) == (503, "no_region") and headers["Retry-After"]
        assert client.refresh(0).code == 0
    server.process.wait(30)


def test_a_database_of_places_chooses_the_nearest(start, tmp_path):
    path = tmp_path / "places.mmdb"
    places = {"203.0.113.0/25": (45.5, -73.6, "CA"), "203.0.113.128/25": (52.5, 13.4, "DE")}
    path.write_bytes(write_mmdb(places))
    # Nobody speaks for us-east: its URLs are written down.
    written = [REGIONS[0], {**REGIONS[1], "urls": ["turn:us.example.com:3478?transport=udp"]}]
    server = start(region="eu-central", regions=written, geoip_database=str(path))
    for client, slug in (("203.0.113.1", "us-east"), ("203.0.113.200", "eu-central"), ("192.0.2.1", "us-east")):
        assert mint(server, {"X-TURN-CLIENT-IP": client})[1]["region"] == slug, client
    path.write_bytes(write_mmdb({"203.0.113.0/24": (52.5, 13.4, "DE")}))
    server.signal(signal.SIGHUP)
    wait_until(lambda: mint(server, {"X-TURN-CLIENT-IP": "203.0.113.1"})[1]["region"] == "eu-central", 20, "the new file")


def drain(server, slug, back=False, **body):
    status, _, text = server.request(f"/api/v1/regions/{slug}/{'undrain' if back else 'drain'}", "POST", body)
    assert status == 200, text
    return json.loads(text)


def nodes(server):
    status, _, body = server.request("/api/v1/regions?nodes=true")
    assert status == 200, body
    return {node["name"]: node for region in json.loads(body) for node in region["nodes"]}


def test_a_drain_takes_a_region_out_on_every_server_and_outlives_a_restart(pair):
    eu, us = pair
    old = mint(eu, fixed_region="us-east", ttl=600)[1]
    turn = old["iceServers"][-1]
    with TurnClient((HOST, us.turn_port), turn["username"], turn["credential"]) as client:
        assert client.allocate().code == 0
        # Asked of one server, it counts there at once, and at the others and their relays soon.
        answer = drain(eu, "us-east")
        assert answer == {"slug": "us-east", "drained": True, "online": True, "operational": False, "drainedNodes": ["iad-1"]}
        assert mint(eu, fixed_region="us-east")[1]["error"] == "region_unavailable"
        wait_until(lambda: mint(us, preferred_region="us-east")[1]["region"] == "eu-central", 20, "the other server to hear")
        wait_until(lambda: not allocates(us, old), 20, "the relay to drain")
        assert client.refresh().code == 0, "live sessions go on"
        # Its API serves on: nobody but the operator wants it out of a balancer.
        status, _, body = us.request("/healthz")
        assert (status, json.loads(body)["relay"]) == (200, "draining")
        assert nodes(eu)["iad-1"]["is_drained"] and not nodes(eu)["iad-1"]["is_operational"]
    us.signal(signal.SIGKILL)
    us.process.wait(30)
    us.__enter__()
    assert not allocates(us, old), "it begins drained"
    assert drain(us, "us-east", back=True)["operational"]
    wait_until(lambda: mint(eu, fixed_region="us-east")[0] == 200, 20, "the other server to hear")
    wait_until(lambda: allocates(us, old), 20, "the relay to be back")
    actions = [(entry["action"], entry["subject"]) for entry in json.loads(eu.request("/api/v1/audit")[2])["data"]]
    assert actions[:2] == [("region.undrain", "us-east"), ("region.drain", "us-east")]


def test_a_drained_node_leaves_its_region_to_the_other(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": TIMEOUT}
        servers = [start(node_id=name, region="us-east", regions=REGIONS, environment=environment) for name in ("a", "b")]
        first, second = servers
        wait_until(lambda: len(nodes(first)) == 2, 30, "both servers")
        handed = [ports(mint(first)[1]) for _ in range(4)]
        assert handed.count({first.turn_port}) == handed.count({second.turn_port}) == 2, "in turn"
        drain(first, "us-east", node="b")
        assert {port for _ in range(4) for port in ports(mint(first)[1])} == {first.turn_port}
        assert health(first)["us-east"] == (True, True)
        drain(first, "us-east", node="a")
        assert mint(first)[1]["error"] == "no_region"
        drain(first, "us-east", back=True, node="a")
        assert mint(first)[0] == 200


def test_a_change_of_a_region_is_told_in_the_stream(pair):
    eu, us = pair
    stream = EventStream(eu, "?types=region.changed")
    told = lambda: [(event["region"], event["isOnline"], event["isOperational"]) for event in stream.events]
    us.signal(signal.SIGTERM)
    wait_until(lambda: told()[-1:] == [("us-east", False, False)], 30, "the end to be told")
    us.process.wait(30)
    us.__enter__()
    wait_until(lambda: told()[-1:] == [("us-east", True, True)], 30, "the return to be told")
    assert {region for region, _, _ in told()} == {"us-east"}
    stream.close()


def test_the_days_of_a_certificate_are_told(start, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=turn.example.com"]
    subprocess.run(command, check=True, capture_output=True)
    server = start(tls_cert=str(certificate), tls_key=str(key))
    (node,) = nodes(server).values()
    assert node["certificate_days_left"] in (29, 30) and node["state"] == "serving"
    assert node["live_sessions"] == 0 and node["version"] and node["urls"]
    (node,) = nodes(start()).values()
    assert node["certificate_days_left"] is None, "a self-signed one is nobody's concern"


def send(server, method, path, body, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, _, text = server.request(path, method, body, headers)
    return status, json.loads(text)


def test_a_token_and_its_project_are_bounded_to_their_regions(pair):
    eu, us = pair
    request = {"name": "only-us", "scopes": ["credentials"], "regions": ["us-east"]}
    status, made = send(eu, "POST", "/api/v1/tokens", request)
    assert (status, made["regions"]) == (201, ["us-east"])
    ice = "/api/v1/credentials/ice"
    for server in pair:
        wait_until(lambda: send(server, "POST", ice, {}, made["value"])[1].get("region") == "us-east", 5, "the rule")
        refused = send(server, "POST", ice, {"fixed_region": "eu-central"}, made["value"])
        assert (refused[0], refused[1]["error"]) == (403, "region_forbidden")
        assert send(server, "POST", ice, {"preferred_region": "eu-central"}, made["value"])[1]["region"] == "us-east"
    assert send(eu, "PATCH", "/api/v1/projects/default", {"regions": ["eu-central"]})[0] == 200
    wait_until(lambda: mint(us)[1]["region"] == "eu-central", 5, "the other server to hear")
    assert mint(us, fixed_region="us-east")[1]["error"] == "region_forbidden"
    wait_until(lambda: send(eu, "POST", ice, {}, made["value"])[1].get("error") == "no_region", 5, "nothing is left to both")
    assert send(eu, "PATCH", "/api/v1/projects/default", {"regions": []})[1]["regions"] == []
    wait_until(lambda: mint(us, fixed_region="us-east")[0] == 200, 5, "every region again")


def test_a_quota_ends_minting_at_every_server_and_leaves_sessions_alone(pair):
    eu, us = pair
    # All before the limit is set counts too.
    answer = mint(eu, fixed_region="eu-central", ttl=600)[1]
    turn = answer["iceServers"][-1]
    with TurnClient((HOST, eu.turn_port), turn["username"], turn["credential"]) as client:
        assert client.allocate().code == 0
        assert send(us, "PATCH", "/api/v1/projects/default", {"credentialsPerMonthMax": 3})[0] == 200
        wait_until(lambda: mint(eu)[0] == 403 and mint(us)[0] == 403, 15, "the quota")
        status, refused = mint(eu)
        assert (status, refused["error"]) == (403, "quota_exceeded")
        assert client.refresh().code == 0
    assert send(us, "PATCH", "/api/v1/projects/default", {"credentialsPerMonthMax": 0})[1]["credentialsPerMonthMax"] is None
    wait_until(lambda: mint(eu)[0] == 200, 5, "no quota again")


def test_pages_of_named_origins_may_ask_and_no_others(start):
    preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type"
    path = "/api/v1/credentials/ice"

    def cors(server, method, path, headers, **options):
        status, answered, _ = server.request(path, method, headers=headers, **options)
        return status, answered["Access-Control-Allow-Origin"], answered

    closed = start()
    status, origin, answered = cors(closed, "OPTIONS", path, preflight, token=False)
    assert (status, origin) == (405, None)
    assert cors(closed, "POST", path, preflight)[:2] == (200, None)
    named = start(cors_origins=["https://app.example.com", "http://localhost:5173"], ttl_over_max="clamp", credential_ttl_max="60s")
    status, origin, answered = cors(named, "OPTIONS", path, preflight, token=False)
    assert (status, origin) == (200, "https://app.example.com")
    assert {"authorization", "content-type"} <= set(answered["Access-Control-Allow-Headers"].split(","))
    assert "Access-Control-Allow-Credentials" not in answered
    for path, expected in ((path, "https://app.example.com"), ("/api/v1/turn-rest?service=turn", "https://app.example.com"), ("/api/v1/tokens", None)):
        assert cors(named, "OPTIONS", path, preflight, token=False)[1] == expected, path
    assert cors(named, "POST", "/api/v1/credentials/ice", {"Origin": "http://localhost:5173"})[:2] == (200, "http://localhost:5173")
    # A refusal is for the page to read, too.
    wrong = {"Origin": "https://app.example.com", "Authorization": "Bearer wrong"}
    assert cors(named, "POST", "/api/v1/credentials/ice", wrong)[:2] == (401, "https://app.example.com")
    assert cors(named, "POST", "/api/v1/credentials/ice", {"Origin": "https://evil.example"})[1] is None
    status, answer = mint(named, ttl=86400)
    assert status == 200, "cut, not refused"
