"""Regions over two real servers that share a PostgreSQL: health, choice, drains, what clients are handed."""

import json
import signal

import pytest

from causeway import HOST, wait_until
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
TIMEOUT = "3s"


@pytest.fixture
def pair(start):
    """Two servers of two regions and one database."""
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": TIMEOUT}
        options = {"environment": environment, "regions": REGIONS, "drain_timeout": "0s"}
        eu = start(node_id="fra-1", region="eu-central", **options)
        us = start(node_id="iad-1", region="us-east", **options)
        wait_until(lambda: health(eu) == health(us) == {"eu-central": (True, True), "us-east": (True, True)}, 10, "both regions")
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
    us.process.wait(10)
    wait_until(lambda: health(eu)["us-east"] == (False, False), 10, "the region to be down")
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
    wait_until(lambda: health(eu)["us-east"] == (True, True), 10, "the region to be back")
    assert mint(eu, fixed_region="us-east")[0] == 200


def test_what_the_dart_sdks_cast_is_there_from_both_servers(pair):
    eu, us = pair
    us.signal(signal.SIGKILL)
    us.process.wait(10)
    wait_until(lambda: health(eu)["us-east"] == (False, False), 10, "the region to be down")
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

        assert wait_until(sessions, 15, "the session")[0]["region"] == "eu-central"


def test_a_database_that_is_away_takes_no_region_down(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url, "CAUSEWAY_NODE_TIMEOUT": TIMEOUT}
        eu = start(node_id="fra-1", region="eu-central", regions=REGIONS, environment=environment)
        us = start(node_id="iad-1", region="us-east", regions=REGIONS, environment=environment)
        up = {"eu-central": (True, True), "us-east": (True, True)}
        wait_until(lambda: health(eu) == up, 10, "both regions")
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
        wait_until(lambda: server.health() == 503, 5, "the drain")
        assert health(server) == {"local": (True, False)}
        status, headers, body = server.request("/api/v1/credentials/ice", "POST", {})
        assert (status, json.loads(body)["error"]) == (503, "no_region") and headers["Retry-After"]
        assert client.refresh(0).code == 0
    server.process.wait(10)


def test_a_database_of_places_chooses_the_nearest(start, tmp_path):
    from mmdb import write_mmdb

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
    wait_until(lambda: mint(server, {"X-TURN-CLIENT-IP": "203.0.113.1"})[1]["region"] == "eu-central", 10, "the new file")
