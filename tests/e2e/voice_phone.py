"""A client of the JSON-RPC dialect that says exactly what a test tells it to: no library, no browser."""

import json
import threading
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from causeway import wait_until

PATIENCE = 30


class VoicePhone:
    """One connection that is logged in. What comes in is kept until a test asks for it with `next`."""

    def __init__(self, server, user, password="Password1"):
        self.name, self.received, self.lock = user, [], threading.Lock()
        self.websocket = connect(f"ws://127.0.0.1:{server.http_port}/rtc/v1")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.session = self.ask("login", login=user, passwd=password, userVariables={}, loginParams={})["sessid"]

    def read(self):
        try:
            for text in self.websocket:
                if text.startswith("{"):
                    with self.lock:
                        self.received.append(json.loads(text))
        except ConnectionClosed:
            pass

    def close(self):
        self.websocket.close()

    def take(self, is_meant):
        with self.lock:
            found = next((frame for frame in self.received if is_meant(frame)), None)
            if found:
                self.received.remove(found)
            return found

    def ask(self, method, **params):
        """The result of a request."""
        number = uuid.uuid4().hex
        self.websocket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        frame = wait_until(
            lambda: self.take(lambda frame: frame.get("id") == number and "method" not in frame),
            PATIENCE, f"{self.name} to be answered {method}; there is {self.received}")
        assert "result" in frame, frame
        return frame["result"]

    def next(self, method):
        """The parameters of the next request of this method."""
        frame = wait_until(
            lambda: self.take(lambda frame: frame.get("method") == method),
            PATIENCE, f"{self.name} to get {method}; there is {self.received}")
        self.websocket.send(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "result": {"method": method}}))
        return frame["params"]

    def dialog(self, call, **more):
        return {"sessid": self.session, "dialogParams": {"callID": call, **more}}

    def invite(self, callee, sdp):
        """Begins a call; its id."""
        call = str(uuid.uuid4())
        self.ask("telnyx_rtc.invite", sdp=sdp, **self.dialog(call, destination_number=callee, audio=True))
        return call

    def answer(self, call, sdp):
        self.ask("telnyx_rtc.answer", sdp=sdp, **self.dialog(call))

    def hang_up(self, call):
        self.ask("telnyx_rtc.bye", cause="NORMAL_CLEARING", causeCode=16, **self.dialog(call))

    def digits(self, call, digits):
        self.ask("telnyx_rtc.info", dtmf=digits, **self.dialog(call))
