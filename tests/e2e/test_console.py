"""The console in a browser: signing in, keys, many updates, hostile names, the connection doctor."""

import json
import re
import time

import pytest

import console_data
from causeway import HOST, Causeway, wait_until
from console_browser import CHROMIUM, FLAGS, Console, chromium
from test_console_auth import Browser, token_of
from turn_client import TurnClient

PASSWORD = "a sentence is easiest to remember"
INITIAL_BYTES_MAX = 200_000


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def run():
    with Causeway() as running:
        yield running


@pytest.fixture
def console(browser, run):
    with Console(browser, run, viewport={"width": 1280, "height": 900}) as opened:
        yield opened.enter()
        opened.assert_well_behaved()


def welcome_link(run):
    [link] = re.findall(r"http://\S+/welcome#token=\S+", run.banner)
    return link


def api(run, path):
    status, _, body = run.request(path)
    assert status == 200, body
    return json.loads(body)


def test_signing_out_and_in_again(browser):
    with Causeway() as run, Console(browser, run) as console:
        page = console.page
        page.goto(welcome_link(run))
        page.get_by_label("E-mail address").fill("ann@example.net")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Open the console").click()
        page.get_by_role("button", name="Signed in as").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_role("heading", name="Sign in").wait_for()
        page.goto("/rooms")
        page.get_by_label("E-mail address").fill("ann@example.net")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        # Where one wanted to go is where one is.
        page.get_by_role("heading", name="Rooms", exact=True).wait_for()
        console.assert_well_behaved()


def test_the_first_page_is_small(browser, run):
    with Console(browser, run) as console:
        console.enter().open("/")
        sizes = console.page.evaluate(
            """() => Object.fromEntries([...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                 .filter(entry => !entry.name.includes('/api/')).map(entry => [entry.name, entry.encodedBodySize]))"""
        )
        assert sum(sizes.values()) < INITIAL_BYTES_MAX, sizes
        assert any(name.endswith(".js") for name in sizes)


def test_keys_lead_everywhere(console, run):
    for number in range(3):
        run.mint(room=f"key-room-{number}", initiator_client="alice", ttl=60)
    page = console.open("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.get_by_role("heading", name="Rooms", exact=True).wait_for()
    page.locator("a.row-link").nth(2).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    focused = page.evaluate("document.activeElement.innerText")
    assert focused == page.locator("a.row-link").first.inner_text()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=focused).wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("search this page").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.get_by_role("heading", name="Rooms", exact=True).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("key-room-1")
    page.wait_for_url("**/rooms?q=key-room-1")
    page.wait_for_function("() => document.querySelectorAll('a.row-link').length === 1")


# User names of TURN have neither spaces nor quotes.
HOSTILE_USER = "<svg/onload=window.hurt=1>"
HOSTILE = "<img src=x onerror=window.hurt=1>\"'</script><script>window.hurt=1</script>"


def test_hostile_names_stay_text(console, run):
    TurnClient((HOST, run.turn_port), HOSTILE_USER, "wrong").allocate()
    run.request("/api/v1/tokens", "POST", {"name": HOSTILE[:60], "scopes": ["read"]})
    run.request("/api/v1/webhooks", "POST", {"url": "https://example.net/?<script>window.hurt=1</script>"})
    assert run.request("/api/v1/users", "POST", {"email": "eve@example.net", "name": HOSTILE, "role": "viewer"})[0] == 201
    key = {"preset": "viewer", "name": HOSTILE[:60], "channel": "cam-*"}
    assert run.request("/api/v1/aws/access-keys", "POST", key)[0] == 201
    assert run.request("/api/v1/doctor", "POST", {"name": HOSTILE[:60]})[0] == 201
    # Rooms, clients and projects cannot be named so.
    for name in ("room", "initiator_client", "receiver_client"):
        assert run.request("/api/v1/credentials/ice", "POST", {name: HOSTILE})[0] == 422, name
    assert run.request("/api/v1/projects", "POST", {"slug": HOSTILE})[0] == 422
    minted = run.mint(room="hostile", initiator_client="alice", ttl=60, metadata={HOSTILE: HOSTILE})
    username = console_data.turn_server(minted)["username"]
    wait_until(lambda: "onload" in json.dumps(api(run, "/api/v1/failures")), 10, "the refusal to be written")
    shown = ("/tokens", "/users", "/aws", f"/credentials/{username}")
    others = ("/failures", "/webhooks", "/audit", "/doctor", "/rooms/hostile", "/failures?q=" + HOSTILE_USER, "/sessions?q=" + HOSTILE)
    for path in (*shown, *others):
        page = console.open(path)
        if path in shown:
            page.wait_for_function("() => document.body.textContent.includes('hurt=1')", timeout=20_000)
        assert page.evaluate("window.hurt") is None, path
        assert page.locator("img[src=x], svg[onload]").count() == 0, path


