"""The token service of clients that register and call, as curl, Python's clients and a browser's form ask for it."""

import json
import subprocess
import time

import httpx
import jwt
import pytest
import requests

from causeway import Causeway, wait_until
from console_browser import chromium
from postgres import Postgres

USER = "1-2-0/you@example.com"
MINT = "/webrtc_generate_token"


@pytest.fixture(scope="module")
def run():
    with Causeway(api_requests_per_sec=100000, api_requests_burst=100000) as running:
        yield running


def origin(run):
    return f"http://127.0.0.1:{run.http_port}"


def ask(run, method="GET", path=MINT, auth=(USER, "e2e-token"), **options):
    return requests.request(method, origin(run) + path, auth=auth, timeout=20, **options)


def verified(run, token):
    """The claims, by an independent library, with the key it finds at the well-known address."""
    key = jwt.PyJWKClient(origin(run) + "/.well-known/jwks.json").get_signing_key_from_jwt(token)
    return jwt.decode(token, key.key, algorithms=["RS256"], audience="1-2-0")


def code(answer):
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert list(body) == ["error", "request"] and body["request"]["url"] == MINT
    assert body["error"]["link"].startswith("http")
    time.strptime(body["error"]["datetime"], "%Y-%m-%d_%H:%M:%S")
    time.strptime(body["request"]["datetime"], "%Y-%m-%d_%H:%M:%S")
    return answer.status_code, body["error"]["code"]


