"""Channels relayed in the kernel: the same figures, limits and refusals as in user space."""

import contextlib
import ctypes
import os
import platform
import socket
import struct
import subprocess

import pytest

from causeway import HOST, HOST_V6, PASSWORD, USER, Causeway, wait_until
from turn_client import TurnClient

CHANNEL = 0x4000
FORWARDED = ("forwarded_up", "forwarded_down", "forwarded_between")
PEER = "198.51.100.2"


@pytest.fixture(scope="module", params=["off", "tc", "xdp"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def fast(mode):
    with Causeway(fast_path=mode) as server:
        server.mode = mode
        if mode != "off" and not server.metric("causeway_fast_path_flows_max"):
            # CI's kernel has it; a developer's may not.
            pytest.skip("no fast path here: " + next(line for line in server.log().splitlines() if "fast path" in line))
        yield server


def outcome(server, *names):
    samples = server.metrics()
    return sum(samples.get(f'causeway_fast_path_packets_total{{outcome="{name}"}}', 0) for name in names)


def relayed(server):
    samples = server.metrics()
    names = [("packets", "from_client"), ("bytes", "from_client"), ("packets", "to_client"), ("bytes", "to_client")]
    return [samples.get(f'causeway_relayed_{what}_total{{direction="{way}"}}', 0) for what, way in names]


def counted(server, before, expected):
    """Figures come a few times a second."""

    def all_there():
        now = relayed(server)
        return [after - earlier for after, earlier in zip(now, before)] == expected

    wait_until(all_there, 20, f"{expected} to be counted; {before} became {relayed(server)}")


@contextlib.contextmanager
def peer_socket(address=PEER):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as peer:
        peer.bind((address, 0))
        peer.settimeout(20)
        yield peer, peer.getsockname()[:2]


def turn(server, host=HOST, **options):
    return TurnClient((host, server.turn_port), USER, PASSWORD, **options)


@pytest.mark.parametrize(("host", "peer_host"), [(HOST, PEER), (HOST_V6, "2001:db8:1::2")])
def test_payload_of_every_length_crosses_both_ways_and_is_counted(fast, host, peer_host):
    before, in_kernel = relayed(fast), outcome(fast, *FORWARDED)
    lengths = [0, 1, 2, 3, 4, 159, 160, 1199, 1400, 2000, 5000]
    with peer_socket(peer_host) as (peer, address), turn(fast, host) as client:
        assert client.allocate(family=2 if ":" in host else None).code == 0
        assert client.bind(CHANNEL, address).code == 0
        for length in lengths:
            payload = os.urandom(length)
            client.send_channel(CHANNEL, payload)
            received, source = peer.recvfrom(65536)
            assert (received, source[:2]) == (payload, client.relayed)
            peer.sendto(payload[::-1], client.relayed)
            assert client.receive_payload() == payload[::-1]
        expected = [len(lengths), sum(lengths)] * 2
        counted(fast, before, expected)
        # All but the first, of which is told, and the longest, which is the sockets' own.
        assert outcome(fast, *FORWARDED) - in_kernel == (0 if fast.mode == "off" else 2 * (len(lengths) - 2))
        assert client.refresh(0).code == 0
    wait_until(lambda: fast.metric("causeway_fast_path_flows") == 0, 20, "the flow to go")


def test_two_allocations_talk_in_one_step(fast):
    before, in_kernel = relayed(fast), outcome(fast, "forwarded_between")
    with turn(fast) as alice, turn(fast) as bob:
        assert (alice.allocate().code, bob.allocate().code) == (0, 0)
        assert alice.bind(CHANNEL, bob.relayed).code == 0
        assert bob.bind(CHANNEL + 1, alice.relayed).code == 0
        for number in range(50):
            payload = struct.pack("!I", number)
            alice.send_channel(CHANNEL, payload)
            assert bob.receive() == struct.pack("!HH", CHANNEL + 1, 4) + payload
            bob.send_channel(CHANNEL + 1, payload)
            assert alice.receive() == struct.pack("!HH", CHANNEL, 4) + payload
        # All but the first of either.
        assert outcome(fast, "forwarded_between") - in_kernel == (0 if fast.mode == "off" else 98)
        counted(fast, before, [100, 400, 100, 400])
        assert (alice.refresh(0).code, bob.refresh(0).code) == (0, 0)


def test_the_end_of_an_allocation_has_every_packet(fast):
    with peer_socket() as (peer, address), turn(fast) as client:
        assert client.allocate().code == 0
        assert client.bind(CHANNEL, address).code == 0
        before = relayed(fast)
        for _ in range(30):
            client.send_channel(CHANNEL, b"0123456789")
            peer.recv(100)
        # At once, without waiting for the next count.
        assert client.refresh(0).code == 0
        counted(fast, before, [30, 300, 0, 0])
        client.send_channel(CHANNEL, b"late")
        peer.settimeout(0.5)
        with pytest.raises(TimeoutError):
            peer.recv(100)


def test_what_has_no_channel_or_comes_from_elsewhere_goes_the_old_way(fast):
    with peer_socket() as (peer, address), peer_socket() as (other, other_address), turn(fast) as client:
        assert client.allocate().code == 0
        assert client.bind(CHANNEL, address).code == 0
        client.send_channel(CHANNEL, b"seen")
        assert peer.recv(100) == b"seen"
        # The permission is by address: another port is heard, by a Data indication.
        other.sendto(b"other port", client.relayed)
        assert client.receive_payload() == b"other port"
        client.send_indication(other_address, b"indication")
        assert other.recv(100) == b"indication"
        with peer_socket("198.51.100.3") as (stranger, _):
            stranger.sendto(b"stranger", client.relayed)
        peer.sendto(b"after", client.relayed)
        assert client.receive_payload() == b"after"
        assert client.refresh(0).code == 0


@pytest.fixture
def link():
    """An interface of the test's own: there is room for one XDP program at each."""
    subprocess.run(["ip", "link", "add", "fpk0", "type", "veth", "peer", "name", "fpk1"], check=True)
    yield "fpk0"
    subprocess.run(["ip", "link", "del", "fpk0"], check=True)


def has_xdp(interface):
    told = subprocess.run(["ip", "link", "show", interface], check=True, capture_output=True, text=True).stdout
    return "prog/xdp" in told


def test_a_killed_process_leaves_no_program_and_the_next_one_works(link):
    before = programs_at_loopback()
    settings = {"fast_path": "xdp", "fast_path_interface": ["lo", link]}
    with Causeway(**settings) as server:
        if not server.metric("causeway_fast_path_flows_max"):
            pytest.skip("no fast path here")
        assert programs_at_loopback() == before + 1 and has_xdp(link), server.log()
        server.stop()
    wait_until(lambda: programs_at_loopback() == before and not has_xdp(link), 20, "the programs to be gone")
    with Causeway(**settings) as server, peer_socket() as (peer, address), turn(server) as client:
        assert client.allocate().code == 0
        assert client.bind(CHANNEL, address).code == 0
        for _ in range(3):
            client.send_channel(CHANNEL, b"again")
            assert peer.recv(100) == b"again"
        assert outcome(server, "forwarded_up") == 2
        assert has_xdp(link), server.log()


def programs_at_loopback():
    """How many sit at the tc ingress of this namespace's loopback: bpf(BPF_PROG_QUERY)."""
    bpf = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    ids = (ctypes.c_uint32 * 64)()
    query = struct.pack("=IIIIQIIQQQ", 1, 46, 0, 0, ctypes.addressof(ids), 64, 0, 0, 0, 0)
    buffer = ctypes.create_string_buffer(query, len(query))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(bpf, 16, buffer, len(query)) != 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return struct.unpack_from("=I", buffer, 24)[0]


def test_two_capabilities_are_enough(fast, mode, link):
    if mode != "xdp":
        pytest.skip("tc comes with xdp")
    capable = ["setpriv", "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all"]
    with Causeway(prefix=capable, fast_path=mode, fast_path_interface=["lo", link]) as server:
        assert server.metric("causeway_fast_path_flows_max") == fast.metric("causeway_fast_path_flows_max"), server.log()
        assert has_xdp(link), server.log()


@contextlib.contextmanager
def loopback_forwards(value):
    """sysctl net.*.conf.lo.forwarding, for a while."""
    paths = [f"/proc/sys/net/{family}/conf/lo/forwarding" for family in ("ipv4", "ipv6")]
    before = []
    for path in paths:
        with open(path) as file:
            before.append(file.read())
        with open(path, "w") as file:
            file.write(value)
    try:
        yield
    finally:
        for path, text in zip(paths, before):
            with open(path, "w") as file:
                file.write(text)


@pytest.mark.parametrize("forwards", ["0", "1"])
def test_a_service_whose_proc_shows_processes_only_has_it_and_says_what_xdp_lacks(link, forwards):
    # ProcSubset=pid and ProtectProc=invisible, as packaging/systemd has them: no sysctl is to be seen.
    command = "mount -t proc -o subset=pid,hidepid=invisible proc /proc && ! test -e /proc/sys && exec \"$@\""
    service = ["unshare", "--mount", "sh", "-c", command, "sh"]
    service += ["setpriv", "--no-new-privs", "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all"]
    with loopback_forwards(forwards), Causeway(prefix=service, fast_path="xdp", fast_path_interface=["lo", link]) as server:
        samples = server.metrics()
        if not samples["causeway_fast_path_flows_max"]:
            pytest.skip("no fast path here")
        programs = {name: value for name, value in samples.items() if "fast_path_attached" in name}
        assert programs == {f'causeway_fast_path_attached{{at="{at}"}}': 1 for at in ("lo/tc", f"{link}/tc", f"{link}/xdp")}
        for name in ("ipv4", "ipv6"):
            assert (f"it needs sysctl net.{name}.conf.lo.forwarding=1" in server.log()) == (forwards == "0"), server.log()


def test_without_the_capability_all_goes_on_in_user_space():
    unprivileged = ["setpriv", "--bounding-set", "-bpf,-net_admin,-sys_admin", "--inh-caps", "-bpf,-net_admin,-sys_admin"]
    with Causeway(prefix=unprivileged, fast_path="auto") as server, peer_socket() as (peer, address), turn(server) as client:
        lines = [line for line in server.log().splitlines() if "fast path" in line]
        assert len(lines) == 1 and "not permitted" in lines[0], lines
        assert server.metric("causeway_fast_path_flows_max") == 0
        assert client.allocate().code == 0
        assert client.bind(CHANNEL, address).code == 0
        client.send_channel(CHANNEL, b"slow")
        assert peer.recv(100) == b"slow"
