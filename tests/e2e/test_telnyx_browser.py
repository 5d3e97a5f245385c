"""Calls between pages with Telnyx's browser client, unmodified."""

import pytest
from playwright.sync_api import sync_playwright

from telnyx_pages import ENERGY, Page, VoiceServer
from telnyx_phone import Phone
from test_browser import FLAGS


@pytest.fixture(scope="module")
def server():
    with VoiceServer() as server:
        yield server


@pytest.fixture(scope="module")
def context():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=[*FLAGS, "--autoplay-policy=no-user-gesture-required"])
        yield browser.new_context(permissions=["camera", "microphone"], ignore_https_errors=True)
        browser.close()


@pytest.fixture(scope="module")
def accounts(server):
    """Two connections, and a credential of the first."""
    alice, bob = server.connection("alice"), server.connection("bobby")
    return {"alice": alice, "bob": bob, "credential": server.credential(alice, name="phone")}


@pytest.fixture
def pages(server, context, accounts):
    """Alice, with the credential's user name, and Bob, with his connection's."""
    credential = accounts["credential"]
    alice = Page(context).login(server, login=credential["sip_username"], password=credential["sip_password"])
    bob = Page(context).login(server, login="bobby", password="Password1")
    yield alice.ready(), bob.ready()
    alice.close()
    bob.close()


def talking(pages):
    alice, bob = pages
    alice.run("window.dial('bobby', {callerName: 'Alice A', customHeaders: [{name: 'X-Order', value: '7'}]})")
    bob.rings()
    bob.run("window.accept()")
    alice.state("active")
    bob.state("active")
    return alice, bob


def test_login_by_a_token_and_what_a_wrong_login_says(server, context, accounts):
    page = Page(context).login(server, login_token=server.token_of(accounts["credential"])).ready()
    page.close()
    for options in [
        {"login": "bobby", "password": "wrong-password"},
        {"login": "nobody", "password": "Password1"},
        {"login_token": "a.b.c"},
    ]:
        page = Page(context).login(server, **options)
        page.until("window.seen.errors.length > 0", "an error")
        assert page.seen()["errors"][0]["code"] == 46001, page.seen()
        assert page.seen()["ready"] == 0
        page.close()


def test_a_call_carries_sound_both_ways_and_ends_by_the_caller(pages):
    alice, bob = talking(pages)
    shown = bob.run("({name: window.call.options.remoteCallerName, number: window.call.options.remoteCallerNumber,"
                    "  headers: window.call.options.customHeaders})")
    assert shown["name"] == "Alice A" and shown["number"].startswith("gencred"), shown
    assert shown["headers"] == [{"name": "X-Order", "value": "7"}], shown
    for page in [alice, bob]:
        got = page.run(ENERGY)
        assert got["energy"] > 0.0001 and got["packets"] > 50, got
    alice.run("window.call.hangup()")
    assert bob.ended()[:2] == ["NORMAL_CLEARING", 16]


def test_hold_digits_and_the_end_by_the_callee(pages):
    alice, bob = talking(pages)
    assert alice.run("window.call.hold()") is not False
    alice.state("held")
    alice.run("window.call.unhold()")
    alice.state("active")
    alice.run("window.call.dtmf('5')")
    bob.until("window.seen.notes.includes('event')", "the digit")
    bob.run("window.call.hangup()")
    assert alice.ended()[:2] == ["NORMAL_CLEARING", 16]


def test_what_the_caller_hears_of_a_callee_that_does_not_answer(pages):
    alice, bob = pages
    alice.run("window.dial('bobby')")
    bob.rings()
    bob.run("(window.call = window.incoming.at(-1)).hangup()")
    assert alice.ended() == ["USER_BUSY", 17, 486]
    alice.run("window.dial('nobody1')")
    assert alice.ended() == ["UNALLOCATED_NUMBER", 1, 404]
    alice.run("window.dial('bobby')")
    bob.rings(2)
    bob.run("window.call = window.incoming.at(-1)")
    alice.run("window.call.hangup()")
    assert bob.ended()[:2] == ["ORIGINATOR_CANCEL", 487]


def test_a_call_through_the_relay_only(server, pages):
    alice, bob = pages
    servers = server.mint(room="voice", ttl=300)["iceServers"]
    relay = {"iceServers": servers, "forceRelayCandidate": True}
    bob.run("options => Object.assign(window.client.options, options)", relay)
    alice.run("relay => window.dial('bobby', relay)", relay)
    bob.rings()
    bob.run("relay => { const call = window.call = window.incoming.at(-1); Object.assign(call.options, relay); call.answer(); }", relay)
    alice.state("active")
    for page in [alice, bob]:
        got = page.run(ENERGY)
        assert got["energy"] > 0.0001 and got["local"] == "relay", got
    bob.run("window.call.hangup()")
    alice.ended()


# What a callee's software may say of a call it does not take: name, number, and the SIP code beside it.
CAUSES = [
    ("UNALLOCATED_NUMBER", 1, 404),
    ("USER_BUSY", 17, 486),
    ("NO_USER_RESPONSE", 18, 408),
    ("NO_ANSWER", 19, 480),
    ("CALL_REJECTED", 21, 603),
    ("NORMAL_TEMPORARY_FAILURE", 41, 503),
    ("INCOMPATIBLE_DESTINATION", 88, 488),
    ("MANDATORY_IE_MISSING", 96, 400),
    ("RECOVERY_ON_TIMER_EXPIRE", 102, 504),
    ("ALLOTTED_TIMEOUT", 602, None),
    ("INVALID_GATEWAY", 608, None),
]


def test_every_cause_that_a_callee_says_is_shown_at_the_caller_as_it_was_said(server, pages):
    alice, _ = pages
    server.connection("causes")
    callee = Phone(server, "causes")
    for name, number, sip in CAUSES:
        alice.run("window.dial('causes')")
        callee.bye(callee.invited(), name)
        assert alice.ended() == [name, number, sip]
    # An ordinary end before the answer is a refusal.
    alice.run("window.dial('causes')")
    callee.bye(callee.invited())
    assert alice.ended() == ["CALL_REJECTED", 21, 603]
    callee.close()
