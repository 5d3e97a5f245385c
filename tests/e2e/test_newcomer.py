"""Somebody's first quarter of an hour: from the printed link to a call that was seen, understood, counted and cut off.

They follow what the console shows, and use nothing else but the command it gives them.
"""

import json
import re
import subprocess

import pytest

from call_pages import CallPage, connect
from causeway import HOST, Causeway, wait_until
from console_browser import Console, chromium

PASSWORD = "a sentence is easiest to remember"
LIVE_WITHIN_MS = 2000


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def run():
    # Browsers gather on each address and try each URL; one of each keeps the story short.
    with Causeway(public_ip=[HOST], turn_tls_listen=None, usage_flush_interval="1s") as running:
        yield running


def test_a_newcomer_gets_from_the_printed_link_to_a_call_that_is_understood(browser, run):
    with Console(browser, run, viewport={"width": 1280, "height": 900}) as console:
        become_owner(console, run)
        command, token = follow_the_first_steps(console)
        alice, bob = CallPage(browser), CallPage(browser)
        minted = {side: shell(of_side(command, side), token) for side in ("initiator", "receiver")}
        room = see_it_live(console, alice, bob, minted)
        see_a_session_grow(console, room)
        alice.hang_up(), bob.hang_up()
        see_why_it_went_well(console, room)
        see_the_usage(console, run, room)
        cut_off(console, run, room, alice, bob, minted)
        console.assert_well_behaved()


def become_owner(console, run):
    [link] = re.findall(r"http://\S+/welcome#token=\S+", run.banner)
    page = console.page
    page.goto(link)
    page.get_by_label("E-mail address").fill("ann@example.net")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Open the console").click()
    page.get_by_role("heading", name="First steps").wait_for()


def follow_the_first_steps(console):
    """Makes a token, and takes the command that mints with it from where it is shown."""
    page = console.page
    page.get_by_role("link", name="Make an API token").click()
    page.get_by_role("button", name="New token").click()
    page.get_by_role("dialog").get_by_label("Name").fill("my application")
    page.get_by_role("button", name="Make the token").click()
    dialog = page.get_by_role("dialog")
    token = dialog.locator("[data-secret]").inner_text()
    command = dialog.locator(".command pre").inner_text()
    page.get_by_role("button", name="I have stored it").click()
    assert command.startswith("curl ")
    return command, token


def of_side(command, side):
    assert "client_type=initiator" in command
    return command.replace("client_type=initiator", f"client_type={side}")


def shell(command, token):
    """What the command answers, typed into a shell."""
    answer = subprocess.run(
        ["bash", "-c", command], env={"PATH": "/usr/bin:/bin", "CAUSEWAY_API_TOKEN": token}, capture_output=True, text=True, check=True
    )
    minted = json.loads(answer.stdout)
    assert minted.get("iceServers"), answer.stdout
    return minted


def see_it_live(console, alice, bob, minted):
    """The list of rooms says that one is live, by itself and soon. Returns its name."""
    page = console.open("/rooms")
    page.evaluate(
        """() => {
          const look = () => {
            const live = [...document.querySelectorAll('tbody tr')].find(row => /\\blive\\b/i.test(row.innerText));
            if (live) window.liveAt ??= Date.now();
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    for side, name in ((alice, "initiator"), (bob, "receiver")):
        side.join(minted[name])
    connect(alice, bob)
    assert alice.kinds() == ["relay", "relay"]
    page.wait_for_function("() => window.liveAt")
    took = page.evaluate("liveAt") - alice.page.evaluate("allocatedAt")
    assert took < LIVE_WITHIN_MS, took
    link = page.locator("a.row-link").first
    room = link.inner_text()
    link.click()
    page.get_by_role("heading", name=room, exact=True).wait_for()
    return room


def see_a_session_grow(console, room):
    """The session that carries the call: the one that carried the most, when the list is sorted by that."""
    page = console.page
    page.get_by_role("button", name="In", exact=True).click()
    page.wait_for_url("**sort=-in")
    console.settle()
    page.locator("a.row-link").first.click()
    page.get_by_role("heading", name="Bitrate").wait_for()
    messages = page.locator(".stat", has_text="From the client").locator(".hint")
    before = number(messages.inner_text())
    page.wait_for_function(
        "([label, least]) => [...document.querySelectorAll('.stat')].some(stat => stat.innerText.includes(label)"
        " && Number(stat.querySelector('.hint')?.innerText.replace(/\\D/g, '')) >= least)",
        arg=["From the client", before + 100],
    )
    page.go_back()
    page.get_by_role("heading", name=room, exact=True).wait_for()


def number(text):
    return int(re.sub(r"\D", "", text))


def see_why_it_went_well(console, room):
    """Both sides of the call side by side, and one sentence on top."""
    page = console.page
    page.locator("[data-verdict=relayed]").wait_for()
    sentence = page.locator("[data-verdict]").inner_text()
    assert sentence.startswith("All well: both sides used the relay, over"), sentence
    assert "data flowed both ways after" in sentence
    for side, name in (("left", "alice"), ("right", "bob")):
        for kind in ("credential_minted", "allocated", "peer_named", "first_data_sent", "first_data_heard", "ended"):
            entry = page.locator(f".timeline-row.{side}[data-kind={kind}]").first
            entry.wait_for()
            assert name in entry.locator(".who").text_content(), (side, kind)
    page.locator(".page-head").get_by_text("ended").wait_for()


def see_the_usage(console, run, room):
    """What the page adds up is what the sessions carried."""
    sessions = json.loads(run.request(f"/api/v1/sessions?room={room}&limit=200")[2])["data"]
    carried = sum(session["bytesIn"] + session["bytesOut"] for session in sessions)
    assert carried > 100_000

    def told():
        rows = json.loads(run.request("/api/v1/usage?group_by=room")[2])
        return sum(row["bytesIn"] + row["bytesOut"] for row in rows if row["key"] == room)

    wait_until(lambda: told() == carried, 20, "the usage to be written")
    page = console.open("/usage?by=room")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    with open(download.value.path()) as file:
        rows = json.load(file)
    assert sum(row["bytesIn"] + row["bytesOut"] for row in rows) == carried
    page.get_by_role("link", name=room).wait_for()


def cut_off(console, run, room, alice, bob, minted):
    """They call again with what they have; end and revoke stops them, and lets nobody back in."""
    for side, name in ((alice, "initiator"), (bob, "receiver")):
        side.join(minted[name])
    connect(alice, bob)
    page = console.open(f"/rooms/{room}")
    page.locator(".page-head").get_by_text("live").wait_for()
    page.get_by_role("button", name="End and revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="End and revoke").click()
    page.get_by_text("2 credentials revoked").wait_for()
    for side in (alice, bob):
        side.lost()
        side.hang_up()
    page.locator(".page-head").get_by_text("ended").wait_for()
    alice.join(minted["initiator"])
    offer = alice.page.evaluate("offer()")
    assert "typ relay" not in offer["sdp"]
    page.locator("[data-kind=refused]").first.wait_for()
    page.locator("[data-kind=credential_revoked]").first.wait_for()