def test_a_hundred_updates_a_second_do_not_stop_the_page(console, run):
    page = console.open("/sessions")
    page.evaluate(
        """() => {
          window.longest = 0;
          new PerformanceObserver(list => list.getEntries().forEach(e => { window.longest = Math.max(longest, e.duration); }))
            .observe({type: 'longtask', buffered: false});
        }"""
    )
    minted = run.mint(room="busy", initiator_client="alice", ttl=600)
    started = count_started(run)
    began = time.monotonic()
    come_and_go(run, minted, began + 8)
    # A session that comes and goes is two events at least.
    per_second = 2 * (count_started(run) - started) / (time.monotonic() - began)
    assert per_second >= 100, per_second
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length > 5")
    assert page.evaluate("longest") < 100


def come_and_go(run, minted, until):
    """Sixty sessions a second that come and go."""
    begun = 0
    start = time.monotonic()
    while time.monotonic() < until:
        with console_data.client_of(run, minted) as client:
            assert client.allocate().code == 0
            client.refresh(0)
        begun += 1
        time.sleep(max(0, start + begun / 60 - time.monotonic()))


def count_started(run):
    return run.metric("causeway_allocations_created_total")


def test_the_doctor_tries_each_url_from_this_browser(console, run):
    page = console.open("/doctor")
    page.get_by_role("button", name="Examine").click()
    page.locator("[data-summary]").wait_for(timeout=90_000)
    assert page.locator("[data-summary]").get_attribute("data-summary") == "good"
    tones = page.eval_on_selector_all("[data-url]", "trials => trials.map(trial => [trial.dataset.url, trial.dataset.tone])")
    advertised = [url for server in run.mint(ttl=30)["iceServers"] for url in server["urls"]]
    assert [url for url, _ in tones] == advertised
    assert {tone for _, tone in tones} == {"good"}, tones
    assert "round trip takes" in page.locator("[data-url*='transport=tcp']").first.inner_text()


def test_the_doctor_says_what_is_wrong(browser):
    # This browser trusts no certificate that nobody signed.
    flags = [flag for flag in FLAGS if flag != "--ignore-certificate-errors"]
    strict = browser.browser_type.launch(executable_path=CHROMIUM, headless=True, args=flags)
    with Causeway(advertise_self_signed=True) as run, Console(strict, run) as console:
        page = console.enter().open("/doctor")
        page.get_by_role("button", name="Examine").click()
        page.locator("[data-summary]").wait_for(timeout=90_000)
        assert page.locator("[data-summary]").get_attribute("data-summary") == "warn"
        trial = page.locator("[data-url^='turns:'][data-url$='transport=tcp']").first
        assert trial.get_attribute("data-tone") == "bad"
        assert "does not trust the certificate" in trial.inner_text()
    strict.close()


def test_a_link_examines_for_somebody_else_and_shows_nothing_else(browser, console, run):
    page = console.open("/doctor")
    page.get_by_role("button", name="Link for somebody else").click()
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("[data-secret]").inner_text()
    with Console(browser, run, viewport={"width": 360, "height": 760}) as guest:
        asked = []
        guest.page.on("request", lambda request: asked.append(request.url))
        guest.page.goto(link)
        guest.page.get_by_role("button", name="Begin").click()
        guest.page.locator("[data-summary=good]").wait_for(timeout=90_000)
        assert not [url for url in asked if "/api/" in url], asked
        assert guest.page.get_by_role("link").count() == 0
        guest.assert_well_behaved()


