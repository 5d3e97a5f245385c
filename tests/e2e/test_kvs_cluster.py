"""Two servers of one database that find each other through a real Redis: master here, viewer there."""

import json

import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import InvalidStatus

from causeway import wait_until
from kvs import KvsServer, Peer
from postgres import Postgres
from redis_consumer import RedisServer


@pytest.fixture(scope="module")
def shared():
    """A database and a Redis."""
    with Postgres() as postgres, RedisServer() as redis:
        yield {"database_url": postgres.url, "cluster_redis": f"redis://127.0.0.1:{redis.port}"}, redis


@pytest.fixture
def pair(shared, request):
    """Two servers, and a channel whose owner is the first."""
    settings, _ = shared
    servers = []
    for name in ["node-a", "node-b"]:
        server = KvsServer(node_id=name, drain_timeout="1s", **settings)
        request.addfinalizer(server.stop)
        servers.append(server.__enter__())
    name = "".join(c if c.isalnum() else "." for c in request.node.name)
    return *servers, servers[0].client().create_signaling_channel(ChannelName=name)["ChannelARN"]


def test_master_and_viewers_of_two_servers_reach_each_other(pair):
    first, second, arn = pair
    near, far = Peer(first, arn, "near"), Peer(second, arn, "far")
    near.send("SDP_OFFER", "from-near")
    far.send("SDP_OFFER", "from-far")
    assert near.silent() and far.silent()
    # The master comes later and to the other server: what waits for it goes there.
    master = Peer(second, arn)
    got = {(frame["messagePayload"], frame["senderClientId"]) for frame in (master.frame(), master.frame())}
    assert got == {("from-near", "near"), ("from-far", "far")}
    for client, peer in [("near", near), ("far", far)]:
        master.send("SDP_ANSWER", f"for-{client}", recipientClientId=client)
        assert peer.frame() == {"messagePayload": f"for-{client}", "messageType": "SDP_ANSWER"}
    for index in range(30):
        far.send("ICE_CANDIDATE", str(index))
    assert [master.frame()["messagePayload"] for _ in range(30)] == [str(index) for index in range(30)], "in order"
    master.send("SDP_ANSWER", "x" * 65537, recipientClientId="near", correlationId="far-status")
    assert master.frame()["statusResponse"]["correlationId"] == "far-status"


def test_the_newest_connection_wins_wherever_it_is(pair):
    first, second, arn = pair
    here = Peer(first, arn)
    there = Peer(second, arn)
    assert here.closed() == (1000, "superseded")
    back = Peer(first, arn)
    assert there.closed() == (1000, "superseded")
    viewer = Peer(second, arn, "v")
    viewer.send("SDP_OFFER")
    assert back.frame()["senderClientId"] == "v"


def test_a_channel_removed_at_one_server_closes_connections_of_both(pair):
    first, second, arn = pair
    owner, other = Peer(first, arn), Peer(second, arn, "v")
    second.client().delete_signaling_channel(ChannelARN=arn)
    assert owner.closed() == (1000, "channel deleted") and other.closed() == (1000, "channel deleted")


def test_a_killed_owner_is_noticed_and_its_channel_served_elsewhere(pair):
    first, second, arn = pair
    Peer(first, arn)
    viewer = Peer(second, arn, "v")
    assert viewer.silent()
    first.stop()
    assert viewer.frame(20) == {"messageType": "GO_AWAY"}
    assert viewer.closed() == (1001, "going away")

    def serves():
        try:
            return Peer(second, arn)
        except InvalidStatus:
            return None

    master, viewer = wait_until(serves, 20, "the channel to be served again"), Peer(second, arn, "v")
    viewer.send("SDP_OFFER")
    assert master.frame()["senderClientId"] == "v"


def test_a_killed_server_takes_only_its_own_connections_along(pair):
    first, second, arn = pair
    master, near, far = Peer(first, arn), Peer(first, arn, "near"), Peer(second, arn, "far")
    assert far.silent()
    connections = first.metric("causeway_signal_connections")
    second.stop()
    near.send("SDP_OFFER")
    assert master.frame()["senderClientId"] == "near"
    # What is for the lost viewer waits for it once its server is noticed to be gone.
    def waits():
        master.send("SDP_ANSWER", "again", recipientClientId="far")
        return first.metric('causeway_signal_messages_total{outcome="stored"}') > 0
    wait_until(waits, 20, "the lost server to be noticed")
    assert first.metric("causeway_signal_connections") == connections
    assert Peer(first, arn, "far").frame()["messagePayload"] == "again"


def test_a_server_that_stops_gives_its_channels_back_at_once(pair):
    first, second, arn = pair
    viewer = Peer(second, arn, "v")
    master = Peer(first, arn)
    assert viewer.silent() and master.silent()
    second.signal(15)
    assert viewer.frame() == {"messageType": "GO_AWAY"}
    second.process.wait(20)
    assert master.frame(20) == {"messageType": "GO_AWAY"}
    assert master.closed() == (1001, "going away")
    again = wait_until(lambda: Peer(first, arn), 20, "the channel to be served again")
    assert again.silent()


