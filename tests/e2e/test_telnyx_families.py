"""Calls between Telnyx's browser client and SIP clients for browsers, all unmodified, in one project."""

import base64
import json

import pytest

from sip import DOMAIN, SipServer, browser, users
from telnyx_pages import ENERGY, Page, VoiceServer


class Server(VoiceServer):
    ice_servers, wss, wait_for_metric = SipServer.ice_servers, SipServer.wss, SipServer.wait_for_metric


@pytest.fixture(scope="module")
def server():
    # No URL that cannot be reached: gathering waits five seconds for one.
    with Server(tables=users("ann"), turn_tls_listen=[]) as server:
        server.connection("teresa")
        yield server


@pytest.fixture(scope="module")
def pages():
    with browser() as pages:
        yield pages


@pytest.fixture
def telnyx(server, pages):
    page = Page(pages.context).login(server, login="teresa", password="Password1").ready()
    yield page
    page.close()


def sip_phone(server, pages, kind):
    if kind == "sipjs":
        phone = pages.open(kind, url=server.wss(), domain=DOMAIN, name="ann", password="ann-secret", iceServers=server.ice_servers())
    else:
        status, _, body = server.request("/api/v1/client-tokens", "POST", {"clientId": "ann", "callees": ["*"]})
        assert status == 201, body
        token = json.loads(body)["token"]
        part = token.split(".")[1]
        issuer = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["iss"]
        phone = pages.open(kind, name="ann", url=server.wss("/sipproxy"), cloud="1-2-0", key=issuer, token=token)
    phone.do("register")
    phone.heard("registered")
    return phone


def heard_sound(telnyx, phone):
    got = telnyx.run(ENERGY)
    assert got["energy"] > 0.0001 and got["packets"] > 50, got
    received = phone.received()
    assert received["packets"] > 50 and received["energy"] > 0 and received["local"] == "relay", received


@pytest.mark.parametrize("kind", ["sipjs", "aculab4"])
def test_a_telnyx_client_and_a_sip_client_call_each_other_and_are_heard(server, pages, telnyx, kind):
    phone = sip_phone(server, pages, kind)
    telnyx.run("window.dial('ann')")
    assert phone.heard("incoming") == "teresa"
    phone.do("answer")
    telnyx.state("active")
    heard_sound(telnyx, phone)
    telnyx.run("window.call.hangup()")
    phone.heard("ended")

    phone.do("call", "teresa")
    telnyx.rings()
    telnyx.run("window.accept()")
    phone.heard("answered")
    telnyx.state("active")
    assert telnyx.run("window.call.options.remoteCallerNumber") == "ann"
    heard_sound(telnyx, phone)
    phone.do("hangup")
    assert telnyx.ended()[:2] == ["NORMAL_CLEARING", 16]

    telnyx.run("window.dial('ann')")
    phone.heard("incoming")
    phone.do("reject", 486)
    assert telnyx.ended() == ["USER_BUSY", 17, 486]
    server.wait_for_metric("causeway_calls", 0)
    pages.close()