def test_what_is_not_given_has_its_default_and_the_token_verifies(run):
    answer = ask(run, params={"client_id": "alice"})
    assert answer.status_code == 200 and list(answer.json()) == ["token"]
    token = answer.json()["token"]
    claims = verified(run, token)
    access = json.loads(run.request("/api/v1/client-tokens/access")[2])
    assert claims["sub"] == "alice" and claims["aud"] == "1-2-0" == access["cloudId"]
    assert claims["iss"] == access["accessKey"] and claims["scope"] == ["webrtcclient"]
    assert claims["exp"] - claims["iat"] == 3600 and claims["nbf"] == claims["iat"]
    assert (claims["enable_incoming"], claims["call_client"]) == (True, [])
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"], len(header["kid"])) == ("RS256", "JWT", 43)
    with pytest.raises(jwt.InvalidSignatureError):
        head, body, signature = token.split(".")
        verified(run, ".".join((head, body, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB"))))


SAID = {"client_id": "a.B-c_d+1", "ttl": "600", "enable_incoming": "false", "call_client": "bob,team-*"}


def by_curl_get(run):
    # As some callers do: nothing escaped, and a content type without content.
    query = "&".join(f"{name}={value}" for name, value in SAID.items())
    return curl(run, "-H", "Content-Type: application/json", "--globoff", f"{origin(run)}{MINT}?{query}")


def by_curl_form(run):
    return curl(run, *(part for name, value in SAID.items() for part in ("--data-urlencode", f"{name}={value}")), origin(run) + MINT)


def by_curl_multipart(run):
    return curl(run, *(part for name, value in SAID.items() for part in ("-F", f"{name}={value}")), origin(run) + MINT)


def curl(run, *arguments):
    done = subprocess.run(["curl", "-sS", "-u", f"{USER}:{run.token}", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_requests_get(run):
    return ask(run, params=SAID).json()


def by_requests_form(run):
    return ask(run, "POST", data={**SAID, "call_client": ["bob", "team-*"]}).json()


def by_requests_multipart(run):
    return ask(run, "POST", files={name: (None, value) for name, value in SAID.items()}).json()


def by_httpx_mixed(run):
    query = {"client_id": SAID["client_id"], "ttl": "600", "call_client": "bob"}
    form = {"enable_incoming": "false", "call_client": "team-*"}
    return httpx.post(origin(run) + MINT, params=query, data=form, auth=(USER, run.token), timeout=20).json()


@pytest.mark.parametrize(
    "way", [by_curl_get, by_curl_form, by_curl_multipart, by_requests_get, by_requests_form, by_requests_multipart, by_httpx_mixed]
)
def test_every_way_to_say_it_means_the_same(run, way):
    claims = verified(run, way(run)["token"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("a.B-c_d+1", 600)
    assert (claims["enable_incoming"], claims["call_client"]) == (False, ["bob", "team-*"])


def test_a_page_of_another_origin_asks_with_a_form_in_parts(run):
    script = """
      async ([url, user, key]) => {
        const form = new FormData();
        for (const [name, value] of [['client_id', 'from-a-page'], ['ttl', '700'], ['call_client', 'a'], ['call_client', 'b*']])
          form.append(name, value);
        const headers = {Authorization: 'Basic ' + btoa(`${user}:${key}`)};
        const good = await fetch(url, {method: 'POST', headers, body: form});
        const bad = await fetch(url, {method: 'POST', headers, body: new FormData()});
        return {token: (await good.json()).token, status: bad.status, code: (await bad.json()).error.code};
      }
    """
    with chromium() as browser:
        page = browser.new_page()
        # Another name of the same address is another origin, and one that a browser lets ask a server on loopback.
        page.goto(f"http://localhost:{run.http_port}/healthz")
        told = page.evaluate(script, [origin(run) + MINT, USER, run.token])
    claims = verified(run, told["token"])
    assert (claims["sub"], claims["exp"] - claims["iat"], claims["call_client"]) == ("from-a-page", 700, ["a", "b*"])
    assert (told["status"], told["code"]) == (400, "0001")


@pytest.mark.parametrize(
    "query, expected",
    [
        ("", "0001"),
        ("client_id=", "0001"),
        ("client_id=a@b", "0002"),
        ("client_id=" + "x" * 256, "0002"),
        ("client_id=a&client_id=a", "0003"),
        ("client_id=a&ttl=599", "0002"),
        ("client_id=a&ttl=86401", "0002"),
        ("client_id=a&ttl=soon", "0002"),
        ("client_id=a&ttl=0", "0004"),
        ("client_id=a&ttl=600&ttl=600", "0003"),
        ("client_id=a&enable_incoming=yes", "0002"),
        ("client_id=a&enable_incoming=true&enable_incoming=true", "0003"),
        ("client_id=a&call_client=a,,b", "0002"),
        ("client_id=a&call_client=a*b", "0002"),
    ],
)
def test_every_fault_has_its_code(run, query, expected):
    for method in ("GET", "POST"):
        assert code(ask(run, method, f"{MINT}?{query}")) == (400, expected)


@pytest.mark.parametrize("query", ["ttl=600", "ttl=86400", "enable_incoming=true", "call_client=", "call_client=*", "unknown=1"])
def test_the_edges_are_inside(run, query):
    assert ask(run, path=f"{MINT}?client_id=a&{query}").status_code == 200


def test_several_faults_are_told_at_once_and_who_may_not_ask_is_told_so(run):
    answer = ask(run, path=f"{MINT}?ttl=1&enable_incoming=2")
    assert code(answer) == (400, "0001") and len(answer.json()["error"]["details"]) == 3
    assert "details" not in ask(run).json()["error"]
    for auth in (None, (USER, "wrong"), ("you@example.com", run.token)):
        answer = ask(run, path=f"{MINT}?client_id=a", auth=auth)
        assert code(answer) == (401, "HTTP 401") and answer.headers["www-authenticate"].startswith("Basic ")
    assert code(ask(run, path=f"{MINT}?client_id=a", auth=("9-9-9/you", run.token))) == (403, "HTTP 403")
    answer = ask(run, "PUT", f"{MINT}?client_id=a")
    assert code(answer) == (405, "HTTP 405") and "POST" in answer.headers["allow"]
    assert code(ask(run, "POST", json={"client_id": "a"})) == (415, "HTTP 415")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert code(ask(run, "POST", data=b"--y--", headers=broken)) == (400, "HTTP 400")


def test_nobody_is_registered_and_the_list_is_empty(run):
    for method in ("GET", "POST"):
        answer = ask(run, method, "/webrtc_registered_clients")
        assert (answer.status_code, answer.json()) == (200, [])


def test_the_month_has_a_quota():
    with Causeway(client_tokens_per_month=2) as run:
        assert [ask(run, path=f"{MINT}?client_id=a").status_code for _ in range(2)] == [200, 200]
        assert code(ask(run, path=f"{MINT}?client_id=a")) == (403, "HTTP 403")
        access = json.loads(run.request("/api/v1/client-tokens/access")[2])
        assert (access["mintedThisMonth"], access["monthlyQuota"]) == (2, 2)


def test_the_key_outlives_a_restart_and_a_rotation_leaves_old_tokens_good(tmp_path):
    mint = lambda run: ask(run, path=f"{MINT}?client_id=a").json()["token"]
    kid = lambda token: jwt.get_unverified_header(token)["kid"]
    with Causeway(data_dir=str(tmp_path / "data")) as run:
        first = mint(run)
        run.stop()
    with Causeway(data_dir=str(tmp_path / "data")) as run:
        assert kid(mint(run)) == kid(first)
        status, _, body = run.request("/api/v1/client-tokens/rotate-key", "POST")
        assert status == 200, body
        second = mint(run)
        assert kid(second) == json.loads(body)["kid"] != kid(first)
        for token in (first, second):
            assert verified(run, token)["sub"] == "a"


def test_servers_of_one_database_share_the_key_and_the_quota():
    with Postgres() as database:
        settings = {"database_url": database.url, "client_tokens_per_month": 3}
        with Causeway(node_id="a", **settings) as one, Causeway(node_id="b", **settings) as two:
            tokens = [ask(run, path=f"{MINT}?client_id=a").json()["token"] for run in (one, two)]
            for run in (one, two):
                for token in tokens:
                    # The other's key, should both have made one, is known within a second.
                    wait_until(lambda: known(run, token), 20, "the key of the other server")
            assert ask(one, path=f"{MINT}?client_id=a").status_code == 200
            assert ask(two, path=f"{MINT}?client_id=a").status_code == 403


def known(run, token):
    try:
        return verified(run, token)["sub"] == "a"
    except jwt.PyJWKClientError:
        return False
