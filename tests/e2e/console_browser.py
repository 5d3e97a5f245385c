"""A browser at the console: signed in, and watched for what it must not do."""

import contextlib
import os

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
]
ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
PICTURES = os.path.join(ROOT, "target", "console")
# The machine may be busy with other tests.
PATIENCE_MS = 20_000


@contextlib.contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Console:
    """A page of the console of a running server."""

    def __init__(self, browser, run, **options):
        self.run = run
        self.origin = f"http://127.0.0.1:{run.http_port}"
        self.context = browser.new_context(base_url=self.origin, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.foreign, self.problems = [], []
        self.page.on("request", self._on_request)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def _on_request(self, request):
        if not request.url.startswith((self.origin + "/", "blob:" + self.origin, "data:image/")):
            self.foreign.append(request.url)

    def _on_console(self, message):
        # The browser reports every answer above 399; what the page makes of it is looked at elsewhere.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def enter(self):
        """Comes in with an API token, which may what an owner may."""
        self.context.set_extra_http_headers({"Authorization": f"Bearer {self.run.token}"})
        return self

    def open(self, path):
        self.page.goto(path)
        self.settle()
        return self.page

    def settle(self):
        """Waits until the page shows what it is about."""
        self.page.wait_for_selector("h1")
        self.page.wait_for_function("() => !document.querySelector('.skeleton, [aria-busy=true]')")

    def assert_well_behaved(self):
        assert self.foreign == []
        assert self.problems == []
