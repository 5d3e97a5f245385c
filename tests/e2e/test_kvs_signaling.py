"""The signalling WebSocket: the shapes of every client, takeover, waiting messages, limits, and what is refused."""

import http.client
import json
import time
import urllib.parse

import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import InvalidStatus

from causeway import wait_until
from kvs import BOUND, KEYS, SESSION, KvsServer, Peer, presign, trusting


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        yield server


@pytest.fixture
def arn(kvs, request):
    name = request.node.name.replace("[", ".").replace("]", "")[:200]
    return kvs.client().create_signaling_channel(ChannelName="".join(c if c.isalnum() else "." for c in name))["ChannelARN"]


@pytest.fixture
def peers(kvs, arn, request):
    """Opens peers and closes them afterwards."""

    def open_one(client=None, key=KEYS["admin"], channel=arn, **options):
        peer = Peer(kvs, channel, client, key, **options)
        request.addfinalizer(peer.close)
        return peer

    return open_one


def upgrade(server, url, **headers):
    """Status, error name, text of the answer to an upgrade that is refused."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection("localhost", parts.port, context=trusting(server), timeout=10)
    usual = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection.request("GET", f"/?{parts.query}", headers={**usual, **headers})
    answer = connection.getresponse()
    body = json.loads(answer.read() or "{}")
    connection.close()
    if answer.status != 101:
        assert body["__type"] == answer.getheader("x-amzn-ErrorType") and answer.getheader("x-amzn-RequestId")
        assert answer.getheader("Access-Control-Allow-Origin") == "*" and answer.getheader("Date")
    return answer.status, body.get("__type"), body.get("Message")


def wss(server, arn, client=None, key=KEYS["admin"], **how):
    parameters = {"X-Amz-ChannelARN": arn, **({"X-Amz-ClientId": client} if client else {})}
    return presign(server.url.replace("https", "wss"), key, parameters, **how)


SHAPES = {
    # action first, blanks after colons, capitals, an empty recipient, relay addresses along with the offer
    "c": '{"action": "SDP_OFFER","RecipientClientId": "","MessagePayload": "%s","CorrelationId": "17",'
    '"IceServerList": [{"Password": "p","Ttl": 298,"Uris": ["turn:192.0.2.1:443?transport=udp"],"Username": "u"}]}',
    "android": '{"action":"SDP_OFFER","recipientClientId":"","senderClientId":"somebody-else","messagePayload":"%s"}',
    "ios": '{"action":"SDP_OFFER","messagePayload":"%s","recipientClientId":null,"senderClientId":"ConsumerViewer"}',
    "javascript": '{"action":"SDP_OFFER","messagePayload":"%s","recipientClientId":"ignored","correlationId":"a.b-c_1"}',
}


@pytest.mark.parametrize("client", SHAPES)
@pytest.mark.parametrize("payload", ["eyJ0eXBlIjoib2ZmZXIifQ==", "eyJ0-_", "x" * 10_420])
def test_the_shapes_of_every_client_arrive_as_they_were_sent(peers, client, payload):
    master, viewer = peers(), peers("viewer-1")
    viewer.raw(SHAPES[client] % payload)
    assert master.heard() == json.dumps(
        {"messagePayload": payload, "messageType": "SDP_OFFER", "senderClientId": "viewer-1"}, separators=(",", ":")
    )
    capitals = {"action": "SDP_ANSWER", "RecipientClientId": "viewer-1", "MessagePayload": payload, "CorrelationId": "1"}
    master.raw(json.dumps(capitals))
    assert viewer.heard() == json.dumps({"messagePayload": payload, "messageType": "SDP_ANSWER"}, separators=(",", ":"))


def test_frames_to_a_client_hold_nothing_but_texts(peers):
    master, viewer = peers(), peers("v")
    viewer.send("ICE_CANDIDATE")
    assert all(isinstance(value, str) for value in master.frame().values())
    master.send("ICE_CANDIDATE", recipientClientId="v")
    assert all(isinstance(value, str) for value in viewer.frame().values())


@pytest.mark.parametrize("frame, told", [
    ("", False),
    ("not json", False),
    ("[]", False),
    ("null", False),
    ("{}", False),
    ('{"action":"SDP_OFFER"}', False),
    ('{"action":"SDP_OFFER","correlationId":"c"}', True),
    ('{"action":"HELLO","messagePayload":"x","correlationId":"c"}', True),
    ('{"action":"SDP_ANSWER","messagePayload":"x","correlationId":"c"}', True),
    ('{"action":"SDP_ANSWER","messagePayload":"x","recipientClientId":"a b","correlationId":"c"}', True),
    ('{"action":"SDP_ANSWER","messagePayload":{},"recipientClientId":"v","correlationId":"c"}', True),
    ('{"action":"SDP_ANSWER","messagePayload":"%s","recipientClientId":"v","correlationId":"c"}' % ("x" * 65537), True),
    ("[" * 60_000, False),
    (b"\x00\x01", False),
])
def test_a_malformed_frame_is_told_if_it_can_be_and_changes_nothing(peers, frame, told):
    master, viewer = peers(), peers("v")
    master.raw(frame)
    if told:
        status = master.frame()
        assert set(status) == {"messageType", "statusResponse"} and status["messageType"] == "STATUS_RESPONSE"
        status = status["statusResponse"]
        assert (status["correlationId"], status["success"], status["errorType"], status["statusCode"]) == (
            "c", False, "InvalidArgumentException", "400"
        )
        assert 0 < len(status["description"]) <= 1024
    assert master.silent() and viewer.silent()


def test_a_frame_above_the_limit_ends_its_connection_and_no_other(peers):
    master, viewer = peers(), peers("v")
    master.overdo(json.dumps({"action": "SDP_ANSWER", "messagePayload": "x" * (128 * 1024), "recipientClientId": "v"}))
    assert master.closed() == (1009, "frame too large")
    assert viewer.silent()
    assert peers().silent(), "the next one is let in"


def test_the_largest_payload_passes(peers):
    master, viewer = peers(), peers("v")
    viewer.send("SDP_OFFER", "x" * 65536)
    assert len(master.frame()["messagePayload"]) == 65536


def test_messages_wait_in_order_and_the_newest_offer_wins(peers):
    viewer, other = peers("v"), peers("w")
    viewer.send("SDP_OFFER", "old")
    viewer.send("ICE_CANDIDATE", "of-old")
    viewer.send("SDP_OFFER", "new")
    viewer.send("ICE_CANDIDATE", "of-new")
    assert viewer.silent()
    other.send("SDP_OFFER", "other")
    assert other.silent()
    master = peers()
    assert [(f["messagePayload"], f["senderClientId"]) for f in (master.frame() for _ in range(3))] == [
        ("new", "v"), ("of-new", "v"), ("other", "w")
    ]
    master.send("SDP_ANSWER", "for-x", recipientClientId="x")
    assert master.silent()
    assert peers("x").frame() == {"messagePayload": "for-x", "messageType": "SDP_ANSWER"}
    assert peers("x").silent(), "delivered once"


def test_a_waiting_message_is_dropped_when_its_time_is_over(kvs, peers):
    client = kvs.client()
    arn = client.create_signaling_channel(
        ChannelName="short", SingleMasterConfiguration={"MessageTtlSeconds": 5})["ChannelARN"]
    viewer = peers("v", channel=arn)
    viewer.send("SDP_OFFER", "late")
    assert viewer.silent()
    expired = 'causeway_signal_messages_total{outcome="expired"}'
    before = kvs.metric(expired)
    wait_until(lambda: kvs.metric(expired) > before, 10, "the message to expire")
    assert peers(channel=arn).silent()


def test_the_newest_connection_wins(peers):
    first, viewer = peers(), peers("v")
    second = peers()
    assert first.closed() == (1000, "superseded")
    viewer.send("SDP_OFFER")
    assert second.frame()["senderClientId"] == "v"
    again = peers("v")
    assert viewer.closed() == (1000, "superseded")
    second.send("SDP_ANSWER", recipientClientId="v")
    assert again.frame()["messageType"] == "SDP_ANSWER"
    assert second.silent()


def test_a_deleted_channel_closes_its_connections(kvs, arn, peers):
    master, viewer = peers(), peers("v")
    kvs.client().delete_signaling_channel(ChannelARN=arn)
    assert master.closed() == (1000, "channel deleted") and viewer.closed() == (1000, "channel deleted")
    assert upgrade(kvs, wss(kvs, arn))[:2] == (404, "ResourceNotFoundException")


def test_who_is_not_let_in_is_told_before_the_upgrade(kvs, arn):
    good = wss(kvs, arn)
    denied = (403, "AccessDeniedException")
    for url, expected in [
        (wss(kvs, arn, key=("AKIDUNKNOWN", "x")), (403, "UnrecognizedClientException")),
        (wss(kvs, arn, key=(KEYS["admin"][0], "wrong")), (403, "InvalidSignatureException")),
        (good + "&x=1", (403, "InvalidSignatureException")),
        (good.replace("X-Amz-Expires=299", "X-Amz-Expires=300"), (403, "InvalidSignatureException")),
        (good.replace("us-west-2%2F", "us-east-1%2F"), (403, "InvalidSignatureException")),
        (good.replace("X-Amz-Signature", "X-Amz-Sig"), (403, "MissingAuthenticationTokenException")),
        (good.replace("X-Amz-Date", "X-Amz-Dat"), (403, "IncompleteSignatureException")),
        (wss(kvs, arn, expires=0), (403, "IncompleteSignatureException")),
        (wss(kvs, arn, expires=604801), (403, "IncompleteSignatureException")),
        (wss(kvs, arn.replace("channel/", "channel/no-")), (404, "ResourceNotFoundException")),
        (wss(kvs, arn[:-1] + "x"), (400, "InvalidArgumentException")),
        (wss(kvs, arn, client="a b"), (400, "InvalidArgumentException")),
        (wss(kvs, arn, client="x" * 257), (400, "InvalidArgumentException")),
        (wss(kvs, arn, client="aws_me"), (400, "InvalidArgumentException")),
        (wss(kvs, arn, key=KEYS["viewer"]), denied),
        (wss(kvs, arn, client="v", key=KEYS["master"]), denied),
        (wss(kvs, arn, key=KEYS["describe"]), denied),
        (wss(kvs, arn.replace("channel/", "channel/no-"), key=KEYS["describe"]), denied),
        (wss(kvs, arn, client="viewer-1", key=BOUND), denied),
        (wss(kvs, arn, key=SESSION[:2]), (403, "UnrecognizedClientException")),
    ]:
        assert upgrade(kvs, url)[:2] == expected, url
    assert upgrade(kvs, good, **{"Sec-WebSocket-Version": "8"})[:2] == (400, "InvalidArgumentException")
    assert upgrade(kvs, wss(kvs, arn, key=SESSION))[0] == 101
    assert upgrade(kvs, wss(kvs, arn, client="v", expires=604800))[0] == 101


@pytest.mark.parametrize("at, expires, phrase", [
    (-400, 299, "Signature expired: "),
    (-301, 300, "Signature expired: "),
    (400, 299, "Signature not yet current: "),
])
def test_clocks_that_differ_are_told_so_that_clients_can_correct_theirs(kvs, arn, at, expires, phrase):
    status, name, message = upgrade(kvs, wss(kvs, arn, at=at, expires=expires))
    assert (status, name) == (403, "InvalidSignatureException") and message.startswith(phrase), message


def test_clocks_within_five_minutes_and_urls_within_their_time_are_fine(kvs, arn):
    for at, expires in [(-290, 299), (290, 299), (-3000, 3600)]:
        assert upgrade(kvs, wss(kvs, arn, at=at, expires=expires))[0] == 101


def test_a_url_may_be_used_again_while_it_lives_and_not_after(kvs, arn):
    url = wss(kvs, arn, expires=3)
    assert upgrade(kvs, url)[0] == 101
    assert upgrade(kvs, url)[0] == 101
    wait_until(lambda: upgrade(kvs, url)[:2] == (403, "InvalidSignatureException"), 10, "the URL to expire")


def test_a_client_that_leaves_colons_bare_is_let_in(kvs, arn):
    url = wss(kvs, arn)
    assert "%3A" in url
    assert upgrade(kvs, url.replace("%3A", ":"))[0] == 101


def test_a_key_bound_to_a_client_connects_as_that_client_only(kvs):
    arn = kvs.client().create_signaling_channel(ChannelName="mine-socket")["ChannelARN"]
    assert upgrade(kvs, wss(kvs, arn, client="viewer-1", key=BOUND))[0] == 101
    assert upgrade(kvs, wss(kvs, arn, client="viewer-2", key=BOUND))[:2] == (403, "AccessDeniedException")


def test_plain_http_serves_sockets_too_and_other_upgrades_are_not_taken(kvs, arn):
    url = presign(f"ws://127.0.0.1:{kvs.http_port}", KEYS["admin"], {"X-Amz-ChannelARN": arn})
    from websockets.sync.client import connect

    with connect(url) as socket:
        assert "x-amzn-RequestId" in socket.response.headers
        socket.send('{"action":"X","correlationId":"c"}')
        assert json.loads(socket.recv(timeout=10))["messageType"] == "STATUS_RESPONSE"
    # One that is not signed is another family's, or nobody's.
    try:
        with connect(f"ws://127.0.0.1:{kvs.http_port}/?nothing=1") as other:
            headers = other.response.headers
    except InvalidStatus as refused:
        headers = refused.response.headers
    assert "x-amzn-RequestId" not in headers


@pytest.fixture(scope="module")
def strict():
    limits = {"limits": "aws-strict", "viewers_max": 2, "lifetime_max": "3s", "go_away_grace": "1s", "idle_max": "2s"}
    with KvsServer(kvs=limits) as server:
        yield server


def channel_of(server, name):
    return server.client().create_signaling_channel(ChannelName=name)["ChannelARN"]


def test_one_viewer_too_many_is_refused_and_a_known_one_is_not(strict):
    arn = channel_of(strict, "viewers")
    kept = [Peer(strict, arn, "a"), Peer(strict, arn, "b")]
    time.sleep(1)  # the rate of connections is tested below
    assert upgrade(strict, wss(strict, arn, client="c"))[:2] == (400, "ClientLimitExceededException")
    kept.append(Peer(strict, arn, "a"))
    for peer in kept:
        peer.close()


def test_too_many_connections_a_second_are_refused(strict):
    arn = channel_of(strict, "connects")
    answers = [upgrade(strict, wss(strict, arn))[:2] for _ in range(8)]
    assert answers[:3] == [(101, None)] * 3 and (400, "ClientLimitExceededException") in answers


def test_a_connection_is_told_to_go_and_its_client_that_its_session_expired(strict):
    arn = channel_of(strict, "old")
    peer = Peer(strict, arn, "old-viewer")
    other = Peer(strict, arn, "other-viewer")
    for _ in range(2):
        time.sleep(0.7)
        peer.send("ICE_CANDIDATE")
    assert other.closed(5)[1] == "idle"
    frames = [peer.frame(5)]
    assert frames[-1] == {"messageType": "GO_AWAY"}
    peer.send("ICE_CANDIDATE")
    assert peer.closed(5) == (1001, "lifetime over")
    signaling = strict.signaling()
    with pytest.raises(ClientError) as caught:
        signaling.get_ice_server_config(ChannelARN=arn, ClientId="old-viewer")
    assert caught.value.response["Error"]["Code"] == "SessionExpiredException"
    assert signaling.get_ice_server_config(ChannelARN=arn, ClientId="other-viewer")["IceServerList"]
    Peer(strict, arn, "old-viewer").close()
    assert signaling.get_ice_server_config(ChannelARN=arn, ClientId="old-viewer")["IceServerList"]


def test_pings_of_a_client_keep_it_and_silence_does_not(strict):
    arn = channel_of(strict, "idle")
    silent, pinging = Peer(strict, arn, "silent"), Peer(strict, arn, "pinging")
    deadline = time.monotonic() + 2.4
    while time.monotonic() < deadline:
        pinging.socket.ping().wait(1)
        time.sleep(0.2)
    assert silent.closed(5) == (1001, "idle")
    assert pinging.frame(5) == {"messageType": "GO_AWAY"}
    pinging.close()


def test_messages_above_the_rate_are_told_and_go_nowhere(strict):
    arn = channel_of(strict, "rates")
    master, viewer = Peer(strict, arn), Peer(strict, arn, "v")
    for number in range(40):
        viewer.send("SDP_OFFER", str(number), correlationId=f"c{number}")
    statuses = [viewer.frame()["statusResponse"] for _ in range(30)]
    assert {status["errorType"] for status in statuses} == {"ClientLimitExceededException"}
    assert [master.frame()["messagePayload"] for _ in range(5)] == list("01234")
    master.close(), viewer.close()


def test_a_server_that_stops_says_so():
    with KvsServer(drain_timeout="1s") as server:
        peer = Peer(server, channel_of(server, "stop"))
        server.signal(15)
        assert peer.frame() == {"messageType": "GO_AWAY"}
        assert peer.closed() == (1001, "going away")


def test_an_offer_over_http_is_answered_by_the_master(kvs, arn, peers):
    import threading

    master = peers()
    answers = {}
    signaling = kvs.signaling()
    thread = threading.Thread(
        target=lambda: answers.update(
            signaling.send_alexa_offer_to_master(ChannelARN=arn, SenderClientId="alexa", MessagePayload="b2ZmZXI=")
        )
    )
    thread.start()
    offer = master.frame()
    assert offer == {"messagePayload": "b2ZmZXI=", "messageType": "SDP_OFFER", "senderClientId": "alexa"}
    master.send("ICE_CANDIDATE", "ignored", recipientClientId="alexa")
    master.send("SDP_ANSWER", "YW5zd2Vy", recipientClientId="alexa")
    thread.join(10)
    assert answers["Answer"] == "YW5zd2Vy"


def test_an_offer_over_http_to_nobody_ends_with_its_time(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(
        ChannelName="alexa-alone", SingleMasterConfiguration={"MessageTtlSeconds": 5})["ChannelARN"]
    for parameters, expected in [
        ({"MessagePayload": "not base64!"}, ("InvalidArgumentException", 400)),
        ({"MessagePayload": "x" * 10_001}, ("InvalidArgumentException", 400)),
        ({"SenderClientId": "a b"}, ("InvalidArgumentException", 400)),
        ({"ChannelARN": arn.replace("alone", "gone")}, ("ResourceNotFoundException", 404)),
        ({}, ("ResourceNotFoundException", 404)),
    ]:
        with pytest.raises(ClientError) as caught:
            kvs.signaling().send_alexa_offer_to_master(
                **{"ChannelARN": arn, "SenderClientId": "alexa", "MessagePayload": "eA==", **parameters})
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == expected
    with pytest.raises(ClientError) as caught:
        kvs.signaling(KEYS["viewer"]).send_alexa_offer_to_master(
            ChannelARN=arn, SenderClientId="alexa", MessagePayload="eA==")
    assert caught.value.response["Error"]["Code"] == "NotAuthorizedException"
