"""Channels relayed in the kernel between real interfaces: a client and a peer in network namespaces of their own."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess

import pytest

from causeway import HOST, HOST_V6, PASSWORD, USER, Causeway, wait_until
from turn_client import TurnClient

CHANNEL = 0x4000
CLIENT, PEER, PEER_V6 = "198.18.10.2", "198.18.11.2", "2001:db8:21::2"
libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def inside(space):
    """Sockets made in here belong to that network namespace for good."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{space}") as there:
        assert libc.setns(there.fileno(), 0x40000000) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), 0x40000000) == 0


def finish_checksums(interface):
    """ethtool -K INTERFACE tx off: what leaves carries its checksum, and receivers look at it."""
    value = ctypes.create_string_buffer(struct.pack("=II", 0x17, 0), 8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
        fcntl.ioctl(sock, 0x8946, request)


@pytest.fixture(scope="module")
def network():
    """Two links to this host; gives the names of the namespaces at their far ends."""
    spaces = [f"e2e-fp{n}-{os.getpid()}" for n in (10, 11)]
    try:
        for n, space in zip((10, 11), spaces):
            run("ip", "netns", "add", space)
            run("ip", "link", "add", f"fp{n}", "type", "veth", "peer", "name", "far0", "netns", space)
            run("ip", "addr", "add", f"198.18.{n}.1/24", "dev", f"fp{n}")
            run("ip", "-6", "addr", "add", f"2001:db8:{n + 10}::1/64", "dev", f"fp{n}", "nodad")
            run("ip", "link", "set", f"fp{n}", "up")
            there = ["ip", "netns", "exec", space, "ip"]
            run(*there, "addr", "add", f"198.18.{n}.2/24", "dev", "far0")
            run(*there, "-6", "addr", "add", f"2001:db8:{n + 10}::2/64", "dev", "far0", "nodad")
            run(*there, "link", "set", "far0", "up")
            run(*there, "route", "add", "default", "via", f"198.18.{n}.1")
            run(*there, "-6", "route", "add", "default", "via", f"2001:db8:{n + 10}::1")
        yield spaces
    finally:
        for n, space in zip((10, 11), spaces):
            subprocess.run(["ip", "link", "del", f"fp{n}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


@pytest.fixture(scope="module")
def fast(network):
    with Causeway(fast_path="tc", allow_peer=["198.18.0.0/15", "2001:db8::/32"]) as server:
        if not server.metric("causeway_fast_path_flows_max"):
            pytest.skip("no fast path here: " + next(line for line in server.log().splitlines() if "fast path" in line))
        yield server


def outcomes(server):
    prefix = 'causeway_fast_path_packets_total{outcome="'
    return {name[len(prefix) : -2]: value for name, value in server.metrics().items() if name.startswith(prefix)}


@contextlib.contextmanager
def call(server, network, client_v6, peer_v6):
    """A client with a channel to a peer, each beyond its own link."""
    with inside(network[0]):
        turn = TurnClient((HOST_V6 if client_v6 else HOST, server.turn_port), USER, PASSWORD)
    with inside(network[1]):
        peer = socket.socket(socket.AF_INET6 if peer_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    with turn, peer:
        peer.bind((PEER_V6 if peer_v6 else PEER, 0))
        peer.settimeout(20)
        assert turn.allocate(family=2 if peer_v6 else 1).code == 0
        assert turn.bind(CHANNEL, peer.getsockname()[:2]).code == 0
        # The first of each direction goes by the sockets; neighbours get to know each other.
        turn.send_channel(CHANNEL, b"hello")
        _, relayed = peer.recvfrom(100)
        peer.sendto(b"hello", relayed)
        assert turn.receive_payload() == b"hello"
        yield turn, peer, relayed
        assert turn.refresh(0).code == 0


@pytest.mark.parametrize("checksums", ["left to the device", "finished"])
@pytest.mark.parametrize(("client_v6", "peer_v6"), [(False, False), (True, True), (False, True), (True, False)])
def test_both_ways_over_two_links(fast, network, client_v6, peer_v6, checksums):
    if checksums == "finished":
        for space in network:
            with inside(space):
                finish_checksums("far0")
    lengths = [1, 2, 3, 160, 1200, 1400]
    with call(fast, network, client_v6, peer_v6) as (turn, peer, relayed):
        before = outcomes(fast)
        for length in lengths:
            payload = os.urandom(length)
            turn.send_channel(CHANNEL, payload)
            received, source = peer.recvfrom(65536)
            assert (received, source[:2]) == (payload, turn.relayed)
            peer.sendto(payload[::-1], relayed)
            assert turn.receive_payload() == payload[::-1]
        after = outcomes(fast)
        forwarded = {name: after[name] - before[name] for name in ("forwarded_up", "forwarded_down")}
        assert forwarded == {"forwarded_up": len(lengths), "forwarded_down": len(lengths)}, after


def test_what_a_header_makes_too_large_for_the_link_is_sent_in_fragments(fast, network):
    with call(fast, network, False, False) as (turn, peer, relayed):
        # The system must not set DF, or a fragment may not be made of it.
        peer.setsockopt(socket.IPPROTO_IP, 10, 0)
        before = outcomes(fast)["passed_size"]
        payload = os.urandom(1470)
        peer.sendto(payload, relayed)
        assert turn.receive_payload() == payload
        assert outcomes(fast)["passed_size"] == before + 1


def test_a_call_between_two_allocations_takes_one_step(fast, network):
    with inside(network[0]):
        alice = TurnClient((HOST, fast.turn_port), USER, PASSWORD)
    with inside(network[1]):
        bob = TurnClient((HOST_V6, fast.turn_port), USER, PASSWORD)
    with alice, bob:
        assert (alice.allocate().code, bob.allocate(family=1).code) == (0, 0)
        assert alice.bind(CHANNEL, bob.relayed).code == 0
        assert bob.bind(CHANNEL + 1, alice.relayed).code == 0
        alice.send_channel(CHANNEL, b"first")
        assert bob.receive_payload() == b"first"
        bob.send_channel(CHANNEL + 1, b"first")
        assert alice.receive_payload() == b"first"
        before = outcomes(fast)["forwarded_between"]
        for number in range(10):
            payload = os.urandom(100 + number)
            bob.send_channel(CHANNEL + 1, payload)
            assert alice.receive() == struct.pack("!HH", CHANNEL, len(payload)) + payload
            alice.send_channel(CHANNEL, payload)
            assert bob.receive() == struct.pack("!HH", CHANNEL + 1, len(payload)) + payload
        assert outcomes(fast)["forwarded_between"] == before + 20


def test_a_forged_sender_is_left_to_the_kernel(fast, network):
    """A datagram that says to come from the peer, or from this host itself, by the client's link."""
    with call(fast, network, False, False) as (_, peer, relayed):
        before = outcomes(fast)
        with inside(network[0]):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            port = peer.getsockname()[1]
            udp = struct.pack("!HHHH", port, relayed[1], 8 + 6, 0) + b"forged"
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
            raw.sendto(head + socket.inet_aton(PEER) + socket.inet_aton(HOST) + udp, (HOST, 0))
        wait_until(lambda: outcomes(fast)["passed_way"] > before["passed_way"], 20, "the forged datagram to be seen")
        assert outcomes(fast)["forwarded_down"] == before["forwarded_down"]


def test_a_route_that_moves_is_followed(fast, network):
    with inside(network[0]):
        turn = TurnClient((HOST, fast.turn_port), USER, PASSWORD)
    with inside(network[1]):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with turn, peer:
        peer.bind((PEER, 0))
        peer.settimeout(20)
        assert turn.allocate().code == 0
        assert turn.bind(CHANNEL, peer.getsockname()).code == 0
        for _ in range(2):
            turn.send_channel(CHANNEL, b"before")
            _, relayed = peer.recvfrom(100)
            peer.sendto(b"before", relayed)
            assert turn.receive_payload() == b"before"
        before, flows = outcomes(fast), fast.metric("causeway_fast_path_flows")
        run("ip", "route", "add", "unreachable", f"{PEER}/32")
        try:
            wait_until(lambda: fast.metric("causeway_fast_path_flows") == flows - 1, 20, "the flow to be taken back")
            turn.send_channel(CHANNEL, b"nowhere")
        finally:
            run("ip", "route", "del", "unreachable", f"{PEER}/32")
        assert turn.permit((PEER, 0)).code == 0
        wait_until(lambda: fast.metric("causeway_fast_path_flows") == flows, 20, "the flow to be back")
        for _ in range(2):
            turn.send_channel(CHANNEL, b"after")
            assert peer.recv(100) == b"after"
        assert outcomes(fast)["forwarded_up"] >= before["forwarded_up"] + 1
        assert turn.refresh(0).code == 0


def test_an_interface_that_goes_takes_nothing_else_with_it(fast, network):
    """Detached by an administrator: a link that is taken down and made anew carries traffic by the sockets."""
    space = network[0]
    run("ip", "link", "del", "fp10")
    run("ip", "link", "add", "fp10", "type", "veth", "peer", "name", "far0", "netns", space)
    run("ip", "addr", "add", "198.18.10.1/24", "dev", "fp10")
    run("ip", "link", "set", "fp10", "up")
    there = ["ip", "netns", "exec", space, "ip"]
    run(*there, "addr", "add", "198.18.10.2/24", "dev", "far0")
    run(*there, "link", "set", "far0", "up")
    run(*there, "route", "add", "default", "via", "198.18.10.1")
    before = outcomes(fast)
    with call(fast, network, False, False) as (turn, peer, relayed):
        for number in range(20):
            turn.send_channel(CHANNEL, struct.pack("!I", number))
            assert peer.recv(100) == struct.pack("!I", number)
            peer.sendto(struct.pack("!I", number), relayed)
            assert turn.receive_payload() == struct.pack("!I", number)
    # Nobody looks at what comes by the new link.
    assert outcomes(fast)["forwarded_up"] == before["forwarded_up"]