def test_a_link_of_the_api_examines_and_keeps_the_result(browser, run):
    status, _, made = run.request("/api/v1/doctor", "POST", {"name": "customer 7", "maxOpens": 1})
    assert status == 201, made
    link = json.loads(made)
    with Console(browser, run, viewport={"width": 360, "height": 760}) as guest:
        page = guest.page
        page.goto(guest.origin + link["path"])
        page.get_by_role("button", name="Begin").click()
        page.locator("[data-summary=good]").wait_for(timeout=90_000)
        page.get_by_text("The result was sent").wait_for()
        assert page.get_by_role("link").count() == 0
        guest.assert_well_behaved()
        [kept] = api(run, f"/api/v1/doctor/results?link={link['id']}")["data"]
        tried = [finding["url"]["url"] for finding in kept["result"]["findings"]]
        assert tried == [url for server in run.mint(ttl=30)["iceServers"] for url in server["urls"]]
        assert kept["result"]["summary"] == page.locator("[data-summary] strong").inner_text()
        # It may be opened once.
        page.get_by_role("button", name="Check again").click()
        page.get_by_role("alert").wait_for()
        assert len(api(run, f"/api/v1/doctor/results?link={link['id']}")["data"]) == 1


def test_a_viewer_is_told_what_they_may_not_do(browser):
    with Causeway() as run:
        owner = Browser(run)
        first = {"token": token_of(run.banner), "password": PASSWORD, "email": "ann@example.net"}
        assert owner.ask("POST", "/api/v1/auth/welcome", first).status_code == 200
        link = owner.ask("POST", "/api/v1/users", {"email": "vic@example.net", "role": "viewer"}).json()["link"]
        calling = console_data.call(run, "seen", "alice", "bob", ends=False)
        username = calling[0].username
        [hook] = [json.loads(run.request("/api/v1/webhooks", "POST", {"url": "https://hooks.example.net/"})[2])["id"]]
        with Console(browser, run, viewport={"width": 1280, "height": 900}) as console:
            page = console.page
            page.goto(console.origin + link)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Open the console").click()
            page.get_by_role("heading", name="Overview").wait_for()
            wait_until(lambda: api(run, "/api/v1/sessions?room=seen")["data"], 20, "the session")
            session = api(run, "/api/v1/sessions?room=seen")["data"][0]["id"]
            for path, role in [
                ("/rooms/seen", "operator"),
                ("/clients/alice", "operator"),
                (f"/sessions/{session}", "operator"),
                (f"/credentials/{username}", "operator"),
                ("/doctor", "operator"),
                ("/tokens", "owner"),
                ("/webhooks", "owner"),
                (f"/webhooks/{hook}", "owner"),
                ("/regions", "owner"),
                ("/users", "owner"),
                ("/settings", "owner"),
            ]:
                console.open(path)
                note = page.locator(f"[data-only-for={role}]")
                note.wait_for()
                assert "You are signed in as viewer." in note.inner_text(), path
                assert page.locator("button.danger, main button.primary:enabled").count() == 0, path
            console.assert_well_behaved()


def test_the_live_view_follows_the_project_that_is_looked_at(browser, run):
    assert run.request("/api/v1/projects", "POST", {"slug": "other"})[0] == 201
    with Console(browser, run, viewport={"width": 1280, "height": 900}) as console:
        page = console.enter().open("/rooms")
        page.get_by_label("Project", exact=True).select_option("other")
        page.get_by_role("heading", name="No rooms yet").wait_for()
        page.locator(".live-dot.live").wait_for()
        # What happens in the other project is told by itself; what happens in this one is not mixed in.
        run.mint(room="of-default", initiator_client="alice", ttl=60)
        minted = run.request(
            "/api/v1/credentials/ice", "POST", {"room": "of-other"}, headers={"X-Causeway-Project": "other"}
        )
        assert minted[0] == 200, minted
        page.get_by_role("link", name="of-other", exact=True).wait_for()
        assert page.get_by_text("of-default").count() == 0
        page.get_by_label("Project", exact=True).select_option("default")
        page.get_by_role("link", name="of-default", exact=True).wait_for()
        assert page.get_by_text("of-other").count() == 0
        console.assert_well_behaved()


def test_the_doctor_shows_what_the_server_finds_of_itself(console, run):
    page = console.open("/doctor")
    page.get_by_role("button", name="Try from the server").click()
    page.locator("[data-server-summary]").wait_for(timeout=90_000)
    passes = page.eval_on_selector_all("[data-pass]", "all => all.map(one => [one.dataset.transport, one.dataset.pass])")
    assert {"udp", "tcp"} <= {transport for transport, found in passes if found == "ok"}, passes
    assert page.locator("[data-pass] p").first.inner_text().strip()
