"""What the C, Android and iOS clients send, replayed byte by byte against port 443; and what the listener speaks."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.parse

import pytest

from kvs import KEYS, REGION, SESSION, KvsServer, trusting

AGENT = "AWS-WEBRTC-KVS-AGENT/1.9.0 GCC/12.2.0 Linux/6.1 x86_64"


@pytest.fixture(scope="module")
def kvs():
    with KvsServer(https_port=443) as server:
        yield server


def stamp(shift=0):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + shift))


def signature(secret, date, text):
    key = ("AWS4" + secret).encode()
    for part in [date[:8], REGION, "kinesisvideo", "aws4_request"]:
        key = hmac.digest(key, part.encode(), "sha256")
    scope = f"{date[:8]}/{REGION}/kinesisvideo/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(text.encode()).hexdigest()])
    return hmac.digest(key, text.encode(), "sha256").hex()


class Connection:
    """TLS as the C client speaks it, read record by record."""

    def __init__(self, server, protocols=("http/1.1",)):
        context = trusting(server)
        if protocols is not None:
            context.set_alpn_protocols(list(protocols))
        raw = socket.create_connection(("127.0.0.1", server.https_port), timeout=10)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, text):
        """Status, headers and body, and the pieces it came in."""
        self.socket.sendall(text.encode())
        pieces = []
        while True:
            pieces.append(self.socket.recv(65536))
            assert pieces[-1], b"".join(pieces)
            head, end, body = b"".join(pieces).partition(b"\r\n\r\n")
            if not end:
                continue
            status, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            if "101" in status or len(body) == int(headers["content-length"]):
                return int(status.split()[1]), headers, body.decode(), pieces


def c_call(server, path, body, key=KEYS["admin"], shift=0):
    """A call as the C client makes it: three headers signed, none of the body's, the session token shown but not signed."""
    date = stamp(shift)
    names = "host;user-agent;x-amz-date"
    canonical = "\n".join([
        "POST", path, "", "host:localhost", f"user-agent:{AGENT}", f"x-amz-date:{date}", "", names,
        hashlib.sha256(body.encode()).hexdigest(),
    ])
    scope = f"{key[0]}/{date[:8]}/{REGION}/kinesisvideo/aws4_request"
    lines = [
        f"POST {path} HTTP/1.1", "Host: localhost", f"user-agent: {AGENT}", f"X-Amz-Date: {date}",
        *([f"x-amz-security-token: {key[2]}"] if len(key) > 2 else []),
        f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature(key[1], date, canonical)}",
        "content-type: application/json", f"content-length: {len(body)}", "", body,
    ]
    with Connection(server) as connection:
        return connection.ask("\r\n".join(lines))


def tokens(value):
    """How many tokens the C client's parser makes of it."""
    if isinstance(value, dict):
        return 1 + sum(1 + tokens(inner) for inner in value.values())
    return 1 + sum(map(tokens, value)) if isinstance(value, list) else 1


def c_answer(answered):
    """The answer, checked for what the C client's reader can take."""
    status, headers, body, pieces = answered
    # It keeps the last piece of a body only: the body is in one, wherever the head is.
    assert pieces[-1].endswith(body.encode()), pieces
    assert len(body) <= 10_240 and "\\" not in body and headers["date"] and headers["x-amzn-requestid"]
    answer = json.loads(body or "{}")
    assert tokens(answer) <= 100
    return status, answer


