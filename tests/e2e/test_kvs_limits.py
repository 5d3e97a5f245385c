"""Every limit of what AWS clients use: what is answered at it and past it, and that it is counted."""

import json
import os
import socket
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from causeway import wait_until
from kvs import KEYS, REGION, KvsServer, Peer, presign, trusting
from test_kvs_signaling import upgrade, wss


@pytest.fixture(scope="module")
def kvs():
    with KvsServer(kvs={"channels_max": 40, "connections_max": 30}) as server:
        yield server


def channel(server, name):
    return server.client().create_signaling_channel(ChannelName=name)["ChannelARN"]


def refused(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


class Counted:
    """That a sample grows meanwhile."""

    def __init__(self, server, sample, by=1):
        self.server, self.sample, self.by = server, sample, by

    def value(self):
        return self.server.metrics().get(self.sample, 0)

    def __enter__(self):
        self.before = self.value()

    def __exit__(self, kind, *_):
        if kind is None:
            wait_until(lambda: self.value() >= self.before + self.by, 20, f"{self.sample} to grow")


def refusal(server, error):
    return Counted(server, f'causeway_signal_refusals_total{{error="{error}"}}')


def closing(server, reason):
    return Counted(server, f'causeway_signal_closes_total{{reason="{reason}"}}')


def outcome(server, word):
    return Counted(server, f'causeway_signal_messages_total{{outcome="{word}"}}')


def signed(server, path, body):
    """Status, error header and body of a call whose body nobody checked."""
    request = AWSRequest("POST", server.url + path, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(*KEYS["admin"]), "kinesisvideo", REGION).add_auth(request)
    sent = urllib.request.Request(server.url + path, body, dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=20, context=trusting(server)) as answer:
            return answer.status, None, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


def test_fifty_of_the_largest_tags_fit_and_a_body_past_the_limit_is_refused_as_aws_does(kvs):
    client, arn = kvs.client(), channel(kvs, "large")
    largest = [{"Key": f"{n:03}" + "ж" * 125, "Value": "語" * 256} for n in range(50)]
    client.tag_resource(ResourceARN=arn, Tags=largest)
    assert len(client.list_tags_for_resource(ResourceARN=arn)["Tags"]) == 50
    fitting = json.dumps({"ChannelName": "large", "Pad": ""}).encode()
    fitting = json.dumps({"ChannelName": "large", "Pad": "x" * (128 * 1024 - len(fitting))}).encode()
    assert len(fitting) == 128 * 1024 and signed(kvs, "/describeSignalingChannel", fitting)[0] == 200
    with refusal(kvs, "RequestEntityTooLargeException"):
        status, headers, body = signed(kvs, "/describeSignalingChannel", fitting + b" ")
    assert (status, headers["x-amzn-ErrorType"], body["__type"]) == (413, *["RequestEntityTooLargeException"] * 2)
    assert body["Message"] and headers["x-amzn-RequestId"] and headers["Access-Control-Allow-Origin"] == "*"
    # boto3 makes an error of it that is named so.
    huge = [{"Key": "k", "Value": "x" * 200_000}]
    assert refused(client.tag_resource, ResourceARN=arn, Tags=huge) == ("RequestEntityTooLargeException", 413)


@pytest.mark.parametrize("path, body, expected", [
    ("/describeSignalingChannel", b"[]", (400, "SerializationException")),
    ("/describeSignalingChannel", b"{", (400, "SerializationException")),
    ("/describeSignalingChannel", b'{"ChannelName": 7}', (400, "SerializationException")),
    ("/describeSignalingChannel", b'{"ChannelName": "\xff"}', (400, "SerializationException")),
    ("/describeSignalingChannel", b"", (400, "InvalidArgumentException")),
])
def test_bodies_that_are_no_request(kvs, path, body, expected):
    with refusal(kvs, expected[1]):
        status, headers, answer = signed(kvs, path, body)
    assert (status, answer["__type"]) == expected == (status, headers["x-amzn-ErrorType"])


def test_a_body_that_breaks_off_is_answered_in_the_shape_of_aws(kvs):
    with socket.create_connection(("127.0.0.1", kvs.http_port), timeout=30) as short:
        short.sendall(b"POST /TagResource HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        short.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := short.recv(10_000):
            answer += piece
    assert b" 400 " in answer and b"SerializationException" in answer and b"x-amzn-requestid" in answer.lower()


def test_as_many_channels_as_allowed_and_no_more():
    with KvsServer(kvs={"channels_max": 2}) as kvs:
        channel(kvs, "a"), channel(kvs, "b")
        with refusal(kvs, "AccountChannelLimitExceededException"):
            assert refused(kvs.client().create_signaling_channel, ChannelName="c") == (
                "AccountChannelLimitExceededException", 400)


def test_as_many_connections_as_allowed_and_no_more(kvs):
    arns = [channel(kvs, f"full-{n}") for n in range(3)]
    held = [Peer(kvs, arns[n % 3], f"v{n}") for n in range(30)]
    with refusal(kvs, "ClientLimitExceededException"):
        assert upgrade(kvs, wss(kvs, arns[0], "one-more"))[:2] == (400, "ClientLimitExceededException")
    assert kvs.metric("causeway_signal_connections") == 30
    held.pop().close()
    wait_until(lambda: kvs.metric("causeway_signal_connections") == 29, 20, "the connection to be gone")
    held.append(Peer(kvs, arns[0], "one-more"))
    for peer in held:
        peer.close()
    wait_until(lambda: kvs.metric("causeway_signal_connections") == 0, 20, "all to be gone")


def test_what_one_sender_leaves_waiting_is_bounded_and_others_have_room(kvs):
    arn = channel(kvs, "waiting")
    wild, calm = Peer(kvs, arn, "wild"), Peer(kvs, arn, "calm")
    with outcome(kvs, "too_many_waiting"):
        wild.send("SDP_OFFER", "x" * 60_000)
        for _ in range(3):
            wild.send("ICE_CANDIDATE", "x" * 60_000)
        wild.send("ICE_CANDIDATE", "x" * 60_000, correlationId="past")
        status = wild.frame()["statusResponse"]
    assert (status["correlationId"], status["errorType"]) == ("past", "ClientLimitExceededException")
    calm.send("SDP_OFFER", "mine")
    assert calm.silent()
    master = Peer(kvs, arn)
    assert [master.frame()["senderClientId"] for _ in range(5)] == ["wild"] * 4 + ["calm"]
    for peer in [wild, calm, master]:
        peer.close()


def test_messages_that_are_refused_are_counted_by_reason(kvs):
    arn = channel(kvs, "reasons")
    master = Peer(kvs, arn)
    for word, frame in {
        "malformed": "{",
        "no_recipient": '{"action":"SDP_ANSWER","messagePayload":"x","correlationId":"c"}',
        "payload_too_long": json.dumps(
            {"action": "SDP_ANSWER", "messagePayload": "x" * 65537, "recipientClientId": "v", "correlationId": "c"}),
    }.items():
        with outcome(kvs, word):
            master.raw(frame)
    with outcome(kvs, "too_fast"):
        for _ in range(40):
            master.send("SDP_ANSWER", "x", recipientClientId="v")
    master.close()


def test_a_frame_past_the_limit_and_a_takeover_are_counted(kvs):
    arn = channel(kvs, "closes")
    with closing(kvs, "superseded"):
        first, second = Peer(kvs, arn), Peer(kvs, arn)
        assert first.closed()[0] == 1000
    with closing(kvs, "frame_too_large"):
        second.overdo("x" * (128 * 1024 + 1))
        assert second.closed()[0] == 1009
    with closing(kvs, "channel_deleted"):
        third = Peer(kvs, arn)
        kvs.client().delete_signaling_channel(ChannelARN=arn)
        assert third.closed()[0] == 1000


def test_a_reader_that_never_reads_is_closed_as_too_slow_and_costs_the_others_nothing(kvs):
    arn = channel(kvs, "slow")
    master, fine = Peer(kvs, arn), Peer(kvs, arn, "fine")
    parameters = {"X-Amz-ChannelARN": arn, "X-Amz-ClientId": "slow"}
    query = urllib.parse.urlsplit(presign(f"http://127.0.0.1:{kvs.http_port}", KEYS["admin"], parameters)).query
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", kvs.http_port))
    slow.sendall((
        f"GET /?{query} HTTP/1.1\r\nHost: 127.0.0.1:{kvs.http_port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    assert slow.recv(12) == b"HTTP/1.1 101"

    def reaches():
        # What is above the rate of candidates goes nowhere: it is tried again.
        master.send("ICE_CANDIDATE", "beside", recipientClientId="fine")
        try:
            return fine.frame(1)["messagePayload"] == "beside"
        except TimeoutError:
            return False

    with closing(kvs, "too_slow"):
        deadline = time.monotonic() + 30
        reason = 'causeway_signal_closes_total{reason="too_slow"}'
        before = kvs.metrics().get(reason, 0)
        while kvs.metrics().get(reason, 0) == before and time.monotonic() < deadline:
            for _ in range(20):
                master.send("ICE_CANDIDATE", "x" * 60_000, recipientClientId="slow")
            assert master.silent()
            wait_until(reaches, 30, "a message to another viewer")
    slow.close(), master.close(), fine.close()


def test_frames_that_come_too_fast_are_held_back_and_counted(kvs):
    arn = channel(kvs, "flood")
    flooding, master, viewer = Peer(kvs, arn, "flood"), Peer(kvs, arn), Peer(kvs, arn, "v")
    with Counted(kvs, "causeway_signal_floods_total"):
        for _ in range(600):
            flooding.raw("{")
        viewer.send("SDP_OFFER")
        assert master.frame()["senderClientId"] == "v"
    for peer in [flooding, master, viewer]:
        peer.close()


def test_one_client_that_comes_again_and_again_leaves_room_for_another():
    with KvsServer(kvs={"limits": "aws-strict"}) as kvs:
        arn = channel(kvs, "crowd")
        signaling, statuses = kvs.signaling(), []
        for _ in range(5):
            try:
                signaling.get_ice_server_config(ChannelARN=arn, ClientId="mallory")
                statuses.append("fine")
            except ClientError as error:
                statuses.append(error.response["Error"]["Code"])
        assert statuses[:3] == ["fine"] * 3 and "ClientLimitExceededException" in statuses[3:]
        assert signaling.get_ice_server_config(ChannelARN=arn, ClientId="alice")["IceServerList"]


def test_access_keys_and_temporary_credentials_of_a_project_are_bounded(kvs):
    def api(method, path, body=None):
        status, _, text = kvs.request(path, method, body)
        return status, json.loads(text) if text else None

    status, made = api("POST", "/api/v1/aws/access-keys", {"preset": "viewer"})
    assert status == 201
    status, temporary = api("POST", "/api/v1/aws/temporary-credentials", {"preset": "viewer", "channel": "cam-*", "ttl": 600})
    assert status == 201
    with sqlite3.connect(os.path.join(kvs.data_dir, "causeway.db"), timeout=20) as store:
        columns = [name for _, name, *_ in store.execute("PRAGMA table_info(access_keys)")]
        for id, n in [(made["accessKeyId"], 998), (temporary["accessKeyId"], 99_998)]:
            row = store.execute("SELECT * FROM access_keys WHERE id = ?", (id,)).fetchone()
            copies = ((f"{id}x{index}", *row[1:]) for index in range(n))
            store.executemany(f"INSERT INTO access_keys VALUES ({', '.join('?' * len(columns))})", copies)
        (lasting,) = store.execute("SELECT COUNT(*) FROM access_keys WHERE session_token IS NULL").fetchone()
        (passing,) = store.execute("SELECT COUNT(*) FROM access_keys WHERE session_token IS NOT NULL").fetchone()
    assert (lasting, passing) == (999, 99_999)
    for path, code in [
        ("/api/v1/aws/access-keys", "access_keys_per_project_max"),
        ("/api/v1/aws/temporary-credentials", "temporary_keys_per_project_max"),
    ]:
        assert api("POST", path, {"preset": "viewer"})[0] == 201, "the last one"
        status, answer = api("POST", path, {"preset": "viewer"})
        assert (status, answer["error"]) == (409, code)
    # Listed by pages, without what they are signed with.
    status, page = api("GET", "/api/v1/aws/temporary-credentials?limit=3")
    assert status == 200 and len(page["data"]) == 3 and page["nextCursor"]
    assert temporary["secretAccessKey"] not in json.dumps(page) and temporary["sessionToken"] not in json.dumps(page)
    status, rest = api("GET", f"/api/v1/aws/temporary-credentials?limit=3&cursor={page['nextCursor']}")
    assert status == 200 and not {key["id"] for key in rest["data"]} & {key["id"] for key in page["data"]}
    status, bad = api("GET", "/api/v1/aws/temporary-credentials?cursor=!")
    assert (status, bad["details"][0]["field"]) == (422, "cursor")
    assert api("DELETE", f"/api/v1/aws/access-keys/{temporary['accessKeyId']}")[0] == 204
    key = tuple(temporary[name] for name in ["accessKeyId", "secretAccessKey", "sessionToken"])
    wait_until(
        lambda: refused(kvs.client(key=key).list_signaling_channels)[0] == "UnrecognizedClientException", 10, "its end")


def test_many_relay_urls_come_in_entries_that_clients_can_hold():
    urls = [f"turn:relay-{n}.example.net:3478?transport=udp" for n in range(30)]
    long = "turn:" + "x" * 240 + ".example.net:3478?transport=udp"
    region = {"slug": "here", "nat2": "DE", "city": "c", "name": "n", "lat": 50.0, "lon": 8.0, "urls": [long, *urls]}
    with KvsServer(region="here", regions=[region]) as kvs:
        servers = kvs.signaling().get_ice_server_config(ChannelARN=channel(kvs, "urls"))["IceServerList"]
    # The C client holds five entries of four, and a URL of 256 bytes.
    assert [len(entry["Uris"]) for entry in servers] == [4] * 5
    assert [uri for entry in servers for uri in entry["Uris"]] == urls[:20] and len(long) > 256
    assert len({(entry["Username"], entry["Password"], entry["Ttl"]) for entry in servers}) == 1
