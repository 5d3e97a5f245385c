"""Signing in to the console at an OpenID provider: `oidc-provider`, which is certified, and a real browser."""

import json
import re

import pytest

from causeway import Causeway, wait_until
from console_browser import Console, chromium
from oidc import Provider, Walker, with_query

STALE, REFUSED = "/?signInError=provider_stale", "/?signInError=provider_refused"


@pytest.fixture(scope="module")
def provider():
    made = Provider()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def run(provider):
    """People of example.net may come in as viewers; others have to be invited."""
    with Causeway(**provider.settings(oidc_default_role="viewer", oidc_domains=["example.net"])) as running:
        provider.start(running)
        yield running


@pytest.fixture
def walker(run):
    return Walker(run)


def api(run, path, method="GET", body=None):
    status, _, text = run.request(path, method, body)
    assert status < 300, text
    return json.loads(text)


def invite(run, email, role="operator"):
    return api(run, "/api/v1/users", "POST", {"email": email, "role": role})


def outcome(run, name):
    return run.metric(f'causeway_sign_ins_total{{outcome="{name}"}}')


def test_a_browser_goes_to_the_provider_and_comes_back_signed_in(run, provider):
    invite(run, "bob@example.org")
    with chromium() as browser, Console(browser, run) as console:
        page = console.page
        page.goto("/rooms?q=a%20room")
        page.get_by_role("link", name="Sign in with Example ID").click()
        page.get_by_role("heading", name="Example ID").wait_for()
        page.get_by_label("Subject").fill("bob-1")
        page.get_by_label("E-mail").fill("Bob@Example.org")
        page.get_by_label("Verified").check()
        page.get_by_role("button", name="Continue").click()
        # Where one wanted to go is where one is.
        page.get_by_role("heading", name="Rooms", exact=True).wait_for()
        assert page.url == f"{console.origin}/rooms?q=a%20room"
        page.get_by_role("button", name="Signed in as").wait_for()
        cookies = {cookie["name"]: cookie for cookie in console.context.cookies(console.origin)}
        assert "causeway_oidc" not in cookies, "what tied the answer to the browser is used up"
        assert cookies["causeway"]["httpOnly"] and cookies["causeway"]["sameSite"] == "Strict"
        # The other way: somebody who thinks better of it.
        page.get_by_role("button", name="Signed in as").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_role("heading", name="Sign in").wait_for()
        # The provider still knows the browser.
        console.context.clear_cookies(domain="localhost")
        page.get_by_role("link", name="Sign in with Example ID").click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("was cancelled or refused there").wait_for()
        page.wait_for_url(f"{console.origin}/rooms?q=a+room")
        assert console.problems == []
        assert {url.split("/")[2] for url in console.foreign} == {f"localhost:{provider.port}"}
    [bob] = [user for user in api(run, "/api/v1/users")["data"] if user["email"] == "bob@example.org"]
    assert (bob["role"], bob["signIn"], bob["state"]) == ("operator", ["oidc"], "active")
    entries = [entry for entry in api(run, "/api/v1/audit")["data"] if entry["user"] == "bob@example.org"]
    assert {("user.tie", "oidc"), ("user.sign_in", "oidc")} <= {(entry["action"], entry["detail"].get("by")) for entry in entries}
    assert outcome(run, "oidc") == 1 and outcome(run, "provider_denied") == 1


def test_newcomers_of_a_domain_come_in_with_the_default_role(run, walker):
    assert walker.sign_in("ann-1", "ann@example.net", back="/usage?group=room") == "/usage?group=room"
    assert (walker.me()["email"], walker.me()["role"], walker.me()["name"]) == ("ann@example.net", "viewer", "ann-1 at Example ID")
    # The subject is who she is, whatever the provider calls her later.
    again = Walker(run)
    assert again.sign_in("ann-1", "renamed@example.com", verified=False) == "/"
    assert again.me()["id"] == walker.me()["id"]


@pytest.mark.parametrize(
    ("email", "verified", "why"),
    [
        ("zoe@example.org", True, "not_let_in"),
        ("zoe@sub.example.net", True, "not_let_in"),
        ("zoe@example.net", False, "email_unverified"),
        ("carl@example.org", False, "email_unverified"),
    ],
)
def test_strangers_and_unverified_addresses_stay_out(run, walker, email, verified, why):
    if email.startswith("carl") and not any(user["email"] == email for user in api(run, "/api/v1/users")["data"]):
        invite(run, email, "owner")
    before = outcome(run, why)
    assert walker.sign_in("zoe-1", email, verified) == f"/?signInError={why}"
    assert walker.me() is None
    assert outcome(run, why) == before + 1


def test_an_address_that_was_given_to_somebody_else_opens_nothing(run, walker):
    # Somebody has to be left who may do everything, and who came by the provider counts.
    invite(run, "olga@example.org", "owner")
    assert Walker(run).sign_in("olga-1", "olga@example.org") == "/"
    invite(run, "dora@example.org")
    assert walker.sign_in("dora-1", "dora@example.org") == "/"
    assert Walker(run).sign_in("dora-2", "dora@example.org") == "/?signInError=not_let_in"
    number = walker.me()["id"]
    api(run, f"/api/v1/users/{number}", "PATCH", {"disabled": True})
    kept_out = Walker(run)
    assert kept_out.sign_in("dora-1", "dora@example.org") == "/?signInError=not_let_in"
    assert kept_out.me() is None


