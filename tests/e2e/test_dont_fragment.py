"""DONT-FRAGMENT on the wire: the DF bit, and what a narrow path says about it (RFC 8656 sections 11.5 and 15)."""

import os
import socket
import struct
import subprocess
import sys

import pytest

from causeway import HOST, PASSWORD, USER
from layout import beside_server, on_server_host
from turn_client import DATA_ATTRIBUTE, PEER_ADDRESS, SEND, Answer, TurnClient, xor_address

DONT_FRAGMENT, ICMP = 0x001A, 0x8004
NARROW_MTU = 1280
PEER = ("198.18.2.2", 4000)
ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("198.18.2.2", 4000))
print("ready", flush=True)
while True:
    data, source = sock.recvfrom(65536)
    sock.sendto(b"%d" % len(data), source)
"""


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def narrow_path():
    """A peer behind a router whose far side has a small MTU; gives a socket that sees what leaves for the router."""
    router, far = f"e2e-router-{os.getpid()}", f"e2e-far-{os.getpid()}"
    run("ip", "netns", "add", router)
    run("ip", "netns", "add", far)
    in_router, in_far = ["ip", "netns", "exec", router], ["ip", "netns", "exec", far]
    echo = capture = None
    try:
        run(*on_server_host("ip", "link", "add", "mtu0", "type", "veth", "peer", "name", "mtu1", "netns", router))
        run(*on_server_host("ip", "addr", "add", "198.18.1.1/24", "dev", "mtu0"))
        run(*on_server_host("ip", "link", "set", "mtu0", "up"))
        run(*on_server_host("ip", "route", "add", "198.18.2.0/24", "via", "198.18.1.2"))
        run(*in_router, "ip", "link", "add", "mtu2", "type", "veth", "peer", "name", "mtu3", "netns", far)
        for name, address in [("mtu1", "198.18.1.2/24"), ("mtu2", "198.18.2.1/24")]:
            run(*in_router, "ip", "addr", "add", address, "dev", name)
            run(*in_router, "ip", "link", "set", name, "up")
        run(*in_router, "ip", "link", "set", "mtu2", "mtu", str(NARROW_MTU))
        run(*in_router, "ip", "route", "add", f"{HOST}/32", "via", "198.18.1.1")
        run(*in_router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        run(*in_far, "ip", "addr", "add", "198.18.2.2/24", "dev", "mtu3")
        run(*in_far, "ip", "link", "set", "mtu3", "mtu", str(NARROW_MTU), "up")
        run(*in_far, "ip", "route", "add", "default", "via", "198.18.2.1")
        echo = subprocess.Popen([*in_far, sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
        assert echo.stdout.readline() == "ready\n"
        with beside_server():
            capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        capture.bind(("mtu0", 3))
        capture.settimeout(5)
        yield capture
    finally:
        if capture:
            capture.close()
        if echo:
            echo.kill()
            echo.wait()
        subprocess.run(on_server_host("ip", "link", "del", "mtu0"), capture_output=True)
        run("ip", "netns", "del", router)
        run("ip", "netns", "del", far)


def sent_on_the_wire(capture, payload):
    """Whether DF is set and whether there are fragments, in the next packet to the peer that carries `payload`."""
    while True:
        packet, (_, _, direction, _, _) = capture.recvfrom(65536)
        outgoing = direction == socket.PACKET_OUTGOING
        if outgoing and packet[9] == socket.IPPROTO_UDP and packet[16:20] == socket.inet_aton(PEER[0]) and payload in packet:
            flags = struct.unpack("!H", packet[6:8])[0]
            return bool(flags & 0x4000), bool(flags & 0x3FFF)


def send(turn, payload, *more):
    turn.send_raw(turn.build(SEND, [(PEER_ADDRESS, PEER), *more, (DATA_ATTRIBUTE, payload)], cls=0x10, signed=False))


def next_icmp(turn):
    """Type, code and error data of the next ICMP attribute; it must name the peer."""
    while True:
        message = turn.data.pop(0) if turn.data else turn.receive()
        if message[:1] < b"\x40" and ICMP in (answer := Answer(message)).attributes:
            assert answer.address(PEER_ADDRESS) == PEER and DATA_ATTRIBUTE not in answer.attributes
            _, kind, code, data = struct.unpack("!HBBI", answer.attributes[ICMP])
            return kind >> 1, code, data


def test_the_df_bit_is_on_the_wire_and_what_is_too_big_comes_back_as_an_icmp_attribute(start, narrow_path):
    server = start(allow_peer=["198.18.0.0/15"])
    with TurnClient((HOST, server.turn_port), USER, PASSWORD) as turn:
        assert turn.allocate(extra=[(DONT_FRAGMENT, b"")]).code == 0
        assert turn.permit(PEER).code == 0
        # What fits arrives either way, and the bit is as asked for.
        for mark, more, expected in [(b"plain", [], False), (b"whole", [(DONT_FRAGMENT, b"")], True), (b"again", [], False)]:
            send(turn, mark, *more)
            assert sent_on_the_wire(narrow_path, mark)[0] is expected, mark
            assert turn.receive_payload() == b"5"
        # What does not fit goes in fragments, made on the way.
        send(turn, b"large" + bytes(1395))
        assert sent_on_the_wire(narrow_path, b"large") == (False, False)
        assert turn.receive_payload() == b"1400"
        # Or not at all: the router says so, and after that the system knows.
        for mark in (b"first", b"later"):
            send(turn, mark + bytes(1395), (DONT_FRAGMENT, b""))
            assert next_icmp(turn) == (3, 4, NARROW_MTU), mark
        assert sent_on_the_wire(narrow_path, b"first") == (True, False)
        # And the allocation is none the worse for it.
        send(turn, b"small", (DONT_FRAGMENT, b""))
        assert turn.receive_payload() == b"5"
