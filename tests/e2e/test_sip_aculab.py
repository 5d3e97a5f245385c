"""Aculab's library 4.0.8 and 3.3.1 as published, in pages of headless Chromium: tokens, calls, what a callee may answer."""

import base64
import contextlib
import json
import sqlite3

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from causeway import HOST, wait_until
from sip import DOMAIN, SipServer, browser, users

CLOUD = "1-2-0"


@pytest.fixture(scope="module")
def server():
    # No URL that cannot be reached: gathering waits five seconds for one.
    with SipServer(tables=users("ann", "bob"), public_ip=[HOST], turn_tls_listen=[]) as server:
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


def test_a_call_is_handed_on_to_an_aculab_client(server, phone, pages):
    carl = phone("aculab4", "carl.1")
    ann, bob = (
        pages.open(kind, url=server.wss(), domain=DOMAIN, name=name, password=f"{name}-secret", iceServers=server.ice_servers())
        for kind, name in [("jssip", "ann"), ("sipjs", "bob")]
    )
    for one in (ann, bob):
        one.do("register")
        one.heard("registered")
    ann.do("call", "bob")
    bob.heard("incoming")
    bob.do("answer")
    ann.heard("answered")
    ann.do("transfer", "carl.1")
    assert carl.heard("incoming") == "bob"
    carl.do("answer")
    ann.heard("transferred")
    ann.do("hangup")
    heard_sound(bob, carl)
    carl.do("hangup")
    server.wait_for_metric("causeway_calls", 0)


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


def quiet(phone):
    """Waits until nothing is heard any more; how much was."""
    seen = []

    def is_quiet():
        seen.append(phone.heard_now()["energy"])
        # What is made up for packets that are late is not nothing, but not much.
        return len(seen) > 5 and seen[-1] - seen[-6] < 0.001

    wait_until(is_quiet, 20, "silence")
    return seen[-1]


def louder(phone, than):
    wait_until(lambda: phone.heard_now()["energy"] > than + 0.005, 20, "sound")


def pictures(phone):
    seen = []

    def comes_more():
        seen.append(phone.heard_now()["frames"])
        return len(seen) > 1 and seen[-1] > seen[-2]

    wait_until(comes_more, 30, "pictures")


def test_video_comes_and_goes(phone):
    ann, ben = phone("aculab4", "ann-1", register=False), phone("aculab4", "ben.2")
    ann.do("call_open", "ben.2")
    ben.heard("incoming")
    ben.do("answer_open")
    ann.heard("answered")
    heard_sound(ann, ben)
    pictures(ann)
    pictures(ben)
    ann.do("remove_video")
    ben.heard("media gone")
    ann.do("add_video")
    ben.heard("media")
    pictures(ben)
    ben.do("remove_video")
    ann.heard("media gone")
    heard_sound(ann, ben)
    ann.do("hangup")
    assert ben.heard("ended") == "NORMAL"


@pytest.mark.parametrize("caller", ["aculab4", "aculab3"])
def test_who_is_muted_is_not_heard_and_digits_are(phone, caller):
    ann, ben = phone(caller, "ann-1", register=False), phone("aculab4", "ben.2")
    ann.do("call", "ben.2")
    ben.heard("incoming")
    ben.do("answer")
    ann.heard("answered")
    heard_sound(ben)
    ann.do("mute", True)
    was = quiet(ben)
    # Digits are heard by themselves.
    ann.do("dtmf", "159")
    louder(ben, was)
    was = quiet(ben)
    ann.do("mute", False)
    louder(ben, was)
    ann.do("hangup")
    assert ben.heard("ended") == "NORMAL"


def test_the_newest_place_rings_the_next_when_it_goes_and_a_lost_one_ends_its_call(server, phone):
    ann = phone("aculab4", "ann-1", register=False)
    old, new = phone("aculab4", "ben.5"), phone("aculab3", "ben.5")
    ann.do("call", "ben.5")
    new.heard("incoming")
    new.page.close()
    old.heard("incoming")
    old.do("answer")
    ann.heard("answered")
    old.do("cut")
    assert old.heard("ended") == "FAILED"
    assert ann.heard("ended") == "UNOBTAINABLE"
    server.wait_for_metric("causeway_calls", 0)
    old.heard("registered")
    ann.do("call", "ben.5")
    old.heard("incoming")
    ann.do("cut")
    old.heard("ended")
    server.wait_for_metric("causeway_calls", 0)


@pytest.mark.parametrize("kind", ["aculab4", "aculab3"])
def test_a_token_that_expired_and_a_key_that_is_nobodys_open_nothing(server, phone, kind):
    ben = phone(kind, "ben.6")
    ben.do("token", expired(server, "ben.6"))
    ben.do("register")
    assert ben.heard("refused") == "INVALIDTOKEN"
    server.wait_for_metric("causeway_registrations", 0)
    ben.do("call", "ann")
    assert ben.heard("ended") == "FAILED"
    eve = phone(kind, "eve", register=False, key="nobodyskey")
    eve.do("register")
    assert eve.heard("refused") == "INVALIDTOKEN"


def expired(server, name):
    """A token as the server makes them, of an hour ago: signed with its own key."""
    good = mint(server, name)
    with contextlib.closing(sqlite3.connect(f"file:{server.data_dir}/causeway.db?mode=ro", uri=True)) as store:
        ((pkcs8,),) = store.execute("SELECT pkcs8 FROM client_signing_keys WHERE verifies_until IS NULL").fetchall()
    key = serialization.load_der_private_key(pkcs8, None)
    said = claims(good)
    said = {**said, **{name: said[name] - 7200 for name in ("iat", "nbf", "exp")}}
    return jwt.encode(said, key, algorithm="RS256", headers={"kid": jwt.get_unverified_header(good)["kid"]})