@pytest.mark.parametrize("key", [KEYS["admin"], SESSION])
def test_the_c_client_comes_from_nothing_to_a_call(kvs, key):
    name = "c-" + key[0]
    describe = "/describeSignalingChannel", '{"ChannelName": "%s"}' % name
    status, answer = c_answer(c_call(kvs, *describe, key))
    assert (status, answer["__type"]) == (404, "ResourceNotFoundException")
    create = '{\n\t"ChannelName": "%s"\n,\n\t"ChannelType": "SINGLE_MASTER"\n,\n\t"SingleMasterConfiguration": {\n\t\t"MessageTtlSeconds": 60\n\t}\n}' % name
    status, answer = c_answer(c_call(kvs, "/createSignalingChannel", create, key))
    assert status == 200
    arn = answer["ChannelARN"]
    status, answer = c_answer(c_call(kvs, *describe, key))
    assert (status, answer["ChannelInfo"]["ChannelStatus"]) == (200, "ACTIVE")
    body = '{\n\t"ChannelARN": "%s",\n\t"SingleMasterChannelEndpointConfiguration": {\n\t\t"Protocols": ["WSS", "HTTPS"],\n\t\t"Role": "MASTER"\n\t}\n}' % arn
    status, answer = c_answer(c_call(kvs, "/getSignalingChannelEndpoint", body, key))
    endpoints = {entry["Protocol"]: entry["ResourceEndpoint"] for entry in answer["ResourceEndpointList"]}
    # No port: to it a colon is an error.
    assert endpoints == {"WSS": "wss://localhost", "HTTPS": "https://localhost"}
    body = '{\n\t"ChannelARN": "%s",\n\t"ClientId": "ProducerMaster",\n\t"Service": "TURN"\n}' % arn
    status, answer = c_answer(c_call(kvs, "/v1/get-ice-server-config", body, key))
    assert status == 200 and 1 <= len(answer["IceServerList"]) <= 5
    for entry in answer["IceServerList"]:
        assert 1 <= len(entry["Uris"]) <= 4 and type(entry["Ttl"]) is int and entry["Ttl"] > 30
        assert all(len(uri) <= 127 and uri.startswith(("turn:", "turns:")) and "?transport=" in uri for uri in entry["Uris"])
        assert len(entry["Username"]) <= 256 and len(entry["Password"]) <= 256


def test_the_c_client_finds_its_clock_wrong_in_the_answer(kvs):
    for shift, phrase in [(-400, "Signature expired"), (400, "Signature not yet current")]:
        status, headers, body, _ = c_call(kvs, "/describeSignalingChannel", '{"ChannelName": "x"}', shift=shift)
        assert status == 403 and phrase in body
        told = time.mktime(time.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
        assert abs(told - time.time()) < 60


def socket_query(arn, client, key, expires, bare=""):
    """A presigned query whose signature is last; `bare` are characters the client leaves as they are."""
    date = stamp()
    encode = lambda text: urllib.parse.quote(text, safe="-_.~" + bare)
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-ChannelARN": arn,
        **({"X-Amz-ClientId": client} if client else {}),
        "X-Amz-Credential": f"{key[0]}/{date[:8]}/{REGION}/kinesisvideo/aws4_request",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(expires),
        **({"X-Amz-Security-Token": key[2]} if len(key) > 2 else {}),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={encode(value)}" for name, value in parameters.items())
    empty = hashlib.sha256(b"").hexdigest()
    canonical = "\n".join(["GET", "/", query, "host:localhost", "", "host", empty])
    return f"{query}&X-Amz-Signature={signature(key[1], date, canonical)}"


def open_socket(connection, query, *headers):
    nonce = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET /?{query} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {nonce}", "Sec-WebSocket-Version: 13", *headers, "", "",
    ]
    return connection.ask("\r\n".join(lines))


def text_frame(text):
    """A short frame of a client, masked with nothing."""
    payload = text.encode()
    assert len(payload) < 65536
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + len(payload).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + payload


def read_frame(connection):
    """The next text of the server."""
    data = b""
    while True:
        data += connection.socket.recv(65536)
        if len(data) >= 2:
            begin, length = (4, int.from_bytes(data[2:4], "big")) if data[1] == 126 else (2, data[1])
            if len(data) >= begin + length:
                assert data[0] == 0x81
                return json.loads(data[begin : begin + length])


