"""A collector of OTLP over HTTP with protobuf, written from the protocol's own message definitions."""

import http.server
import ssl
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from causeway import HOST


class Span:
    """One span with its attributes, and those of the resource it came from, as plain dictionaries."""

    def __init__(self, resource, scope, span):
        self.name, self.kind, self.scope = span.name, span.kind, scope.name
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.state, self.failed = span.trace_state, span.status.code == span.status.STATUS_CODE_ERROR
        self.seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        self.attributes, self.resource = values(span.attributes), values(resource.attributes)


def values(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class Collector:
    """Takes posts; `statuses` are answered first, then 200."""

    def __init__(self, port=0, host="127.0.0.1", certificate=None, statuses=()):
        self.posts, self.paths, self.statuses = [], [], list(statuses)
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.headers["Content-Type"] == "application/x-protobuf"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.statuses.pop(0) if collector.statuses else 200
                collector.posts.append((status, body))
                collector.paths.append(self.path)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def spans(self):
        """Of the posts that were taken."""
        found = []
        for status, body in self.posts:
            for group in ExportTraceServiceRequest.FromString(body).resource_spans if status == 200 else ():
                for part in group.scope_spans:
                    found += [Span(group.resource, part.scope, span) for span in part.spans]
        return found

    def of_request(self, answer_headers):
        """The span of the answer with these headers, once it is here."""
        [span] = [s for s in self.spans() if s.attributes.get("causeway.request_id") == answer_headers["X-Request-Id"]] or [None]
        return span
