"""Aculab's library 4.0.8 and 3.3.1 as published, in pages of headless Chromium: tokens, calls, what a callee may answer."""

import base64
import json

import pytest

from causeway import HOST
from sip import DOMAIN, SipServer, browser, users

CLOUD = "1-2-0"


@pytest.fixture(scope="module")
def server():
    # No URL that cannot be reached: gathering waits five seconds for one.
    with SipServer(tables=users("ann"), public_ip=[HOST], turn_tls_listen=[]) as server:
        yield server


@pytest.fixture(scope="module")
def pages():
    with browser() as pages:
        yield pages


@pytest.fixture
def phone(server, pages):
    """Opens a registered phone."""

    def open(kind, name, callees="*", register=True, **more):
        token = mint(server, name, callees)
        options = {"url": server.wss("/sipproxy"), "cloud": CLOUD, "key": claims(token)["iss"], "token": token, **more}
        phone = pages.open(kind, name=name, **options)
        if register:
            phone.do("register")
            phone.heard("registered")
        return phone

    yield open
    pages.close()


def mint(server, name, callees="*"):
    status, _, body = server.request("/api/v1/client-tokens", "POST", {"clientId": name, "callees": callees.split(",")})
    assert status == 201, body
    return json.loads(body)["token"]


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def heard_sound(*phones):
    for phone in phones:
        received = phone.received()
        assert received["packets"] > 50 and received["energy"] > 0 and received["local"] == "relay", received


@pytest.mark.parametrize(("caller", "callee"), [("aculab4", "aculab4"), ("aculab3", "aculab4"), ("aculab4", "aculab3")])
def test_two_clients_find_each_other_by_token_and_talk_through_the_relay(server, phone, caller, callee):
    ann, ben = phone(caller, "ann-1", register=False), phone(callee, "ben.2")
    ann.do("call", "ben.2")
    assert ben.heard("incoming") == "ann-1"
    assert ben.heard("kind") == "client"
    ann.heard("ringing")
    ben.do("answer")
    ann.heard("answered")
    heard_sound(ann, ben)
    ben.do("hangup")
    assert ann.heard("ended") == "NORMAL"
    server.wait_for_metric("causeway_calls", 0)


def test_an_aculab_client_and_a_sip_js_client_talk(server, phone, pages):
    ben = phone("aculab4", "ben.3")
    ann = pages.open("sipjs", url=server.wss(), domain=DOMAIN, name="ann", password="ann-secret", iceServers=server.ice_servers())
    ann.do("register")
    ann.heard("registered")
    ann.do("call", "ben.3")
    assert ben.heard("incoming") == "ann"
    ben.do("answer")
    ann.heard("answered")
    heard_sound(ann, ben)
    ann.do("hangup")
    ben.heard("ended")
    ben.do("call", "ann")
    assert ann.heard("incoming") == "ben.3"
    ann.do("answer")
    ben.heard("answered")
    ben.do("hangup")
    ann.heard("ended")


def test_what_the_callee_says_is_what_the_caller_is_told(phone):
    ann, ben = phone("aculab4", "ann-1", register=False), phone("aculab4", "ben.2")
    table = {404: "UNOBTAINABLE", 410: "UNOBTAINABLE", 480: "UNOBTAINABLE", 604: "UNOBTAINABLE", 486: "BUSY", 600: "BUSY",
             603: "BUSY", 487: "NOANSWER", 408: "FAILED", 488: "FAILED", 500: "FAILED", 503: "FAILED", 606: "FAILED", 403: "FAILED"}
    for code, cause in table.items():
        ann.do("call", "ben.2")
        ben.heard("incoming")
        ben.do("reject", code)
        assert (code, ann.heard("ended")) == (code, cause)
        ben.heard("ended")


def test_whom_a_client_may_call_and_what_becomes_of_a_call_nobody_takes(server, phone):
    ann, ben = phone("aculab4", "ann-1", register=False), phone("aculab4", "ben.2")
    for callees, to, cause in [("carol", "ben.2", "FAILED"), ("c*", "ben.2", "FAILED"), ("b*", "bert", "UNOBTAINABLE")]:
        ann.do("call", to, mint(server, "ann-1", callees))
        assert (callees, ann.heard("ended")) == (callees, cause)
    ann.do("call", "ben.2", mint(server, "ann-1", "carol,b*"))
    ben.heard("incoming")
    ann.do("hangup")
    assert ann.heard("ended") == "NOANSWER"
    ben.heard("ended")


def test_a_revoked_token_ends_the_registration_and_a_cut_socket_comes_back(server, phone):
    ben = phone("aculab4", "ben.4")
    ben.do("cut")
    ben.heard("registered")
    status, _, body = server.request("/api/v1/client-tokens/revoke", "POST", {"clientId": "ben.4"})
    assert status == 200, body
    server.wait_for_metric("causeway_registrations", 0)
