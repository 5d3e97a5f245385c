"""A small reader of server-sent events, over a socket of its own."""

import http.client
import json
import threading

from layout import HTTP_HOST


class EventStream:
    """Reads in the background; `events` grows. A resumed stream begins behind `after`."""

    def __init__(self, server, query="", after=None):
        self.connection = http.client.HTTPConnection(HTTP_HOST, server.http_port, timeout=30)
        headers = {"Authorization": f"Bearer {server.token}"}
        if after is not None:
            headers["Last-Event-ID"] = after
        self.connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.events = []
        self.ended = False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        fields = {}
        try:
            for line in self.answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                if "data" in fields:
                    event = json.loads(fields["data"])
                    assert fields["event"] == event["type"]
                    self.events.append({**event, "id": fields["id"]})
                fields = {}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.ended = True

    def names(self):
        return [event["type"] for event in self.events]

    def of_sessions(self):
        return [event for event in self.events if event["type"].startswith("session.")]

    def close(self):
        """As a client that loses its connection."""
        self.connection.sock and self.connection.sock.close()
        self.connection.close()
