"""Channels relayed in the kernel between real interfaces: a client and a peer in network namespaces of their own."""

import contextlib
import ctypes
import os
import platform
import socket
import struct
import subprocess

import pytest

from causeway import HOST, HOST_V6, PASSWORD, USER, Causeway, wait_until
from layout import SET_GRO, SET_TX_CHECKSUMS, ethtool, inside, let_xdp_ask_for_routes, libc
from turn_client import TurnClient

CHANNEL = 0x4000
CLIENT, PEER, PEER_V6 = "198.18.10.2", "198.18.11.2", "2001:db8:21::2"
VLAN_PEER, VLAN_PEER_V6 = "198.18.15.2", "2001:db8:25::2"
BRIDGE_PEER, BRIDGE_PEER_V6 = "198.18.16.2", "2001:db8:26::2"
# Indices of namespaces: beyond a link, beyond the other, in the VLAN, beyond the bridge.
VLAN, BRIDGED = 2, 3
BY_XDP = "causeway_fast_path_xdp_packets_total"
MODES = ["off", "tc", "xdp"]


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


def finish_checksums(network, finished):
    """ethtool -K far0 tx off: what leaves carries its checksum, and receivers look at it."""
    for space in (*network[:2], network[BRIDGED]):
        with inside(space):
            ethtool("far0", SET_TX_CHECKSUMS, 0 if finished else 1)


