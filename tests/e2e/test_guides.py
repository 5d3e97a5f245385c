"""The guides for those who come from elsewhere say what is true: their commands are run, in order, and answer as shown."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from coturn_tools import uclient

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
GUIDES = ["migrating-from-turnix.md", "migrating-from-cloudflare.md", "migrating-from-twilio.md"]


def blocks(guide):
    """Language and text of each block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / guide).read_text(), re.M | re.S)


class Reader:
    """Copies commands into one shell, with an address and a token of this server's where the guide has placeholders."""

    def __init__(self, server, guide):
        self.own = {**os.environ, "URL_HERE": f"http://127.0.0.1:{server.http_port}", "TOKEN_HERE": server.token, "LC_ALL": "C.UTF-8"}
        self.script = ""
        self.results = [(language, text, self.follow(language, text)) for language, text in blocks(guide)]

    def follow(self, language, text):
        if language == "sh":
            return self.sh(text)
        if language == "python":
            return self.run([sys.executable, "-c", text], self.exported())
        return None

    def sh(self, text):
        text = re.sub(r"^(export CAUSEWAY_URL)=\S+", r'\1="$URL_HERE"', text, flags=re.M)
        text = re.sub(r"^(export CAUSEWAY_API_TOKEN)=…", r'\1="$TOKEN_HERE"', text, flags=re.M)
        # Earlier blocks again, silently: they set variables, and what they ask may be asked twice.
        done = self.run(["sh", "-eu", "-c", f"{{ :\n{self.script} }} > /dev/null\n{text}"], self.own)
        self.script += text
        return done

    def exported(self):
        names = dict.fromkeys(re.findall(r"^export (\w+)=", self.script, re.M))
        shown = "\n".join(f'printf "%s\\n" "${name}"' for name in names)
        values = self.run(["sh", "-eu", "-c", f"{{ :\n{self.script} }} > /dev/null\n{shown}"], self.own).splitlines()
        return {**self.own, **dict(zip(names, values))}

    def run(self, command, environment):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, (command[-1], done.stdout, done.stderr)
        return done.stdout

    def answers(self):
        """What a command printed, with the block that shows it."""
        pairs = zip(self.results, self.results[1:])
        return [(shown[0], shown[1], done[2]) for done, shown in pairs if done[2] is not None and shown[0] in ("json", "text")]


def assert_shape(shown, real, where="answer"):
    """The same names in the same order, and values of the same kind; lists may be longer or shorter, but not empty."""
    if isinstance(shown, dict):
        assert isinstance(real, dict) and list(shown) == list(real), (where, list(shown), real)
        for name in shown:
            assert_shape(shown[name], real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list) and real, where
        kinds = {json.dumps(sorted(one)) if isinstance(one, dict) else "": one for one in shown}
        for index, one in enumerate(real):
            key = json.dumps(sorted(one)) if isinstance(one, dict) else ""
            assert key in kinds, (where, one)
            assert_shape(kinds[key], one, f"{where}[{index}]")
        assert {json.dumps(sorted(one)) if isinstance(one, dict) else "" for one in real} == set(kinds), (where, real)
    else:
        assert isinstance(real, (int, float) if isinstance(shown, (int, float)) else type(shown)), (where, shown, real)
        if isinstance(shown, str):
            digits = lambda text: re.sub(r"\d", "0", text)
            if re.match(r"\d{4}-|\w{3}, \d", shown):
                assert digits(shown)[-6:] == digits(real)[-6:] and len(shown) == len(real), (where, shown, real)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_the_guide_works_and_answers_as_shown(start, echo, guide):
    settings = dict(re.findall(r'^(\w+) = "(.*)"$', "".join(text for language, text in blocks(guide) if language == "toml"), re.M))
    server = start(**settings)
    reader = Reader(server, guide)
    assert len(reader.answers()) >= 1 and sum(done is not None for *_, done in reader.results) >= 4
    for language, shown, printed in reader.answers():
        if language == "text":
            assert printed == shown
        else:
            assert_shape(json.loads(shown), json.loads(printed))
    opened = 0
    for _, _, printed in reader.results:
        for pair in credentials(printed or ""):
            run = uclient(server, peer=echo.address(), user=pair, messages=2)
            assert run.code == 0 and run.sent and run.sent == run.received, run.output[-2000:]
            opened += 1
    assert opened >= 1, "no answer had a credential"


def test_the_guide_of_clients_with_tokens_says_what_is_true(start):
    answers = Reader(start(), "compat/aculab.md").answers()
    assert [language for language, *_ in answers] == ["json", "text", "text"]
    for language, shown, printed in answers:
        if language == "text":
            assert printed == shown
        else:
            assert_shape(json.loads(shown), json.loads(printed))


def credentials(printed):
    """Name and password in an answer, wherever they are."""
    try:
        answer = json.loads(printed)
    except ValueError:
        return set()
    if not isinstance(answer, dict):
        return set()
    servers = answer.get("iceServers") or answer.get("ice_servers") or []
    return {(one["username"], one["credential"]) for one in servers if "credential" in one}


def test_twilios_own_library_gets_a_token(start):
    [printed] = [done for language, _, done in Reader(start(), "migrating-from-twilio.md").results if language == "python"]
    username, ttl, count = printed.split()
    assert len(username) == 36 and ttl == "3600" and int(count) >= 3


def test_a_longer_lifetime_is_granted_as_the_cloudflare_guide_says(start):
    [settings] = [text for language, text in blocks("migrating-from-cloudflare.md") if language == "toml"]
    ask = lambda server: server.request("/v1/turn/keys/any/credentials/generate", "POST", {"ttl": 172800})[0]
    assert ask(start(**dict(re.findall(r'^(\w+) = "(.*)"$', settings, re.M)))) == 201
    assert ask(start()) == 422


# What coturn 4.6 and later exports, by its own source.
COTURN_METRICS = ["stun_binding_request", "stun_binding_response", "stun_binding_error", "turn_total_allocations"]
COTURN_METRICS += [f"turn_total_traffic_{peer}{leaf}" for peer in ("", "peer_") for leaf in ("rcvp", "rcvb", "sentp", "sentb")]
COTURN_METRICS += [f"turn_traffic_{leaf}" for leaf in ("rcvp", "rcvb", "sentp", "sentb")] + ["turn_traffic_peer_…"]


def test_the_coturn_guide_names_secret_redis_and_every_metric():
    guide = (DOCS / "migrating-from-coturn.md").read_text()
    options = ["use-auth-secret", "static-auth-secret", "rest-api-separator", "realm", "lt-cred-mech", "redis-statsdb", "redis-userdb"]
    options += ["prometheus", "prometheus-port", "prometheus-address", "prometheus-path", "prometheus-username-labels"]
    for name in [*options, *COTURN_METRICS]:
        assert re.search(rf"`{re.escape(name)}\W", guide), name
