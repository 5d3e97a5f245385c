"""Sessions and usage must agree, whatever happens to the server, its database and its disk."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from causeway import HOST, Causeway, wait_until
from postgres import Postgres
from turn_client import TurnClient

SESSIONS = "SELECT COUNT(*), COALESCE(SUM(client_bytes_in), 0), COALESCE(SUM(client_bytes_out), 0) FROM sessions"
USAGE = "SELECT COALESCE(SUM(sessions), 0), COALESCE(SUM(bytes_in), 0), COALESCE(SUM(bytes_out), 0) FROM usage_hours"
ROOMS = "SELECT COALESCE(SUM(sessions), 0), COALESCE(SUM(bytes_in), 0), COALESCE(SUM(bytes_out), 0) FROM rooms"
MILLIS = "SELECT SUM(last_seen_at - started_at) FROM sessions UNION ALL SELECT SUM(millis) FROM usage_hours"
LIVE = (
    "SELECT (SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL AND room IS NOT NULL), "
    "(SELECT COALESCE(SUM(active_sessions), 0) FROM rooms)"
)
PAYLOAD = b"x" * 100


def client_of(server, credential, tcp=False):
    entry = credential["iceServers"][1]
    return TurnClient((HOST, server.turn_port), entry["username"], entry["credential"], tcp=tcp)


def rows(server, sql):
    with contextlib.closing(sqlite3.connect(os.path.join(server.data_dir, "causeway.db"), timeout=10)) as database:
        return database.execute(sql).fetchall()


def balance(query):
    """Asserts that every sum there is says the same; it."""
    [sessions], [usage], [rooms] = query(SESSIONS), query(USAGE), query(ROOMS)
    as_numbers = lambda row: tuple(int(field) for field in row)
    assert as_numbers(sessions) == as_numbers(usage) == as_numbers(rooms)
    [stored], [counted] = query(MILLIS)
    assert int(stored or 0) == int(counted or 0)
    [[live, counted]] = query(LIVE)
    assert int(live) == int(counted)
    return as_numbers(sessions)


@contextlib.contextmanager
def talking(clients):
    """Every client sends to itself through its own channel, over and over."""
    stop = threading.Event()

    def send():
        while not stop.is_set():
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send_channel(0x4000, PAYLOAD)
            stop.wait(0.01)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


@pytest.mark.timeout(240)
def test_books_balance_after_each_of_twenty_kills_with_200_live_sessions(tmp_path):
    options = {"usage_flush_interval": "1s", "allocations_per_user_max": 1000, "log": "warn"}
    dice = random.Random(7)
    made = 0
    minted = []
    for _ in range(20):
        with Causeway(data_dir=str(tmp_path / "data"), **options) as server, contextlib.ExitStack() as open_clients:
            sessions, _, _ = balance(lambda sql: rows(server, sql))
            assert sessions == made, "every session of the last process that was told is in the books, once"
            assert rows(server, "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL") == [(0,)]
            minted.append(server.mint(room="red", initiator_client="alice", ttl=3600))
            clients = []
            for credential in [minted[0], minted[-1]] * 100:
                client = open_clients.enter_context(client_of(server, credential))
                assert client.allocate().code == 0, "an issued credential outlives a kill"
                assert client.bind(0x4000, client.relayed).code == 0
                clients.append(client)
            made += 200
            with talking(clients):
                # What began more than a flush ago is told; the kill comes at any moment after.
                live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
                wait_until(lambda: rows(server, live) == [(200,)], 10, "the sessions to be written")
                time.sleep(dice.uniform(0, 1.5))
                server.signal(signal.SIGKILL)
                server.process.wait()
    with Causeway(data_dir=str(tmp_path / "data"), **options) as server:
        sessions, bytes_in, _ = balance(lambda sql: rows(server, sql))
        assert (sessions, made) == (4000, 4000) and bytes_in > 0
        reasons = rows(server, "SELECT end_reason, COUNT(*) FROM sessions GROUP BY end_reason")
        assert reasons == [("server_restart", 4000)]


def test_the_figures_are_those_of_the_client(start):
    server = start()
    with client_of(server, server.mint(room="blue", initiator_client="alice")) as client:
        assert client.allocate().code == 0
        assert client.bind(0x4000, client.relayed).code == 0
        for _ in range(50):
            client.send_channel(0x4000, PAYLOAD)
            assert client.receive_payload() == PAYLOAD
        assert client.refresh(0).code == 0
    ended = "SELECT end_reason, peer_bytes_in, peer_bytes_out, peer_packets_in, peer_packets_out FROM sessions WHERE ended_at IS NOT NULL"
    assert wait_until(lambda: rows(server, ended), 5, "the session to be written") == [("client_deleted", 5000, 5000, 50, 50)]
    balance(lambda sql: rows(server, sql))
    # 50 ChannelData of 104 bytes each way; the control messages besides are a few hundred bytes.
    [(bytes_in, bytes_out)] = rows(server, "SELECT client_bytes_in, client_bytes_out FROM sessions")
    assert 5200 < bytes_in < 6200 and 5200 < bytes_out < 6200


def test_an_orderly_stop_writes_every_session(tmp_path):
    with Causeway(data_dir=str(tmp_path / "data"), drain_timeout="0s") as server:
        with contextlib.ExitStack() as open_clients:
            credential = server.mint(room="red")
            for _ in range(20):
                assert open_clients.enter_context(client_of(server, credential)).allocate().code == 0
            server.signal(signal.SIGTERM)
            assert server.process.wait(10) == 0
        assert rows(server, "SELECT end_reason, COUNT(*) FROM sessions GROUP BY 1") == [("server_shutdown", 20)]
        balance(lambda sql: rows(server, sql))


def relays(client):
    client.send_channel(0x4000, PAYLOAD)
    return client.receive_payload() == PAYLOAD


def test_calls_go_on_and_nothing_is_lost_while_postgresql_is_away(start):
    with Postgres() as postgres:
        server = start(environment={"CAUSEWAY_DATABASE_URL": postgres.url})
        credential = server.mint(room="red", ttl=3600)
        with client_of(server, credential) as stays, client_of(server, credential) as leaves:
            for client in (stays, leaves):
                assert client.allocate().code == 0
                assert client.bind(0x4000, client.relayed).code == 0
            live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
            wait_until(lambda: postgres.query(live) == [["2"]], 10, "the sessions to be written")
            postgres.stop()
            assert relays(stays)
            status, headers, body = server.request("/api/v1/credentials/ice", "POST", {})
            assert status == 503 and int(headers["Retry-After"]) >= 1, body
            assert leaves.refresh(0).code == 0
            assert stays.refresh().code == 0
            status, _, body = server.request("/healthz", token=False)
            assert status == 503 and json.loads(body)["store"] == "down"
            postgres.start()
            wait_until(lambda: server.health() == 200, 20, "the server to be well again")
            server.mint(room="red")
            wait_until(lambda: postgres.query(live) == [["1"]], 20, "the ended session to be written")
            assert relays(stays)
            assert stays.refresh(0).code == 0
        wait_until(lambda: postgres.query(live) == [["0"]], 10, "the last session to be written")
        sessions, _, _ = balance(postgres.query)
        assert sessions == 2
        assert "warn" in server.log().lower(), "an operator can see that the store was away"


def minting(server):
    """Status and Retry-After of a request to mint, and how long it took."""
    begun = time.monotonic()
    status, headers, _ = server.request("/api/v1/credentials/ice", "POST", {})
    return status, headers.get("Retry-After"), time.monotonic() - begun


def test_a_database_that_hangs_is_told_and_forgotten_when_it_goes_on(start):
    with Postgres() as postgres:
        server = start(environment={"CAUSEWAY_DATABASE_URL": postgres.url})
        with client_of(server, server.mint(room="red", ttl=3600)) as client:
            assert client.allocate().code == 0
            assert client.bind(0x4000, client.relayed).code == 0
            with postgres.hung():
                status, retry_after, took = minting(server)
                assert (status, retry_after) == (503, "1")
                assert took < 9.5, "whoever asks is told to come again before it gives up"
                assert server.health() == 503
                assert relays(client) and client.refresh().code == 0
            wait_until(lambda: minting(server)[0] == 200, 20, "minting again")
            wait_until(lambda: server.health() == 200, 20, "the server to be well again")
            assert client.refresh(0).code == 0
        live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
        wait_until(lambda: postgres.query(live) == [["0"]], 20, "the session to be written")
        balance(postgres.query)


def test_no_client_reaches_the_database_through_the_relay(start):
    with Postgres() as postgres:
        server = start(environment={"CAUSEWAY_DATABASE_URL": postgres.url}, allow_peer=["127.0.0.0/8"])
        with client_of(server, server.mint(ttl=600), tcp=True) as client:
            assert client.allocate(transport=6).code == 0
            assert client.connect_peer(("127.0.0.1", postgres.port)).code == 403
            assert client.connect_peer(("127.0.0.1", postgres.port + 1)).code == 447, "its neighbour is only absent"


def test_two_servers_share_a_database_and_close_only_their_own_sessions(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url}
        first = start(environment=environment, node_id="one")
        second = start(environment=environment, node_id="two")
        credential = first.mint(room="red")
        with client_of(second, credential) as client:
            assert client.allocate().code == 0, "a credential of one server opens the other"
            live = "SELECT node, COUNT(*) FROM sessions WHERE ended_at IS NULL GROUP BY node"
            wait_until(lambda: postgres.query(live) == [["two", "1"]], 10, "the session to be written")
            first.stop()
            start(environment=environment, node_id="one")
            assert postgres.query(live) == [["two", "1"]]


def test_a_full_disk_stops_minting_and_nothing_else(start, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "causeway-test", disk], check=True)
    try:
        server = start(data_dir=str(disk / "data"))
        credential = server.mint(room="red", ttl=3600)
        with client_of(server, credential) as client:
            assert client.allocate().code == 0
            assert client.bind(0x4000, client.relayed).code == 0
            fill = disk / "fill"
            descriptor = os.open(fill, os.O_CREAT | os.O_WRONLY)
            with contextlib.suppress(OSError):
                while True:
                    os.write(descriptor, b"\0" * 4096)
            os.close(descriptor)
            wait_until(lambda: server.request("/api/v1/credentials/ice", "POST", {"room": "x" * 90})[0] == 503, 20, "a 503")
            assert relays(client)
            assert client.refresh().code == 0
            fill.unlink()
            wait_until(lambda: server.request("/api/v1/credentials/ice", "POST", {})[0] == 200, 20, "minting again")
            assert relays(client)
            assert client.refresh(0).code == 0
        live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
        wait_until(lambda: rows(server, live) == [(0,)], 10, "the session to be written")
        balance(lambda sql: rows(server, sql))
    finally:
        # The server may still hold a file there; the mount goes with it.
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_revocation_at_one_server_counts_at_the_other_within_a_second(start):
    with Postgres() as postgres:
        environment = {"CAUSEWAY_DATABASE_URL": postgres.url}
        first = start(environment=environment, node_id="one")
        second = start(environment=environment, node_id="two")
        credential = first.mint(room="red", ttl=600)
        with client_of(second, credential) as client, client_of(second, credential) as newcomer:
            assert client.allocate().code == 0
            live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
            wait_until(lambda: postgres.query(live) == [["1"]], 10, "the session to be written")
            status, _, body = first.request("/api/v1/credentials/revoke", "POST", {"room": "red"})
            assert status == 200 and json.loads(body)["revoked"] == 1, body
            revoked_at = time.monotonic()
            wait_until(lambda: second.metric("causeway_allocations") == 0, 5, "the session to end at the other server")
            # Half a second of reading interval; the rest is what a loaded machine takes.
            assert time.monotonic() - revoked_at < 2
            assert newcomer.allocate().code == 401
