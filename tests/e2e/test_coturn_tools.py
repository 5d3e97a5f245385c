"""Debian's coturn tools against causeway: every mode, no lost message, the server untouched by the rude ones."""

import subprocess

import pytest

from causeway import HOST, HOST_V6
from coturn_tools import uclient
from layout import OTHER_HOST, PEER, PEER_V6, SERVER_SPACE, own_address

TRANSPORTS = {
    "udp": dict(),
    "tcp": dict(options=["-t"]),
    "tls": dict(options=["-t", "-S"], tls=True),
    "dtls": dict(options=["-S"], tls=True),
}


def assert_all_arrived(run):
    assert run.code == 0, run.output[-2000:]
    assert run.sent and run.sent == run.received, run.output[-2000:]
    assert run.lost == 0, run.output[-2000:]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("secret", [False, True], ids=["static", "secret"])
def test_transport(server, echo, transport, v6, secret):
    chosen = TRANSPORTS[transport]
    peer = echo.address(PEER_V6 if v6 else PEER)
    options = chosen.get("options", []) + (["-x"] if v6 else [])
    run = uclient(server, *options, peer=peer, v6=v6, secret=secret, tls=chosen.get("tls", False))
    assert_all_arrived(run)


@pytest.mark.parametrize(
    "options",
    [["-s"], ["-s", "-t"], ["-M"], ["-M", "-t"], ["-g"], ["-G"], ["-Z"], ["-B"], ["-c"], ["-l", "1200"]],
    ids=lambda options: " ".join(options),
)
def test_mode(server, echo, options):
    assert_all_arrived(uclient(server, *options, peer=echo.address()))


def test_ipv6_relay_for_an_ipv4_client(server, echo):
    assert_all_arrived(uclient(server, "-x", peer=echo.address(PEER_V6)))


def test_client_to_client_through_two_allocations(server):
    assert_all_arrived(uclient(server))
    assert_all_arrived(uclient(server, "-s"))


def test_tcp_relaying_actively(server):
    assert_all_arrived(uclient(server, "-T", "-t"))


@pytest.mark.skipif(SERVER_SPACE is not None, reason="the tool connects to the relay from its loopback")
def test_tcp_relaying_passively(start):
    # The tool counts only one direction in this mode: against coturn, too, it
    # reports half as received.
    run = uclient(start(allow_peer=["198.51.100.0/24", "127.0.0.0/8"]), "-P", "-t")
    assert run.code == 0 and run.received == run.sent // 2, run.output[-2000:]


@pytest.mark.parametrize("mode, codes", [("-N", {255}), ("-R", {0, 124})])
def test_the_server_is_untouched_by_negative_tests(server, echo, mode, codes):
    # -N ends on the first refused request; -R goes on for ever or ends, as its random packets come: against coturn as
    # well. What counts is the server.
    run = uclient(server, mode, peer=echo.address(), timeout=15)
    assert run.code in codes, run.output[-2000:]
    assert server.health() == 200
    assert server.metric("causeway_panics_total") == 0
    assert_all_arrived(uclient(server, peer=echo.address()))


@pytest.mark.parametrize("host", [HOST, HOST_V6])
def test_stunclient(server, host):
    done = subprocess.run(["turnutils_stunclient", "-p", str(server.turn_port), host], capture_output=True, text=True, timeout=20)
    assert f"UDP reflexive addr: {own_address(host)}" in done.stdout.replace("[", "").replace("]", ""), done.stdout


def test_natdiscovery_over_a_grid_of_four_addresses(start):
    from causeway import free_port

    first, second = free_port(), free_port()
    hosts = [HOST, OTHER_HOST]
    server = start(turn_listen=[f"{host}:{port}" for host in hosts for port in (first, second)], public_ip=[HOST])
    done = subprocess.run(
        ["turnutils_natdiscovery", "-m", "-f", "-p", str(first), HOST], capture_output=True, text=True, timeout=60
    )
    assert "NAT with Endpoint Independent Mapping!" in done.stdout or "No NAT detected" in done.stdout, done.stdout
    assert "Endpoint Independent Filtering" in done.stdout, done.stdout
    assert server.health() == 200
