"""Signing in to the console, and what others try: the whole server, with an ordinary HTTP client."""

import os
import re
import subprocess

import httpx
import pytest

from causeway import wait_until

PASSWORD = "correct horse battery"
ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """Keeps cookies and repeats the CSRF token, as the console does."""

    def __init__(self, server):
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", timeout=20)
        self.csrf = None

    def ask(self, method, path, body=None, **headers):
        all_headers = {**ORIGIN, **({"X-CSRF-Token": self.csrf} if self.csrf else {}), **headers}
        answer = self.client.request(method, path, json=body, headers=all_headers)
        if answer.status_code == 200 and answer.content and "csrfToken" in answer.json():
            self.csrf = answer.json()["csrfToken"]
        return answer

    def login(self, email, password):
        return self.ask("POST", "/api/v1/auth/login", {"email": email, "password": password})


def token_of(text):
    return re.search(r"/welcome#token=(cwl_[\w-]+)", text)[1]


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def owner(server):
    browser = Browser(server)
    body = {"token": token_of(server.banner), "password": PASSWORD, "email": "ann@example.net", "name": "Ann"}
    assert browser.ask("POST", "/api/v1/auth/welcome", body).status_code == 200
    return browser


def invite(server, owner, email, role):
    made = owner.ask("POST", "/api/v1/users", {"email": email, "role": role})
    assert made.status_code == 201, made.text
    browser = Browser(server)
    entered = browser.ask("POST", "/api/v1/auth/welcome", {"token": token_of(made.json()["link"]), "password": PASSWORD})
    assert entered.status_code == 200, entered.text
    return browser, made.json()["user"]["id"]


def test_the_printed_link_works_once_and_the_command_makes_others(server, owner):
    again = {"token": token_of(server.banner), "password": PASSWORD, "email": "eve@example.net"}
    assert Browser(server).ask("POST", "/api/v1/auth/welcome", again).json()["error"] == "bad_link"
    command = [os.environ["CAUSEWAY_BIN"], "console-link", "--data-dir", server.data_dir]
    assert subprocess.run(command, capture_output=True, text=True).returncode == 1, "there is an owner already"
    rescued = subprocess.run([*command, "ann@example.net"], capture_output=True, text=True, check=True)
    body = {"token": token_of(rescued.stdout), "password": "another long password"}
    assert Browser(server).ask("POST", "/api/v1/auth/welcome", body).status_code == 200
    wait_until(lambda: owner.ask("GET", "/api/v1/me").status_code == 401, 5, "the old sign-in to end")


