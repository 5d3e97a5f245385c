"""Unmodified HTTP clients get ICE credentials: the samples of the documents, and every form their users write.

The forms are the encodings a to g of docs/compat/turnix.md.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import httpx
import pytest

from causeway import SECRET
from coturn_tools import uclient

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent.parent / "docs" / "samples"
CLIENTS = HERE / "clients"

# How each sample is run, as its first lines say.
COMMANDS = {
    "curl.sh": ["sh"],
    "node.mjs": ["node"],
    "python.py": [sys.executable],
    "ruby.rb": ["ruby"],
    "IceCredential.java": ["java"],
}


# Cannot be run here: what it asks and reads is checked instead.
CONTRACT_ONLY = "ice_credential.dart"


def environment(server, token=None):
    own = {"CAUSEWAY_URL": f"http://127.0.0.1:{server.http_port}", "CAUSEWAY_API_TOKEN": token or server.token}
    return {**os.environ, **own, "LC_ALL": "C.UTF-8"}


def run(server, command, token=None):
    return subprocess.run(command, env=environment(server, token), capture_output=True, text=True, timeout=60)


def assert_shape(answer):
    """What every SDK relies on; the TURN entry."""
    stun, turn = answer["iceServers"]
    assert list(stun) == ["urls"] and stun["urls"][0].startswith("stun:")
    assert list(turn) == ["username", "credential", "urls"]
    assert all(url.startswith(("turn:", "turns:")) for url in turn["urls"])
    assert (len(turn["username"]), len(turn["credential"])) == (36, 32)
    assert answer["region"] == "local" and answer["expiresAt"].endswith("Z")
    return turn


def assert_opens(server, echo, turn):
    """A real Allocate, and data to a peer and back."""
    run = uclient(server, peer=echo.address(), user=(turn["username"], turn["credential"]), messages=2)
    assert run.code == 0 and run.sent and run.sent == run.received, run.output[-2000:]


def test_every_sample_is_run():
    assert {path.name for path in SAMPLES.iterdir()} == {*COMMANDS, CONTRACT_ONLY}


@pytest.mark.parametrize("sample", COMMANDS)
def test_the_sample_gets_a_credential_that_opens_the_relay(server, echo, sample):
    done = run(server, [*COMMANDS[sample], str(SAMPLES / sample)])
    assert done.returncode == 0, done.stderr
    assert_opens(server, echo, assert_shape(json.loads(done.stdout)))


@pytest.mark.parametrize("sample", COMMANDS)
def test_the_sample_tells_why_it_got_none(server, sample):
    done = run(server, [*COMMANDS[sample], str(SAMPLES / sample)], token="wrong-token")
    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr and "invalid_token" in done.stdout + done.stderr, done


def test_the_dart_samples_request_is_answered_with_every_field_it_reads(server, echo):
    sample = (SAMPLES / CONTRACT_ONLY).read_text()
    [path] = re.findall(r"Uri\.parse\('\$url(/[^']*)'\)", sample)
    [headers] = re.findall(r"headers: \{(.*)\}", sample)
    [arguments] = re.findall(r"iceCredential\(\s*\{(.*)\}\)", sample)
    body = {name: value.strip("'") if value.startswith("'") else int(value) for name, value in re.findall(r"'(\w+)': ('[^']*'|\d+)", arguments)}
    assert len(body) == arguments.count(":") == 4
    headers = dict(re.findall(r"'([\w-]+)': '([^']*)'", headers.replace("$token", server.token)))
    # package:http names the charset of a body that is text, and asks for gzip.
    headers |= {"Content-Type": headers["Content-Type"] + "; charset=utf-8", "Accept-Encoding": "gzip", "User-Agent": "Dart/3.9 (dart:io)"}
    answer = httpx.post(f"http://127.0.0.1:{server.http_port}{path}", headers=headers, content=json.dumps(body, separators=(",", ":")))
    assert "response.statusCode != 200" in sample and answer.status_code == 200
    # Its package decodes by the charset that is named, else as Latin-1.
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    kinds = {"List": list, "String": str}
    casts = dict(re.findall(r"answer\['(\w+)'\] as (\w+)", sample))
    assert casts == {"iceServers": "List", "expiresAt": "String", "region": "String"}
    for name, kind in casts.items():
        assert isinstance(answer.json()[name], kinds[kind]), name
    assert_opens(server, echo, assert_shape(answer.json()))


def block_with(word):
    """The shell block of the guide that has this word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (SAMPLES.parent / "api.md").read_text(), re.M | re.S)
    return next(block for block in blocks if word in block)


