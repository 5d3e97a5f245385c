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


def test_a_call_is_handed_on_blindly(server, phone):
    ann, ben, cat = phone("sipjs", "ann"), phone("jssip", "ben"), phone("sipjs", "cat")
    ann.do("call", "ben")
    ben.heard("incoming")
    ben.do("answer")
    ann.heard("answered")
    ann.do("transfer", "cat")
    assert ben.heard("referred") == "cat"
    assert cat.heard("incoming") == "ben"
    cat.do("answer")
    ann.heard("transferred")
    ann.do("hangup")
    ben.heard("ended")
    heard_sound(ben, cat)
    assert server.metric("causeway_calls") == 1
    cat.do("hangup")
    ben.heard("ended")
    server.wait_for_metric("causeway_calls", 0)


@pytest.mark.parametrize(("by", "moved", "to"), [("jssip", "sipjs", "jssip"), ("sipjs", "jssip", "sipjs")])
def test_a_call_is_handed_on_to_somebody_who_was_asked_first(server, phone, by, moved, to):
    ann, ben, cat = phone(by, "ann"), phone(moved, "ben"), phone(to, "cat")
    for other, name in [(ben, "ben"), (cat, "cat")]:
        ann.do("call", name)
        other.heard("incoming")
        other.do("answer")
        ann.heard("answered")
    ann.do("attend")
    assert cat.heard("incoming") == "ben"
    cat.do("answer")
    # The answer to the new call ends the one that it replaces.
    ann.heard("ended")
    ann.heard("transferred")
    ann.do("hangup_first")
    heard_sound(ben, cat)
    cat.do("hangup")
    server.wait_for_metric("causeway_calls", 0)


@pytest.mark.parametrize("interval", [90, 60])
def test_a_session_timer_is_refreshed_and_the_call_goes_on(server, phone, interval):
    ann, ben = phone("jssip", "ann", has_clock=True, timer=interval), phone("sipjs", "ben")
    ann.do("call", "ben")
    ben.heard("incoming")
    ben.do("answer")
    ann.heard("answered")
    # The client refreshes after half of its interval, of which it has sixty seconds as the least.
    ann.page.clock.fast_forward(interval * 500 + 1000)
    assert ann.heard("refreshed") == 200
    assert server.metric("causeway_calls") == 1
    ben.do("hangup")
    assert ann.heard("ended")
    server.wait_for_metric("causeway_calls", 0)


def test_texts_outside_a_call_reach_whoever_is_registered(server, phone):
    ann, ben = phone("jssip", "ann"), phone("sipjs", "ben")
    for one, other, name, to in [(ann, ben, "ann", "ben"), (ben, ann, "ben", "ann")]:
        one.do("text", to, "how are you?")
        assert other.heard("text") == f"{name}: how are you?"
        one.heard("told")
        one.do("text", "cat", "anybody there?")
        assert one.heard("not told") == 480
