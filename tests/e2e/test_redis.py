"""Redis in coturn's schema, seen by a consumer that knows only the schema, next to Debian's coturn under the same client."""

import contextlib
import json
import re
import signal
import socket
import sqlite3

import pytest

from causeway import HOST, PASSWORD, USER, wait_until
from coturn_tools import uclient
from redis_consumer import Consumer, Coturn, RedisServer
from turn_client import TurnClient

TRANSPORTS = {
    "udp": ([], False, "UDP", r"NONE", r"NONE"),
    "tcp": (["-t"], False, "TCP", r"NONE", r"NONE"),
    "tls": (["-t", "-S"], True, "TLS/TCP", r"TLSv1\.[23]", r"[A-Z0-9_-]{10,}"),
    "dtls": (["-S"], True, "DTLS", r"DTLSv1\.2", r"[A-Z0-9_-]{10,}"),
}
CLOSING = ["traffic", "traffic/peer", "status", "total_traffic", "total_traffic/peer"]


@pytest.fixture
def redis():
    with RedisServer() as running:
        yield running


@pytest.fixture
def publishing(start, redis):
    """A server that publishes to `redis`."""
    return start(redis_statsdb=f"ip=127.0.0.1 port={redis.port} dbname=3", drain_timeout="0s")


def run_client(server, echo, transport, messages=20, size=100):
    """The measured run: one allocation that relays, after a throw-away one of the tool's own."""
    options, tls, *_ = TRANSPORTS[transport]
    run = uclient(server, "-c", "-m", "1", "-l", str(size), *options, peer=echo.address(), messages=messages, tls=tls)
    assert run.code == 0 and run.lost == 0, run.output[-2000:]
    return run


def relaying(allocations):
    """The allocation that relayed: the tool's throw-away one carries nothing."""
    found = [messages for messages in allocations if messages[-1].figures != (0, 0, 0, 0)]
    assert len(found) == 1, found
    return found[0]


def total(messages, leaf):
    """The sum of the interval messages of a leaf."""
    figures = [message.figures for message in messages if message.leaf == leaf]
    return tuple(map(sum, zip(*figures)))


def stored_sessions(server):
    """Figures of the sessions in the database by number, as Redis would write them: client's side, peers' side."""
    columns = "client_packets_in, client_bytes_in, client_packets_out, client_bytes_out"
    columns += ", peer_packets_in, peer_bytes_in, peer_packets_out, peer_bytes_out"
    with sqlite3.connect(f"file:{server.data_dir}/causeway.db?mode=ro", uri=True) as database:
        rows = database.execute(f"SELECT number, {columns} FROM sessions WHERE ended_at IS NOT NULL").fetchall()
    return {f"{row[0]:018}": (row[1:5], row[5:9]) for row in rows}


def listed_session(server, address):
    """Figures of the ended session of a client address as the API tells them."""
    status, _, body = server.request("/api/v1/sessions")
    assert status == 200, body
    [session] = [one for one in json.loads(body)["data"] if one["clientAddress"] == address]
    assert session["endReason"] == "client_deleted"
    client = [session[name] for name in ("packetsIn", "bytesIn", "packetsOut", "bytesOut")]
    peers = [session[name] for name in ("peerPacketsIn", "peerBytesIn", "peerPacketsOut", "peerBytesOut")]
    return tuple(client), tuple(peers)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_documented_sequence_with_the_clients_own_figures(publishing, redis, echo, transport):
    _, tls, kind, version, cipher = TRANSPORTS[transport]
    with Consumer(redis) as consumer:
        run = run_client(publishing, echo, transport)
        messages = relaying(consumer.wait_for_ends(1))
    assert consumer.strays == []
    assert {(message.realm, message.user) for message in messages} == {("causeway", USER)}

    words = [message.word for message in messages if message.leaf == "status"]
    assert words[0] == "new" and set(words[1:-1]) == {"refreshed"} and words[-1] == "deleted"
    for message in messages:
        if message.leaf == "status" and message.word != "deleted":
            fields = message.fields
            assert list(fields) == ["lifetime", "type", "local", "remote", "ssl", "cipher"]
            assert fields["type"] == kind
            assert fields["local"] == f"{HOST}:{publishing.tls_port if tls else publishing.turn_port}"
            assert re.fullmatch(re.escape(HOST) + r":\d+", fields["remote"])
            assert re.fullmatch(version, fields["ssl"]) and re.fullmatch(cipher, fields["cipher"])
    assert [message.leaf for message in messages[-5:]] == CLOSING
    assert messages[-6].word == "refreshed" and messages[-6].fields["lifetime"] == "0"

    sent, received = run.last(r"tot_send_bytes ~ (\d+)"), run.last(r"tot_recv_bytes ~ (\d+)")
    assert messages[-1].figures == (run.received, received, run.sent, sent)
    for leaf, total_leaf in (("traffic", messages[-2]), ("traffic/peer", messages[-1])):
        assert total(messages, leaf) == total_leaf.figures

    name = messages[0].allocation
    wait_until(lambda: name in stored_sessions(publishing), 10, "the session in the database")
    figures = messages[-2].figures, messages[-1].figures
    assert stored_sessions(publishing)[name] == figures
    assert listed_session(publishing, messages[0].fields["remote"]) == figures
    assert redis.ask("KEYS", f"turn/*/allocation/{name}/status", database=3) == []


