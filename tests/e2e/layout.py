"""Where the server under test, its clients and their peers are.

Usually on one host, whose loopback carries everything. With E2E_LAYOUT=apart, tests/e2e/run gives the server a network namespace
of its own, beyond a link: then clients and peers are hosts that the server does not share, and XDP has something to do.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

# The server's host; the third address is one that no configuration names.
HOST, HOST_V6, OTHER_HOST = "198.51.100.1", "2001:db8:1::1", "198.51.100.4"
# Hosts of peers.
PEER, PEER_V6, OTHER_PEER = "198.51.100.2", "2001:db8:1::2", "198.51.100.3"
# The server's network namespace, if it has one of its own.
SERVER_SPACE = os.environ.get("E2E_SERVER_SPACE")
# This end of the link to it.
LINK = "test0"
# Where the server's HTTP listens.
HTTP_HOST = HOST if SERVER_SPACE else "127.0.0.1"

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
SET_TX_CHECKSUMS, SET_GRO = 0x17, 0x2C
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(space):
    """Sockets made in here belong to that network namespace for good; None is this one."""
    if space is None:
        yield
        return
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{space}") as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


def beside_server():
    """For what has to happen on the server's host."""
    return inside(SERVER_SPACE)


def on_server_host(*command):
    """A command line that runs there."""
    return ["nsenter", f"--net=/run/netns/{SERVER_SPACE}", *command] if SERVER_SPACE else list(command)


def own_address(host):
    """Under which address the server at `host` sees this host."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, 9))
        return sock.getsockname()[0]


def ethtool(interface, command, data):
    """ethtool -K, one feature."""
    value = ctypes.create_string_buffer(struct.pack("=II", command, data), 8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
        fcntl.ioctl(sock, SIOCETHTOOL, request)


def let_xdp_ask_for_routes():
    for family in ("ipv4", "ipv6"):
        with open(f"/proc/sys/net/{family}/conf/lo/forwarding", "w") as file:
            file.write("1")


def suit_xdp():
    """What docs/fast-path.md asks for: whole packets from this end, which takes what XDP sends, and routes at the other."""
    ethtool(LINK, SET_TX_CHECKSUMS, 0)
    ethtool(LINK, SET_GRO, 1)
    with beside_server():
        let_xdp_ask_for_routes()
