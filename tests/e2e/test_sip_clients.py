"""JsSIP and SIP.js as published, in pages of headless Chromium: passwords, calls, hold, transfer, digits."""

import pytest

from sip import DOMAIN, SipServer, browser, users

NAMES = ["ann", "ben", "cat"]


@pytest.fixture(scope="module")
def server():
    with SipServer(tables=users(*NAMES)) as server:
        yield server


@pytest.fixture(scope="module")
def pages():
    with browser() as pages:
        yield pages


@pytest.fixture
def phone(server, pages):
    """Opens a registered phone."""

    def open(kind, name, register=True, **more):
        ice = server.ice_servers()
        phone = pages.open(kind, url=server.wss(), domain=DOMAIN, name=name, password=f"{name}-secret", iceServers=ice, **more)
        if register:
            phone.do("register")
            phone.heard("registered")
        return phone

    yield open
    pages.close()


def heard_sound(*phones):
    for phone in phones:
        received = phone.received()
        assert received["packets"] > 50 and received["energy"] > 0 and received["local"] == "relay", received


@pytest.mark.parametrize(("caller", "callee"), [("jssip", "sipjs"), ("sipjs", "jssip")])
def test_a_call_rings_is_answered_is_heard_through_the_relay_and_ends(server, phone, caller, callee):
    ann, ben = phone(caller, "ann"), phone(callee, "ben")
    ann.do("call", "ben")
    assert ben.heard("incoming") == "ann"
    ann.heard("ringing")
    ben.do("answer")
    ann.heard("answered")
    heard_sound(ann, ben)
    assert server.metric("causeway_calls") == 1
    ann.do("dtmf", "5")
    assert ben.heard("dtmf") == "5"
    ann.do("hold")
    assert ben.heard("hold") == "remote" if callee == "jssip" else ben.heard("reinvite") == "hold"
    ann.do("unhold")
    ben.do("hangup")
    ann.heard("ended")
    server.wait_for_metric("causeway_calls", 0)