def test_the_guide_derives_a_turn_rest_credential_that_opens_the_relay(server, echo):
    own = {**os.environ, "CAUSEWAY_TURN_SECRET": SECRET}
    script = block_with("openssl") + 'echo "$USERNAME $CREDENTIAL"'
    done = subprocess.run(["sh", "-eu", "-c", script], env=own, capture_output=True, text=True, timeout=10)
    username, credential = done.stdout.split()
    assert_opens(server, echo, {"username": username, "credential": credential})


def test_the_guide_asks_the_turn_rest_endpoint(server, echo):
    answer = json.loads(run(server, ["sh", "-eu", "-c", block_with("turn-rest")]).stdout)
    assert list(answer) == ["username", "password", "ttl", "uris"]
    assert_opens(server, echo, {"username": answer["username"], "credential": answer["password"]})


def assert_forms(done, count):
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == count
    for answer in answers:
        assert answer["status"] == 200, answer
        assert_shape(json.loads(answer["body"]))
    return answers


def test_node_in_every_form(server):
    assert_forms(run(server, ["node", str(CLIENTS / "forms.mjs")]), 9)


def test_ruby_in_every_form(server):
    assert_forms(run(server, ["ruby", str(CLIENTS / "forms.rb")]), 8)


def test_java_in_every_form_and_its_upgrade_offer_is_answered_over_http_1_1(server):
    answers = assert_forms(run(server, ["java", str(CLIENTS / "Forms.java")]), 11)
    assert {answer["version"] for answer in answers} == {"HTTP_1_1"}


JSON_TYPE = ["-H", "Content-Type: application/json"]
CURL = {
    "type and no body (a)": JSON_TYPE,
    "empty form (c)": ["-d", ""],
    "form (d)": ["-d", "room=demo-room", "-d", "ttl=600"],
    "encoded form (d)": ["--data-urlencode", "room=demo-room"],
    "JSON (e)": [*JSON_TYPE, "-d", '{"room":"demo-room","ttl":600}'],
    "--json (e)": ["--json", '{"room":"demo-room"}'],
    "bare (f)": [],
    "query (g)": ["--url-query", "room=demo-room", "--url-query", "ttl=600"],
    "chunked": [*JSON_TYPE, "-H", "Transfer-Encoding: chunked", "-d", '{"room":"demo-room"}'],
    "waiting for 100 Continue": ["-H", "Expect: 100-continue", "-d", "room=demo-room"],
    "HTTP/1.0": ["--http1.0", "-d", "room=demo-room"],
    "upgrade to HTTP/2 offered": ["--http2", "-d", "room=demo-room"],
    "HTTP/2": ["--http2-prior-knowledge", "-d", "room=demo-room"],
}


@pytest.mark.parametrize("form", CURL)
def test_curl_in_every_form(server, form):
    url = f"http://127.0.0.1:{server.http_port}/api/v1/credentials/ice"
    command = ["curl", "--silent", "--write-out", "\n%{http_code} %{http_version}", "-X", "POST", url]
    done = run(server, [*command, "-H", f"Authorization: Bearer {server.token}", *CURL[form]])
    body, _, status = done.stdout.rpartition("\n")
    assert status.split()[0] == "200", done.stdout
    assert status.split()[1] == {"HTTP/1.0": "1", "HTTP/2": "2"}.get(form, "1.1")
    assert_shape(json.loads(body))


HTTPX = {
    "JSON (e)": {"json": {"room": "demo-room", "ttl": 600}},
    "empty JSON (e)": {"json": {}},
    "form (d)": {"data": {"room": "demo-room", "ttl": 600}},
    "empty form (c)": {"content": b"", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    "nothing (f)": {},
    "JSON type and nothing (a)": {"headers": {"Content-Type": "application/json"}},
    "query (g)": {"params": {"ttl": 600, "room": "demo-room"}},
    "chunked": {"content": (part for part in [b'{"room":', b'"demo"}']), "headers": {"Content-Type": "application/json"}},
}


@pytest.mark.parametrize("form", HTTPX)
def test_httpx_in_every_form(server, form):
    url = f"http://127.0.0.1:{server.http_port}/api/v1/credentials/ice"
    with httpx.Client(headers={"Authorization": f"Bearer {server.token}"}) as client:
        answer = client.post(url, **HTTPX[form])
    assert answer.status_code == 200, answer.text
    assert_shape(answer.json())
