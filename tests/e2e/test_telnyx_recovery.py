"""Telnyx's browser client, unmodified, when something breaks: a socket, a page, the server; every cause; who rings."""

import pytest
from playwright.sync_api import sync_playwright

from telnyx_pages import ENERGY, Page, VoiceServer
from telnyx_phone import Phone
from test_browser import FLAGS


@pytest.fixture(scope="module")
def server():
    with VoiceServer() as server:
        server.connection("alice")
        server.connection("bobby")
        yield server


@pytest.fixture(scope="module")
def context():
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=flags)
        yield browser.new_context(permissions=["camera", "microphone"], ignore_https_errors=True)
        browser.close()


@pytest.fixture
def pages(server, context):
    """Opens pages that are logged in; they are closed in the end."""
    opened = []

    def open(user, **options):
        proof = {"login": user, "password": "Password1"} if user else {}
        page = Page(context).login(server, **proof, **options)
        opened.append(page)
        return page.ready()

    yield open
    for page in opened:
        page.close()


def talking(alice, bob):
    alice.run("window.dial('bobby')")
    bob.rings()
    bob.run("window.accept()")
    return alice.state("active"), bob.state("active")


def hears(*pages):
    """Sound comes, now."""
    for page in pages:
        before = page.run("window.energy().then(got => got.packets)")
        got = page.run(ENERGY)
        assert got["energy"] > 0.0001, got
        page.page.wait_for_function(f"window.energy().then(got => got.packets > {before} + 50)", timeout=25000, polling=200)


def test_a_cut_socket_is_recovered_and_the_call_goes_on(pages):
    alice, bob = talking(pages("alice"), pages("bobby"))
    hears(alice, bob)
    alice.run("window.cut()")
    alice.ready(2)
    hears(alice, bob)
    assert alice.run("window.call.state") == "active", alice.seen()
    assert 48501 not in [error["code"] for error in alice.seen()["errors"]], alice.seen()
    # The recovered signalling carries what is said, both ways.
    alice.run("window.call.dtmf('5')")
    bob.until("window.seen.notes.includes('event')", "the digit")
    bob.run("window.call.hangup()")
    assert alice.ended()[:2] == ["NORMAL_CLEARING", 16]


def test_a_reloaded_page_finds_its_call_again(server, pages):
    alice, bob = talking(pages("alice", hangupOnBeforeUnload=False), pages("bobby"))
    hears(alice, bob)
    call = alice.run("window.call.id")
    alice.load()
    alice.login(server, login="alice", password="Password1", hangupOnBeforeUnload=False)
    alice.ready()
    alice.until(f"(window.call = window.seen.calls['{call}']) && window.call.state === 'active'", "the call", 60)
    hears(alice, bob)
    alice.run("window.call.hangup()")
    assert bob.ended()[:2] == ["NORMAL_CLEARING", 16]


def test_clients_return_to_a_server_that_restarted_and_learn_that_their_call_is_gone(context):
    with VoiceServer() as server:
        server.connection("alice")
        server.connection("bobby")
        alice, bob = (Page(context).login(server, login=user, password="Password1").ready() for user in ["alice", "bobby"])
        talking(alice, bob)
        server.stop()
        with server:
            for page in [alice, bob]:
                page.ready(2)
                page.until("window.seen.errors.some(e => e.code === 48501)", "that the call is gone")
                page.until("['hangup', 'destroy'].includes(window.call.state)", "the end")
            assert server.metric("causeway_calls") == 0
            alice.run("window.dial('bobby')")
            bob.rings(2)
            bob.run("window.accept()")
            hears(alice.state("active"), bob.state("active"))
            alice.run("window.call.hangup()")
            bob.ended()
        for page in [alice, bob]:
            page.close()


