"""Every page of the console: with nothing, little and much to show, in both colours, narrow and wide.

The pictures are in target/console/, to be looked at.
"""

import os
import urllib.parse

import pytest

import console_data
from causeway import Causeway
from console_browser import PICTURES, ROOT, Console, chromium

with open(os.path.join(ROOT, "console", "node_modules", "axe-core", "axe.min.js")) as file:
    AXE = file.read()

LISTS = [
    "/",
    "/rooms",
    "/clients",
    "/registrations",
    "/calls",
    "/sessions",
    "/failures",
    "/failures?by=reason",
    "/usage",
    "/usage?by=client&range=7d",
    "/credentials",
    "/tokens",
    "/voice",
    "/voice?kind=credentials",
    "/aws",
    "/aws?kind=temporary",
    "/doctor",
    "/regions",
    "/webhooks",
    "/audit",
    "/users",
    "/settings",
    "/nowhere",
]
SIZES = {"light": [(2560, 1300), (360, 760), (1280, 900)], "dark": [(360, 760), (1280, 900)]}
AMOUNTS = [0, 3, 10_000]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module", params=AMOUNTS, ids=lambda n: f"{n}-rows")
def shown(request, tmp_path_factory, browser):
    """A server with that much in its database, and the console in front of it."""
    data_dir = str(tmp_path_factory.mktemp("console") / "data")
    if request.param > 3:
        with Causeway(data_dir=data_dir) as run:
            console_data.end(run, console_data.some(run))
            run.stop()
            console_data.many(run, request.param)
    with Causeway(data_dir=data_dir) as run:
        kept = console_data.some(run) if request.param == 3 else []
        with Console(browser, run, color_scheme="light") as console:
            yield request.param, console.enter()
            console.assert_well_behaved()
        del kept


def pages_of(console):
    """The lists, and the page of the first thing on each."""
    details = []
    for path in ("/rooms", "/clients", "/calls", "/sessions", "/credentials", "/webhooks"):
        page = console.open(path)
        link = page.query_selector("a.row-link")
        if link:
            details.append(link.get_attribute("href"))
    return LISTS + details


def test_every_page_in_every_form(shown):
    amount, console = shown
    faults = []
    for path in pages_of(console):
        page = console.open(path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width, height in SIZES[scheme]:
                page.set_viewport_size({"width": width, "height": height})
                take_picture(page, f"{name_of(path)}-{amount}-{scheme}-{width}")
                faults += [f"{path} {scheme} {width}: {fault}" for fault in overflow(page)]
            faults += [f"{path} {scheme}: {fault}" for fault in violations(page)]
    assert faults == []


def name_of(path):
    parsed = urllib.parse.urlparse(path)
    parts = [part for part in parsed.path.split("/") if part]
    name = parts[0] if parts else "overview"
    return name + ("-one" if len(parts) > 1 else "") + ("-grouped" if "by=" in parsed.query else "")


def take_picture(page, name):
    os.makedirs(PICTURES, exist_ok=True)
    # Two frames, so that what follows the width has followed it.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=os.path.join(PICTURES, f"{name}.png"), animations="disabled")


def overflow(page):
    """What is wider than the window."""
    return page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.querySelectorAll('main *, .topbar *')]
            .filter(element => element.getBoundingClientRect().right > width + 1)
            .slice(0, 5)
            .map(element => `too wide: ${element.tagName}.${element.className}`);
        }"""
    )


def violations(page):
    """What axe-core finds serious."""
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:3]
    ]