def test_an_answer_counts_once_and_for_its_own_browser(run, walker):
    back = walker.at_provider(walker.leave(), "eve-1", "eve@example.net")
    flow = walker.flow
    assert Walker(run).come_back(back) == STALE, "another browser"
    for state in ["", "A" * 43]:
        assert Walker(run, flow).come_back(with_query(back, state=state)) == STALE, "a wrong state"
    foreign = Walker(run, flow)
    for issuer in ["http://evil.example", None]:
        assert Walker(run, flow).come_back(with_query(back, iss=issuer)) == REFUSED, "another issuer, or none"
    assert foreign.come_back(with_query(back, code=None)) == REFUSED
    assert foreign.come_back(back) == STALE, "the cookie is gone after the first try"
    assert walker.come_back(back) == "/"
    assert walker.me()["email"] == "eve@example.net"
    assert walker.come_back(back) == STALE, "again"
    replayed = Walker(run, flow)
    assert replayed.come_back(back) == REFUSED, "the provider takes a code once"
    assert replayed.me() is None
    assert "invalid_grant" in run.log()


def test_one_address_has_thirty_tries(run, walker):
    before = outcome(run, "too_many_tries")
    answers = [walker.come_back("/api/v1/auth/oidc/callback?code=x&state=y") for _ in range(31)]
    assert answers == [STALE] * 30 + ["/?signInError=too_many_tries"]
    assert outcome(run, "too_many_tries") == before + 1


def test_a_token_for_another_sign_in_is_refused(run, walker):
    url = walker.leave()
    assert re.search(r"[?&]code_challenge_method=S256&?", url)
    back = walker.at_provider(with_query(url, nonce="of-another-sign-in"), "fay-1", "fay@example.net")
    assert walker.come_back(back) == REFUSED
    assert walker.me() is None
    assert "nonce is wrong" in run.log()
    # A code that was asked for without this browser's verifier is worth nothing.
    other = Walker(run)
    back = other.at_provider(with_query(other.leave(), code_challenge="A" * 43), "fay-1", "fay@example.net")
    assert other.come_back(back) == REFUSED


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example/", "/\\evil.example", "/a\r\nb: c", "/api/v1/auth/oidc", "javascript:alert(1)"])
def test_one_comes_back_to_this_server_only(run, walker, path):
    assert walker.leave(path).startswith("http://localhost:")
    kept = walker.flow.strip('"')
    assert re.fullmatch(r"[\w-]{43}\.\d+/", kept), kept


def test_a_page_elsewhere_signs_nobody_in(run, walker):
    answer = walker.console.get("/api/v1/auth/oidc?return=/rooms", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/rooms")
    assert "set-cookie" not in answer.headers


def test_a_planted_sign_in_is_not_taken_over(run, walker):
    planted = "A" * 43
    walker.console.cookies.set("causeway", planted)
    url = walker.at_provider(walker.leave(), "gil-1", "gil@example.net")
    answer = walker.console.get(url)
    cookies = answer.headers.get_list("set-cookie")
    [own] = [cookie for cookie in cookies if cookie.startswith("causeway=")]
    assert planted not in own and "HttpOnly" in own and "SameSite=Strict" in own
    secure = Walker(run)
    headers = {"X-Forwarded-Proto": "https"}
    kept = secure.console.get("/api/v1/auth/oidc", headers=headers).headers["set-cookie"]
    assert kept.startswith("__Host-causeway_oidc=") and "; Secure" in kept and "SameSite=Lax" in kept and "HttpOnly" in kept


def test_new_keys_of_the_provider_are_found(run, provider, walker):
    assert walker.sign_in("hal-1", "hal@example.net") == "/"
    for algorithm, email_in_id_token in [("ES256", True), ("EdDSA", False)]:
        provider.stop()
        provider.start(run, algorithm, email_in_id_token)
        # Newer keys are looked for once in five seconds: who is early tries again.
        entered = lambda later: later.sign_in("hal-1", "hal@example.net") == "/" and later
        later = wait_until(lambda: entered(Walker(run)), 30, f"a token signed by {algorithm}")
        assert later.me()["id"] == walker.me()["id"]


def test_a_provider_that_is_away_is_told_and_come_back_to():
    provider = Provider()
    with Causeway(**provider.settings()) as run:
        with chromium() as browser, Console(browser, run) as console:
            page = console.page
            page.goto("/rooms")
            page.get_by_role("link", name="Sign in with Example ID").click()
            page.get_by_role("alert").get_by_text("does not reach Example ID").wait_for()
            page.wait_for_url(f"{console.origin}/rooms")
        assert outcome(run, "provider_unreachable") >= 1
        assert run.metric('causeway_oidc_requests_total{outcome="failed"}') >= 1
        assert run.health() == 200
        invite(run, "ida@example.org")
        provider.start(run)
        walker = Walker(run)
        try:
            wait_until(lambda: walker.leave() != "/?signInError=provider_unreachable", 30, "the provider to be found")
            back = walker.at_provider(walker.leave(), "ida-1", "ida@example.org")
            provider.stop()
            assert walker.come_back(back) == "/?signInError=provider_unreachable", "gone meanwhile"
        finally:
            provider.stop()


def test_without_a_provider_there_is_no_way_to_it(start):
    run = start()
    for path in ["/api/v1/auth/oidc", "/api/v1/auth/oidc/callback?code=x&state=y"]:
        assert run.request(path)[0] == 404
    assert api(run, "/api/v1/auth")["methods"] == ["password"]
