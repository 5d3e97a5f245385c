"""Says what Telnyx's client libraries say, without media."""

import json
import time
import uuid

from websockets.sync.client import connect

SDP = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"


class Phone:
    """One connection; logged in if there is somebody to log in."""

    def __init__(self, server, user=None, password="Password1", path="/any/path?tenant=7"):
        # Without TLS: this library reads and writes from two threads, which Python's TLS does not take.
        url = f"ws://127.0.0.1:{server.http_port}{path}"
        self.socket = connect(url, proxy=None, open_timeout=30, legacy=True)
        self.heard, self.taken = [], 0
        if user:
            self.session = self.ask("login", {"login": user, "passwd": password})["result"]["sessid"]

    def ask(self, method, params):
        name = str(uuid.uuid4())
        self.say({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
        return self.until(lambda frame: frame.get("id") == name)

    def say(self, frame):
        self.socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))

    def until(self, condition):
        """The first frame that fits, of those that came or come."""
        for frame in self.heard:
            if condition(frame):
                return frame
        deadline = time.monotonic() + 30
        while True:
            frame = self.hear(deadline)
            if condition(frame):
                return frame

    def hear(self, deadline):
        """The next frame; the server's own pings do not put off the end of patience."""
        left = deadline - time.monotonic()
        assert left > 0, self.heard
        self.heard.append(json.loads(self.socket.recv(timeout=left)))
        return self.heard[-1]

    def told(self, method):
        return self.until(lambda frame: frame.get("method") == method)["params"]

    def invited(self):
        """The next call that comes."""

        def invites():
            return [frame for frame in self.heard if frame.get("method") == "telnyx_rtc.invite"]

        deadline = time.monotonic() + 30
        while len(invites()) <= self.taken:
            self.hear(deadline)
        self.taken += 1
        return invites()[self.taken - 1]["params"]["callID"]

    def dial(self, to, **more):
        call = str(uuid.uuid4())
        self.invite(call, to, **more)
        return call

    def invite(self, call, to, **more):
        dialog = {"callID": call, "destination_number": to, "caller_id_name": "A", "caller_id_number": "x", **more}
        return self.ask("telnyx_rtc.invite", {"sdp": SDP, "dialogParams": dialog})

    def answer(self):
        call = self.invited()
        self.about(call, "answer", sdp=SDP)
        return call

    def about(self, call, method, **params):
        return self.ask(f"telnyx_rtc.{method}", {"dialogParams": {"callID": call}, **params})

    def bye(self, call, cause="NORMAL_CLEARING"):
        return self.about(call, "bye", cause=cause)

    def close(self):
        self.socket.close()