@pytest.mark.parametrize("key", [KEYS["admin"], SESSION])
def test_c_android_and_ios_meet_on_a_channel(kvs, key):
    arn = kvs.client().create_signaling_channel(ChannelName="native-" + key[0])["ChannelARN"]
    with Connection(kvs) as c_master, Connection(kvs) as android, Connection(kvs) as ios:
        # The C client names its own protocol, and its URL lives as long as its credentials.
        status, headers, *_ = open_socket(
            c_master, socket_query(arn, None, key, 43_200), "Sec-WebSocket-Protocol: wss", f"user-agent: {AGENT}",
            "Pragma: no-cache", "Cache-Control: no-cache",
        )
        assert status == 101 and "sec-websocket-protocol" not in headers
        assert open_socket(android, socket_query(arn, "ConsumerViewer", key, 299), "Accept-Encoding: gzip")[0] == 101
        # iOS escapes less: what stands bare is signed bare.
        assert open_socket(ios, socket_query(arn, "ios-1", key, 299, bare=":"), "Origin: https://localhost")[0] == 101
        payload = base64.urlsafe_b64encode(b'{"type":"offer","sdp":"v=0?>~"}').decode()
        android.socket.sendall(text_frame(json.dumps({
            "action": "SDP_OFFER", "recipientClientId": "", "senderClientId": "ConsumerViewer", "messagePayload": payload})))
        offer = read_frame(c_master)
        assert offer == {"messageType": "SDP_OFFER", "senderClientId": "ConsumerViewer", "messagePayload": payload}
        ios.socket.sendall(text_frame(json.dumps({
            "action": "ICE_CANDIDATE", "recipientClientId": None, "senderClientId": "x", "messagePayload": "e30="})))
        assert read_frame(c_master) == {"messageType": "ICE_CANDIDATE", "senderClientId": "ios-1", "messagePayload": "e30="}
        answer = (
            '{\n\t"action": "SDP_ANSWER",\n\t"RecipientClientId": "ConsumerViewer",\n\t"MessagePayload": "YQ==",'
            '\n\t"CorrelationId": "1700000000000"\n}'
        )
        c_master.socket.sendall(text_frame(answer))
        assert read_frame(android) == {"messageType": "SDP_ANSWER", "messagePayload": "YQ=="}
        # The C client pings when it is idle.
        c_master.socket.sendall(b"\x89\x80\0\0\0\0")
        assert c_master.socket.recv(100) == b"\x8a\x00"


@pytest.mark.parametrize("offered, chosen", [
    (["http/1.1"], "http/1.1"),
    (["h2", "http/1.1"], "h2"),
    (["http/1.1", "h2"], "h2"),
    (["h2"], "h2"),
    (None, None),
])
def test_tls_offers_http_2_and_1_1_and_takes_clients_that_ask_for_nothing(kvs, offered, chosen):
    context = ssl.create_default_context(cafile=kvs.ca)
    if offered:
        context.set_alpn_protocols(offered)
    with socket.create_connection(("127.0.0.1", kvs.https_port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.selected_alpn_protocol() == chosen and tls.version() in ("TLSv1.2", "TLSv1.3")
            if chosen != "h2":
                tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert tls.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("version, shown", [("--http1.1", "1.1"), ("--http2", "2")])
def test_a_signed_call_over_either_version_of_http(kvs, version, shown):
    """curl's own signer, which is no one else's."""
    body = json.dumps({"ChannelNameCondition": {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "no-such"}})
    command = [
        "curl", "--silent", "--show-error", version, "--cacert", kvs.ca, "--aws-sigv4", f"aws:amz:{REGION}:kinesisvideo",
        "--user", ":".join(KEYS["admin"]), "--header", "Content-Type: application/json", "--data", body,
        "--write-out", "\n%{http_version} %{http_code}", kvs.url + "/listSignalingChannels",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"ChannelInfoList":[]}\n' + f"{shown} 200", done.stdout