# What coturn's schema document tells consumers to subscribe to, with the leaves each of them must see.
LEAVES = ["status", "traffic", "traffic/peer", "total_traffic", "total_traffic/peer"]
PATTERNS = {"turn/realm/*/user/*/allocation/*": set(LEAVES), "turn/*/allocation/*": set(LEAVES)}
PATTERNS |= {f"turn/realm/*/user/*/allocation/*/{leaf}": {leaf} for leaf in LEAVES}
# A user's own, by name.
PATTERNS |= {f"turn/realm/*/user/{USER}/allocation/*/total_traffic": {"total_traffic"}, "turn/realm/*/user/nobody/allocation/*": set()}


def test_every_documented_pattern_sees_its_messages_and_no_others(publishing, redis, echo):
    with contextlib.ExitStack() as stack:
        consumers = {pattern: stack.enter_context(Consumer(redis, pattern)) for pattern in PATTERNS}
        everything = consumers["turn/*/allocation/*"]
        run_client(publishing, echo, "udp")
        relaying(everything.wait_for_ends(1))
        for pattern, leaves in PATTERNS.items():
            wanted = [(message.allocation, message.leaf, message.value) for message in everything.messages if message.leaf in leaves]
            seen = lambda: [(message.allocation, message.leaf, message.value) for message in consumers[pattern].messages]
            wait_until(lambda: len(seen()) >= len(wanted), 10, f"what {pattern} sees")
            assert seen() == wanted and bool(wanted) == bool(leaves), pattern
            assert consumers[pattern].strays == []


def test_a_traffic_pair_for_each_4096_packets(publishing, redis, echo):
    with Consumer(redis) as consumer:
        run_client(publishing, echo, "udp", messages=1500)
        messages = relaying(consumer.wait_for_ends(1))
    pairs = [(a, b) for a, b in zip(messages, messages[1:]) if a.leaf == "traffic"]
    assert [b.leaf for _, b in pairs] == ["traffic/peer"] * 2
    packets = [sum(a.figures[::2]) + sum(b.figures[::2]) for a, b in pairs]
    # A batch of packets is counted at once, so a period may end a little late.
    assert 4096 <= packets[0] < 4096 + 64 and packets[1] < 4096
    assert total(messages, "traffic/peer") == messages[-1].figures == (1500, 150000, 1500, 150000)


def test_a_key_stands_while_its_allocation_lives_and_goes_with_the_server(publishing, redis):
    with Consumer(redis) as consumer, TurnClient((HOST, publishing.turn_port), USER, PASSWORD) as client:
        client.allocate()
        keys = wait_until(lambda: redis.ask("KEYS", "turn/*/allocation/*/status", database=3), 10, "the key")
        value = redis.ask("GET", keys[0], database=3)
        assert value.startswith("new lifetime=600, type=UDP, local=")
        assert 600 < redis.ask("TTL", keys[0], database=3) <= 630
        publishing.signal(signal.SIGTERM)
        [messages] = consumer.wait_for_ends(1)
        assert publishing.process.wait(30) == 0
    assert [message.leaf for message in messages] == ["status", *CLOSING]
    assert messages[0].value == value and messages[3].value == "deleted"
    assert redis.ask("KEYS", "*", database=3) == []


def test_keys_of_a_killed_server_go_at_its_next_start_and_those_of_others_stay(start, redis, tmp_path):
    target = f"ip=127.0.0.1 port={redis.port}"
    killed, other = start(redis_statsdb=target, data_dir=str(tmp_path)), start(redis_statsdb=target)
    with Consumer(redis) as consumer:
        with TurnClient((HOST, killed.turn_port), USER, PASSWORD) as one, TurnClient((HOST, other.turn_port), USER, PASSWORD) as two:
            one.allocate()
            wait_until(lambda: len(consumer.messages) == 1, 10, "the first allocation")
            two.allocate()
            wait_until(lambda: len(consumer.messages) == 2, 10, "the second allocation")
        gone, stays = (message.allocation for message in consumer.messages)
        killed.stop()
        start(redis_statsdb=target, data_dir=str(tmp_path))
        wait_until(lambda: len(consumer.messages) == 3, 10, "the end of the first")
    assert (consumer.messages[2].allocation, consumer.messages[2].value) == (gone, "deleted")
    [key] = redis.ask("KEYS", "turn/*/allocation/*/status")
    assert stays in key


