"""Voice connections, credentials and tokens with the official packages, unmodified."""

import base64
import json

import pytest
import telnyx

from telnyx_pages import VoiceServer


@pytest.fixture(scope="module")
def server():
    with VoiceServer() as server:
        yield server


def failure(error, status, code):
    return {"name": error, "status": status, "code": code}


def test_the_node_package_makes_finds_changes_and_removes_records(server):
    seen = server.node("records.mjs")
    connection = seen["connection"]
    assert connection["record_type"] == "credential_connection" and connection["id"].isdigit()
    assert connection["inbound"]["simultaneous_ringing"] == "enabled" and connection["inbound"]["timeout_2xx_secs"] == 90
    assert connection["password"] == "Password1" and connection["active"] is True
    assert seen["retrieved"] == connection
    assert seen["updated"]["connection_name"] == "renamed"
    assert seen["updated"]["sip_uri_calling_preference"] == "internal"
    assert seen["listed"] == [connection["id"]]
    assert seen["duplicate"] == failure("ConflictError", 409, "10012")
    assert seen["short"] == failure("UnprocessableEntityError", 422, "10020")
    assert seen["missing"] == failure("NotFoundError", 404, "10005")
    assert seen["paged"] and seen["tagged"] == ["user 1", "user 3"]
    credential = seen["credential"]
    assert credential["name"] == "first" and credential["sip_username"].startswith("gencred")
    assert len(credential["sip_password"]) == 32 and credential["expired"] is False
    claims = seen["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["sub"] == credential["id"] and claims["exp"] - claims["iat"] == 86400
    assert seen["deleted"] == seen["gone"] == seen["cascaded"] == failure("NotFoundError", 404, "10005")
    assert seen["noConnection"] == failure("UnprocessableEntityError", 422, "10017")
    assert seen["application"] == "call_control_application"
    assert seen["stranger"] == failure("AuthenticationError", 401, "10009")


def test_the_python_package_makes_a_user_and_a_token(server):
    client = telnyx.Telnyx(api_key=server.token, base_url=f"http://127.0.0.1:{server.http_port}/v2", max_retries=0)
    connection = client.credential_connections.create(
        connection_name="from python", user_name="frompython", password="Password1").data
    credential = client.telephony_credentials.create(connection_id=connection.id, tag="t").data
    assert [one.id for one in client.telephony_credentials.list(filter={"sip_username": credential.sip_username})] == [credential.id]
    token = client.telephony_credentials.create_token(credential.id)
    assert token.count(".") == 2
    status = client.credential_connections.actions.check_registration_status(connection.id).data
    assert status.status == "Not Registered"
    with pytest.raises(telnyx.NotFoundError):
        client.telephony_credentials.retrieve("00000000-0000-4000-8000-000000000000")
    client.credential_connections.delete(connection.id)


def test_faults_are_told_in_one_shape(server):
    for path, method, body, status, code in [
        ("/credential_connections", "POST", {}, 422, "10004"),
        ("/credential_connections", "POST", {"connection_name": 7}, 422, "10025"),
        ("/credential_connections?page[size]=0", "GET", None, 400, "10031"),
        ("/telephony_credentials/x/token", "POST", None, 404, "10005"),
        ("/telephony_credentials", "PUT", {}, 405, "10030"),
        ("/nothing", "GET", None, 404, "10005"),
    ]:
        answer = server.v2(path, method, body, status)
        assert answer["errors"][0]["code"] == code, (path, answer)


def test_a_token_that_only_reads_sees_no_password(server):
    """A password opens calls: whoever may look on must not be able to become somebody."""
    body = {"connection_name": "kept", "user_name": "keptsecret", "password": "Password1"}
    connection = server.v2("/credential_connections", "POST", body)["data"]
    credential = server.v2("/telephony_credentials", "POST", {"connection_id": connection["id"]})["data"]
    seen = {}
    for scopes in (["read"], ["credentials", "read"], ["read", "admin"]):
        _, _, made = server.request("/api/v1/tokens", "POST", {"name": "-".join(scopes), "scopes": scopes})
        client = telnyx.Telnyx(api_key=json.loads(made)["value"], base_url=f"http://127.0.0.1:{server.http_port}/v2", max_retries=0)
        ways = [client.credential_connections.retrieve(connection["id"]).data.password]
        ways += [one.password for one in client.credential_connections.list() if one.id == connection["id"]]
        of_credential = [client.telephony_credentials.retrieve(credential["id"]).data.sip_password]
        of_credential += [one.sip_password for one in client.telephony_credentials.list() if one.id == credential["id"]]
        seen["-".join(scopes)] = ways, of_credential
    nothing, whole = [None, None], [credential["sip_password"]] * 2
    assert seen["read"] == (nothing, nothing)
    assert seen["credentials-read"] == (nothing, whole)
    assert seen["read-admin"] == (["Password1"] * 2, nothing)
