"""Traces of the API arrive at a collector, tell routes and no persons, and never hold the server up."""

import os
import signal
import socket
import subprocess

import pytest

from causeway import HOST, PASSWORD, USER, free_port, wait_until
from otlp_collector import Collector
from turn_client import TurnClient

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collect(request):
    """Starts collectors and stops them afterwards."""

    def start_one(**options):
        collector = Collector(**options)
        request.addfinalizer(collector.close)
        return collector

    return start_one


def test_a_span_tells_route_and_status_and_no_person(start, collect):
    collector = collect()
    server = start(otlp_endpoint=collector.url, node_id="node-of-traces")
    minted = server.mint(room="room-of-traces", initiator_client="alice-of-traces")
    username = minted["iceServers"][1]["username"]
    wanted = [
        ("POST", "/api/v1/credentials/ice", "POST /api/v1/credentials/ice", 200),
        ("GET", "/api/v1/rooms/room-of-traces?active=true", "GET /api/v1/rooms/{room}", 200),
        ("GET", f"/api/v1/credentials/{username}", "GET /api/v1/credentials/{username}", 200),
        ("GET", "/api/v1/rooms/no-such-room", "GET /api/v1/rooms/{room}", 404),
        ("DELETE", "/api/v1/rooms/room-of-traces", "DELETE /api/v1/rooms/{room}", 405),
        ("GET", "/no-such-path-of-traces", "GET", 404),
        ("GET", "/healthz", "GET /healthz", 200),
    ]
    answers = [server.request(path, method, headers={"User-Agent": "agent-of-traces"})[:2] for method, path, *_ in wanted]
    wait_until(lambda: all(collector.of_request(headers) for _, headers in answers), 20, "the spans")
    for (method, _, name, status), (answered, headers) in zip(wanted, answers):
        assert answered == status
        span = collector.of_request(headers)
        assert (span.name, span.kind, span.scope) == (name, 2, "causeway-api")
        assert span.attributes["http.request.method"] == method and span.attributes["http.response.status_code"] == status
        assert span.attributes["network.protocol.version"] == "1.1"
        assert (span.parent, span.failed) == ("", False) and 0 < span.seconds < 10
        assert span.resource.pop("service.version")
        assert span.resource == {"service.name": "causeway", "service.instance.id": "node-of-traces"}
    assert set(collector.paths) == {"/v1/traces"}
    everything = b"".join(body for _, body in collector.posts)
    for personal in ["room-of-traces", "alice-of-traces", "agent-of-traces", "path-of-traces", username, server.token, "127.0.0.1", HOST]:
        assert personal.encode() not in everything, personal


def test_the_trace_of_the_caller_goes_on(start, collect):
    collector = collect()
    server = start(otlp_endpoint=collector.url, otlp_sampling_ratio=0)
    server.request("/healthz")
    server.request("/healthz", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=person-of-traces"}
    answer = server.request("/healthz", headers=headers)[1]
    span = wait_until(lambda: collector.of_request(answer), 10, "the span")
    assert (span.trace, span.parent, span.state) == (TRACE, PARENT, "")
    server.signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert len(collector.spans()) == 1, "the ratio is 0: only what the caller chose"


def test_a_stopping_server_sends_what_waits(start, collect):
    collector = collect()
    server = start(otlp_endpoint=collector.url + "/below/", drain_timeout="0s")
    answers = [server.request("/api/v1/regions")[1] for _ in range(20)]
    server.signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert all(collector.of_request(answer) for answer in answers)
    assert set(collector.paths) == {"/below/v1/traces"}


def test_a_collector_away_holds_nothing_up_and_is_welcome_back(start, collect):
    port = free_port()
    server = start(otlp_endpoint=f"http://127.0.0.1:{port}")
    for _ in range(50):
        assert server.request("/api/v1/regions")[0] == 200
    wait_until(lambda: server.metric("causeway_spans_dropped_total") >= 50, 30, "spans to be dropped")
    assert server.metric("causeway_spans_exported_total") == 0 and server.health() == 200
    told = [line for line in server.log().splitlines() if "the collector does not take traces" in line]
    assert len(told) == 1 and "Connection refused" in told[0]
    collector = collect(port=port)
    wait_until(lambda: server.health() and collector.spans(), 30, "spans again")
    wait_until(lambda: "traces go to the collector" in server.log(), 10, "the log to tell")
    wait_until(lambda: server.metric("causeway_spans_exported_total") > 0, 10, "the counter")


def test_a_busy_collector_is_asked_again_and_one_that_refuses_is_not(start, collect):
    collector = collect(statuses=[503, 429])
    server = start(otlp_endpoint=collector.url, otlp_sampling_ratio=0)
    answer = server.request("/healthz", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})[1]
    wait_until(lambda: collector.of_request(answer), 10, "the span at the third try")
    assert [status for status, _ in collector.posts] == [503, 429, 200]
    assert len({body for _, body in collector.posts}) == 1
    collector.statuses = [400]
    server.request("/healthz", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    wait_until(lambda: server.metric("causeway_spans_dropped_total") == 1, 10, "the refusal")
    assert [status for status, _ in collector.posts] == [503, 429, 200, 400]
    assert "it answers 400" in server.log()


def test_a_collector_that_never_answers_holds_nothing_up_not_even_the_end(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = start(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", drain_timeout="0s")
        for _ in range(20):
            assert server.request("/api/v1/regions")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "the collector did not take the last traces" in server.log()


def test_over_tls_only_to_a_collector_with_a_trusted_certificate(start, collect, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    collector = collect(certificate=(cert, key))
    trusting = start(otlp_endpoint=collector.url, environment={"SSL_CERT_FILE": cert})
    answer = trusting.request("/healthz")[1]
    wait_until(lambda: collector.of_request(answer), 10, "the span")
    taken = len(collector.posts)
    trusting.stop()
    careful = start(otlp_endpoint=collector.url, environment={"SSL_CERT_FILE": os.devnull})
    wait_until(lambda: careful.metric("causeway_spans_dropped_total") >= 1, 30, "the refusal")
    assert len(collector.posts) == taken and "UnknownIssuer" in careful.log()


def test_nothing_is_traced_unless_wanted(server):
    assert not [name for name in server.metrics() if "span" in name]


def test_clients_cannot_reach_the_collector_through_the_relay(start, collect):
    collector = collect(host=HOST)
    server = start(otlp_endpoint=collector.url)
    with TurnClient((HOST, server.turn_port), USER, PASSWORD) as client:
        client.allocate()
        assert client.bind(0x4000, (HOST, collector.port)).code == 403
        assert client.bind(0x4001, (HOST, free_port())).code == 0
