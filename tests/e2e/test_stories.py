"""Calls that fail, produced for real, and calls that work: the room's timeline says why, in one sentence."""

import json
import socket
import ssl
import time

import pytest

from causeway import HOST, wait_until
from turn_client import ALLOCATE, REQUESTED_TRANSPORT, TurnClient

ROOM = "support-1"


@pytest.fixture(scope="module")
def relay():
    from causeway import Causeway

    with Causeway(allow_peer=["198.51.100.0/24"], usage_flush_interval="1s") as running:
        yield running


@pytest.fixture
def room(request):
    """A room of the test's own."""
    return "room-" + request.node.name.replace("[", "-").rstrip("]")


class Side:
    """One client of a call, with a credential of its own."""

    def __init__(self, relay, room, name, role, **limits):
        names = {"initiator_client": "alice", "receiver_client": "bob"}
        self.relay, self.name = relay, name
        ice = relay.mint(room=room, client_type=role, **names, **limits)["iceServers"]
        turn = next(server for server in ice if "username" in server)
        self.username, self.password = turn["username"], turn["credential"]

    def client(self, transport="udp", password=None, source=HOST):
        server = (HOST, self.relay.tls_port if transport == "tls" else self.relay.turn_port)
        return connect(server, self.username, password or self.password, transport, source)


def connect(server, username, password, transport, source):
    if transport == "udp":
        return TurnClient(server, username, password, source=(source, 0))
    client = TurnClient(server, username, password, tcp=True, source=(source, 0))
    if transport == "tls":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.sock = context.wrap_socket(client.sock)
    return client


def call(relay, room, **limits):
    return Side(relay, room, "alice", "initiator", **limits), Side(relay, room, "bob", "receiver", **limits)


def timeline(relay, room):
    status, _, body = relay.request(f"/api/v1/rooms/{room}/timeline")
    assert status == 200, body
    return json.loads(body)


def verdict(relay, room, code):
    """The verdict, once everything was written."""
    told = {}

    def said():
        told.update(timeline(relay, room))
        return told["verdict"]["code"] == code

    try:
        wait_until(said, 10, code)
    except AssertionError:
        raise AssertionError(json.dumps(told, indent=1)) from None
    return told


def exchange(one, other, count=20, size=500):
    """Data both ways through both allocations."""
    for client, peer in ((one, other), (other, one)):
        assert client.bind(0x4000, peer.relayed).code == 0
    for _ in range(count):
        one.send_channel(0x4000, b"x" * size)
        assert other.receive_payload() == b"x" * size
        other.send_channel(0x4000, b"y" * size)
        assert one.receive_payload() == b"y" * size


def test_an_expired_credential(relay, room):
    alice, bob = call(relay, room, ttl=1)
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0
        time_of_expiry = time.monotonic() + 1
        # Real time has to pass: the credential carries its end.
        wait_until(lambda: time.monotonic() > time_of_expiry + 2, 10, "the credential to expire")
        assert second.allocate().code == 401
        told = verdict(relay, room, "credential_expired")
    assert told["verdict"]["about"] == "bob"
    assert told["verdict"]["sentence"].startswith("bob's credential had expired 2 s before the first attempt")
    refused = next(entry for entry in told["entries"] if entry["kind"] == "refused")
    assert (refused["clients"], refused["reason"], refused["role"]) == (["bob"], "expired", "receiver")
    assert 2000 <= refused["durationMs"] < 6000


def test_a_wrong_password(relay, room):
    alice, bob = call(relay, room)
    with alice.client() as first, bob.client(password="guessed") as second:
        assert first.allocate().code == 0
        assert second.allocate().code == 401
        told = verdict(relay, room, "wrong_password")
    assert told["verdict"]["about"] == "bob"
    assert "the password is wrong for the user name" in told["verdict"]["sentence"]


def test_a_quota(relay, room):
    alice, bob = call(relay, room, max_allocations=1)
    with alice.client() as first, bob.client() as second, bob.client() as third:
        assert first.allocate().code == 0
        assert second.allocate().code == 0
        assert third.allocate().code == 486
        told = verdict(relay, room, "quota")
    assert told["verdict"]["sentence"] == "bob was refused once: the quota credential_allocations_max was used up"


def test_a_byte_quota_cuts_the_call(relay, room):
    alice, bob = call(relay, room, max_bytes=20_000)
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        for client, peer in ((first, second), (second, first)):
            assert client.bind(0x4000, peer.relayed).code == 0
        second.send_channel(0x4000, b"y" * 500)
        assert first.receive_payload() == b"y" * 500
        for _ in range(60):
            first.send_channel(0x4000, b"x" * 500)
        told = verdict(relay, room, "quota_cut")
    assert "had carried all its bytes" in told["verdict"]["sentence"]


