"""AWS SDK for JavaScript v3 and amazon-kinesis-video-streams-webrtc, as published, in Node."""

import json
import re

import pytest

from causeway import wait_until
from kvs import KvsServer, SESSION
from test_kvs_keys import key_of, works


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        yield server


def test_every_operation_and_its_errors_with_the_sdk_v3(kvs):
    out = kvs.node("calls.mjs", kvs.url)
    assert out["info"]["ChannelARN"] == out["arn"]
    assert str(out["info"]["CreationTime"]) == out["arn"].rsplit("/")[-1]
    assert out["info"]["SingleMasterConfiguration"] == {"MessageTtlSeconds": 30}
    assert out["listed"] == ["js-calls"] and out["tags"] == {"b": "2"} and out["storage"] == "DISABLED"
    assert out["endpoints"] == {"HTTPS": kvs.url, "WSS": kvs.url.replace("https", "wss")}
    (server,) = out["ice"]
    assert re.fullmatch(r"[a-zA-Z0-9_.-]{1,256}", server["Username"]) and re.fullmatch(r"[a-zA-Z0-9_.-]{1,256}", server["Password"])
    assert server["Ttl"] == 300 and 1 <= len(server["Uris"]) <= 4
    errors = {name: (error["name"], error["status"]) for name, error in out["errors"].items()}
    assert errors == {
        "exists": ("ResourceInUseException", 400),
        "invalid": ("InvalidArgumentException", 400),
        "stale": ("VersionMismatchException", 400),
        "denied": ("AccessDeniedException", 403),
        "tags": ("TagsPerResourceExceededLimitException", 400),
        "iceMissing": ("ResourceNotFoundException", 404),
        "iceDenied": ("NotAuthorizedException", 401),
        "iceClient": ("InvalidClientException", 400),
        "iceInvalid": ("InvalidArgumentException", 400),
        "unknownKey": ("UnrecognizedClientException", 403),
        "wrongSecret": ("InvalidSignatureException", 403),
        "gone": ("ResourceNotFoundException", 404),
    }
    assert all(error["message"] and error["id"] for error in out["errors"].values())


def test_a_whole_exchange_of_the_signalling_client(kvs):
    arn = kvs.client().create_signaling_channel(ChannelName="exchange.1")["ChannelARN"]
    out = kvs.node("exchange.mjs", kvs.url.replace("https", "wss"), arn)
    assert out["offer"] == {"same": True, "from": "alice"} and out["candidate"] == {"same": True, "from": "alice"}
    assert out["answer"] == {"same": True, "from": None} and out["back"] == {"from": None}
    assert out["second"] == "bob" and out["takenOver"] and out["bobHeard"] == 0 and out["refused"]
    status = out["status"]
    assert (status["correlationId"], status["success"], status["errorType"], status["statusCode"]) == (
        "name-1", False, "InvalidArgumentException", "400"
    )


def test_the_errors_of_limits_and_an_offer_over_http_with_the_sdk_v3():
    limits = {"limits": "aws-strict", "channels_max": 2, "lifetime_max": "5s", "go_away_grace": "1s"}
    with KvsServer(kvs=limits) as kvs:
        kvs.client().create_signaling_channel(ChannelName="cam-1")
        status, _, body = kvs.request("/api/v1/aws/temporary-credentials", "POST", {"preset": "describe", "ttl": 1})
        assert status == 201, body
        expired = key_of(json.loads(body))
        wait_until(lambda: works(kvs, expired) == "ExpiredTokenException", 10, "the credentials to expire")
        out = kvs.node("limits.mjs", kvs.url, kvs.url.replace("https", "wss"), expired=expired, tokenless=SESSION[:2])
    assert out.pop("alexa") == {"type": "answer", "sdp": "v=0"} and out.pop("from") == "alexa"
    assert out.pop("fine") >= 5
    assert all(error["message"] and error["id"] for error in out.values())
    assert {name: (error["name"], error["status"]) for name, error in out.items()} == {
        "channels": ("AccountChannelLimitExceededException", 400),
        "rate": ("ClientLimitExceededException", 400),
        "storage": ("InvalidArgumentException", 400),
        "large": ("RequestEntityTooLargeException", 413),
        "token": ("ExpiredTokenException", 403),
        "session": ("UnrecognizedClientException", 403),
        "expired": ("SessionExpiredException", 400),
        "nobody": ("ResourceNotFoundException", 404),
    }
