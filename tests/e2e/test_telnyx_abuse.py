"""Telnyx's dialect and clients that are broken or mean: each is told what is wrong, nothing comes of it, nothing is kept."""

import json

import pytest
from websockets.exceptions import ConnectionClosed

from causeway import wait_until
from telnyx_pages import VoiceServer
from telnyx_phone import SDP, Phone

USERS = ["alice", "bobby", "mallory"]


@pytest.fixture(scope="module")
def server():
    with VoiceServer() as server:
        server.made = {name: server.connection(name) for name in USERS}
        yield server
        # Nothing of what these tests did is left when the users are gone.
        for made in server.made.values():
            server.v2(f"/credential_connections/{made['id']}", "DELETE", status=200)
        for name in ["call_clients", "registrations", "calls"]:
            wait_until(lambda: server.metric(f"causeway_{name}") == 0, 30, f"{name} to be zero again")


@pytest.fixture
def phones(server):
    opened = []

    def open(user=None, **more):
        opened.append(Phone(server, user, **more))
        return opened[-1]

    yield open
    for phone in opened:
        phone.close()


def error(frame):
    return frame["error"]["code"]


def test_what_is_no_request_is_told_so_and_the_next_request_counts(phones):
    faults = [("{", None, -32700), ("[" * 5000, None, -32700), ("#SPX", None, -32700), ("[]", None, -32600), ("7", None, -32600),
              ('{"id": "q", "type": "other"}', "q", -32600), ('{"id": "m", "method": 7}', "m", -32600)]
    for user in [None, "alice"]:
        phone = phones(user)
        for text, name, code in faults:
            phone.heard.clear()
            phone.say(text)
            assert error(phone.until(lambda frame: "error" in frame and frame["id"] == name)) == code, text[:20]
        assert error(phone.ask("telnyx_rtc.nonsense", {})) == (-32601 if user else -32600)
        assert error(phone.ask("telnyx_rtc.invite", {"dialogParams": 7})) == (-32002 if user else -32600)
        assert phone.ask("telnyx_rtc.ping", {})["result"]["message"] == "PONG"


@pytest.mark.parametrize(("frame", "code"), [("x" * 300_000, 1009), (b"bytes", 1003)])
def test_frames_that_are_too_large_or_no_text_end_the_connection(server, phones, frame, code):
    phone = phones("mallory")
    before = server.metric("causeway_registrations")
    phone.say(frame)
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            phone.socket.recv(timeout=25)
    assert closed.value.rcvd.code == code
    wait_until(lambda: server.metric("causeway_registrations") < before, 25, "the registration to be gone")


def test_somebody_elses_call_cannot_be_touched(server, phones):
    alice, bob, mallory = (phones(name) for name in USERS)
    call = alice.dial("bobby")
    leg = bob.answer()
    alice.told("telnyx_rtc.answer")
    quiet = len(alice.heard), len(bob.heard)
    acts = [
        ("answer", {"sdp": SDP}), ("attach", {"sdp": SDP}), ("modify", {"action": "hold"}), ("info", {"dtmf": "1"}),
        ("modify", {"action": "updateMedia", "sdp": SDP}), ("modify", {"action": "transfer", "destination": "mallory"}),
        ("candidate", {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"}), ("endOfCandidates", {}),
    ]
    for foreign in [call, leg, "never-there", "x" * 200_000]:
        for method, params in acts:
            answer = mallory.about(foreign, method, **params)["error"]
            assert (answer["code"], answer["message"]) == (-32002, "CALL DOES NOT EXIST"), (method, answer)
            assert len(json.dumps(answer)) < 1000
        assert "result" in mallory.bye(foreign)
    # The same name for a call of her own is a call of her own.
    assert mallory.invite(call, "nobody1")["result"]["callID"] == call
    assert mallory.told("telnyx_rtc.bye")["cause"] == "UNALLOCATED_NUMBER"
    for phone in [alice, bob]:
        phone.ask("telnyx_rtc.ping", {})
    assert [frame["method"] for frame in alice.heard[quiet[0]:] + bob.heard[quiet[1]:] if "method" in frame] == []
    assert server.metric("causeway_calls") == 1
    alice.bye(call)
    assert bob.told("telnyx_rtc.bye")["cause"] == "NORMAL_CLEARING"


def test_tokens_that_were_taken_back_changed_or_stolen_open_nothing(server, phones):
    credential = server.credential(server.made["alice"])
    token = server.token_of(credential)
    phone = phones()
    assert "result" in phone.ask("login", {"login_token": token})
    header, claims, signature = token.split(".")
    for wrong in [f"{header}.{claims}.{signature[::-1]}", f"{header}.{claims}x.{signature}", f"{header}.{claims}.", "", "a.b.c"]:
        assert error(phones().ask("login", {"login_token": wrong})) == -32001, wrong
    server.v2(f"/telephony_credentials/{credential['id']}/token", "DELETE")
    assert phone.told("telnyx_rtc.punt") == {}
    assert error(phones().ask("login", {"login_token": token})) == -32001
    # The name of somebody's session is no proof: another user gets a session of her own, and the owner keeps his.
    alice = phones("alice")
    stolen = alice.told("telnyx_rtc.clientReady") == {"reattached_sessions": []} and alice.heard[0]["voice_sdk_id"]
    mallory = phones("mallory", path=f"/rtc/v1?voice_sdk_id={stolen}")
    assert mallory.session != alice.session
    assert alice.ask("telnyx_rtc.gatewayState", {})["result"]["params"]["state"] == "REGED"
    assert not [frame for frame in alice.heard if frame.get("method") == "telnyx_rtc.punt"]


def test_a_flood_is_read_no_faster_and_others_do_not_notice(server, phones):
    alice, bob, mallory = (phones(name) for name in USERS)
    for number in range(200):
        mallory.say({"jsonrpc": "2.0", "id": f"flood-{number}", "method": "telnyx_rtc.ping", "params": {"x": "y" * 4000}})
    call = alice.dial("bobby")
    bob.answer()
    alice.told("telnyx_rtc.answer")
    alice.bye(call)
    assert mallory.until(lambda frame: frame.get("id") == "flood-199")["result"]["message"] == "PONG"
    answered = [frame["id"] for frame in mallory.heard if str(frame.get("id")).startswith("flood-")]
    assert answered == [f"flood-{number}" for number in range(200)]


def test_a_client_has_no_more_calls_at_once_than_it_may(server, phones):
    alice, bob = phones("alice"), phones("bobby")
    calls = [alice.dial("bobby") for _ in range(9)]
    gone = alice.told("telnyx_rtc.bye")
    assert (gone["callID"], gone["cause"], gone["causeCode"]) == (calls[-1], "NORMAL_TEMPORARY_FAILURE", 41)
    for _ in range(8):
        bob.invited()
    for call in calls:
        assert "result" in alice.bye(call)
    wait_until(lambda: server.metric("causeway_calls") == 0, 25, "the calls to be over")
