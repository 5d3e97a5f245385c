"""The kernel fast path on the overview of the console: what `causeway fast-path status` tells, for people."""

import json
import socket

import pytest

from causeway import HOST, PASSWORD, USER, Causeway, wait_until
from console_browser import Console, chromium
from layout import PEER
from test_console_pages import overflow, take_picture, violations
from turn_client import TurnClient

CARD = ".card:has(h2:text-is('Kernel fast path'))"
PACKETS = 20


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module", params=["tc", "off"])
def server(request):
    with Causeway(fast_path=request.param) as running:
        running.mode = request.param
        if request.param != "off" and not running.metric("causeway_fast_path_flows_max"):
            pytest.skip("no fast path here")
        yield running


def told(server):
    status, _, body = server.request("/api/v1/overview")
    assert status == 200, body
    return json.loads(body).get("fastPath")


def test_the_overview_tells_what_the_kernel_relays(server, browser):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        TurnClient((HOST, server.turn_port), USER, PASSWORD) as turn,
        Console(browser, server, color_scheme="light") as console,
    ):
        peer.bind((PEER, 0))
        peer.settimeout(20)
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, peer.getsockname()).code == 0
        for _ in range(PACKETS):
            turn.send_channel(0x4000, b"ping")
            _, relayed = peer.recvfrom(100)
            peer.sendto(b"pong", relayed)
            assert turn.receive_payload() == b"pong"
        if server.mode == "off":
            assert told(server) is None
            page = console.enter().open("/")
            page.wait_for_selector("h2:text-is('Regions and health')")
            assert page.query_selector(CARD) is None
            return
        of = wait_until(lambda: (of := told(server))["packets"] == 2 * PACKETS and of, 20, "the packets to be counted")
        # All but the first of each direction.
        assert (of["packetsInKernel"], of["packetsByXdp"], of["channels"]) == (2 * PACKETS - 2, 0, 1)
        assert of["channelsMax"] == server.metric("causeway_fast_path_flows_max")
        outcomes = {row["outcome"]: row["count"] for row in of["outcomes"]}
        assert outcomes["forwarded_up"] == outcomes["forwarded_down"] == PACKETS - 1 and outcomes["passed_first"] == 2
        assert {"at": "lo/tc", "isAttached": True} in of["programs"]
        page = console.enter().open("/")
        text = page.wait_for_selector(CARD).inner_text()
        for expected in ("95.0 % of 40", f"1 of {of['channelsMax']:,}", "The first packet of a session", "Program at lo/tc", "attached"):
            assert expected in text, text
        assert "dropped" not in text.lower() and "taken off" not in text, text
        for width, height in ((1280, 900), (360, 760)):
            page.set_viewport_size({"width": width, "height": height})
            page.locator(CARD).scroll_into_view_if_needed()
            take_picture(page, f"overview-fast-path-{width}")
            assert overflow(page) == []
        assert violations(page) == []
        console.assert_well_behaved()
        assert turn.refresh(0).code == 0
