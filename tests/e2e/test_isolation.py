"""Every route of the families that bring their own signatures: who says nothing, and who belongs to another project."""

import json
import os
import re

import pytest
from botocore.exceptions import ClientError

from kvs import KvsServer
from telnyx_pages import VoiceServer
from telnyx_phone import Phone

CRATES = os.path.join(os.path.dirname(__file__), "..", "..", "crates")


def source(path):
    with open(os.path.join(CRATES, path), encoding="utf-8") as file:
        return file.read()


def kvs_paths():
    """The table the routes are made of: a new one is tried here without being listed."""
    paths = re.findall(r'^    \("(/[^"]+)", Operation::', source("api-kvs/src/call.rs"), re.MULTILINE)
    assert len(paths) >= 15
    return paths


def telnyx_routes():
    routes = re.findall(r'^    row\("([A-Z]+)", "(/v2/[^"]+)"', source("api-telnyx/src/lib.rs"), re.MULTILINE)
    assert len(routes) >= 18
    return routes


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        yield server


@pytest.fixture(scope="module")
def voice():
    with VoiceServer() as server:
        yield server


def in_other_project(server, method, path, body):
    """What a request makes in a second project."""
    status = server.request("/api/v1/projects", "POST", {"slug": "other"})[0]
    assert status in (201, 409)
    status, _, text = server.request(path, method, body, {"X-Causeway-Project": "other"})
    assert status == 201, text
    return json.loads(text)


@pytest.mark.parametrize("path", kvs_paths())
def test_no_call_of_aws_works_without_a_signature(kvs, path):
    status, headers, body = kvs.request(path, "POST", {"ChannelName": "cam"}, token=False)
    kind = {name.lower(): value for name, value in headers.items()}.get("x-amzn-errortype", "")
    assert (status, kind.split(":")[0]) == (403, "MissingAuthenticationTokenException"), (body, headers)


def test_no_call_of_aws_finds_a_channel_of_another_project(kvs):
    own = kvs.client()
    arn = own.create_signaling_channel(ChannelName="ours")["ChannelARN"]
    made = in_other_project(kvs, "POST", "/api/v1/aws/access-keys", {"preset": "admin"})
    key = (made["accessKeyId"], made["secretAccessKey"])
    client, signaling = kvs.client(key=key), kvs.signaling(key=key)
    protocols = {"SingleMasterChannelEndpointConfiguration": {"Protocols": ["HTTPS"], "Role": "MASTER"}}
    calls = [
        (client.describe_signaling_channel, {"ChannelName": "ours"}),
        (client.describe_signaling_channel, {"ChannelARN": arn}),
        (client.update_signaling_channel, {"ChannelARN": arn, "CurrentVersion": "1",
                                           "SingleMasterConfiguration": {"MessageTtlSeconds": 30}}),
        (client.delete_signaling_channel, {"ChannelARN": arn}),
        (client.get_signaling_channel_endpoint, {"ChannelARN": arn, **protocols}),
        (client.tag_resource, {"ResourceARN": arn, "Tags": [{"Key": "a", "Value": "b"}]}),
        (client.untag_resource, {"ResourceARN": arn, "TagKeyList": ["a"]}),
        (client.list_tags_for_resource, {"ResourceARN": arn}),
        (client.describe_media_storage_configuration, {"ChannelName": "ours"}),
        (signaling.get_ice_server_config, {"ChannelARN": arn}),
        (signaling.send_alexa_offer_to_master, {"ChannelARN": arn, "SenderClientId": "v", "MessagePayload": "e30="}),
    ]
    for call, parameters in calls:
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException", (call, caught.value)
    assert client.list_signaling_channels()["ChannelInfoList"] == []
    # Nothing was done, and the name is free over there.
    assert own.describe_signaling_channel(ChannelARN=arn)["ChannelInfo"]["Version"]
    assert own.list_tags_for_resource(ResourceARN=arn)["Tags"] == {}
    client.create_signaling_channel(ChannelName="ours")
    assert own.describe_signaling_channel(ChannelName="ours")["ChannelInfo"]["ChannelARN"] == arn


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer cwo_unknown"}])
def test_no_voice_call_works_without_a_key(voice, headers):
    for method, path in telnyx_routes():
        body = {} if method in ("POST", "PATCH", "PUT") else None
        status, _, text = voice.request(re.sub(r"\{\w+\}", "1", path), method, body, headers, token=False)
        assert status == 401, (method, path, text)
        [error] = json.loads(text)["errors"]
        assert error["code"] == "10009" and error["title"]


def test_no_voice_call_finds_a_record_of_another_project(voice):
    connection = voice.connection("ours", outbound={"call_parking_enabled": True})
    credential = voice.credential(connection)
    application = voice.v2("/call_control_applications", "POST", {
        "application_name": "ours", "webhook_event_url": "https://example.net/hooks"}, 201)["data"]
    other = in_other_project(voice, "POST", "/api/v1/tokens", {"name": "other", "scopes": ["credentials", "read", "admin"]})
    other = {"Authorization": f"Bearer {other['value']}"}
    phone = Phone(voice, "ours")
    phone.dial("somewhere")
    call = phone.told("telnyx_rtc.ringing")["telnyx_call_control_id"]
    ids = {"credential_connections": connection["id"], "telephony_credentials": credential["id"],
           "call_control_applications": application["id"], "connections": connection["id"], "calls": call}
    tried = 0
    for method, path in telnyx_routes():
        family = path.split("/")[2]
        if "{id}" not in path:
            if method == "GET" and family != "public_key":
                assert voice.v2(f"/{family}", headers=other)["data"] == [], family
            continue
        body = {"POST": {}, "PATCH": {"tag": "stolen", "connection_name": "stolen", "application_name": "stolen"}}.get(method)
        path = path.replace("{id}", ids[family]).replace("{action}", "hangup")
        status, _, text = voice.request(path, method, body, other)
        nowhere = [422, "90015"] if "/calls/" in path and "/actions/" in path else [404, "10005"]
        assert [status, json.loads(text)["errors"][0]["code"]] == nowhere, (method, path, text)
        tried += 1
    assert tried >= 12
    assert voice.v2(f"/calls/{call}")["data"]["is_alive"] is True
    phone.close()
    assert voice.v2(f"/credential_connections/{connection['id']}")["data"] == connection
    assert voice.v2(f"/telephony_credentials/{credential['id']}")["data"] == credential
    # A credential on another project's connection: not there.
    answer = voice.v2("/telephony_credentials", "POST", {"connection_id": connection["id"]}, 422, headers=other)
    assert answer["errors"][0]["code"] == "10017"
