"""Access keys of the API: made, listed, rotated, revoked; temporary credentials; what they mint."""

import json
import time

import pytest
from botocore.exceptions import ClientError

from causeway import wait_until
from kvs import KEYS, KvsServer, Peer


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        server.client().create_signaling_channel(ChannelName="cam-1")
        yield server


def api(server, method, path, body=None, status=200, **headers):
    answer = server.request(path, method, body, headers=headers)
    assert answer[0] == status, answer
    return json.loads(answer[2]) if answer[2] else None


def key_of(made):
    return tuple(made[name] for name in ["accessKeyId", "secretAccessKey", "sessionToken"] if name in made)


def works(server, key):
    """`fine`, or the name of the error that `DescribeSignalingChannel` ends with."""
    try:
        server.client(key=key).describe_signaling_channel(ChannelName="cam-1")
        return "fine"
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_a_key_from_its_making_to_its_end(kvs):
    made = api(kvs, "POST", "/api/v1/aws/access-keys", {"preset": "viewer", "name": "door", "channel": "cam-*"}, 201)
    assert works(kvs, key_of(made)) == "fine"
    listed = api(kvs, "GET", "/api/v1/aws/access-keys")["data"]
    (mine,) = [key for key in listed if key["id"] == made["accessKeyId"]]
    assert (mine["name"], mine["preset"], mine["channel"], mine["configured"]) == ("door", "viewer", "cam-*", False)
    assert any(key["configured"] for key in listed) and made["secretAccessKey"] not in json.dumps(listed)

    rotated = api(kvs, "POST", f"/api/v1/aws/access-keys/{mine['id']}/rotate", {"overlap": 1}, 201)
    assert works(kvs, key_of(rotated)) == "fine"
    wait_until(lambda: works(kvs, key_of(made)) == "UnrecognizedClientException", 10, "the old key to end")
    api(kvs, "DELETE", f"/api/v1/aws/access-keys/{rotated['accessKeyId']}", status=204)
    assert works(kvs, key_of(rotated)) == "UnrecognizedClientException"
    api(kvs, "DELETE", f"/api/v1/aws/access-keys/{rotated['accessKeyId']}", status=404)
    api(kvs, "POST", f"/api/v1/aws/access-keys/{KEYS['admin'][0]}/rotate", {}, 404)
    actions = [entry["action"] for entry in api(kvs, "GET", "/api/v1/audit")["data"]]
    assert {"access_key.create", "access_key.rotate", "access_key.revoke"} <= set(actions)


def test_temporary_credentials_work_for_their_time_with_their_token_only(kvs):
    body = {"preset": "viewer", "channel": "cam-1", "clientId": "visitor", "ttl": 3}
    made = api(kvs, "POST", "/api/v1/aws/temporary-credentials", body, 201)
    key = key_of(made)
    assert len(key) == 3 and works(kvs, key) == "fine"
    assert works(kvs, key[:2]) == "UnrecognizedClientException"
    arn = kvs.client(key=key).describe_signaling_channel(ChannelName="cam-1")["ChannelInfo"]["ChannelARN"]
    Peer(kvs, arn, "visitor", key).close()
    wait_until(lambda: works(kvs, key) == "ExpiredTokenException", 10, "the credentials to expire")
    assert not [k for k in api(kvs, "GET", "/api/v1/aws/access-keys")["data"] if k["id"] == key[0]]


def test_temporary_credentials_end_with_the_token_that_minted_them(kvs):
    token = api(kvs, "POST", "/api/v1/tokens", {"name": "backend", "scopes": ["credentials"]}, 201)
    bearer = {"Authorization": f"Bearer {token['value']}"}
    made = api(kvs, "POST", "/api/v1/aws/temporary-credentials", {"preset": "describe"}, 201, **bearer)
    api(kvs, "POST", "/api/v1/aws/temporary-credentials", {"preset": "admin"}, 403, **bearer)
    assert works(kvs, key_of(made)) == "fine"
    api(kvs, "DELETE", f"/api/v1/tokens/{token['id']}", status=204)
    wait_until(lambda: works(kvs, key_of(made)) == "UnrecognizedClientException", 10, "the credentials to end")


@pytest.mark.parametrize("body, field", [
    ({}, "preset"),
    ({"preset": "root"}, "preset"),
    ({"preset": "viewer", "clientId": "a b"}, "clientId"),
    ({"preset": "viewer", "channel": "a/b"}, "channel"),
    ({"preset": "viewer", "ttl": 43201}, "ttl"),
])
def test_bad_fields_are_named(kvs, body, field):
    answer = api(kvs, "POST", "/api/v1/aws/temporary-credentials", body, 422)
    assert [detail["field"] for detail in answer["details"]] == [field]


def test_channels_are_listed_for_their_project_only(kvs):
    kvs.client().create_signaling_channel(ChannelName="cam-2")
    page = api(kvs, "GET", "/api/v1/aws/channels?limit=1")
    assert [channel["name"] for channel in page["data"]] == ["cam-1"]
    rest = api(kvs, "GET", f"/api/v1/aws/channels?limit=10&cursor={page['nextCursor']}")
    assert [channel["name"] for channel in rest["data"]] == ["cam-2"] and rest["nextCursor"] is None
    api(kvs, "POST", "/api/v1/projects", {"slug": "other"}, 201)
    other = {"X-Causeway-Project": "other"}
    assert api(kvs, "GET", "/api/v1/aws/channels", **other)["data"] == []
    foreign = api(kvs, "POST", "/api/v1/aws/access-keys", {"preset": "admin"}, 201, **other)
    assert works(kvs, key_of(foreign)) == "ResourceNotFoundException"


def test_what_a_key_mints_is_a_credential_like_any_other(kvs):
    made = api(kvs, "POST", "/api/v1/aws/access-keys", {"preset": "viewer"}, 201)
    arn = kvs.client().describe_signaling_channel(ChannelName="cam-1")["ChannelInfo"]["ChannelARN"]
    signaling = kvs.signaling(key_of(made))
    (server,) = signaling.get_ice_server_config(ChannelARN=arn, ClientId="me.1", Username="user-7")["IceServerList"]
    shown = api(kvs, "GET", f"/api/v1/credentials/{server['Username']}")
    assert shown["room"] == "cam-1" and shown["state"] == "active"
    assert shown["metadata"] == {"channelArn": arn, "clientId": "me.1", "username": "user-7"}
    client = json.dumps(shown)
    assert "me-1-" in client, "a name that is no client's becomes one"
    api(kvs, "DELETE", f"/api/v1/credentials/{server['Username']}", status=204)
    assert api(kvs, "GET", f"/api/v1/credentials/{server['Username']}")["state"] == "revoked"


def test_rates_of_relay_credentials_as_strict_as_aws():
    with KvsServer(kvs={"limits": "aws-strict", "ice_ttl": "60s"}) as kvs:
        arn = kvs.client().create_signaling_channel(ChannelName="rate")["ChannelARN"]
        signaling, answers = kvs.signaling(), []
        started = time.monotonic()
        for _ in range(10):
            try:
                answers.append(signaling.get_ice_server_config(ChannelARN=arn)["IceServerList"][0]["Ttl"])
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
        assert answers[:5] == [60] * 5
        assert "ClientLimitExceededException" in answers or time.monotonic() - started > 1