def test_a_redis_that_is_away_leaves_what_a_server_owns_alone(shared, request):
    settings, _ = shared
    with RedisServer() as redis:
        own = {**settings, "cluster_redis": f"redis://127.0.0.1:{redis.port}"}
        server = KvsServer(node_id="node-c", **own)
        request.addfinalizer(server.stop)
        server.__enter__()
        arn = server.client().create_signaling_channel(ChannelName="alone")["ChannelARN"]
        master = Peer(server, arn)
        redis.process.kill()
        redis.process.wait()
        viewer = Peer(server, arn, "v")
        viewer.send("SDP_OFFER")
        assert master.frame()["senderClientId"] == "v"
        other = server.client().create_signaling_channel(ChannelName="other")["ChannelARN"]
        with pytest.raises(InvalidStatus) as caught:
            Peer(server, other)
        assert caught.value.response.status_code == 503


def ice(server, arn, client):
    """`fine`, or the name of the error."""
    try:
        return server.signaling().get_ice_server_config(ChannelARN=arn, ClientId=client)["IceServerList"] and "fine"
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_a_session_that_expired_at_one_server_is_expired_at_all_until_its_client_is_back(shared, request):
    settings, _ = shared
    servers = []
    for name in ["node-x", "node-y"]:
        limits = {"lifetime_max": "2s", "go_away_grace": "1s"}
        server = KvsServer(kvs=limits, node_id=name, drain_timeout="1s", **settings)
        request.addfinalizer(server.stop)
        servers.append(server.__enter__())
    first, second = servers
    arn = first.client().create_signaling_channel(ChannelName="expired")["ChannelARN"]
    # The first owns the channel; this one's socket is the second's.
    near, far = Peer(first, arn, "near"), Peer(second, arn, "far")
    for peer in [near, far]:
        assert peer.frame() == {"messageType": "GO_AWAY"}
        assert peer.closed() == (1001, "lifetime over")
    for server in servers:
        for client in ["near", "far"]:
            wait_until(lambda: ice(server, arn, client) == "SessionExpiredException", 20, "the others to know")
        assert ice(server, arn, "never-connected") == "fine"
    back = Peer(second, arn, "near")
    for server in servers:
        wait_until(lambda: ice(server, arn, "near") == "fine", 20, "the client to be back")
        assert ice(server, arn, "far") == "SessionExpiredException"
    back.close()


REGIONS = [
    {"slug": slug, "nat2": "DE", "city": slug, "name": slug, "lat": 50.0, "lon": 8.0} for slug in ("here", "there")
]


def test_clients_are_told_to_fetch_relay_credentials_anew_when_a_relay_server_goes(shared, request):
    settings, _ = shared
    servers = []
    for slug in ["here", "there"]:
        server = KvsServer(
            node_id=f"relay-{slug}", region=slug, regions=REGIONS, node_timeout="3s", drain_timeout="1s", **settings)
        request.addfinalizer(server.stop)
        servers.append(server.__enter__())
    here, there = servers

    def operational(server):
        regions = json.loads(server.request("/api/v1/regions")[2])
        return {region["slug"] for region in regions if region["is_operational"]}

    def drain(slug, verb="drain"):
        status, _, body = here.request(f"/api/v1/regions/{slug}/{verb}", "POST", {})
        assert status in (200, 204), body

    for server in servers:
        wait_until(lambda: operational(server) == {"here", "there"}, 20, "both regions")
    arn = here.client().create_signaling_channel(ChannelName="relays")["ChannelARN"]
    master, near, far = Peer(here, arn), Peer(here, arn, "near"), Peer(there, arn, "far")
    assert master.silent() and near.silent() and far.silent()
    told = {"messageType": "RECONNECT_ICE_SERVER"}
    drain("there")
    for peer in [master, near, far]:
        assert peer.frame(20) == told
    # What is handed out from here on is of the other region, and the connections live on.
    assert ice(here, arn, "near") == ice(there, arn, "far") == "fine"
    near.send("SDP_OFFER")
    assert master.frame()["senderClientId"] == "near"
    # With the last one drained there is nowhere to go, and nobody is sent.
    drain("here")
    for server in servers:
        wait_until(lambda: operational(server) == set(), 20, "no region to serve")
    for slug in ["here", "there"]:
        drain(slug, "undrain")
    for server in servers:
        wait_until(lambda: operational(server) == {"here", "there"}, 20, "both regions again")
    assert master.silent() and near.silent() and far.silent()
    # One that falls silent has gone too. Its own connections went with it, and not the others'.
    there.stop()
    assert master.frame(20) == told and near.frame(20) == told
    assert master.silent()
