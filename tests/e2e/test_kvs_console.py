"""Access keys of AWS clients in the console: made, used, rotated, revoked; temporary credentials; channels."""

import re

import pytest

from causeway import wait_until
from console_browser import Console, chromium
from kvs import KvsServer
from test_kvs_keys import works


@pytest.fixture(scope="module")
def kvs():
    with KvsServer() as server:
        server.client().create_signaling_channel(ChannelName="cam-1")
        yield server


@pytest.fixture(scope="module")
def console(kvs):
    with chromium() as browser, Console(browser, kvs, viewport={"width": 1280, "height": 900}) as opened:
        yield opened.enter()
        opened.assert_well_behaved()


def secrets(page):
    """What the dialog shows this one time, by name."""
    page.locator("[data-secret]").first.wait_for()
    shown = {code.get_attribute("data-secret"): code.inner_text() for code in page.locator("[data-secret]").all()}
    page.get_by_role("button", name="I have stored it").click()
    return tuple(shown[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN") if name in shown)


def revoke(page):
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog", name=re.compile("^Revoke ")).get_by_role("button", name="Revoke").click()


def test_a_key_from_its_making_to_its_end_in_the_console(kvs, console):
    page = console.open("/aws")
    # Those of the configuration are there, and cannot be changed here.
    page.get_by_role("button", name="configured AKIDADMIN").click()
    page.get_by_text("It stands in the server's configuration").wait_for()
    assert page.get_by_role("button", name="Revoke").count() == 0
    page.keyboard.press("Escape")

    page.get_by_role("button", name="New access key").click()
    page.get_by_label("Name", exact=True).fill("front door")
    page.get_by_label("It may act as").select_option("viewer")
    page.get_by_label("Only channels").fill("cam-*")
    page.get_by_role("button", name="Make the key").click()
    first = secrets(page)
    assert len(first) == 2 and works(kvs, first) == "fine"

    page.get_by_role("button", name="front door").click()
    page.get_by_role("button", name="Rotate").click()
    second = secrets(page)
    assert second != first and works(kvs, second) == "fine" == works(kvs, first)

    page.get_by_role("button", name="front door").first.wait_for()
    page.get_by_label("Keys whose name or id has").fill(second[0])
    row = page.get_by_role("row").filter(has_text=second[0])
    row.get_by_role("button", name="front door").click()
    revoke(page)
    wait_until(lambda: works(kvs, second) == "UnrecognizedClientException", 20, "the key to be revoked")
    row.get_by_text("revoked").wait_for()


def test_temporary_credentials_and_channels_in_the_console(kvs, console):
    page = console.open("/aws?kind=temporary")
    page.get_by_role("button", name="Temporary credentials").click()
    page.get_by_label("Only as client").fill("visitor")
    page.get_by_role("button", name="Mint them").click()
    key = secrets(page)
    assert len(key) == 3 and works(kvs, key) == "fine"
    page.get_by_role("button", name=key[0]).click()
    revoke(page)
    wait_until(lambda: works(kvs, key) == "UnrecognizedClientException", 20, "them to be revoked")
    page.get_by_role("button", name="Channels").click()
    page.get_by_text("cam-1", exact=True).wait_for()