def test_redis_away_and_back_while_a_call_goes_on(publishing, redis, echo):
    with TurnClient((HOST, publishing.turn_port), USER, PASSWORD) as client:
        client.allocate()
        [key] = wait_until(lambda: redis.ask("KEYS", "turn/*/allocation/*/status", database=3), 10, "the key")
        redis.__exit__()
        wait_until(lambda: publishing.metric("causeway_redis_up") == 0, 20, "the loss to be noticed")
        status, _, body = publishing.request("/healthz", token=False)
        assert status == 200 and json.loads(body) == {"status": "degraded", "relay": "ok", "store": "ok", "redis": "down"}
        run = run_client(publishing, echo, "udp")
        redis.__enter__()
        wait_until(lambda: redis.ask("KEYS", key, database=3) == [key], 20, "the key to be written again")
    wait_until(lambda: publishing.metric("causeway_redis_up") == 1, 20, "Redis to be well")
    assert run.sent == run.received == 20
    assert publishing.metric("causeway_redis_events_dropped_total") == 0
    assert json.loads(publishing.request("/healthz", token=False)[2])["redis"] == "ok"
    assert "no statistics go to Redis" in publishing.log() and "statistics go to Redis" in publishing.log()


def test_a_redis_that_does_not_answer_does_not_touch_a_call(publishing, redis, echo):
    with Consumer(redis) as consumer:
        redis.ask("CLIENT", "PAUSE", "100000", "WRITE")
        run = run_client(publishing, echo, "udp")
        assert consumer.messages == []
        redis.ask("CLIENT", "UNPAUSE")
        messages = relaying(consumer.wait_for_ends(1))
    # Commands without an answer are sent again on the next connection: a message may come twice, in order.
    assert messages[-1].figures == (run.received, 2000, run.sent, 2000)


def test_a_wrong_password_is_told_once_and_never_shown(start, redis):
    redis.ask("CONFIG", "SET", "requirepass", "right-one")
    server = start(redis_statsdb=None, environment={"CAUSEWAY_REDIS_STATSDB": f"port={redis.port} password=wrong-one"})
    wait_until(lambda: server.metric("causeway_redis_failures_total") >= 3, 20, "three attempts")
    assert json.loads(server.request("/healthz", token=False)[2])["redis"] == "down"
    told = [line for line in server.log().splitlines() if "WRONGPASS" in line]
    assert len(told) == 1 and "ERROR" in told[0], server.log()
    assert "wrong-one" not in server.log()


def test_clients_cannot_reach_redis_through_the_relay(start, redis):
    # Redis by a name and on an address that would be allowed: only being Redis closes it.
    server = start(redis_statsdb=f"redis://{HOST}:{redis.port}")
    with TurnClient((HOST, server.turn_port), USER, PASSWORD) as client:
        client.allocate()
        assert client.bind(0x4000, (HOST, redis.port)).code == 403
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HOST, 0))
            assert client.bind(0x4001, other.getsockname()).code == 0


def normalised(messages):
    """What both servers must agree on: no ids, ports, ciphers or sizes of control messages; the rest as published.

    The tool draws its TLS version by lot, so only the family of that counts.
    """
    lines = []
    for message in messages:
        if message.leaf == "status" and message.word != "deleted":
            fields = message.fields
            ends = [fields[end].rsplit(":", 1)[0] for end in ("local", "remote")]
            lines.append((message.leaf, message.word, fields["lifetime"], fields["type"], *ends, fields["ssl"].split(".")[0]))
        elif message.leaf in ("traffic/peer", "total_traffic/peer"):
            lines.append((message.leaf, message.figures))
        else:
            lines.append((message.leaf, message.value if message.leaf == "status" else ""))
    return lines


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_trace_agrees_with_one_of_coturn(start, redis, echo, transport):
    traces = []
    with Coturn(redis) as coturn:
        publishing = start(redis_statsdb=f"ip=127.0.0.1 port={redis.port}")
        for server in (coturn, publishing):
            with Consumer(redis) as consumer:
                run_client(server, echo, transport)
                # Over TCP and TLS the throw-away allocation ends with its connection; over UDP it stays.
                consumer.wait_for_ends(1 if transport == "udp" else 2)
                traces.append(list(consumer.allocations().values()))
    theirs, ours = traces
    assert [normalised(messages) for messages in ours] == [normalised(messages) for messages in theirs]
    # The deliberate differences at the client's side: the first request and its 401 are one message each way that coturn
    # counts, and control messages differ in size. Payload does not.
    ended = [[messages for messages in trace if messages[-1].leaf == "total_traffic/peer"] for trace in traces]
    theirs, ours = (relaying(allocations)[-2].figures for allocations in ended)
    assert (theirs[0] - ours[0], theirs[2] - ours[2]) == (1, 1)
