"""What an owner sets of addresses and retention counts: with real sessions, and rows made old by hand."""

import json
import os
import sqlite3

from causeway import wait_until
from test_console_auth import owner, server  # noqa: F401: fixtures
from test_stories import call

DAY_MS = 86_400_000


def get(server, path):
    status, _, body = server.request(path)
    assert status == 200, (path, body)
    return json.loads(body)


def settle(owner, **changes):
    """Changes some of the settings: a PUT names all of them."""
    settings = owner.ask("GET", "/api/v1/settings").json()
    answer = owner.ask("PUT", "/api/v1/settings", {**settings, **changes})
    assert answer.status_code == 200, answer.text


def a_session(server, room):
    """The record of one that just ended."""
    alice, _ = call(server, room)
    with alice.client() as client:
        assert client.allocate().code == 0
        assert client.refresh(0).code == 0
    sessions = f"/api/v1/sessions?room={room}&active=false"
    return wait_until(lambda: get(server, sessions)["data"], 15, "the record")[0]


def test_addresses_are_written_as_far_as_the_owner_keeps_them(server, owner):  # noqa: F811
    assert a_session(server, "kept")["clientAddress"].startswith("198.51.100.1:")
    settle(owner, addresses="truncate")
    rooms = iter(range(100))
    truncated = lambda: a_session(server, f"truncated-{next(rooms)}")["clientAddress"] == "198.51.100.0:0"
    wait_until(truncated, 30, "a truncated address")
    settle(owner, addresses="drop")
    dropped = lambda: not a_session(server, f"dropped-{next(rooms)}")["clientAddress"]
    wait_until(dropped, 30, "an address that is not kept")
    assert get(server, "/api/v1/sessions?room=kept")["data"][0]["clientAddress"], "what was written stays"


def test_what_is_older_than_the_days_of_retention_is_deleted_and_its_usage_stays(server, owner):  # noqa: F811
    old, young = a_session(server, "old"), a_session(server, "young")
    usage = get(server, "/api/v1/usage")
    with sqlite3.connect(os.path.join(server.data_dir, "causeway.db"), timeout=10) as database:
        by = 3 * DAY_MS
        database.execute(f"UPDATE sessions SET started_at = started_at - {by}, ended_at = ended_at - {by} WHERE id = ?", (old["id"],))
    settle(owner, retentionDays=2)
    wait_until(lambda: server.request(f"/api/v1/sessions/{old['id']}")[0] == 404, 30, "the old session to be deleted")
    assert get(server, f"/api/v1/sessions/{young['id']}")["id"] == young["id"]
    assert get(server, "/api/v1/usage") == usage
