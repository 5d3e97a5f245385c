"""Data for the console to show: a few real calls, and copies of their rows where many are wanted."""

import contextlib
import os
import random
import sqlite3
import time

from causeway import HOST, wait_until
from turn_client import TurnClient

PEOPLE = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
# Tables whose rows the console lists, with the columns that make a row another one and those that say when it was.
COPIED = {
    "credentials": ("username", ["issued_at", "expires_at"]),
    "sessions": ("id", ["started_at", "last_seen_at", "ended_at"]),
    "rooms": ("name", ["first_seen", "last_seen"]),
    "clients": ("name", ["first_seen", "last_seen"]),
    "failures": ("id", ["first_at", "last_at"]),
    "calls": ("id", ["started_at", "ringing_at", "answered_at", "ended_at"]),
}
# How calls between registered clients ended: cause, SIP status, by whom, seconds of talk.
ENDS = [("normal", 200, "callee", 95), ("busy", 486, "callee", None), ("not_registered", 480, "server", None), ("connection_lost", 480, "caller", 12)]


def turn_server(minted):
    return next(server for server in minted["iceServers"] if server.get("credential"))


def client_of(run, minted, tcp=False):
    """A TURN client that holds a minted credential."""
    server = turn_server(minted)
    return TurnClient((HOST, run.turn_port), server["username"], server["credential"], tcp=tcp)


def call(run, room, initiator, receiver, messages=10, ends=True):
    """A call of two over the relay: both allocate, let each other in, exchange data; then it ends, or goes on."""
    ends_of_call = []
    for role in ("initiator", "receiver"):
        minted = run.mint(
            room=room, initiator_client=initiator, receiver_client=receiver, client_type=role, ttl=600, metadata={"plan": "gold"}
        )
        client = client_of(run, minted, tcp=role == "receiver")
        assert client.allocate().code == 0
        ends_of_call.append(client)
    one, other = ends_of_call
    for client, peer in ((one, other), (other, one)):
        assert client.permit(peer.relayed).code == 0
        assert client.bind(0x4000, peer.relayed).code == 0
    for _ in range(messages):
        one.send_channel(0x4000, b"x" * 900)
        other.receive_payload()
        other.send_channel(0x4000, b"y" * 300)
        one.receive_payload()
    if ends:
        for client in ends_of_call:
            client.refresh(0)
    return ends_of_call


def some(run, n=3):
    """A few calls, the first of which goes on, and refusals of three kinds. Returns the clients to keep."""
    kept = []
    for number in range(n):
        initiator, receiver = PEOPLE[2 * number % 8], PEOPLE[(2 * number + 1) % 8]
        kept += call(run, f"room-{number:03}", initiator, receiver, ends=number > 0)
    minted = run.mint(room="room-000", initiator_client="mallory", receiver_client="bob", client_type="initiator", ttl=600)
    TurnClient((HOST, run.turn_port), turn_server(minted)["username"], "wrong").allocate()
    TurnClient((HOST, run.turn_port), "nobody", "wrong").allocate()
    run.request("/api/v1/webhooks", "POST", {"url": "https://hooks.example.net/causeway", "events": ["session.ended"]})
    for name in ("billing backend", "dashboard", "nightly script")[: n - 1]:
        run.request("/api/v1/tokens", "POST", {"name": name, "scopes": ["credentials", "read"]})
    wait_until(lambda: count(run, "sessions") >= 2 * n, 10, "the sessions to be written")
    with database(run) as store:
        records(store)
        store.commit()
    return kept


def records(store):
    """Calls between registered clients as they are kept."""
    now = int(time.time() * 1000)
    for number, (cause, code, by, talk) in enumerate(ENDS):
        caller, callee, began = PEOPLE[number], PEOPLE[number + 1], now - 200_000 - number * 400_000
        answered = None if talk is None else began + 6_000
        row = {
            "id": f"4b4c4d4e-0000-4000-8000-{number:012x}", "project_id": 1, "node": "n1", "caller": caller, "callees": callee,
            "dialect": "verto" if number == 3 else "sip", "client_address": "198.51.100.7", "started_at": began,
            "ringing_at": None if cause == "not_registered" else began + 800, "answered_at": answered,
            "answered_by": answered and callee, "answered_address": answered and "198.51.100.8",
            "ended_at": (answered or began + 9_000) + 1000 * (talk or 0), "cause": cause, "sip_code": code, "ended_by": by,
            "service": "help" if number == 1 else None,
        }
        store.execute(f"INSERT INTO calls ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})", list(row.values()))
        for name in (caller, callee):
            store.execute("INSERT INTO call_clients (project_id, client, started_at, call_id) VALUES (1, ?, ?, ?)", [name, began, row["id"]])


def end(run, clients):
    """Ends what goes on, and waits until all of it is written."""
    for client in clients:
        client.refresh(0)
    wait_until(lambda: count(run, "sessions WHERE ended_at IS NULL") == 0, 10, "the sessions to end")


def count(run, table):
    with database(run) as store:
        return store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def many(run, n):
    """Copies rows until each list has `n`. The server is stopped meanwhile."""
    with database(run) as store:
        chance = random.Random(7)
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, (key, times) in COPIED.items():
            if table in tables:
                copy(store, table, key, times, n, chance)
        store.commit()


def copy(store, table, key, times, n, chance):
    store.row_factory = sqlite3.Row
    originals = [dict(row) for row in store.execute(f"SELECT * FROM {table}")]
    assert originals, f"nothing to copy in {table}"
    columns = list(originals[0])
    marks = ", ".join("?" for _ in columns)
    rows = []
    for number in range(n - len(originals)):
        row = dict(originals[number % len(originals)])
        row[key] = f"{number:016x}" if key == "id" else f"{row[key][:20]}-{number:05}"
        back = 60_000 + number * 30_000 + chance.randrange(20_000)
        row.update({column: row[column] - back for column in times if row[column] is not None})
        if table == "sessions":
            row["ended_at"] = row["ended_at"] or row["started_at"] + 90_000
            row["end_reason"] = row["end_reason"] or "expired"
            row["room"] = f"room-{number:05}"
        rows.append([row[column] for column in columns])
    store.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


@contextlib.contextmanager
def database(run):
    [file] = [name for name in os.listdir(run.data_dir) if name.endswith((".db", ".sqlite"))]
    store = sqlite3.connect(os.path.join(run.data_dir, file), timeout=20)
    try:
        yield store
    finally:
        store.close()
