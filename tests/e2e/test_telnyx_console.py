"""Telnyx's clients in the console: what they log in with, and a call between two pages while it goes on and when it is over."""

import json

import pytest

from causeway import HOST, wait_until
from console_browser import Console
from event_stream import EventStream
from sip import SipServer, browser
from telnyx_pages import ENERGY, Page, VoiceServer
from telnyx_phone import Phone
from test_console_calls import PATIENCE_MS, calls, look


class Server(VoiceServer):
    wait_for_metric = SipServer.wait_for_metric


@pytest.fixture(scope="module")
def world():
    # No URL that cannot be reached: gathering waits five seconds for one.
    with Server(turn_tls_listen=[]) as server, browser() as pages:
        with Console(pages.context.browser, server, color_scheme="light") as console:
            yield server, pages, console.enter()
            console.assert_well_behaved()


def listed(server, what):
    status, _, body = server.request(f"/api/v1/{what}")
    assert status == 200, body
    return json.loads(body)["data"]


def test_records_are_seen_with_who_is_registered_and_taken_back(world):
    server, _, console = world
    connection = server.connection("webphones")
    live = server.credential(connection, name="desk", tag="shift")
    old = server.credential(connection, name="old", tag="shift")
    server.v2(f"/telephony_credentials/{old['id']}", "PATCH", {"expires_at": "2020-01-01T00:00:00Z"}, 200)
    phone = Phone(server, live["sip_username"], live["sip_password"])
    wait_until(lambda: [each["registrations"] for each in listed(server, "voice-credentials?tag=shift")] == [0, 1], 20, "a client")

    page = console.open("/voice")
    page.wait_for_selector("tr:has-text('of webphones') .badge:has-text('active')")
    look(page, "voice-connections")
    page.click("tr:has-text('of webphones') a:has-text('Show')")
    page.wait_for_selector("tr:has-text('desk'):has-text('shift'):has-text('1 client') .badge:has-text('live')", timeout=PATIENCE_MS)
    page.wait_for_selector("tr:has-text('old') .badge:has-text('expired')")
    look(page, "voice-credentials")
    page.click("button.row-link:has-text('desk')")
    page.wait_for_selector("dialog:has-text('1 client')")
    page.click("dialog button:has-text('Remove')")
    page.locator("dialog:has-text('Neither its password') .dialog-foot button.danger:has-text('Remove')").last.click()
    page.wait_for_selector("tr:has-text('desk')", state="detached", timeout=PATIENCE_MS)
    page.wait_for_selector("tr:has-text('old')", timeout=PATIENCE_MS)
    assert page.locator("tr:has-text('desk')").count() == 0
    phone.told("telnyx_rtc.punt")
    phone.close()
    assert [each["name"] for each in listed(server, "voice-credentials")] == ["old"]
    assert listed(server, "audit?limit=1")[0]["action"] == "voice_credential.delete"

    page = console.open("/voice")
    page.click("button.row-link:has-text('of webphones')")
    page.click("dialog button:has-text('Remove')")
    page.locator("dialog:has-text('Its credentials go with it') .dialog-foot button.danger:has-text('Remove')").last.click()
    page.wait_for_selector("text=No voice connections", timeout=PATIENCE_MS)
    assert listed(server, "voice-credentials") == []


def test_a_call_between_two_pages_is_seen_in_the_console_the_api_and_the_events(world):
    server, pages, console = world
    events = EventStream(server)
    for user in ["anna", "bert"]:
        server.connection(user)
    turn = server.mint(room="voice", initiator_client="anna", receiver_client="bert", client_type="initiator", ttl=300)["iceServers"]
    other = server.mint(room="voice", initiator_client="anna", receiver_client="bert", client_type="receiver", ttl=300)["iceServers"]
    relay = [{"iceServers": servers, "forceRelayCandidate": True} for servers in (turn, other)]
    anna = Page(pages.context).login(server, login="anna", password="Password1", **relay[0]).ready()
    bert = Page(pages.context).login(server, login="bert", password="Password1", **relay[1]).ready()
    page = console.open("/calls")
    anna.run("relay => window.dial('bert', relay)", relay[0])
    bert.rings()
    page.wait_for_selector("tr:has-text('anna to bert') .badge:has-text('ringing')", timeout=PATIENCE_MS)
    bert.run("relay => { const call = window.call = window.incoming.at(-1); Object.assign(call.options, relay); call.answer(); }", relay[1])
    anna.state("active")
    bert.state("active")
    page.wait_for_selector("tr:has-text('anna to bert') .badge:has-text('talking')", timeout=PATIENCE_MS)
    [call] = calls(server, "?active=true&client=bert")
    assert (call["state"], call["dialect"]) == ("active", "verto")
    page.click("a.row-link:has-text('anna')")
    page.wait_for_selector("text=anna and bert talk.")
    page.wait_for_selector("text=Placed over VERTO")
    for each in [anna, bert]:
        got = each.run(ENERGY)
        assert got["energy"] > 0.0001 and got["local"] == "relay", got
    # Sound goes on until the relay has written more than a handshake of both sides.
    page.wait_for_function("() => document.querySelectorAll('.card .badge.good').length === 2", timeout=PATIENCE_MS)
    look(page, "voice-call-live")
    bert.run("window.call.hangup()")
    assert anna.ended()[:2] == ["NORMAL_CLEARING", 16]
    page.wait_for_selector("text=Ended by the callee: hung up", timeout=PATIENCE_MS)
    page.wait_for_selector(".stat:has-text('Hung up'):has-text('as SIP 200')")
    look(page, "voice-call-ended")
    wait_until(lambda: calls(server, "?active=false&client=bert"), 20, "the record")
    detail = json.loads(server.request(f"/api/v1/calls/{call['id']}")[2])
    assert (detail["callerPath"], detail["calleePath"], detail["cause"]) == ("relayed", "relayed", "normal")
    assert (detail["clientAddress"], detail["answeredAddress"], detail["dialect"]) == (HOST, HOST, "verto")

    def told():
        return [event["type"] for event in events.events if event.get("call", {}).get("id") == call["id"]]

    wait_until(lambda: "call.ended" in told(), 20, "the end to be told")
    assert told() == ["call.started", "call.ringing", "call.answered", "call.ended"]
    end = next(event for event in events.events if event["type"] == "call.ended")
    assert (end["cause"], end["endedBy"], end["call"]["dialect"]) == ("normal", "callee", "verto")
    events.close()
    anna.close()
    bert.close()
