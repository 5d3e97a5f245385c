"""A security reviewer's afternoon: every special address, in every disguise, on every path."""

import ipaddress
import socket

import pytest

from causeway import HOST, PASSWORD, USER
from layout import HTTP_HOST, OTHER_HOST, PEER, beside_server
from turn_client import TurnClient

pytestmark = pytest.mark.usefixtures("fast_path")

PLAIN = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "private 10": "10.0.0.1",
    "cgnat": "100.64.0.1",
    "loopback": "127.0.0.1",
    "cloud metadata": "169.254.169.254",
    "private 172": "172.16.0.1",
    "protocol assignments": "192.0.0.1",
    "documentation": "192.0.2.1",
    "6to4 anycast": "192.88.99.1",
    "private 192": "192.168.0.1",
    "benchmarking": "198.18.0.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
}
IPV6_ONLY = ["::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001:db8:ffff::1", "3fff::1", "fec0::1"]


def disguises(text):
    number = int(ipaddress.IPv4Address(text))
    yield from (
        ipaddress.IPv6Address(number | 0xFFFF << 32),
        ipaddress.IPv6Address(number),
        ipaddress.IPv6Address(number | 0xFFFF << 48),
        ipaddress.IPv6Address(number | 0x64FF9B << 96),
        ipaddress.IPv6Address(number | 0x64FF9B0001 << 80),
        ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1),
        ipaddress.IPv6Address(0x20010000 << 96 | ~number & 0xFFFFFFFF),
    )


def client(server, **options):
    return TurnClient((HOST, server.turn_port), USER, PASSWORD, **options)


@pytest.fixture(scope="module")
def closed(fast_path):
    """A server on default rules."""
    from causeway import Causeway

    with Causeway(allow_peer=None) as running:
        yield running


@pytest.mark.parametrize("name", PLAIN)
def test_ipv4_special_addresses_are_forbidden(closed, name):
    with client(closed) as turn:
        assert turn.allocate().code == 0
        peer = (PLAIN[name], 80)
        assert turn.permit(peer).code == 403
        assert turn.bind(0x4000, peer).code == 403


@pytest.mark.parametrize("name", PLAIN)
def test_their_ipv6_disguises_are_forbidden(closed, name):
    with client(closed) as turn:
        assert turn.allocate(family=2).code == 0
        for disguise in disguises(PLAIN[name]):
            assert turn.permit((str(disguise), 80)).code == 403, disguise
            assert turn.bind(0x4000, (str(disguise), 80)).code == 403, disguise


@pytest.mark.parametrize("ip", IPV6_ONLY)
def test_ipv6_special_addresses_are_forbidden(closed, ip):
    with client(closed) as turn:
        assert turn.allocate(family=2).code == 0
        assert turn.permit((ip, 80)).code == 403
        assert turn.bind(0x4000, (ip, 80)).code == 403


def test_connect_refuses_the_same(closed):
    with client(closed, tcp=True) as turn:
        assert turn.allocate(transport=6).code == 0
        for ip in PLAIN.values():
            assert turn.connect_peer((ip, 80)).code == 403, ip


def test_send_without_permission_reaches_nobody(closed):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim, client(closed) as turn:
        victim.bind((PEER, 0))
        victim.settimeout(0.5)
        assert turn.allocate().code == 0
        before = closed.metric('causeway_drops_total{reason="no_permission"}')
        turn.send_indication(victim.getsockname(), b"knock")
        with pytest.raises(TimeoutError):
            victim.recv(100)
        from causeway import wait_until

        wait_until(lambda: closed.metric('causeway_drops_total{reason="no_permission"}') > before, 5, "the drop to be counted")


def test_the_relays_own_host_is_open_to_relayed_traffic_only(closed):
    with beside_server():
        victim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with victim, client(closed) as turn:
        victim.bind((HOST, 0))
        victim.settimeout(0.5)
        assert turn.allocate().code == 0
        # A permission is by IP, and the relay's IP has relayed addresses to reach …
        assert turn.permit((HOST, 0)).code == 0
        # … but nothing else there is reached, not even a port of the relay range without a relay.
        assert turn.bind(0x4000, (HOST, 22)).code == 403
        for port in (victim.getsockname()[1], 65535):
            turn.send_indication((HOST, port), b"knock")
        with pytest.raises(TimeoutError):
            victim.recv(100)


def test_two_allocations_reach_each_other_on_default_rules(closed):
    with client(closed) as alice, client(closed) as bob:
        assert alice.allocate().code == 0 and bob.allocate().code == 0
        assert alice.bind(0x4000, bob.relayed).code == 0
        assert bob.bind(0x4001, alice.relayed).code == 0
        alice.send_channel(0x4000, b"hello")
        assert bob.receive_payload() == b"hello"
        bob.send_channel(0x4001, b"hello yourself")
        assert alice.receive_payload() == b"hello yourself"


def test_allow_peer_opens_what_it_names_and_deny_peer_closes_it_again(start):
    server = start(allow_peer=["198.51.100.0/24", "10.0.0.0/8"], deny_peer=["10.1.0.0/16"])
    with client(server) as turn:
        assert turn.allocate().code == 0
        assert turn.permit(("10.2.0.1", 1)).code == 0
        assert turn.permit(("10.1.0.1", 1)).code == 403
        assert turn.permit(("192.168.0.1", 1)).code == 403


def test_causeways_own_services_are_refused_whatever_is_allowed(start):
    server = start(allow_peer=["0.0.0.0/0", "::/0"])
    with client(server) as turn:
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, (HTTP_HOST, server.http_port)).code == 403
        assert turn.bind(0x4000, (HOST, server.turn_port)).code == 403
        assert turn.bind(0x4000, ("127.0.0.1", server.turn_port)).code == 403
        assert turn.bind(0x4000, ("127.0.0.1", 1)).code == 0
    with client(server, tcp=True) as turn:
        assert turn.allocate(transport=6).code == 0
        assert turn.connect_peer((HTTP_HOST, server.http_port)).code == 403


def test_another_address_of_this_host_is_no_way_to_its_services(start):
    # It is an address of this host that no configuration names; HTTP listens on all of them.
    server = start(allow_peer=["0.0.0.0/0"])
    server.stop()
    server.settings["http_listen"] = f"0.0.0.0:{server.http_port}"
    with server as again, client(again) as turn:
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, (OTHER_HOST, again.http_port)).code == 403
        assert turn.bind(0x4000, (OTHER_HOST, 1)).code == 0
