"""The control plane of signalling channels, driven by boto3 and aws-cli as published."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from botocore.exceptions import ClientError

from kvs import ACCOUNT, BOUND, KEYS, REGION, SESSION, KvsServer

ARN = re.compile(rf"arn:aws:kinesisvideo:{REGION}:{ACCOUNT}:channel/([a-zA-Z0-9_.-]+)/[0-9]{{13}}")


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        yield server


def refused(call, **parameters):
    """Name and status of the error a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    assert answer["Error"]["Message"], "a text is never empty"
    assert answer["ResponseMetadata"]["RequestId"], "an error has a request id"
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def described(client, name):
    return client.describe_signaling_channel(ChannelName=name)["ChannelInfo"]


def test_a_channel_from_its_making_to_its_end(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(
        ChannelName="life.1", SingleMasterConfiguration={"MessageTtlSeconds": 5}, Tags=[{"Key": "a", "Value": "1"}]
    )["ChannelARN"]
    assert ARN.fullmatch(arn)[1] == "life.1"
    info = described(client, "life.1")
    assert info == client.describe_signaling_channel(ChannelARN=arn)["ChannelInfo"]
    assert info == client.describe_signaling_channel(ChannelName="life.1", ChannelARN=arn)["ChannelInfo"]
    assert (info["ChannelARN"], info["ChannelStatus"], info["ChannelType"]) == (arn, "ACTIVE", "SINGLE_MASTER")
    assert info["SingleMasterConfiguration"] == {"MessageTtlSeconds": 5}
    assert abs(info["CreationTime"].timestamp() - time.time()) < 60
    assert f"{info['CreationTime'].timestamp() * 1000:.0f}" == arn.rsplit("/")[-1]

    assert refused(client.create_signaling_channel, ChannelName="life.1") == ("ResourceInUseException", 400)
    update = dict(ChannelARN=arn, SingleMasterConfiguration={"MessageTtlSeconds": 120})
    assert refused(client.update_signaling_channel, CurrentVersion="0", **update) == ("VersionMismatchException", 400)
    client.update_signaling_channel(CurrentVersion=info["Version"], **update)
    changed = described(client, "life.1")
    assert changed["SingleMasterConfiguration"] == {"MessageTtlSeconds": 120} and changed["Version"] != info["Version"]
    stale = dict(ChannelARN=arn, CurrentVersion=info["Version"])
    assert refused(client.delete_signaling_channel, **stale) == ("VersionMismatchException", 400)
    client.delete_signaling_channel(ChannelARN=arn, CurrentVersion=changed["Version"])
    assert refused(client.describe_signaling_channel, ChannelName="life.1") == ("ResourceNotFoundException", 404)

    again = client.create_signaling_channel(ChannelName="life.1")["ChannelARN"]
    assert again != arn
    assert described(client, "life.1")["SingleMasterConfiguration"] == {"MessageTtlSeconds": 60}
    assert refused(client.describe_signaling_channel, ChannelARN=arn) == ("ResourceNotFoundException", 404)
    client.delete_signaling_channel(ChannelARN=again)


def test_lists_are_paged_and_filtered(kvs):
    client = kvs.client()
    names = [f"list-{index:02}" for index in range(7)]
    for name in reversed(names):
        client.create_signaling_channel(ChannelName=name)
    begins = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "list-"}
    found, token, pages = [], None, 0
    while pages == 0 or token:
        more = {"NextToken": token} if token else {}
        page = client.list_signaling_channels(MaxResults=3, ChannelNameCondition=begins, **more)
        found += [info["ChannelName"] for info in page["ChannelInfoList"]]
        token, pages = page.get("NextToken"), pages + 1
    assert (found, pages) == (names, 3)
    assert {info["ChannelName"] for info in client.list_signaling_channels()["ChannelInfoList"]} >= set(names)
    nothing = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "nothing-like-it"}
    assert client.list_signaling_channels(ChannelNameCondition=nothing)["ChannelInfoList"] == []
    paginator = client.get_paginator("list_signaling_channels").paginate(PaginationConfig={"PageSize": 2})
    assert len([c for p in paginator for c in p["ChannelInfoList"] if c["ChannelName"] in names]) == 7


