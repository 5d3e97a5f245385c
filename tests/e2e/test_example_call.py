"""The README's call between two tabs: its commands, its page as npm serves it, in headless Chromium."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

from causeway import HOST, Causeway, wait_until
from console_browser import CHROMIUM, PATIENCE_MS
from sip import CLIENTS
from test_browser import FLAGS

ROOT = pathlib.Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "call"
PAGE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def run():
    with Causeway(public_ip=[HOST]) as running:
        yield running


def steps(beginning):
    """The commands of the README's block that begins so, as a reader of it has them."""
    [block] = re.findall(rf"^```sh\n({re.escape(beginning)}.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    return block


def shell(server, folder, script):
    script = script.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{server.http_port}")
    environment = {"PATH": os.environ["PATH"], "CAUSEWAY_API_TOKEN": server.token}
    return subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):
    """The page, served as the README says; the packages are those that the tests installed already."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(EXAMPLE, folder / "examples" / "call", ignore=shutil.ignore_patterns("node_modules", "ice.json"))
    os.symlink(os.path.join(CLIENTS, "node_modules"), folder / "examples" / "call" / "node_modules")
    mint = steps("export CAUSEWAY_API_TOKEN=").split("\n", 1)[1]
    users, serve = steps("for name in alice bob").split("cp ice.json", 1)
    assert "expiresAt" in shell(run, folder, mint)
    assert "alice likes to talk" in shell(run, folder, users)
    assert serve.endswith("cd examples/call && npm install && npm start\n")
    serve = "cp ice.json" + serve.replace("npm install && ", "exec ")
    server = subprocess.Popen(["bash", "-euc", serve], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: served(server), 30, "the page to be served")
        yield f"{PAGE}/?server=127.0.0.1:{run.http_port}"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(10)


def served(server):
    assert server.poll() is None, "npm start ended"
    try:
        return urllib.request.urlopen(PAGE + "/built/call.js", timeout=5).status == 200
    except urllib.error.URLError:
        return False


@pytest.fixture(scope="module")
def tabs(address):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)

        def tab(name, password):
            page = chromium.new_context(permissions=["microphone"]).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address)
            page.get_by_label("I am").fill(name)
            page.get_by_label("with the password").fill(password)
            page.get_by_role("button", name="Register").click()
            return page

        yield tab
        chromium.close()


def says(page, text):
    expect(page.locator("#state")).to_have_text(text, timeout=PATIENCE_MS)


def test_two_tabs_call_each_other(run, tabs):
    alice, bob = tabs("alice", "alice likes to talk"), tabs("bob", "bob likes to talk")
    says(alice, "Registered as alice.")
    says(bob, "Registered as bob.")
    alice.get_by_label("Call").fill("bob")
    alice.get_by_role("button", name="Call", exact=True).click()
    says(bob, "alice calls.")
    says(alice, "bob is rung.")
    bob.get_by_role("button", name="Answer").click()
    for page, other in ((alice, "bob"), (bob, "alice")):
        says(page, f"Talking to {other}.")
        page.wait_for_function("() => document.querySelector('#sound').currentTime > 0.5")
    bob.get_by_role("button", name="Hang up").click()
    says(alice, "Over: Terminated.")
    expect(alice.get_by_role("button", name="Hang up")).to_be_hidden()


def test_what_goes_wrong_is_said(run, tabs):
    says(tabs("alice", "something else"), "Not registered: Authentication Error.")
    alice = tabs("alice", "alice likes to talk")
    says(alice, "Registered as alice.")
    alice.get_by_label("Call").fill("nobody")
    alice.get_by_role("button", name="Call", exact=True).click()
    says(alice, "No call: Unavailable.")
