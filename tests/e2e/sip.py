"""SIP clients for browsers against the program under test: a page is a phone."""

import contextlib
import os
import subprocess
import tempfile

from playwright.sync_api import sync_playwright

from causeway import HOST, Causeway, free_port, wait_until
from test_browser import FLAGS

CLIENTS = os.path.join(os.path.dirname(__file__), "clients", "sip")
LIBRARIES = {"jssip": "JsSIP.js", "sipjs": "SIP.js", "aculab4": "Aculab4.js", "aculab3": "Aculab3.js"}
DOMAIN = "example.test"


def users(*names, **more):
    """`[calls]` with users whose password is their name and `-secret`."""
    lines = ["[calls]"] + [f"{name} = {value}" for name, value in more.items()]
    for name in names:
        lines += ["[[calls.user]]", f'name = "{name}"', f'password = "{name}-secret"']
    return "\n".join(lines) + "\n"


class SipServer(Causeway):
    """A server with a TLS listener that is not on loopback: browsers ask the user before a page may speak to that."""

    def __init__(self, tables="", **settings):
        self.https_port = free_port()
        settings = {
            "http_tls_listen": f"{HOST}:{self.https_port}", "public_host": HOST, "public_ip": [HOST],
            "advertise_self_signed": True, **settings,
        }
        super().__init__(tables=tables, **settings)

    def ice_servers(self):
        """For clients that do not ask for them by SIP."""
        turn = self.mint(ttl=600)["iceServers"][1]
        return [{**turn, "urls": [url for url in turn["urls"] if url.startswith("turn:") and url.endswith("transport=udp")]}]

    def wait_for_metric(self, name, value):
        wait_until(lambda: self.metric(name) == value, 20, f"{name} to be {value}")

    def wss(self, path="/sip"):
        return f"wss://{HOST}:{self.https_port}{path}"


@contextlib.contextmanager
def browser():
    """Opens pages that are phones: `open(kind, **options)`."""
    with tempfile.TemporaryDirectory() as scripts, sync_playwright() as playwright:
        subprocess.run(["node", "bundle.mjs", scripts], cwd=CLIENTS, check=True, timeout=60)
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=FLAGS)
        context = chromium.new_context(permissions=["camera", "microphone"], ignore_https_errors=True)
        yield Phones(context, scripts)
        chromium.close()


class Phones:
    def __init__(self, context, scripts):
        self.context, self.scripts = context, scripts
        self.opened = []

    def open(self, kind, has_clock=False, **options):
        page = self.context.new_page()
        if has_clock:
            # Its timers can be moved on; they run by themselves until then.
            page.clock.install()
        page.route("http://localhost/", lambda route: route.fulfill(body="<title>phone</title>", content_type="text/html"))
        page.goto("http://localhost/")
        page.add_script_tag(path=os.path.join(self.scripts, LIBRARIES[kind]))
        page.add_script_tag(path=os.path.join(CLIENTS, "phones.js"))
        phone = Phone(page)
        page.evaluate("([kind, options]) => open(kind, options)", [kind, options])
        self.opened.append(phone)
        return phone

    def close(self):
        for phone in self.opened:
            phone.page.close()
        self.opened.clear()


class Phone:
    """Its commands are those of phones.js; `heard` waits for what it tells."""

    def __init__(self, page):
        self.page = page
        self.read = 0

    def do(self, command, *arguments):
        return self.page.evaluate("([command, args]) => phone[command](...args)", [command, list(arguments)])

    def heard(self, name):
        """Waits for the next entry of this name; its detail."""
        found = self.page.evaluate("([name, from]) => heard(name, from)", [name, self.read])
        assert "missing" not in found, found
        self.read = found["at"] + 1
        return found["detail"]

    def received(self):
        return self.page.evaluate("() => received(phone.pc())")

    def heard_now(self):
        """What came so far: packets, energy, frames."""
        return self.page.evaluate("() => heardNow(phone.pc())")

    def log(self):
        return self.page.evaluate("() => log")