def test_a_forbidden_peer(relay, room):
    alice, bob = call(relay, room)
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        assert first.permit(("10.1.2.3", 5000)).code == 403
        told = verdict(relay, room, "forbidden_peer")
    assert told["verdict"]["about"] == "alice"
    assert told["verdict"]["sentence"].startswith("alice asked for the peer 10.1.2.3:5000, which the peer policy forbids (")
    assert "10.0.0.0/8" in told["verdict"]["sentence"]


def test_udp_that_goes_unanswered_and_tls_that_works(relay, room):
    alice, bob = call(relay, room)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf, bob.client() as second:
        # What a firewall that eats the answers looks like from the relay: the request comes, and nothing after it.
        deaf.bind(("198.51.100.3", 0))
        first_try = TurnClient((HOST, relay.turn_port), "", "", source=("198.51.100.3", 0))
        deaf.sendto(first_try.build(ALLOCATE, [(REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]), (HOST, relay.turn_port))
        first_try.sock.close()
        started = time.monotonic()
        wait_until(lambda: time.monotonic() > started + 1, 10, "the client's patience")
        with alice.client("tls", source="198.51.100.3") as first:
            assert first.allocate().code == 0 and second.allocate().code == 0
            exchange(first, second)
            told = verdict(relay, room, "udp_unanswered")
    sentence = told["verdict"]["sentence"]
    assert sentence.startswith("alice reached the relay by TLS only after UDP went unanswered; data flowed both ways after 1.")
    assert told["verdict"]["good"]


def test_udp_that_never_arrives_and_tls_that_works(relay, room):
    alice, bob = call(relay, room)
    with alice.client("tls") as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        exchange(first, second)
        told = verdict(relay, room, "udp_never_seen")
    assert told["verdict"]["sentence"].startswith("alice reached the relay by TLS only, nothing came by UDP; data flowed")


def test_one_side_that_never_arrives(relay, room):
    alice, _bob = call(relay, room)
    with alice.client() as first:
        assert first.allocate().code == 0
        told = verdict(relay, room, "never_arrived")
    assert told["verdict"]["sentence"] == "bob never came to the relay: nothing arrived with that credential"


def test_a_missing_permission(relay, room):
    alice, bob = call(relay, room)
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        assert first.bind(0x4000, second.relayed).code == 0
        assert second.permit(("198.51.100.2", 9)).code == 0
        first.send_channel(0x4000, b"hello?")
        told = verdict(relay, room, "no_permission")
    assert told["verdict"]["sentence"] == "bob never sent a permission for alice's address"
    assert told["verdict"]["about"] == "bob"


def test_all_is_well(relay, room):
    alice, bob = call(relay, room)
    with alice.client() as first, bob.client() as second:
        assert first.allocate().code == 0 and second.allocate().code == 0
        exchange(first, second)
        told = verdict(relay, room, "relayed")
        assert first.refresh(0).code == 0 and second.refresh(0).code == 0
    assert told["verdict"]["sentence"].startswith("all well: both sides used the relay, over UDP; data flowed both ways after")

    def ended():
        return [entry for entry in timeline(relay, room)["entries"] if entry["kind"] == "ended"]

    ends = wait_until(lambda: len(ended()) == 2 and ended(), 10, "both ends")
    for kind in ("credential_minted", "allocated", "peer_named", "first_data_sent", "first_data_heard", "ended"):
        sides = sorted(entry["clients"][0] for entry in timeline(relay, room)["entries"] if entry["kind"] == kind)
        assert sides == ["alice", "bob"], kind
    session = json.loads(relay.request(f"/api/v1/sessions/{ends[0]['session']}")[2])
    assert (ends[0]["bytesIn"], ends[0]["bytesOut"]) == (session["bytesIn"], session["bytesOut"])


def test_refusals_are_listed_grouped_and_folded(relay, room):
    alice, _bob = call(relay, room)
    with alice.client(password="guessed") as client:
        for _ in range(5):
            assert client.allocate().code == 401

    def found():
        rows = json.loads(relay.request(f"/api/v1/failures?room={room}")[2])["data"]
        return sum(row["count"] for row in rows) >= 5 and rows

    rows = wait_until(found, 10, "the refusals")
    assert len(rows) <= 2, "equal ones of a minute are one row"
    assert {(row["reason"], row["room"], row["clients"][0], row["transport"]) for row in rows} == {
        ("wrong_key", room, "alice", "udp")
    }
    groups = json.loads(relay.request(f"/api/v1/failures?room={room}&group_by=client")[2])["groups"]
    assert [(group["key"], group["count"]) for group in groups] == [("alice", sum(row["count"] for row in rows))]
    assert json.loads(relay.request(f"/api/v1/failures?search={alice.username[:13]}")[2])["data"] == rows
