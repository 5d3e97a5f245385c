"""The conformance list of the credential API, one test per item, against a running server.

What is not here needs several regions, or tokens and projects that are managed over the API.
"""

import base64
import datetime
import email.utils
import hashlib
import json
import random
import re
import signal
import socket
import time

import httpx
import pytest

from causeway import HOST, SECRET, Causeway, wait_until
from coturn_tools import uclient
from turn_client import TurnClient, rest_password

MINT = "/api/v1/credentials/ice"
JSON_TYPE = "Content-Type: application/json"
FORM_TYPE = "Content-Type: application/x-www-form-urlencoded"
LABELS = ["initiator_client", "receiver_client", "room"]


@pytest.fixture(scope="module")
def server():
    """Hands out every URL it can, and does not run out of requests."""
    with Causeway(advertise_self_signed=True, api_requests_per_sec=1000000, api_requests_burst=1000000) as running:
        yield running


@pytest.fixture
def api(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", headers=headers) as client:
        yield client


def raw(server, head, body=b""):
    """Bytes out, bytes in: status line, headers, body."""
    with socket.create_connection(("127.0.0.1", server.http_port), 10) as sock:
        sock.sendall("\r\n".join([*head, "", ""]).encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = sock.recv(65536)
            assert chunk, received
            received += chunk
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(rest) < int(headers["content-length"]):
            rest += sock.recv(65536)
        assert len(rest) == int(headers["content-length"])
        return status, headers, rest.decode()


def turn_entry(answer):
    return answer["iceServers"][1]


def client(server, username, password, **options):
    return TurnClient((HOST, server.turn_port), username, password, **options)


def allocate_code(server, username, password):
    with client(server, username, password) as turn:
        return turn.allocate().code


def assert_success(status, headers, body):
    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "no-store" and len(headers["x-request-id"]) == 36
    answer = json.loads(body)
    stun, turn = answer["iceServers"]
    assert list(stun) == ["urls"] and list(turn) == ["username", "credential", "urls"]
    assert [url.split(":")[0] + url[-4:] for url in turn["urls"]] == ["turn=udp", "turn=tcp", "turns=udp", "turns=tcp"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", turn["username"])
    assert re.fullmatch(r"[0-9a-f]{32}", turn["credential"])
    assert answer["region"] == "local" and answer["expiresAt"]
    # Some applications hand the whole answer to RTCPeerConnection: none of its own options may be in it.
    options = {"iceTransportPolicy", "bundlePolicy", "rtcpMuxPolicy", "certificates", "iceCandidatePoolSize", "peerIdentity"}
    assert not options & set(answer)


def test_01_each_encoding_without_parameters(server):
    start = [f"POST {MINT} HTTP/1.1", "Host: causeway.example", f"Authorization: Bearer {server.token}"]
    upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"]
    assert_success(*raw(server, [*start, JSON_TYPE]))  # a
    assert_success(*raw(server, [*start, *upgrade, JSON_TYPE, "Content-Length: 0"]))  # b
    assert_success(*raw(server, [*start, FORM_TYPE, "Content-Length: 0"]))  # c
    assert_success(*raw(server, [*start, FORM_TYPE, "Content-Length: 5"], b"room="))  # d
    assert_success(*raw(server, [*start, JSON_TYPE, "Content-Length: 2"], b"{}"))  # e
    assert_success(*raw(server, [*start, JSON_TYPE + "; charset=utf-8", "Content-Length: 2"], b"{}"))  # e
    assert_success(*raw(server, start))  # f
    assert_success(*raw(server, [start[0].replace(" HTTP", "?ttl= HTTP"), *start[1:], FORM_TYPE, "Content-Length: 0"]))  # g


def test_02_the_identifier_table_for_each_field_in_form_and_json(api):
    accepted = ["alice", "demo-room", "chat-room-42", "secret_room_id", "A", "-", "_", "007", "a" * 100, ""]
    bad = ["alice@example.com", "a.b", "a b", "a+b", "a/b", "a:b", "a%20b", "a\n", "é", "ａ", "🙂", "../x"]
    rows = [(value, None) for value in accepted] + [(value, "bad_characters") for value in bad] + [("a" * 101, "too_long")]
    types = [(None, None), (42, None), (True, "bad_type"), (["a"], "bad_type"), ({}, "bad_type"), (4.2, "bad_type")]
    for field in LABELS:
        for value, code in rows + types:
            answers = [api.post(MINT, json={field: value})]
            if isinstance(value, str):
                answers.append(api.post(MINT, data={field: value}))
            for answer in answers:
                details = answer.json().get("details", [])
                assert details == ([{"field": field, "code": code}] if code else []), (field, value, answer.text)
                assert answer.status_code == (422 if code else 200)


def test_03_two_bad_fields_are_both_named(api):
    for answer in [api.post(MINT, json={"room": "a b", "ttl": 0}), api.post(MINT, data={"room": "a b", "ttl": "0"})]:
        assert answer.status_code == 422
        pairs = {(detail["field"], detail["code"]) for detail in answer.json()["details"]}
        assert pairs == {("room", "bad_characters"), ("ttl", "bad_ttl")}


@pytest.mark.parametrize("ttl", [None, 1, 600, 86400])
def test_04_expires_at_is_the_date_plus_the_lifetime(api, ttl):
    answer = api.post(MINT, json={} if ttl is None else {"ttl": ttl})
    text = answer.json()["expiresAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    expires = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    date = email.utils.parsedate_to_datetime(answer.headers["Date"])
    # The date has whole seconds, and may be a moment older than the answer.
    assert -1 <= (expires - date).total_seconds() - (ttl or 30) <= 1.1, (text, answer.headers["Date"])


def test_05_what_the_dart_sdks_cast_is_there(api):
    answer = api.post(MINT, json={})
    assert answer.status_code == 200 and isinstance(answer.json()["expiresAt"], str)
    for entry in answer.json()["iceServers"]:
        assert isinstance(entry["urls"], list) and entry["urls"] and all(isinstance(url, str) for url in entry["urls"])
    regions = api.get("/api/v1/regions")
    assert regions.status_code == 200 and isinstance(regions.json(), list) and regions.json()
    fields = {"slug": str, "nat2": str, "city": str, "name": str, "lat": (int, float), "lon": (int, float)}
    fields |= {"is_online": bool, "is_operational": bool}
    for region in regions.json():
        assert set(region) == set(fields) and all(isinstance(region[key], kind) for key, kind in fields.items())


def test_06_an_upgrade_offer_is_answered_over_http_1_1(server):
    # Java's own client does so in test_credentials_api.py; these are its bytes.
    head = [f"POST {MINT} HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Content-Length: 0", "Host: 127.0.0.1"]
    head += ["HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c", "User-Agent: Java-http-client/17.0.15"]
    head += [f"Authorization: Bearer {server.token}", JSON_TYPE]
    status, headers, _ = raw(server, head)
    assert status == "HTTP/1.1 200 OK" and "upgrade" not in headers


def test_07_the_pair_opens_every_advertised_url_until_it_expires(server, echo):
    # A browser does so in test_browser.py, with the same pair and each URL.
    turn = turn_entry(server.mint(ttl=600))
    pair = (turn["username"], turn["credential"])
    how = {"turn=udp": ([], False), "turn=tcp": (["-t"], False), "turns=udp": (["-S"], True), "turns=tcp": (["-t", "-S"], True)}
    for url in turn["urls"]:
        options, tls = how[url.split(":")[0] + url[-4:]]
        assert url.split(":")[2].split("?")[0] == str(server.tls_port if tls else server.turn_port)
        run = uclient(server, *options, peer=echo.address(), user=pair, tls=tls)
        assert run.code == 0 and run.sent and run.sent == run.received, (url, run.output[-2000:])
    # turns: over UDP is plain TURN for browsers.
    run = uclient(server, peer=echo.address(), user=pair, tls=True)
    assert run.code == 0 and run.sent and run.sent == run.received, run.output[-2000:]


def test_07_after_expiry_a_new_allocate_is_401_and_a_live_one_goes_on(server, echo):
    turn = turn_entry(server.mint(ttl=2))
    with client(server, turn["username"], turn["credential"]) as live:
        assert live.allocate().code == 0
        expired = lambda: allocate_code(server, turn["username"], turn["credential"]) == 401
        wait_until(expired, 10, "the credential to expire")
        assert live.refresh().code == 0
        assert live.bind(0x4000, echo.address()).code == 0
        live.send_channel(0x4000, b"still here")
        assert live.receive_payload() == b"still here"


def test_08_regions_as_far_as_one_region_can_show(api):
    for answer in [api.post(MINT, json={"fixed_region": "atlantis"}), api.post(MINT, data={"fixed_region": "atlantis"})]:
        assert answer.status_code == 422
        assert answer.json()["details"] == [{"field": "fixed_region", "code": "region_unknown"}]
    for good in [{"fixed_region": "local"}, {"preferred_region": "atlantis"}, {"preffered_region": "atlantis"}]:
        answer = api.post(MINT, json={**good})
        assert (answer.status_code, answer.json()["region"]) == (200, "local"), good


def test_09_no_token_and_a_bad_token_are_401(server):
    url = f"http://127.0.0.1:{server.http_port}"
    for method, path in [("POST", MINT), ("GET", "/api/v1/regions"), ("GET", "/api/v1/turn-rest?service=turn")]:
        for authorization, code, challenge in [
            (None, "missing_token", 'Bearer realm="causeway"'),
            ("Basic YWxpY2U6c2VjcmV0", "missing_token", 'Bearer realm="causeway"'),
            ("Bearer cwp_wrong", "invalid_token", 'Bearer realm="causeway", error="invalid_token"'),
        ]:
            headers = {"Authorization": authorization} if authorization else {}
            answer = httpx.request(method, url + path, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, code), (path, authorization)
            assert answer.headers["WWW-Authenticate"] == challenge


def test_09_a_revoked_token_is_401_like_an_unknown_one(server):
    status, _, body = server.request("/api/v1/tokens", "POST", {"name": "to be revoked", "scopes": ["credentials"]})
    assert status == 201, body
    token = json.loads(body)
    ask = lambda: httpx.post(f"http://127.0.0.1:{server.http_port}{MINT}", headers={"Authorization": f"Bearer {token['value']}"})
    assert ask().status_code == 200
    assert server.request(f"/api/v1/tokens/{token['id']}", "DELETE")[0] == 204
    answer = ask()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="causeway", error="invalid_token"'


def test_10_turn_rest_vectors():
    vectors = [
        ("causeway-test-secret", "1790371886:alice", "DdSyKug/rqO62k9Pv02/k1NpEyg="),
        ("causeway-test-secret", "1790371886", "boksdXIlJLbx1T7joyRm9TECtRE="),
        ("second-secret", "1790371886:alice", "BjTlLymudfDyGIQKfFBr5MUQaF0="),
    ]
    for secret, username, password in vectors:
        assert rest_password(secret, username) == password
    key = hashlib.md5(b"1790371886:alice:example.org:DdSyKug/rqO62k9Pv02/k1NpEyg=").hexdigest()
    assert key == "59ebd2094f004f78a0e5120946bfd17c"


def test_10_turn_rest_answers_are_what_the_secret_gives_and_open_the_relay(start, api):
    # The rows of accepted and refused names, and a real coturn, are in test_lifecycle.py.
    for query in ["username=alice", "", "username=alice%40example.com&ttl=60"]:
        minted = api.get(f"/api/v1/turn-rest?service=turn&{query}").json()
        assert minted["password"] == rest_password(SECRET, minted["username"])
        assert abs(int(minted["username"].split(":")[0]) - time.time() - minted["ttl"]) < 5
    # Another realm: the key is of user name, realm and password.
    server = start(realm="example.org")
    name = f"{int(time.time()) + 60}:alice"
    with client(server, name, rest_password(SECRET, name)) as turn:
        assert turn.allocate().code == 0 and turn.realm == "example.org"


def test_10_another_name_on_a_live_allocation_is_refused(server):
    names = [f"{int(time.time()) + 60}:{user}" for user in ("alice", "mallory")]
    with client(server, names[0], rest_password(SECRET, names[0])) as turn:
        assert turn.allocate().code == 0
        turn.username, turn.password = names[1], rest_password(SECRET, names[1])
        assert turn.allocate().code == 437
        assert turn.refresh().code == 441
        assert turn.permit(("198.51.100.9", 0)).code == 441
        turn.username, turn.password = names[0], rest_password(SECRET, names[0])
        assert turn.refresh().code == 0


def test_10_a_live_allocation_refreshes_after_its_name_expired(server):
    name = f"{int(time.time()) + 2}:alice"
    with client(server, name, rest_password(SECRET, name)) as turn:
        assert turn.allocate().code == 0
        expired = lambda: allocate_code(server, name, rest_password(SECRET, name)) == 401
        wait_until(expired, 10, "the name to expire")
        assert turn.refresh().code == 0


def test_10_separator_and_furthest_expiry_are_as_configured(start):
    server = start(rest_separator="-", rest_ttl_max="600s")
    name = lambda ttl, separator: f"{int(time.time()) + ttl}{separator}alice"
    for ttl, separator, code in [(500, "-", 0), (700, "-", 401), (500, ":", 401)]:
        username = name(ttl, separator)
        assert allocate_code(server, username, rest_password(SECRET, username)) == code, (ttl, separator)
    minted = json.loads(server.request("/api/v1/turn-rest?service=turn&username=alice&ttl=60")[2])
    assert re.fullmatch(r"\d+-alice", minted["username"])
    assert allocate_code(server, minted["username"], minted["password"]) == 0


def test_10_uclient_derives_from_the_secret_itself(server, echo):
    run = uclient(server, peer=echo.address(), secret=True)
    assert run.code == 0 and run.sent and run.sent == run.received, run.output[-2000:]


def test_11_a_secret_is_rotated_without_a_gap(start, echo):
    server = start(environment={"CAUSEWAY_TURN_SECRET": ""}, turn_secret=["old-secret"])
    name = f"{int(time.time()) + 600}:alice"
    old, new = rest_password("old-secret", name), rest_password("new-secret", name)
    with client(server, name, old) as live:
        assert live.allocate().code == 0
        assert live.bind(0x4000, echo.address()).code == 0
        assert allocate_code(server, name, new) == 401

        reload(server, ["new-secret", "old-secret"])
        wait_until(lambda: allocate_code(server, name, new) == 0, 10, "the new secret")
        assert allocate_code(server, name, old) == 0
        minted = json.loads(server.request("/api/v1/turn-rest?service=turn&username=bob")[2])
        assert minted["password"] == rest_password("new-secret", minted["username"]), "the first signs"

        reload(server, ["new-secret"])
        wait_until(lambda: allocate_code(server, name, old) == 401, 10, "the old secret to go")
        assert allocate_code(server, name, new) == 0
        live.send_channel(0x4000, b"still here")
        assert live.receive_payload() == b"still here"
        assert live.refresh().code == 0


def reload(server, secrets):
    server.settings["turn_secret"] = secrets
    server.write_config()
    server.signal(signal.SIGHUP)


def test_12_random_requests_never_make_the_server_fail(server):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    names = [*LABELS, "ttl", "client_type", "fixed_region", "preferred_region", "service", "username", "key", "x"]
    types = ["application/json", "application/x-www-form-urlencoded", "text/plain", "a/b; c", ""]
    url = f"http://127.0.0.1:{server.http_port}"

    def text(longest=20):
        return "".join(chr(dice.choice([dice.randrange(32, 127), dice.randrange(1, 0x800)])) for _ in range(dice.randrange(longest)))

    def value(depth=0):
        kinds = [None, True, dice.randrange(-9, 10**20), dice.random(), text(), [], {}]
        return dice.choice(kinds if depth > 3 else [*kinds, [value(depth + 1)], {text(): value(depth + 1)}])

    def body():
        pairs = {dice.choice(names): value() for _ in range(dice.randrange(5))}
        form = "&".join(f"{name}={text()}" for name in pairs).encode()
        noise = dice.randbytes(dice.choice([0, 10, 1000, 16384, 16385, 40000]))
        return dice.choice([json.dumps(pairs).encode(), json.dumps(pairs).encode()[:-2], form, noise])

    seen = set()
    with httpx.Client(headers={"Authorization": f"Bearer {server.token}"}, timeout=20) as http:
        for _ in range(1500):
            path = dice.choice([MINT, MINT, "/api/v1/turn-rest", "/", "/api/v1/regions", "/api/v1/" + base64.urlsafe_b64encode(text().encode()).decode()])
            answer = http.request(
                dice.choice(["POST", "POST", "POST", "GET", "PUT"]),
                url + path,
                params={dice.choice(names): text() for _ in range(dice.randrange(3))},
                headers={"Content-Type": dice.choice(types)},
                content=body(),
            )
            assert answer.status_code < 500, (seed, answer.request.url, answer.text)
            assert answer.status_code == 200 or answer.json()["error"], (seed, answer.text)
            seen.add(answer.status_code)
    assert {200, 400, 404, 405, 413, 415, 422} <= seen, (seed, seen)
    assert server.health() == 200 and server.metric("causeway_panics_total") == 0


def test_12_random_bytes_on_the_connection_never_make_the_server_fail(server):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    good = f"POST {MINT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 9\r\n\r\nroom=demo".encode()
    for _ in range(300):
        message = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            message[dice.randrange(len(message))] = dice.randrange(256)
        with socket.create_connection(("127.0.0.1", server.http_port), 10) as sock:
            sock.sendall(dice.choice([bytes(message), dice.randbytes(200)]))
            answer = b""
            try:
                sock.shutdown(socket.SHUT_WR)
                while chunk := sock.recv(65536):
                    answer += chunk
            except OSError:
                pass  # The server may have hung up already.
            assert not re.match(rb"HTTP/1\.[01] 5", answer), (seed, bytes(message), answer)
    assert server.health() == 200 and server.metric("causeway_panics_total") == 0
