"""A webhook hears of a real session: the whole sequence, signed, in order, at least once."""

import contextlib
import hashlib
import hmac
import http.server
import json
import os
import signal
import socketserver
import sqlite3
import subprocess
import threading
import time

import pytest

from causeway import HOST, wait_until
from event_stream import EventStream
from postgres import Postgres
from test_events import talk
from turn_client import TurnClient

EXPECTED = ["session.started", "session.first_data", "session.refreshed", "session.refreshed", "session.ended"]


class Receiver(http.server.ThreadingHTTPServer):
    # Fewer, and connections that come at once wait a second for their next try.
    request_queue_size = 128

    def server_bind(self):
        """Without asking for the name of its address: nobody answers that here, and the asking takes six seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


class Sink:
    """Takes posts; `status` is what it answers."""

    def __init__(self):
        self.posts = []
        self.status = 204
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = sink.status
                sink.posts.append((status, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Receiver((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}/hooks?of=causeway"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def taken(self):
        """Events of the posts that were taken, in the order they came."""
        return [json.loads(body) for status, _, body in self.posts if status < 300]

    def sessions(self):
        return [event for event in self.taken() if event["type"].startswith("session.")]


@pytest.fixture
def sink():
    running = Sink()
    yield running
    running.close()


def serve(start, **options):
    return start(webhook_http=True, webhook_allow=["198.51.100.0/24"], **options)


def call(server, path="", method="GET", body=None, status=200):
    answered, _, text = server.request(f"/api/v1/webhooks{path}", method, body)
    assert answered == status, text
    return json.loads(text) if text else None


def signatures(headers, body, secret):
    """As the guide says: whether one of the signatures is ours."""
    fields = [field.split("=", 1) for field in headers["causeway-signature"].split(",")]
    sent_at = dict(fields)["t"]
    assert abs(time.time() - int(sent_at)) < 300
    own = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(name == "v1" and hmac.compare_digest(value, own) for name, value in fields)


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def test_the_sequence_of_a_session_arrives_signed_and_in_order(start, sink):
    server = serve(start)
    stream = EventStream(server)
    made = call(server, method="POST", body={"url": sink.url}, status=201)
    talk(server, "hooked")
    wait_until(lambda: any(event["type"] == "room.closed" for event in sink.taken()), 20, "the last event")
    wait_until(lambda: len(sink.sessions()) == len(EXPECTED), 20, "every event of the session")
    assert [event["type"] for event in sink.sessions()] == EXPECTED
    wait_until(lambda: complete(sink, stream) and len(stream.of_sessions()) == len(EXPECTED), 20, "every event")
    assert sink.sessions() == stream.of_sessions(), "the same form everywhere"
    for _, headers, body in sink.posts:
        headers, event = lower(headers), json.loads(body)
        assert signatures(headers, body, made["secret"]) and not signatures(headers, body, "another")
        assert headers["causeway-event"] == event["type"]
        assert headers["causeway-delivery"] == f"{made['id']}-{event['id']}"
    log = lambda: call(server, f"/{made['id']}/deliveries?limit=200")["data"]
    wait_until(lambda: len(log()) == len(sink.posts), 20, "the log")
    assert {entry["status"] for entry in log()} == {204}
    last = max(int(event["id"]) for event in sink.taken())
    wait_until(lambda: int(call(server, f"/{made['id']}")["deliveredTo"]) >= last, 20, "the cursor")
    assert "secret" not in call(server, f"/{made['id']}")
    assert server.metric('causeway_webhook_posts_total{outcome="taken"}') == len(sink.posts)


def test_what_was_not_taken_comes_again_and_a_redirect_is_not_followed(start, sink):
    server = serve(start)
    sink.status = 302
    call(server, method="POST", body={"url": sink.url, "events": ["session.ended"]}, status=201)
    talk(server, "twice")
    wait_until(lambda: sink.posts, 20, "the first attempt")
    sink.status = 200
    wait_until(sink.taken, 30, "the second attempt")
    assert [event["type"] for event in sink.taken()] == ["session.ended"]
    assert [lower(headers)["causeway-attempt"] for _, headers, _ in sink.posts] == ["1", "2"]


def test_a_rotation_signs_with_both_secrets_until_the_old_one_is_dropped(start, sink):
    server = serve(start)
    old = call(server, method="POST", body={"url": sink.url, "events": ["session.ended"]}, status=201)
    new = call(server, f"/{old['id']}/rotate-secret", "POST")
    assert new["secret"] != old["secret"] and new["hasPreviousSecret"]
    talk(server, "both")
    wait_until(lambda: len(sink.posts) == 1, 20, "a post")
    headers, body = lower(sink.posts[0][1]), sink.posts[0][2]
    assert signatures(headers, body, old["secret"]) and signatures(headers, body, new["secret"])
    assert not call(server, f"/{old['id']}", "PATCH", {"dropPreviousSecret": True})["hasPreviousSecret"]
    talk(server, "new")
    wait_until(lambda: len(sink.posts) == 2, 20, "a post")
    headers, body = lower(sink.posts[1][1]), sink.posts[1][2]
    assert signatures(headers, body, new["secret"]) and not signatures(headers, body, old["secret"])


def test_a_restart_goes_on_where_it_stood_and_a_replay_posts_once_more(start, sink):
    server = serve(start)
    made = call(server, method="POST", body={"url": sink.url, "events": ["session.started", "session.ended"]}, status=201)
    sink.status = 500
    talk(server, "before")
    wait_until(lambda: sink.posts, 20, "an attempt")
    server.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    sink.status = 200
    again = serve(start, data_dir=server.data_dir)
    wait_until(lambda: len(sink.sessions()) == 2, 20, "what waited")
    assert [event["type"] for event in sink.sessions()] == ["session.started", "session.ended"]
    first = sink.sessions()[0]["id"]
    call(again, f"/{made['id']}/replay", "POST", {"after": first}, 202)
    wait_until(lambda: len(sink.sessions()) >= 3, 20, "the replay")
    assert sink.sessions()[2] == sink.sessions()[1]


def complete(sink, stream):
    """Whether everything that the stream told was taken, too; a minted credential was acknowledged to who asked for it."""
    return {event["id"] for event in stream.events} <= {event["id"] for event in sink.taken()}


def in_order(sink):
    seen, sessions = set(), {}
    for event in sink.sessions():
        if event["id"] not in seen:
            seen.add(event["id"])
            sessions.setdefault(event["session"]["id"], []).append(event["type"])
    return all(types == EXPECTED for types in sessions.values()) and len(sessions)


def test_what_waits_while_postgresql_is_away_is_delivered(start, sink):
    with Postgres() as postgres:
        server = serve(start, environment={"CAUSEWAY_DATABASE_URL": postgres.url})
        stream = EventStream(server)
        call(server, method="POST", body={"url": sink.url}, status=201)
        credential = server.mint(room="away", ttl=600)
        sink.status = 503
        talk(server, "before")
        wait_until(lambda: len(sink.posts) >= 3, 20, "attempts")
        postgres.stop()
        # Sessions go on with credentials that are in memory; their events wait.
        whole_session(server, credential)
        sink.status = 200
        postgres.start()
        wait_until(lambda: server.health() == 200, 20, "the server to be well again")
        talk(server, "after")
        wait_until(lambda: stream.names().count("session.ended") == 3 and complete(sink, stream), 60, "every event")
        assert in_order(sink) == 3
        assert server.metric("causeway_webhook_gaps_total") == 0


def test_what_waits_while_the_disk_is_full_is_delivered_also_after_a_kill(start, sink, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "causeway-test", disk], check=True)
    try:
        server = serve(start, data_dir=str(disk / "data"))
        stream = EventStream(server)
        call(server, method="POST", body={"url": sink.url}, status=201)
        credential = server.mint(room="full", ttl=600)
        sink.status = 503
        talk(server, "before")
        wait_until(lambda: len(sink.posts) >= 3, 20, "attempts")
        with open(disk / "fill", "wb", buffering=0) as fill, contextlib.suppress(OSError):
            while True:
                fill.write(b"\0" * 4096)
        wait_until(lambda: server.request("/api/v1/credentials/ice", "POST", {"room": "x" * 90})[0] == 503, 20, "a 503")
        whole_session(server, credential)
        wait_until(lambda: stream.names().count("session.ended") == 2, 20, "both ends")
        (disk / "fill").unlink()
        kept = lambda: server.request("/api/v1/credentials/ice", "POST", {})[0] == 200
        wait_until(kept, 20, "minting again")
        # What waited in memory is kept once the disk takes it; after that a kill loses nothing.
        told = {event["id"] for event in stream.events}
        wait_until(lambda: told <= ids_kept(server), 20, "everything to be kept")
        server.signal(signal.SIGKILL)
        server.process.wait()
        sink.status = 200
        serve(start, data_dir=server.data_dir)
        wait_until(lambda: told <= {event["id"] for event in sink.taken()}, 60, "every event")
        assert in_order(sink) == 2
    finally:
        # The server may still hold a file there; the mount goes with it.
        subprocess.run(["umount", "--lazy", disk], check=True)


def ids_kept(server):
    path = os.path.join(server.data_dir, "causeway.db")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        return {str(id) for (id,) in database.execute("SELECT id FROM events")}


def whole_session(server, credential):
    """The same as `talk`, with a credential that is there already."""
    entry = credential["iceServers"][1]
    with TurnClient((HOST, server.turn_port), entry["username"], entry["credential"]) as client:
        assert client.allocate().code == 0
        assert client.bind(0x4000, client.relayed).code == 0
        client.send_channel(0x4000, b"x" * 100)
        assert client.receive_payload() == b"x" * 100
        assert client.refresh(600).code == 0
        assert client.refresh(0).code == 0


def test_attempts_go_on_counting_after_a_kill(start, sink):
    server = serve(start)
    call(server, method="POST", body={"url": sink.url, "events": ["session.ended"]}, status=201)
    sink.status = 500
    talk(server, "counted")
    wait_until(lambda: len(sink.posts) == 1, 20, "the first attempt")
    log = lambda: json.loads(server.request("/api/v1/webhooks/1/deliveries")[2])["data"]
    wait_until(log, 20, "it to be logged")
    server.signal(signal.SIGKILL)
    server.process.wait()
    again = serve(start, data_dir=server.data_dir)
    wait_until(lambda: len(sink.posts) == 2, 30, "the second attempt")
    attempts = [lower(headers)["causeway-attempt"] for _, headers, _ in sink.posts]
    assert attempts == ["1", "2"]
    log = lambda: [entry["attempt"] for entry in json.loads(again.request("/api/v1/webhooks/1/deliveries")[2])["data"]]
    wait_until(lambda: log() == [2, 1], 20, "both in the log")


def test_sessions_of_a_killed_server_are_told_to_end_as_their_records_do(start, sink):
    server = serve(start, usage_flush_interval="1s")
    call(server, method="POST", body={"url": sink.url, "events": ["session.ended", "room.closed"]}, status=201)
    stream = EventStream(server)
    entry = server.mint(room="cut", initiator_client="alice", client_type="initiator", ttl=600)["iceServers"][1]
    recorded = lambda server: json.loads(server.request("/api/v1/sessions?room=cut")[2])["data"]
    with TurnClient((HOST, server.turn_port), entry["username"], entry["credential"]) as client:
        assert client.allocate().code == 0
        assert client.bind(0x4000, client.relayed).code == 0
        client.send_channel(0x4000, b"x" * 100)
        assert client.receive_payload() == b"x" * 100
        wait_until(lambda: recorded(server) and recorded(server)[0]["peerBytesOut"] == 100, 20, "the record")
        wait_until(lambda: "session.first_data" in stream.names(), 20, "the events")
        server.signal(signal.SIGKILL)
        server.process.wait()
    again = serve(start, data_dir=server.data_dir)
    wait_until(lambda: len(sink.taken()) == 2, 20, "the end, and that of the room")
    assert {event["type"] for event in sink.taken()} == {"session.ended", "room.closed"}
    [ended] = sink.sessions()
    [session] = recorded(again)
    assert (ended["reason"], session["endReason"]) == ("server_restart", "server_restart")
    assert (ended["session"]["id"], ended["at"]) == (session["id"], session["endedAt"])
    for figure in ["bytesIn", "bytesOut", "packetsIn", "packetsOut", "peerBytesIn", "peerBytesOut"]:
        assert session[figure] == ended[figure], figure
    begun = next(event for event in stream.events if event["type"] == "session.started")
    assert ended["session"] == begun["session"] | {"lifetimeSecs": 0}
    # Whoever reads the stream resumes behind a gap, and is told too.
    resumed = EventStream(again, "?types=session.ended,room.closed", after=stream.events[-1]["id"])
    wait_until(lambda: resumed.names()[-2:] == ["session.ended", "room.closed"], 20, "the end")


def test_a_disabled_webhook_is_silent_until_it_is_switched_on(start, sink):
    server = serve(start)
    made = call(server, method="POST", body={"url": sink.url, "events": ["session.ended"]}, status=201)
    assert call(server, f"/{made['id']}", "PATCH", {"disabled": True})["disabled"]
    talk(server, "quiet")
    ended = lambda: json.loads(server.request("/api/v1/sessions?active=false")[2])["data"]
    wait_until(ended, 20, "the session to be recorded")
    assert sink.posts == []
    call(server, f"/{made['id']}", "PATCH", {"disabled": False})
    wait_until(sink.taken, 20, "what waited")
    call(server, f"/{made['id']}", "DELETE", status=204)
    call(server, f"/{made['id']}", status=404)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest",
        "https://127.0.0.1:8443/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::1]/",
        "http://8.8.8.8/",
        "ftp://8.8.8.8/",
        "https://user:secret@example.com/",
        "example.com",
    ],
)
def test_urls_that_lead_inside_are_refused(start, url):
    server = start()
    status, _, body = server.request("/api/v1/webhooks", "POST", {"url": url})
    assert (status, json.loads(body)["details"]) == (422, [{"field": "url", "code": "bad_url"}])


def test_a_name_that_leads_inside_is_refused_when_it_is_posted_to(start):
    server = start(webhook_http=True)
    made = call(server, method="POST", body={"url": f"http://localhost:{server.http_port}/healthz"}, status=201)
    talk(server, "inside")
    log = lambda: call(server, f"/{made['id']}/deliveries")["data"]
    attempt = wait_until(log, 20, "an attempt")[0]
    assert attempt["status"] is None and "refused: loopback" in attempt["error"]
