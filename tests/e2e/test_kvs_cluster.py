"""Two servers of one database that find each other through a real Redis: master here, viewer there."""

import pytest
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
