"""What a server logs at its default level names no client, no peer, no user and no secret."""

import ipaddress
import json
import re
import signal
import socket
import time

import pytest

from causeway import HOST, HOST_V6, PASSWORD, SECRET, USER, wait_until
from layout import HTTP_HOST
from turn_client import TurnClient, rest_password

# Nothing else in these tests has these addresses: whatever of them is in the log came from a client or a peer.
CLIENT, CLIENT_V6, PEER, FORBIDDEN = "198.51.100.2", "2001:db8:1::2", "198.51.100.3", "10.77.66.55"
MINT = "/api/v1/credentials/ice"


class Run:
    """Does everything clients do, and collects what must not be in the log."""

    def __init__(self, server):
        self.server = server
        self.private = {CLIENT, CLIENT_V6, PEER, FORBIDDEN, USER, PASSWORD, SECRET, server.token}

    def turn(self, username, password, host=HOST, **options):
        self.private |= {username, password}
        source = (CLIENT_V6 if ":" in host else CLIENT, 0)
        return TurnClient((host, self.server.turn_port), username, password, source=source, **options)

    def mint(self):
        labels = {"room": "secret-room-471", "initiator_client": "alice-of-471", "receiver_client": "bob-of-471"}
        self.private |= set(labels.values()) | {"203.0.113.71"}
        status, _, body = self.server.request(MINT, "POST", {**labels, "ttl": 600}, {"X-TURN-CLIENT-IP": "203.0.113.71"})
        assert status == 200, body
        turn = json.loads(body)["iceServers"][1]
        return turn["username"], turn["credential"]

    def rest(self):
        status, _, body = self.server.request(f"/?service=turn&username=carol-471&key={self.server.token}", token=False)
        assert status == 200, body
        minted = json.loads(body)
        self.private.add("carol-471")
        return minted["username"], minted["password"]

    def relay(self, pair, **options):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, self.turn(*pair, **options) as turn:
            peer.bind((PEER, 0))
            peer.settimeout(5)
            assert turn.allocate().code == 0
            assert turn.permit((FORBIDDEN, 9)).code == 403
            assert turn.bind(0x4000, peer.getsockname()).code == 0
            turn.send_channel(0x4000, b"payload-of-471")
            data, relay = peer.recvfrom(100)
            peer.sendto(data, relay)
            assert turn.receive_payload() == b"payload-of-471"
            turn.send_indication((FORBIDDEN, 9), b"payload-of-471")
            assert turn.refresh().code == 0
            assert turn.refresh(0).code == 0
        self.private.add("payload-of-471")

    def refusals(self):
        past = f"{int(time.time()) - 60}:dave-471"
        for pair in [("eve-471", "guess-471"), (USER, "guess-471"), (past, rest_password(SECRET, past))]:
            with self.turn(*pair) as turn:
                assert turn.allocate().code == 401, pair
        self.private.add("dave-471")
        # More allocations than one user may have.
        held = [self.turn(USER, PASSWORD) for _ in range(3)]
        assert [turn.allocate().code for turn in held] == [0, 0, 486]
        assert [turn.refresh(0).code for turn in held] == [0, 0, 437]
        for turn in held:
            turn.sock.close()

    def bad_requests(self):
        self.private |= {"frank-471", "cwp_wrong471", "broken-471"}
        ask = self.server.request
        assert ask(MINT, "POST", {"room": "frank-471@example.com"})[0] == 422
        assert ask(MINT, "POST", {}, {"X-TURN-CLIENT-IP": "203.0.113.71:80"})[0] == 422
        assert ask(MINT, "POST", {}, {"Authorization": "Bearer cwp_wrong471"}, token=False)[0] == 401
        assert ask("/?service=turn&key=cwp_wrong471&username=frank-471", token=False)[0] == 401
        assert ask("/api/v1/frank-471")[0] == 404
        assert ask(MINT, "PUT", {"room": "frank-471"})[0] == 405
        assert ask(MINT, "POST", None, {"Content-Type": "application/json", "Content-Length": "0"})[0] == 200
        with socket.create_connection((HTTP_HOST, self.server.http_port), 5) as sock:
            sock.sendall(b"broken-471\r\n\r\n")
            sock.settimeout(5)
            sock.recv(1000)
        with socket.create_connection((HOST, self.server.turn_port), 5, (CLIENT, 0)) as sock:
            sock.sendall(b"\xff\xffbroken-471 is no message of TURN")
            sock.settimeout(5)
            assert sock.recv(1000) == b"", "the server hangs up on what is not TURN"
        with socket.create_connection((HOST, self.server.tls_port), 5, (CLIENT, 0)) as sock:
            sock.sendall(b"\x16\3\1\0\x0abroken-471")
            sock.settimeout(5)
            while sock.recv(1000):
                pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((CLIENT, 0))
            for port in (self.server.turn_port, self.server.tls_port):
                for noise in (b"\0\1\0\1broken-471", b"\x40\0\0\4noise", b"\x16\xfe\xfd\0\0broken-471", b"\xffbroken-471"):
                    sock.sendto(noise, (HOST, port))


def forms(text):
    """A text as logs could spell it."""
    spelled = {text, text.replace(":", "%3A")}
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return spelled
    return spelled | {address.exploded, address.packed.hex()}


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_the_log_of_a_full_run_names_nobody(start, log_format):
    server = start(log_format=log_format, log=None, public_ip=[HOST, HOST_V6], allocations_per_user_max=2)
    run = Run(server)
    run.relay(run.mint())
    run.relay(run.rest(), tcp=True)
    with run.turn(USER, PASSWORD, host=HOST_V6) as turn:
        assert turn.allocate().code == 0
        assert turn.refresh(0).code == 0
    run.refusals()
    run.bad_requests()
    server.signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in server.log(), 10, "the reload")
    server.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    log = server.log()
    # It did log: the life of the server and of allocations.
    for expected in ("allocation created", "allocation ended", "configuration reloaded", "stopped"):
        assert expected in log, log
    found = {(text, spelled) for text in run.private for spelled in forms(text) if spelled in log}
    assert not found, [line for line in log.splitlines() if any(spelled in line for _, spelled in found)]
    # Nor anything that looks like an address or a credential.
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}|\b[0-9a-f]{32}\b|cw[po]_", log)


def test_at_debug_the_same_run_names_them_so_the_scan_would_find_them(start):
    server = start(log="debug", allocations_per_user_max=2)
    run = Run(server)
    pair = run.mint()
    run.relay(pair)
    wait_until(lambda: CLIENT in server.log() and pair[0] in server.log(), 5, "the log to name the client")
    for secret in (pair[1], SECRET, PASSWORD, server.token):
        assert secret not in server.log(), "no level shows secrets"
