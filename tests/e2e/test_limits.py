"""Every limit: at it, and one past it, with a real client."""

import contextlib
import socket
import time

import pytest

from causeway import HOST, PASSWORD, USER, wait_until
from event_stream import EventStream
from layout import PEER
from turn_client import TurnClient

pytestmark = pytest.mark.usefixtures("fast_path")


def client(server, **options):
    return TurnClient((HOST, server.turn_port), USER, PASSWORD, **options)


def test_allocations_per_user(start):
    server = start(allocations_per_user_max=3)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(4)]
        assert [turn.allocate().code for turn in clients] == [0, 0, 0, 486]
        assert clients[0].refresh(0).code == 0
        assert clients[3].allocate().code == 0


def test_allocations_in_all(start):
    server = start(allocations_max=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(3)]
        assert [turn.allocate().code for turn in clients] == [0, 0, 486]
    wait_until(lambda: server.metric('causeway_turn_refusals_total{code="486"}') == 1, 5, "the refusal to be counted")


def test_permissions_and_channels_per_allocation(start):
    server = start(permissions_per_allocation_max=3, channels_per_allocation_max=2)
    with client(server) as turn:
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, ("198.51.100.10", 1)).code == 0
        assert turn.bind(0x4001, ("198.51.100.10", 2)).code == 0
        assert turn.bind(0x4002, ("198.51.100.10", 3)).code == 508
        assert turn.permit(("198.51.100.11", 0), ("198.51.100.12", 0)).code == 0
        assert turn.permit(("198.51.100.13", 0)).code == 508
        assert turn.permit(("198.51.100.12", 0)).code == 0


def test_relay_ports(start):
    server = start(relay_ports="61000-61002", public_ip=[HOST])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(4)]
        assert [turn.allocate().code for turn in clients] == [0, 0, 0, 508]
        assert {turn.relayed[1] for turn in clients[:3]} == {61000, 61001, 61002}
        clients[1].refresh(0)
        assert clients[3].allocate().code == 0


@pytest.mark.parametrize("limit", ["bandwidth_per_allocation", "bandwidth_total"])
def test_bandwidth_is_shaped_in_both_directions(start, limit):
    server = start(**{limit: "200k"})
    stream = EventStream(server, "?types=limit.reached")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, client(server) as turn:
        peer.bind((PEER, 0))
        peer.settimeout(0.3)
        turn.sock.settimeout(0.3)
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, peer.getsockname()).code == 0
        turn.send_channel(0x4000, b"x")
        peer.recv(10)
        up = transfer(lambda: turn.send_channel(0x4000, bytes(1000)), peer)
        down = transfer(lambda: peer.sendto(bytes(1000), turn.relayed), turn.sock)
    for rate in (up, down):
        assert 100_000 < rate < 320_000, (up, down)
    wait_until(lambda: stream.events, 20, "the limit to be told")
    assert [event["limit"] for event in stream.events] == [limit], "once, however many packets are dropped"


def transfer(send, receiver, seconds=1.5):
    """Bytes per second that arrive while twice the limit is offered; the bucket's burst is let pass first."""
    offered = time.monotonic()
    received, counted_from = 0, offered + 0.75
    receiver.setblocking(False)
    while time.monotonic() < offered + seconds:
        send()
        with contextlib.suppress(BlockingIOError):
            while data := receiver.recv(2000):
                if time.monotonic() > counted_from:
                    received += len(data)
        time.sleep(0.0025)
    receiver.setblocking(True)
    receiver.settimeout(2)
    return received / (seconds - 0.75)


def test_unauthenticated_replies_per_source(start):
    server = start(unauthenticated_replies_per_sec=10, unauthenticated_replies_burst=20)
    with client(server) as turn:
        answers = 0
        for _ in range(60):
            turn.send_raw(turn.build(0x001, [], signed=False))
        with contextlib.suppress(TimeoutError, socket.timeout):
            while turn.receive(0.5):
                answers += 1
    assert 20 <= answers <= 35, answers
    wait_until(lambda: server.metric('causeway_drops_total{reason="unauthenticated_rate"}') >= 20, 5, "the drops to be counted")


def test_tcp_connections(start):
    server = start(tcp_connections_max=2)
    with client(server, tcp=True) as first, client(server, tcp=True) as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        with client(server, tcp=True) as third, pytest.raises((ConnectionError, OSError)):
            third.allocate()


def test_a_slow_tcp_reader_loses_packets_and_the_server_no_memory(start):
    server = start(tcp_write_queue_bytes=65536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, client(server, tcp=True) as turn:
        peer.bind((PEER, 0))
        turn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, peer.getsockname()).code == 0
        before = resident(server)
        for _ in range(40_000):
            peer.sendto(bytes(1200), turn.relayed)
        wait_until(lambda: server.metric('causeway_drops_total{reason="slow_reader"}') > 100, 10, "old packets to be dropped")
        assert resident(server) - before < 8 << 20
        assert server.health() == 200


def resident(server):
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_the_smallest_binding_answer_is_no_amplifier(server):
    with client(server) as turn:
        request = turn.build(0x001, [], signed=False)
        turn.send_raw(request)
        answer = turn.receive()
    assert (len(request), len(answer)) == (20, 32)
