"""AWS SDK for JavaScript v3 and amazon-kinesis-video-streams-webrtc, as published, in Node."""

import re

import pytest

from kvs import KvsServer


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
