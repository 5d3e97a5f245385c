"""What happens is told: the sequence of a real session, in the event stream."""

import json
import signal

import pytest

from causeway import HOST, wait_until
from event_stream import EventStream
from turn_client import TurnClient


def talk(server, room, payloads=3):
    """A whole session that sends to itself; its credential."""
    credential = server.mint(room=room, initiator_client="alice", client_type="initiator")
    entry = credential["iceServers"][1]
    with TurnClient((HOST, server.turn_port), entry["username"], entry["credential"]) as client:
        assert client.allocate().code == 0
        assert client.bind(0x4000, client.relayed).code == 0
        for _ in range(payloads):
            client.send_channel(0x4000, b"x" * 100)
            assert client.receive_payload() == b"x" * 100
        assert client.refresh(600).code == 0
        assert client.refresh(0).code == 0
    return entry["username"]


def ended(stream, count):
    return lambda: stream.names().count("room.closed") >= count


@pytest.mark.parametrize("fast_path", ["auto", "off"])
def test_a_session_is_told_from_credential_to_end(start, fast_path):
    server = start(fast_path=fast_path)
    stream = EventStream(server)
    username = talk(server, "events-room")
    wait_until(ended(stream, 1), 20, "the end of the session")
    expected = [
        "credential.minted",
        "session.started",
        "session.first_data",
        "session.refreshed",
        "session.refreshed",
        "session.ended",
    ]
    assert [event["type"] for event in stream.events if event["type"] in expected] == expected
    opened, closed = stream.names().index("room.opened"), stream.names().index("room.closed")
    assert opened < closed
    ids = [int(event["id"]) for event in stream.events]
    assert ids == sorted(set(ids))
    minted, *sessions = [event for event in stream.events if event["type"] in expected]
    assert minted["username"] == username and minted["clients"] == [{"client": "alice", "role": "initiator"}]
    assert {event["session"]["id"] for event in sessions} == {sessions[0]["session"]["id"]}
    assert sessions[0]["session"]["room"] == "events-room"
    last = sessions[-1]
    assert (last["reason"], last["peerPacketsOut"], last["peerBytesOut"]) == ("client_deleted", 3, 300)
    recorded = lambda: json.loads(server.request(f"/api/v1/sessions/{last['session']['id']}")[2]).get("endedAt")
    wait_until(recorded, 20, "the session to be recorded")
    session = json.loads(server.request(f"/api/v1/sessions/{last['session']['id']}")[2])
    for figure in ["bytesIn", "bytesOut", "packetsIn", "packetsOut", "peerBytesIn", "peerPacketsIn"]:
        assert session[figure] == last[figure], figure


def test_a_stream_that_breaks_is_resumed_without_loss_or_repetition(start):
    server = start()
    whole = EventStream(server)
    talk(server, "one")
    wait_until(lambda: whole.events, 20, "the first event")
    first = EventStream(server, after=str(int(whole.events[0]["id"]) - 1))
    wait_until(ended(whole, 1), 20, "the first session")
    wait_until(ended(first, 1), 20, "the first session")
    first.close()
    talk(server, "two")
    wait_until(ended(whole, 2), 20, "the second session")
    second = EventStream(server, after=first.events[-1]["id"])
    talk(server, "three")
    wait_until(ended(whole, 3), 20, "the third session")
    wait_until(ended(second, 2), 20, "the third session")
    assert first.events + second.events == whole.events


def test_types_are_filtered(start):
    server = start()
    stream = EventStream(server, "?types=session.ended")
    talk(server, "filtered")
    wait_until(lambda: stream.events, 20, "the end of the session")
    assert stream.names() == ["session.ended"]
    status, _, body = server.request("/api/v1/events?types=session.exploded")
    assert status == 422 and "session.ended" in body


def test_a_stop_ends_the_stream_and_a_restart_is_a_gap(start):
    server = start(drain_timeout="1s")
    stream = EventStream(server)
    talk(server, "before")
    wait_until(ended(stream, 1), 20, "the session")
    wait_until(lambda: server.metric("causeway_event_streams") == 1, 20, "one stream")
    server.signal(signal.SIGTERM)
    wait_until(lambda: stream.ended, 20, "the end of the stream")
    assert server.process.wait(20) == 0
    again = start(data_dir=server.data_dir)
    resumed = EventStream(again, after=stream.events[-1]["id"])
    talk(again, "after")
    wait_until(ended(resumed, 1), 20, "the session after the restart")
    assert resumed.names()[0] == "gap"
    assert all(int(event["id"]) > int(stream.events[-1]["id"]) for event in resumed.events)
