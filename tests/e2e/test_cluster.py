"""Several servers on one PostgreSQL: events reach webhooks whichever server told them, whichever is killed."""

import collections
import contextlib
import json
import signal
import threading

import pytest

from causeway import wait_until
from postgres import Postgres
from test_books import client_of
from test_events import talk
from test_webhooks import EXPECTED, Sink, call, lower


@pytest.fixture
def sink():
    running = Sink()
    yield running
    running.close()


@pytest.fixture
def postgres():
    with Postgres() as running:
        yield running


@pytest.fixture
def serve(start, postgres):
    """Starts a server of the shared database by its name."""

    def serve_one(name, **options):
        return start(
            environment={"CAUSEWAY_DATABASE_URL": postgres.url},
            node_id=name,
            webhook_http=True,
            webhook_allow=["198.51.100.0/24"],
            **options,
        )

    return serve_one


def sessions_of(events):
    """Event types by session, each id once, in the order in which they first came."""
    seen, sessions = set(), collections.defaultdict(list)
    for event in events:
        if event["type"].startswith("session.") and event["id"] not in seen:
            seen.add(event["id"])
            sessions[event["session"]["id"]].append(event["type"])
    return sessions


def poster_first(*servers):
    """The servers, that which posts first."""
    posting = lambda server: server.metric("causeway_webhook_posting")
    wait_until(lambda: sum(map(posting, servers)) == 1, 20, "one server to post")
    return sorted(servers, key=posting, reverse=True)


def until_kept_by(server, sink):
    """Waits until events of a server are kept for a webhook that was made at another."""
    room = f"awake-{server.http_port}"
    is_heard = lambda: any(event.get("room") == room for event in sink.taken())

    def heard():
        server.mint(room=room)
        with contextlib.suppress(AssertionError):
            return wait_until(is_heard, 1, "the event of this one")

    wait_until(heard, 30, "an event of the other server")


def kept(postgres):
    """Ids of the kept events, in the order of their places."""
    return [id for [id] in postgres.query("SELECT id FROM events ORDER BY place")]


def ids_of(events):
    return [event["id"] for event in events]


def n_stood_down(*servers):
    """How often a server lost the lease because it stood still for seconds; what was under way is then posted again."""
    return sum(server.log().count("posts to webhooks no more") for server in servers)