def test_the_cookie_is_out_of_reach_and_new_at_every_sign_in(server, owner):
    planted = "A" * 43
    browser = Browser(server)
    browser.client.cookies.set("causeway", planted)
    answer = browser.login("ann@example.net", PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Domain" not in cookie
    assert planted not in cookie
    other = Browser(server).login("ann@example.net", PASSWORD).headers["set-cookie"]
    assert other.split(";")[0] != cookie.split(";")[0]
    behind_tls = Browser(server).ask(
        "POST", "/api/v1/auth/login", {"email": "ann@example.net", "password": PASSWORD}, **{"X-Forwarded-Proto": "https"}
    )
    assert behind_tls.headers["set-cookie"].startswith("__Host-causeway=") and "; Secure" in behind_tls.headers["set-cookie"]


def test_a_page_elsewhere_can_neither_act_nor_sign_in(server, owner):
    body = {"name": "stolen", "scopes": ["admin"]}
    for headers in [
        {"X-CSRF-Token": "wrong"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]:
        refused = owner.ask("POST", "/api/v1/tokens", body, **headers)
        assert (refused.status_code, refused.json()["error"]) == (403, "csrf"), headers
    foreign = Browser(server).ask(
        "POST", "/api/v1/auth/login", {"email": "ann@example.net", "password": PASSWORD}, **{"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    assert "set-cookie" not in foreign.headers
    assert owner.ask("POST", "/api/v1/tokens", body).status_code == 201


def test_signing_out_and_being_kept_out_count_at_once(server, owner):
    bob, number = invite(server, owner, "bob@example.net", "operator")
    stolen = dict(bob.client.cookies)
    assert bob.ask("POST", "/api/v1/auth/logout").status_code == 204
    thief = httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/me", cookies=stolen)
    assert thief.json()["error"] == "signed_out"
    assert bob.login("bob@example.net", PASSWORD).status_code == 200
    assert owner.ask("PATCH", f"/api/v1/users/{number}", {"disabled": True}).json()["state"] == "disabled"
    assert bob.ask("GET", "/api/v1/me").status_code == 401
    assert bob.login("bob@example.net", PASSWORD).json()["error"] == "bad_login"
    audit = owner.ask("GET", "/api/v1/audit").json()["data"]
    assert {"ann@example.net", "bob@example.net"} <= {entry["user"] for entry in audit}


def test_signing_out_everywhere_ends_every_browser_of_that_person_and_its_streams(server, owner):
    phone, colleague = Browser(server), invite(server, owner, "ben@example.net", "viewer")[0]
    assert phone.login("ann@example.net", PASSWORD).status_code == 200
    with phone.client.stream("GET", "/api/v1/events", headers=ORIGIN) as stream:
        assert stream.status_code == 200
        assert owner.ask("POST", "/api/v1/auth/logout-everywhere").status_code == 204
        assert not owner.client.cookies.get("causeway")
        # It ends: a read that went on would wait for the client's patience, and fail.
        for _ in stream.iter_raw():
            pass
    kept = phone.client.cookies.get("causeway")
    assert [one.ask("GET", "/api/v1/me").status_code for one in (owner, phone)] == [401, 401]
    stolen = httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/me", cookies={"causeway": kept}, headers=ORIGIN)
    assert kept and stolen.status_code == 401
    assert colleague.ask("GET", "/api/v1/me").status_code == 200


def test_a_role_is_what_it_is_for(server, owner):
    viewer, number = invite(server, owner, "vic@example.net", "viewer")
    assert viewer.ask("GET", "/api/v1/rooms").status_code == 200
    for method, path, body in [
        ("POST", "/api/v1/credentials/ice", {}),
        ("POST", "/api/v1/credentials/revoke", {"room": "a"}),
        ("PATCH", f"/api/v1/users/{number}", {"role": "owner"}),
        ("GET", "/api/v1/users", None),
        ("PUT", "/api/v1/settings", {}),
    ]:
        assert viewer.ask(method, path, body).status_code == 403, path
    owner.ask("PATCH", f"/api/v1/users/{number}", {"role": "operator"})
    assert viewer.ask("POST", "/api/v1/credentials/ice", {}).status_code == 200
    assert viewer.ask("POST", "/api/v1/credentials/revoke", {"room": "a"}).status_code == 200
    assert viewer.ask("POST", "/api/v1/tokens", {"name": "x", "scopes": ["read"]}).status_code == 403
    assert owner.ask("PATCH", "/api/v1/users/1", {"role": "viewer"}).json()["error"] == "last_owner"


def test_guessing_ends_after_ten_tries_for_known_and_unknown_people_alike(server, owner):
    for email in ["ann@example.net", "nobody@example.net"]:
        answers = [Browser(server).login(email, "a wrong password") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429], email
        assert {answer.json()["message"] for answer in answers[:10]} == {"e-mail address or password is wrong"}
        assert int(answers[10].headers["retry-after"]) >= 1
    assert owner.ask("GET", "/api/v1/me").status_code == 200, "who is in stays in"


def test_a_sign_in_ends_without_use(start):
    server = start(console_idle_timeout="1s")
    browser = Browser(server)
    body = {"token": token_of(server.banner), "password": PASSWORD, "email": "ann@example.net"}
    assert browser.ask("POST", "/api/v1/auth/welcome", body).status_code == 200
    cookies = dict(browser.client.cookies)
    # Asking is use: somebody else watches the clock by the banner's token, and asks once.
    deadline = wait_until(lambda: server.request("/api/v1/me")[1].get("Date"), 5, "a date")
    wait_until(lambda: later_by(server, deadline, 3), 10, "three seconds of the server's clock")
    assert httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/me", cookies=cookies).status_code == 401


def later_by(server, then, seconds):
    from email.utils import parsedate_to_datetime

    now = server.request("/api/v1/me")[1].get("Date")
    return (parsedate_to_datetime(now) - parsedate_to_datetime(then)).total_seconds() >= seconds


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)//{room}", "//evil.example/{room}", "https://{room}/", "https://a@evil.example/{room}", "data:,{room}"],
)
def test_a_link_template_leads_where_it_says(server, owner, link):
    refused = owner.ask("PUT", "/api/v1/settings", {"roomLink": link})
    assert refused.status_code == 422
    assert refused.json()["details"][0]["field"] == "roomLink"
