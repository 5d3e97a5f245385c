"""Busy flows in user space: a socket of their own each way, which on the wire is the one that there always was."""

import subprocess
import time

import pytest

from causeway import HOST, HOST_V6, PASSWORD, USER, Causeway, wait_until
from layout import PEER, PEER_V6, on_server_host
from test_fast_path import peer_socket
from turn_client import TurnClient

CHANNEL = 0x4000
# Equal datagrams that wait would leave with one send.
LENGTHS = range(10, 60)


@pytest.fixture(scope="module")
def server():
    with Causeway(fast_path="off") as running:
        yield running


def talk(client, peer):
    """Every datagram arrives, from the address that everybody knows."""
    for length in LENGTHS:
        client.send_channel(CHANNEL, b"u" * length)
    for length in LENGTHS:
        payload, source = peer.recvfrom(100)
        assert (len(payload), source[:2]) == (length, client.relayed)
        peer.sendto(b"d" * length, client.relayed)
    for length in LENGTHS:
        assert client.receive_payload(20) == b"d" * length


def talk_until(client, peer, reached):
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, "no socket of its own"
        talk(client, peer)


def sending_sockets(port):
    """The destinations of the sockets that only send from this port."""
    listed = subprocess.run(on_server_host("ss", "-Hun", "state", "established"), check=True, capture_output=True, text=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    return [remote for _, _, local, remote, *_ in lines if local in (f"224.0.0.0:{port}", f"[ff00::]:{port}")]


@pytest.mark.parametrize(("host", "peer_host"), [(HOST, PEER), (HOST_V6, PEER_V6)])
def test_a_busy_flow_is_relayed_as_before_and_is_seen(server, host, peer_host):
    senders = lambda: server.metric("causeway_relay_senders")
    wait_until(lambda: senders() == 0, 20, "earlier ones to be closed")
    with peer_socket(peer_host) as (peer, address), TurnClient((host, server.turn_port), USER, PASSWORD) as client:
        assert client.allocate(family=2 if ":" in host else None).code == 0
        assert client.bind(CHANNEL, address).code == 0
        talk_until(client, peer, lambda: senders() == 2)
        talk(client, peer)
        listed = lambda: [len(sending_sockets(port)) for port in (client.relayed[1], server.turn_port)]
        talk_until(client, peer, lambda: listed() == [1, 1])
        # Another peer of this allocation is nobody's business but the open socket's.
        with peer_socket(peer_host) as (other, other_address):
            assert client.permit(other_address).code == 0
            client.send_indication(other_address, b"to the other")
            assert other.recvfrom(100)[0] == b"to the other"
            other.sendto(b"from the other", client.relayed)
            assert client.receive_payload(20) == b"from the other"
        wait_until(lambda: senders() == 0, 20, "they are closed in silence")
        assert listed() == [0, 0]
        talk(client, peer)
        assert client.refresh(0).code == 0
    assert server.metric("causeway_relay_senders_refused_total") == 0