@contextlib.contextmanager
def talking(*servers, at_once=3):
    """Sessions at each of the servers, over and over, until the block ends; the user names of those that came to their
    end, by server. A killed server's fail."""
    stop, whole = threading.Event(), collections.defaultdict(list)

    def go_on(server, number):
        while not stop.is_set():
            with contextlib.suppress(OSError, AssertionError):
                whole[server].append(talk(server, f"room-{number}"))

    threads = [threading.Thread(target=go_on, args=(server, n)) for server in servers for n in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield whole
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_each_event_comes_once_in_order_per_session_whichever_server_told_it(serve, sink, postgres):
    one, two = serve("one"), serve("two")
    made = call(one, method="POST", body={"url": sink.url}, status=201)
    until_kept_by(two, sink)
    talks = [threading.Thread(target=talk, args=(server, f"room-{n}")) for n in range(5) for server in (one, two)]
    for thread in talks:
        thread.start()
    for thread in talks:
        thread.join()
    n_closed = lambda: [event["type"] for event in sink.taken()].count("room.closed")
    # Rooms are closed in lanes of their own: the last post need not be of a session.
    wait_until(lambda: n_closed() >= 10 and set(kept(postgres)) == set(ids_of(sink.taken())), 60, "every event")
    sessions = sessions_of(sink.taken())
    assert len(sessions) == 10 and all(types == EXPECTED for types in sessions.values()), sessions
    ids = set(kept(postgres))
    once = lambda posts: len(posts) == len(ids) or n_stood_down(one, two)
    assert once(sink.posts), "nothing failed, so nothing came twice"
    assert {lower(headers)["causeway-delivery"] for _, headers, _ in sink.posts} == {f"{made['id']}-{id}" for id in ids}
    log = lambda: call(two, f"/{made['id']}/deliveries?limit=200")["data"]
    wait_until(lambda: {entry["eventId"] for entry in log()} == ids, 30, "the log, at either server")
    # A replay asked for at the server that does not post covers the events of both.
    poster, other = poster_first(one, two)
    before = len(sink.posts)
    call(other, f"/{made['id']}/replay", "POST", {"after": "0"}, 202)
    wait_until(lambda: set(ids_of(sink.taken()[before:])) == ids, 60, "everything once more")
    n_waiting = lambda: sum(server.metric("causeway_webhook_events_waiting") for server in (one, two))
    wait_until(lambda: not n_waiting(), 30, "nothing to wait")
    assert once(sink.posts[before:])
    assert sessions_of(sink.taken()[before:]) == sessions
    # Switched off at one, it is silent at the other.
    call(other, f"/{made['id']}", "PATCH", {"disabled": True})
    wait_until(lambda: call(poster, f"/{made['id']}")["disabled"], 20, "the other to know")


@pytest.mark.parametrize("victim", ["posts", "waits"])
def test_a_kill_in_the_middle_loses_no_kept_event_and_no_order(serve, sink, postgres, victim):
    servers = [serve("one"), serve("two")]
    call(servers[0], method="POST", body={"url": sink.url}, status=201)
    until_kept_by(servers[1], sink)
    poster, other = poster_first(*servers)
    killed, survivor = (poster, other) if victim == "posts" else (other, poster)
    with talking(killed, survivor) as whole:
        wait_until(lambda: len(sink.sessions()) >= 100, 60, "the talk to be under way")
        killed.signal(signal.SIGKILL)
        killed.process.wait()
        # In this order: whoever lives goes on posting, and what is in the log was posted.
        [[n_logged]] = postgres.query("SELECT COUNT(*) FROM webhook_attempts")
        n_then = len(sink.taken())
        wait_until(lambda: len(sink.taken()) > n_then + 100, 60, "posts to go on")
    taken = lambda: set(ids_of(sink.taken()))
    ends = lambda: {event["session"]["username"] for event in sink.sessions() if event["type"] == "session.ended"}
    wait_until(lambda: set(whole[survivor]) <= ends() and set(kept(postgres)) == taken(), 60, "every kept event")
    place = {id: place for place, id in enumerate(kept(postgres))}
    names = dict(postgres.query("SELECT id, session FROM events"))
    lanes, seen = collections.defaultdict(list), set()
    for event in sink.taken():
        if names[event["id"]] and event["id"] not in seen:
            seen.add(event["id"])
            lanes[names[event["id"]]].append(place[event["id"]])
    assert len(lanes) > 20 and all(places == sorted(places) for places in lanes.values())
    user = {event["session"]["id"]: event["session"]["username"] for event in sink.sessions()}
    heard = {user[session]: types for session, types in sessions_of(sink.taken()).items()}
    assert all(heard[name] == EXPECTED for name in whole[survivor]), "sessions of the survivor are told whole"
    n_twice = len(sink.taken()) - len(taken())
    n_unlogged = n_then - int(n_logged)
    most = n_unlogged + 8 * n_stood_down(survivor)
    assert n_twice <= most, "what was under way, and what was not logged yet, may come twice"
    print(f"{len(lanes)} sessions, {len(taken())} events, {n_twice} came twice")
    wait_until(lambda: survivor.metric("causeway_webhook_posting") == 1, 20, "the survivor to post")


def test_an_attempt_goes_on_counting_at_the_server_that_takes_over(serve, sink):
    servers = [serve("one"), serve("two")]
    sink.status = 500
    made = call(servers[0], method="POST", body={"url": sink.url, "events": ["room.opened"]}, status=201)
    poster, other = poster_first(*servers)
    talk(poster, "counted")
    log = lambda: call(other, f"/{made['id']}/deliveries")["data"]
    wait_until(log, 20, "the first attempt to be logged")
    poster.signal(signal.SIGKILL)
    poster.process.wait()
    wait_until(lambda: len(log()) == 2, 30, "the second")
    sink.status = 204
    wait_until(sink.taken, 30, "the third")
    assert [lower(headers)["causeway-attempt"] for _, headers, _ in sink.posts][:3] == ["1", "2", "3"]


def test_a_stop_hands_posting_over_at_once(serve, sink, postgres):
    poster, other = poster_first(serve("one"), serve("two"))
    poster.signal(signal.SIGTERM)
    assert poster.process.wait(30) == 0
    # A killed one's name stays, and has to be waited for.
    assert postgres.query("SELECT holder FROM leases WHERE name = 'webhooks'") in ([[""]], [[other.settings["node_id"]]])
    wait_until(lambda: other.metric("causeway_webhook_posting"), 20, "the other to post")


def test_an_expired_credential_is_told_once(serve, sink):
    one, two = serve("one"), serve("two")
    call(one, method="POST", body={"url": sink.url, "events": ["credential.minted", "credential.expired"]}, status=201)
    until_kept_by(two, sink)
    told = lambda: {event["id"]: event["username"] for event in sink.taken() if event["type"] == "credential.expired"}
    expired = lambda: list(told().values())
    mint = lambda server: server.mint(ttl=1)["iceServers"][1]["username"]
    names = {mint(server) for server in (one, two, one, two)}
    wait_until(lambda: names <= set(expired()), 30, "all to be told")
    # A later one is told behind anything that would come twice.
    last = mint(one)
    wait_until(lambda: last in expired(), 30, "the last")
    assert sorted(name for name in expired() if name in names) == sorted(names)


def test_a_revocation_counts_the_sessions_of_every_server(serve, postgres):
    one, two = serve("one"), serve("two")
    credential = one.mint(room="red", ttl=600)
    with contextlib.ExitStack() as stack:
        for server in (one, two, two):
            assert stack.enter_context(client_of(server, credential)).allocate().code == 0
        live = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL"
        wait_until(lambda: postgres.query(live) == [["3"]], 30, "the sessions to be written")
        status, _, body = one.request("/api/v1/credentials/revoke", "POST", {"room": "red"})
        assert (status, json.loads(body)) == (200, {"revoked": 1, "sessionsEnded": 3})
        wait_until(lambda: two.metric("causeway_allocations") == 0, 20, "the others to end")


def test_a_project_that_is_disabled_at_one_server_opens_nothing_at_the_other(serve):
    one, two = serve("one"), serve("two")
    credential = one.mint(ttl=600)
    with client_of(two, credential) as client:
        assert client.allocate().code == 0
    assert one.request("/api/v1/projects/default", "PATCH", {"disabled": True})[0] == 200

    def is_refused():
        with client_of(two, credential) as client:
            return client.allocate().code == 401

    wait_until(is_refused, 20, "the other server to refuse")