def test_tags(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(ChannelName="tags", Tags=[{"Key": "a", "Value": "1"}])["ChannelARN"]
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "Käse +-=._:/@", "Value": ""}])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "2", "Käse +-=._:/@": ""}
    client.untag_resource(ResourceARN=arn, TagKeyList=["a", "unknown"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"Käse +-=._:/@": ""}
    many = [{"Key": f"k{index}", "Value": "v"} for index in range(50)]
    too_many = ("TagsPerResourceExceededLimitException", 400)
    assert refused(client.tag_resource, ResourceARN=arn, Tags=many) == too_many
    assert len(client.list_tags_for_resource(ResourceARN=arn)["Tags"]) == 1
    assert refused(client.create_signaling_channel, ChannelName="tags2", Tags=[*many, many[0]]) == too_many
    client.tag_resource(ResourceARN=arn, Tags=many[1:])
    assert len(client.list_tags_for_resource(ResourceARN=arn)["Tags"]) == 50
    gone = arn.replace("tags", "nobody")
    for call, more in [
        (client.tag_resource, {"Tags": many[:1]}),
        (client.untag_resource, {"TagKeyList": ["a"]}),
        (client.list_tags_for_resource, {}),
    ]:
        assert refused(call, ResourceARN=gone, **more) == ("ResourceNotFoundException", 404)


def test_endpoints_are_of_the_tls_listener_one_for_each_protocol(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(ChannelName="endpoint")["ChannelARN"]
    for role in ["MASTER", "VIEWER"]:
        answer = client.get_signaling_channel_endpoint(
            ChannelARN=arn, SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS", "HTTPS"], "Role": role}
        )
        endpoints = {e["Protocol"]: e["ResourceEndpoint"] for e in answer["ResourceEndpointList"]}
        assert endpoints == {"HTTPS": kvs.url, "WSS": kvs.url.replace("https", "wss")}
    default = client.get_signaling_channel_endpoint(ChannelARN=arn)["ResourceEndpointList"]
    assert [e["Protocol"] for e in default] == ["WSS", "HTTPS"]
    webrtc = {"Protocols": ["WEBRTC"], "Role": "MASTER"}
    assert refused(
        client.get_signaling_channel_endpoint, ChannelARN=arn, SingleMasterChannelEndpointConfiguration=webrtc
    ) == ("InvalidArgumentException", 400)


def test_media_storage_is_disabled_and_stays_so(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(ChannelName="storage")["ChannelARN"]
    answer = client.describe_media_storage_configuration(ChannelName="storage")["MediaStorageConfiguration"]
    assert answer["Status"] == "DISABLED"
    client.update_media_storage_configuration(ChannelARN=arn, MediaStorageConfiguration={"Status": "DISABLED"})
    enabled = {"Status": "ENABLED", "StreamARN": arn.replace("channel", "stream")}
    assert refused(
        client.update_media_storage_configuration, ChannelARN=arn, MediaStorageConfiguration=enabled
    ) == ("InvalidArgumentException", 400)
    storage = kvs.client("kinesis-video-webrtc-storage")
    assert refused(storage.join_storage_session, channelArn=arn) == ("InvalidArgumentException", 400)
    assert refused(storage.join_storage_session_as_viewer, channelArn=arn, clientId="v") == (
        "InvalidArgumentException", 400
    )


@pytest.mark.parametrize("operation, parameters", [
    ("create_signaling_channel", {"ChannelName": "a b"}),
    ("create_signaling_channel", {"ChannelName": "a" * 257}),
    ("create_signaling_channel", {"ChannelName": "x", "ChannelType": "FULL_MESH"}),
    ("create_signaling_channel", {"ChannelName": "x", "ChannelType": "OTHER"}),
    ("create_signaling_channel", {"ChannelName": "x", "SingleMasterConfiguration": {"MessageTtlSeconds": 121}}),
    ("create_signaling_channel", {"ChannelName": "x", "Tags": [{"Key": "a#b", "Value": ""}]}),
    ("create_signaling_channel", {"ChannelName": "x", "Tags": [{"Key": "a", "Value": "v" * 257}]}),
    ("describe_signaling_channel", {}),
    ("describe_signaling_channel", {"ChannelARN": "arn:aws:kinesisvideo:nowhere"}),
    ("describe_signaling_channel", {"ChannelName": "other", "ChannelARN": "GOOD"}),
    ("list_signaling_channels", {"MaxResults": 10001}),
    ("list_signaling_channels", {"NextToken": "a-b"}),
    ("list_signaling_channels", {"ChannelNameCondition": {"ComparisonOperator": "ENDS_WITH", "ComparisonValue": "x"}}),
    ("update_signaling_channel", {"ChannelARN": "GOOD", "CurrentVersion": "1"}),
    ("update_signaling_channel", {"ChannelARN": "GOOD", "CurrentVersion": "a.b", "SingleMasterConfiguration": {}}),
    ("update_signaling_channel", {"ChannelARN": "x" * 1025, "CurrentVersion": "1", "SingleMasterConfiguration": {}}),
    ("get_signaling_channel_endpoint", {
        "ChannelARN": "GOOD", "SingleMasterChannelEndpointConfiguration": {"Protocols": ["FTP"]}}),
    ("get_signaling_channel_endpoint", {
        "ChannelARN": "GOOD", "SingleMasterChannelEndpointConfiguration": {"Protocols": ["WSS"] * 6}}),
    ("get_signaling_channel_endpoint", {
        "ChannelARN": "GOOD", "SingleMasterChannelEndpointConfiguration": {"Role": "OTHER"}}),
    ("untag_resource", {"ResourceARN": "GOOD", "TagKeyList": ["k"] * 51}),
    ("list_tags_for_resource", {"ResourceARN": "GOOD", "NextToken": "abcd"}),
])
def test_what_boto3_lets_through_is_checked_here(kvs, operation, parameters):
    good = f"arn:aws:kinesisvideo:{REGION}:{ACCOUNT}:channel/demo/1700000000000"
    parameters = {name: good if value == "GOOD" else value for name, value in parameters.items()}
    assert refused(getattr(kvs.client(), operation), **parameters) == ("InvalidArgumentException", 400)


def test_channels_of_another_account_region_or_kind_are_not_there(kvs):
    client = kvs.client()
    arn = client.create_signaling_channel(ChannelName="foreign")["ChannelARN"]
    for foreign in [
        arn.replace(ACCOUNT, "210987654321"), arn.replace(REGION, "eu-west-1"), arn.replace("channel", "stream"), arn[:-1],
        arn + "0", arn.replace("foreign", "unknown"),
    ]:
        assert refused(client.describe_signaling_channel, ChannelARN=foreign) == ("ResourceNotFoundException", 404)


def test_a_limit_of_channels_and_rates_as_strict_as_aws():
    with KvsServer(kvs={"channels_max": 2, "limits": "aws-strict"}) as kvs:
        client = kvs.client()
        arn = [client.create_signaling_channel(ChannelName=name)["ChannelARN"] for name in ["a", "b"]][0]
        assert refused(client.create_signaling_channel, ChannelName="c") == ("AccountChannelLimitExceededException", 400)
        answers = []
        for _ in range(12):
            try:
                client.describe_signaling_channel(ChannelARN=arn)
                answers.append("fine")
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
        assert answers[:5] == ["fine"] * 5 and "ClientLimitExceededException" in answers


def test_presets_deny_in_the_form_of_aws_and_do_not_tell_what_exists(kvs):
    admin = kvs.client()
    arn = admin.create_signaling_channel(ChannelName="denied")["ChannelARN"]
    missing = arn.replace("denied", "missing")
    denied = ("AccessDeniedException", 403)
    for preset, allowed in {
        "master": {"describe", "endpoint", "list_tags"},
        "viewer": {"describe", "endpoint"},
        "describe": {"describe", "endpoint", "list", "list_tags"},
    }.items():
        client = kvs.client(key=KEYS[preset])
        calls = {
            "describe": lambda arn: client.describe_signaling_channel(ChannelARN=arn),
            "endpoint": lambda arn: client.get_signaling_channel_endpoint(ChannelARN=arn),
            "list_tags": lambda arn: client.list_tags_for_resource(ResourceARN=arn),
            "list": lambda _: client.list_signaling_channels(),
            "delete": lambda arn: client.delete_signaling_channel(ChannelARN=arn),
            "update": lambda arn: client.update_signaling_channel(
                ChannelARN=arn, CurrentVersion="1", SingleMasterConfiguration={"MessageTtlSeconds": 5}),
            "untag": lambda arn: client.untag_resource(ResourceARN=arn, TagKeyList=["a"]),
        }
        if preset == "master":
            calls.pop("untag")
        for name, call in calls.items():
            if name in allowed:
                call(arn)
            else:
                assert refused(lambda: call(arn)) == denied, (preset, name)
                assert refused(lambda: call(missing)) == denied, (preset, name)
        signaling = kvs.signaling(KEYS[preset])
        if preset == "describe":
            for some in [arn, missing]:
                assert refused(signaling.get_ice_server_config, ChannelARN=some) == ("NotAuthorizedException", 401)
    for preset in ["viewer", "describe"]:
        assert refused(kvs.client(key=KEYS[preset]).create_signaling_channel, ChannelName="new") == denied


def test_a_key_restricted_to_some_channels_sees_and_reaches_only_those(kvs):
    admin = kvs.client()
    for name in ["mine-1", "yours-1"]:
        admin.create_signaling_channel(ChannelName=name)
    client = kvs.client(key=BOUND)
    assert described(client, "mine-1")["ChannelName"] == "mine-1"
    for name in ["yours-1", "yours-2"]:
        assert refused(client.describe_signaling_channel, ChannelName=name) == ("AccessDeniedException", 403)
    arn = described(client, "mine-1")["ChannelARN"]
    signaling = kvs.signaling(BOUND)
    assert signaling.get_ice_server_config(ChannelARN=arn, ClientId="viewer-1")["IceServerList"]
    assert refused(signaling.get_ice_server_config, ChannelARN=arn, ClientId="viewer-2") == (
        "NotAuthorizedException", 401
    )


@pytest.mark.parametrize("key, region, expected", [
    (("AKIDUNKNOWN", KEYS["admin"][1]), REGION, "UnrecognizedClientException"),
    ((KEYS["admin"][0], "wrong"), REGION, "InvalidSignatureException"),
    (KEYS["admin"], "eu-west-1", "InvalidSignatureException"),
    ((*KEYS["admin"], "a-token"), REGION, "UnrecognizedClientException"),
    (SESSION[:2], REGION, "UnrecognizedClientException"),
    ((*SESSION[:2], "another"), REGION, "UnrecognizedClientException"),
])
def test_wrong_keys_are_refused(kvs, key, region, expected):
    client = kvs.client(key=key, region=region)
    assert refused(client.describe_signaling_channel, ChannelName="x") == (expected, 403)


def test_a_session_token_lets_in(kvs):
    assert kvs.client(key=SESSION).list_signaling_channels()["ChannelInfoList"] is not None


def test_channels_survive_a_restart():
    with KvsServer() as first:
        arn = first.client().create_signaling_channel(ChannelName="kept", Tags=[{"Key": "a", "Value": "1"}])["ChannelARN"]
        first.stop()
        with KvsServer(data_dir=first.data_dir) as second:
            client = second.client()
            assert described(client, "kept")["ChannelARN"] == arn
            assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "1"}


def test_aws_cli_does_the_same(kvs):
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": KEYS["admin"][0], "AWS_SECRET_ACCESS_KEY": KEYS["admin"][1],
        "AWS_DEFAULT_REGION": REGION, "AWS_CA_BUNDLE": kvs.ca, "AWS_MAX_ATTEMPTS": "1", "HOME": kvs.scratch.name,
    }
    aws = [os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", kvs.url, "--output", "json"]

    def run(*arguments):
        return subprocess.run([*aws, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    def answer(*arguments):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")

    arn = answer("kinesisvideo", "create-signaling-channel", "--channel-name", "cli")["ChannelARN"]
    info = answer("kinesisvideo", "describe-signaling-channel", "--channel-name", "cli")["ChannelInfo"]
    assert info["ChannelARN"] == arn
    protocols = ["--single-master-channel-endpoint-configuration", "Protocols=HTTPS,Role=VIEWER"]
    endpoints = answer("kinesisvideo", "get-signaling-channel-endpoint", "--channel-arn", arn, *protocols)
    assert endpoints["ResourceEndpointList"] == [{"Protocol": "HTTPS", "ResourceEndpoint": kvs.url}]
    ice = answer("kinesis-video-signaling", "get-ice-server-config", "--channel-arn", arn, "--client-id", "me")
    assert ice["IceServerList"][0]["Ttl"] == 300
    answer("kinesisvideo", "delete-signaling-channel", "--channel-arn", arn)
    failed = run("kinesisvideo", "describe-signaling-channel", "--channel-name", "cli")
    assert failed.returncode != 0 and "(ResourceNotFoundException)" in failed.stderr