def test_two_calls_of_one_client_are_held_and_ended_apart(pages, server):
    server.connection("carol")
    alice, bob, carol = pages("alice"), pages("bobby"), pages("carol")
    talking(alice, bob)
    first = bob.run("window.call.id")
    carol.run("window.dial('bobby')")
    bob.rings(2)
    assert bob.run("window.call.state") == "active"
    assert bob.run("window.call.hold()") is not False
    bob.run("window.accept()")
    carol.state("active")
    assert bob.run("window.call.id") != first
    hears(bob, carol)
    assert bob.run(f"window.seen.calls['{first}'].state") == "held"
    assert bob.run("window.call.hold()") is not False
    assert bob.run(f"(window.call = window.seen.calls['{first}']).unhold()") is not False
    bob.state("active")
    hears(alice, bob)
    bob.run("window.call.hangup()")
    assert alice.ended()[:2] == ["NORMAL_CLEARING", 16]
    assert carol.run("window.call.state") == "active"
    carol.run("window.call.hangup()")
    bob.until("Object.values(window.seen.calls).every(call => ['hangup', 'destroy'].includes(call.state))", "both ends")


def test_what_the_server_finds_is_the_cause_the_caller_shows(server, pages):
    for user, more in [("absent", {}), ("closed", {"sip_uri_calling_preference": "disabled"}),
                       ("patient", {"inbound": {"timeout_2xx_secs": 1}})]:
        server.connection(user, **more)
    alice, patient = pages("alice"), Phone(server, "patient")
    for number, shown in [
        ("nobody1", ["UNALLOCATED_NUMBER", 1, 404]),
        ("absent", ["USER_NOT_REGISTERED", 606, 480]),
        ("sip:closed@example.test", ["CALL_REJECTED", 21, 403]),
        ("patient", ["NO_ANSWER", 19, 480]),
    ]:
        alice.run("number => window.dial(number)", number)
        assert alice.ended() == shown, number
    patient.close()


def test_all_of_a_connection_ring_and_the_one_that_is_late_has_lost_the_race(server, pages):
    server.connection("racers", inbound={"simultaneous_ringing": "enabled"})
    alice, first, second = pages("alice"), pages("racers"), pages("racers")
    alice.run("window.dial('racers')")
    for page in [first, second]:
        page.rings()
        page.run("window.call = window.incoming.at(-1)")
    second.run("window.accept()")
    alice.state("active")
    assert first.ended()[:2] == ["LOSE_RACE", 502]
    alice.run("window.call.hangup()")
    assert second.ended()[:2] == ["NORMAL_CLEARING", 16]


# Who of the six rings is whoever came last of those with the same name.
ORDERS = ["abcdef", "fecdba", "dbfcae"]
BY_NAME = {"john": "a", "first": "bc", "second": "def"}


@pytest.mark.parametrize("order", ORDERS)
def test_of_six_clients_those_ring_that_logged_in_last_with_their_name(server, pages, order):
    connection = server.connection(f"john{order}")
    first, second = server.credential(connection), server.credential(connection)
    proofs = {"a": {"login": connection["user_name"], "password": "Password1"}}
    for credential, by_password, tokens in [(first, "b", "c"), (second, "d", "ef")]:
        proofs[by_password] = {"login": credential["sip_username"], "password": credential["sip_password"]}
        proofs.update({name: {"login_token": server.token_of(credential)} for name in tokens})
    caller = pages("alice")
    clients = {name: pages(None, **proofs[name]) for name in order}
    names = {"john": connection["user_name"], "first": first["sip_username"], "second": second["sip_username"]}
    rung = []
    for name, identity in names.items():
        expected = max(BY_NAME[name], key=order.index)
        caller.run("to => window.dial(to)", identity)
        clients[expected].rings()
        rung.append(expected)
        caller.run("window.call.hangup()")
        clients[expected].until("window.seen.states.some(s => s.state === 'destroy')", "the end of the ringing")
    counts = {name: client.run("window.incoming.length") for name, client in clients.items()}
    assert counts == {name: int(name in rung) for name in order}