def receive_frames(space):
    """ethtool -K far0 gro on, txvlan off: takes what XDP sends, as with a program of its own, and leaves tags in the frames."""
    with inside(space):
        ethtool("far0", SET_GRO, 1)
        ethtool("far0", 0x26, 0)


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def network(mode):
    """Two links to this host, a VLAN on the first, and a bridge; gives the names of the namespaces at their far ends."""
    spaces = [f"e2e-fp{n}-{os.getpid()}" for n in (10, 11, 15, 16)]
    let_xdp_ask_for_routes()
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
            receive_frames(space)
        add_vlan(spaces)
        add_bridge(spaces)
        yield spaces
    finally:
        subprocess.run(["ip", "link", "del", "fp16-port"], capture_output=True)
        for n, space in zip((10, 11, 15, 16), spaces):
            subprocess.run(["ip", "link", "del", f"fp{n}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def add_vlan(spaces):
    """VLAN 5 of the first link, its far end in a namespace of its own, where the kernel has VLANs."""
    run("ip", "netns", "add", spaces[2])
    command = ["ip", "link", "add", "link", "fp10", "name", "fp10.5", "type", "vlan", "id", "5"]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return
    run("ip", "-n", spaces[0], "link", "add", "link", "far0", "name", "far5", "type", "vlan", "id", "5")
    run("ip", "-n", spaces[0], "link", "set", "far5", "netns", spaces[2])
    for where, device, host in [((), "fp10.5", 1), (("-n", spaces[2]), "far5", 2)]:
        run("ip", *where, "addr", "add", f"198.18.15.{host}/24", "dev", device)
        run("ip", *where, "-6", "addr", "add", f"2001:db8:25::{host}/64", "dev", device, "nodad")
        run("ip", *where, "link", "set", device, "up")
    run("ip", "-n", spaces[2], "route", "add", "default", "via", "198.18.15.1")
    run("ip", "-n", spaces[2], "-6", "route", "add", "default", "via", "2001:db8:25::1")


def add_bridge(spaces):
    """A bridge of this host with one port. Its driver knows no XDP: there the kernel runs the program behind it."""
    run("ip", "netns", "add", spaces[BRIDGED])
    run("ip", "link", "add", "fp16", "type", "bridge")
    run("ip", "link", "add", "fp16-port", "type", "veth", "peer", "name", "far0", "netns", spaces[BRIDGED])
    run("ip", "link", "set", "fp16-port", "addrgenmode", "none", "master", "fp16", "up")
    run("ip", "addr", "add", "198.18.16.1/24", "dev", "fp16")
    run("ip", "-6", "addr", "add", "2001:db8:26::1/64", "dev", "fp16", "nodad")
    run("ip", "link", "set", "fp16", "up")
    there = ["ip", "-n", spaces[BRIDGED]]
    run(*there, "addr", "add", f"{BRIDGE_PEER}/24", "dev", "far0")
    run(*there, "-6", "addr", "add", f"{BRIDGE_PEER_V6}/64", "dev", "far0", "nodad")
    run(*there, "link", "set", "far0", "up")
    run(*there, "route", "add", "default", "via", "198.18.16.1")
    run(*there, "-6", "route", "add", "default", "via", "2001:db8:26::1")


@pytest.fixture(scope="module")
def fast(network, mode):
    with Causeway(fast_path=mode, allow_peer=["198.18.0.0/15", "2001:db8::/32"]) as server:
        server.mode = mode
        if mode != "off" and not server.metric("causeway_fast_path_flows_max"):
            pytest.skip("no fast path here: " + next(line for line in server.log().splitlines() if "fast path" in line))
        yield server


def outcomes(server):
    prefix = 'causeway_fast_path_packets_total{outcome="'
    return {name[len(prefix) : -2]: value for name, value in server.metrics().items() if name.startswith(prefix)}


@contextlib.contextmanager
def call(server, network, client_v6, peer_v6, client_at=0, peer_at=1):
    """A client with a channel to a peer, each beyond a link."""
    with inside(network[client_at]):
        turn = TurnClient((HOST_V6 if client_v6 else HOST, server.turn_port), USER, PASSWORD)
    with inside(network[peer_at]):
        peer = socket.socket(socket.AF_INET6 if peer_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    peers = [(CLIENT, "2001:db8:20::2"), (PEER, PEER_V6), (VLAN_PEER, VLAN_PEER_V6), (BRIDGE_PEER, BRIDGE_PEER_V6)]
    with turn, peer:
        peer.bind((peers[peer_at][peer_v6], 0))
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
    finish_checksums(network, checksums == "finished")
    with call(fast, network, client_v6, peer_v6) as (turn, peer, relayed):
        # What is not finished XDP leaves to tc.
        check_both_ways(fast, turn, peer, relayed, ways_by_xdp=2 if checksums == "finished" else 0)


@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize(("client_at", "peer_at"), [(0, 0), (VLAN, 1), (0, VLAN), (VLAN, VLAN)])
def test_over_one_link_or_a_vlan(fast, network, client_at, peer_at, v6):
    if VLAN in (client_at, peer_at) and not os.path.exists("/sys/class/net/fp10.5"):
        pytest.skip("this kernel has no VLANs")
    finish_checksums(network, True)
    with call(fast, network, v6, v6, client_at, peer_at) as (turn, peer, relayed):
        check_both_ways(fast, turn, peer, relayed, ways_by_xdp=2)


@pytest.mark.parametrize("v6", [False, True])
def test_where_the_driver_has_no_xdp_it_is_behind_it(fast, network, v6):
    if fast.mode == "xdp":
        assert {entry: on for entry, on in attached(fast).items() if entry.startswith("fp16/")} == {"fp16/tc": 1, "fp16/xdp_generic": 1}
    finish_checksums(network, True)
    with call(fast, network, v6, v6, BRIDGED, BRIDGED) as (turn, peer, relayed):
        check_both_ways(fast, turn, peer, relayed, ways_by_xdp=2)
    # Frames for the bridge, which takes none of XDP's, go by tc when they come by a driver's XDP.
    with call(fast, network, v6, not v6, BRIDGED, 1) as (turn, peer, relayed):
        check_both_ways(fast, turn, peer, relayed, ways_by_xdp=1)


def check_both_ways(server, turn, peer, relayed, ways_by_xdp):
    lengths = [1, 2, 3, 160, 1200, 1400]
    before, xdp_before = outcomes(server), server.metric(BY_XDP)
    for length in lengths:
        payload = os.urandom(length)
        turn.send_channel(CHANNEL, payload)
        received, source = peer.recvfrom(65536)
        assert (received, source[:2]) == (payload, turn.relayed)
        peer.sendto(payload[::-1], relayed)
        assert turn.receive_payload() == payload[::-1]
    after = outcomes(server)
    if server.mode == "off":
        assert not after
        return
    forwarded = {name: after[name] - before[name] for name in ("forwarded_up", "forwarded_down")}
    assert forwarded == {"forwarded_up": len(lengths), "forwarded_down": len(lengths)}, after
    wanted = ways_by_xdp * len(lengths) if server.mode == "xdp" else 0
    assert server.metric(BY_XDP) - xdp_before == wanted, server.log()


def test_what_a_header_makes_too_large_for_the_link_is_sent_in_fragments(fast, network):
    with call(fast, network, False, False) as (turn, peer, relayed):
        # The system must not set DF, or a fragment may not be made of it.
        peer.setsockopt(socket.IPPROTO_IP, 10, 0)
        before = outcomes(fast).get("passed_size", 0)
        payload = os.urandom(1470)
        peer.sendto(payload, relayed)
        assert turn.receive_payload() == payload
        assert outcomes(fast).get("passed_size", 0) == before + (fast.mode != "off")


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
        before = outcomes(fast).get("forwarded_between", 0)
        for number in range(10):
            payload = os.urandom(100 + number)
            bob.send_channel(CHANNEL + 1, payload)
            assert alice.receive() == struct.pack("!HH", CHANNEL, len(payload)) + payload
            alice.send_channel(CHANNEL, payload)
            assert bob.receive() == struct.pack("!HH", CHANNEL + 1, len(payload)) + payload
        assert outcomes(fast).get("forwarded_between", 0) == before + (20 if fast.mode != "off" else 0)


def test_a_forged_sender_is_left_to_the_kernel(fast, network):
    """A datagram that says to come from the peer, or from this host itself, by the client's link."""
    if fast.mode == "off":
        pytest.skip("the kernel's own judgement")
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
    if fast.mode == "off":
        pytest.skip("no flow to move")
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
            # The route may have been back before the process came to send there.
            while (received := peer.recv(100)) == b"nowhere":
                pass
            assert received == b"after"
        assert outcomes(fast)["forwarded_up"] >= before["forwarded_up"] + 1
        assert turn.refresh(0).code == 0


def test_an_interface_that_goes_takes_nothing_else_with_it(fast, network):
    """A link that is taken down and made anew carries traffic by the sockets."""
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
    assert outcomes(fast).get("forwarded_up") == before.get("forwarded_up")


def test_what_an_administrator_takes_off_goes_on_in_user_space(fast, network):
    if fast.mode == "off":
        pytest.skip("nothing to take off")
    finish_checksums(network, True)
    with call(fast, network, False, False, client_at=1) as (turn, peer, relayed):

        def ping(number):
            turn.send_channel(CHANNEL, struct.pack("!I", number))
            assert peer.recv(100) == struct.pack("!I", number)
            peer.sendto(struct.pack("!I", number), relayed)
            assert turn.receive_payload() == struct.pack("!I", number)

        before = outcomes(fast)["forwarded_up"]
        for number in range(20):
            ping(number)
        there = outcomes(fast)["forwarded_up"]
        assert there == before + 20
        entries = ["fp11/tc", "fp11/xdp"] if fast.mode == "xdp" else ["fp11/tc"]
        assert [attached(fast)[entry] for entry in entries] == [1] * len(entries)
        take_off(fast, "fp11")
        for number in range(20):
            ping(number)
        assert outcomes(fast)["forwarded_up"] == there
        assert [attached(fast)[entry] for entry in entries] == [0] * len(entries)
    command = [os.environ["CAUSEWAY_BIN"], "fast-path", "status", "--config", fast.config]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for entry in entries:
        assert next(line for line in told.splitlines() if line.split()[:1] == [entry]).endswith("taken off"), told


def attached(server):
    prefix = 'causeway_fast_path_attached{at="'
    return {name[len(prefix) : -2]: value for name, value in server.metrics().items() if name.startswith(prefix)}


def take_off(server, interface):
    """bpftool link detach, for every link of the server at this interface."""
    index = socket.if_nametoindex(interface)
    taken = 0
    folder = f"/proc/{server.process.pid}/fdinfo"
    for name in os.listdir(folder):
        try:
            with open(f"{folder}/{name}") as file:
                told = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        except FileNotFoundError:
            continue
        if "link_id" in told and int(told.get("ifindex", 0)) == index:
            link = bpf(30, struct.pack("=I", int(told["link_id"])))
            bpf(34, struct.pack("=I", link))
            os.close(link)
            taken += 1
    assert taken


def bpf(command, attributes):
    number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(number, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}")
    return result
