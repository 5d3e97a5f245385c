"""Calls in the console: one between two of Aculab's unmodified clients while it goes on, when it is over, and forgotten."""

import json

import pytest

from causeway import HOST, wait_until
from console_browser import Console
from sip import SipServer, browser
from test_console_pages import overflow, take_picture, violations
from test_sip_aculab import CLOUD, claims, mint

PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def world():
    with SipServer(public_ip=[HOST], turn_tls_listen=[]) as server, browser() as pages:
        with Console(pages.context.browser, server, color_scheme="light") as console:
            yield server, pages, console.enter()
            console.assert_well_behaved()


def phone(server, pages, name):
    token = mint(server, name)
    phone = pages.open("aculab4", name=name, url=server.wss("/sipproxy"), cloud=CLOUD, key=claims(token)["iss"], token=token)
    phone.do("register")
    phone.heard("registered")
    return phone


def calls(server, query=""):
    status, _, body = server.request(f"/api/v1/calls{query}")
    assert status == 200, body
    return json.loads(body)["data"]


def look(page, name):
    """The page at both widths."""
    for width, height in ((1280, 900), (360, 760)):
        page.set_viewport_size({"width": width, "height": height})
        take_picture(page, f"{name}-{width}")
        assert overflow(page) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    assert violations(page) == []


def test_a_call_is_seen_while_it_goes_on_when_it_is_over_and_no_more_when_a_client_is_forgotten(world):
    server, pages, console = world
    ann, ben = phone(server, pages, "ann-1"), phone(server, pages, "ben.2")
    page = console.open("/registrations")
    page.wait_for_selector("text=ben.2")
    look(page, "registrations-live")
    page = console.open("/calls")
    ann.do("call", "ben.2")
    ben.heard("incoming")
    page.wait_for_selector("tr:has-text('ann-1 to ben.2') .badge:has-text('ringing')", timeout=PATIENCE_MS)
    ben.do("answer")
    ann.heard("answered")
    page.wait_for_selector("tr:has-text('ann-1 to ben.2') .badge:has-text('talking')", timeout=PATIENCE_MS)
    look(page, "calls-live")
    [call] = calls(server, "?active=true&client=ben.2")
    assert (call["state"], call["cause"], call["answeredBy"], calls(server, "?active=false")) == ("active", None, "ben.2", [])

    page.click("a.row-link:has-text('ann-1')")
    page.wait_for_selector("text=ann-1 and ben.2 talk.")
    assert ann.received()["packets"] > 50
    # Sound goes on until the relay has written more than a handshake.
    page.wait_for_function("() => document.querySelectorAll('.card .badge.good').length === 2", timeout=PATIENCE_MS)
    look(page, "calls-one-live")
    ann.do("hangup")
    ben.heard("ended")
    page.wait_for_selector("text=Ended by the caller: hung up", timeout=PATIENCE_MS)
    page.wait_for_selector(".stat:has-text('Hung up'):has-text('as SIP 200')")
    look(page, "calls-one-ended")
    detail = json.loads(server.request(f"/api/v1/calls/{call['id']}")[2])
    assert (detail["callerPath"], detail["calleePath"]) == ("relayed", "relayed")
    assert detail["callerSessions"] and detail["calleeSessions"]

    page.click("a[href='/clients/ben.2']")
    page.wait_for_selector("tr:has-text('ann-1 to ben.2')", timeout=PATIENCE_MS)
    look(page, "clients-calls")

    ann.do("call", "nobody")
    ann.heard("ended")
    wait_until(lambda: len(calls(server, "?active=false")) == 2, 20, "both records")
    page = console.open("/calls?cause=not_registered")
    page.wait_for_selector("tr:has-text('ann-1 to nobody'):has-text('Not registered')")
    assert page.locator("tbody tr[data-index]").count() == 1

    status, _, body = server.request("/api/v1/clients/ben.2/erase", "POST")
    assert (status, json.loads(body)["calls"]) == (200, 1), body
    server.wait_for_metric("causeway_registrations", 1)
    assert calls(server, "?client=ben.2") == []
    page = console.open(f"/calls/{call['id']}")
    page.wait_for_selector("h1:has-text('ann-1 to (erased)')")
    status, _, body = server.request(f"/api/v1/calls/{call['id']}")
    assert status == 200 and "ben.2" not in body and json.loads(body)["answeredAddress"] is None
