"""A SIP phone over WebSocket that says exactly what a test tells it to: no library, no browser."""

import hashlib
import re
import threading
import urllib.parse
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from causeway import wait_until

DOMAIN = "example.test"
SDP = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\n"
PATIENCE = 30


class SipMessage:
    """A message as it was received."""

    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.headers = [tuple(line.split(": ", 1)) for line in lines if ": " in line]
        words = self.first.split(" ", 2)
        self.status = int(words[1]) if words[0] == "SIP/2.0" else None
        self.method = self.get("CSeq").split()[1] if self.status else words[0]

    def get(self, name, default=""):
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.first} {self.get('CSeq')}>"


class SipPhone:
    """One connection. What comes in is kept until a test asks for it with `next`."""

    def __init__(self, server, name):
        self.name, self.contact = name, f"sip:{name}@{uuid.uuid4().hex[:8]}.invalid;transport=ws"
        self.received, self.lock, self.numbers = [], threading.Lock(), 0
        self.websocket = connect(f"ws://127.0.0.1:{server.http_port}/sip", subprotocols=["sip"])
        self.is_open = True
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for text in self.websocket:
                if text.strip():
                    with self.lock:
                        self.received.append(SipMessage(text))
        except ConnectionClosed:
            pass
        self.is_open = False

    def close(self):
        self.websocket.close()

    def take(self, is_meant):
        with self.lock:
            found = next((message for message in self.received if is_meant(message)), None)
            if found:
                self.received.remove(found)
            return found

    def next(self, method, status=None, seconds=PATIENCE):
        """The next request of this method, or the next final response to one; provisional ones by their number."""

        def is_meant(message):
            if message.method != method or (message.status is None) != (status is None):
                return False
            return status is None or message.status == status or (status == "final" and message.status >= 200)

        what = f"{self.name} to get {method} {status or ''}; there is {self.received}"
        return wait_until(lambda: self.take(is_meant), seconds, what)

    def request(self, method, uri, dialog, body="", kind="application/sdp", **headers):
        self.numbers += 1
        number = dialog.number if method in ("ACK", "CANCEL") else self.numbers
        if method == "INVITE":
            dialog.number, dialog.branch = number, f"z9hG4bK{uuid.uuid4().hex}"
        branch = dialog.branch if method in ("INVITE", "CANCEL") else f"z9hG4bK{uuid.uuid4().hex}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/WS client.invalid;branch={branch}",
            "Max-Forwards: 70",
            f"From: {dialog.local}",
            f"To: {dialog.remote}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <{self.contact}>",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        if body:
            lines.append(f"Content-Type: {kind}")
        lines.append(f"Content-Length: {len(body.encode())}")
        self.websocket.send("\r\n".join(lines) + "\r\n\r\n" + body)

    def respond(self, request, status, reason, dialog=None, body="", **headers):
        to = request.get("To")
        if dialog and "tag=" not in to:
            to = dialog.local
        lines = [f"SIP/2.0 {status} {reason}", *(f"Via: {via}" for via in request.all("Via"))]
        lines += [f"From: {request.get('From')}", f"To: {to}", f"Call-ID: {request.get('Call-ID')}"]
        lines += [f"CSeq: {request.get('CSeq')}", f"Contact: <{self.contact}>"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body.encode())}")
        self.websocket.send("\r\n".join(lines) + "\r\n\r\n" + body)

    def register(self, expires=600, token=None):
        own = Dialog(f"<sip:{self.name}@{DOMAIN}>", f"<sip:{self.name}@{DOMAIN}>")
        uri = f"sip:{DOMAIN}"
        if token:
            self.request("REGISTER", uri, own, Expires=expires, Authorization=f"Bearer {token}")
            self.next("REGISTER", 200)
            return self
        self.request("REGISTER", uri, own, Expires=expires)
        challenge = next(c for c in self.next("REGISTER", 401).all("WWW-Authenticate") if "MD5" in c)
        realm, nonce = (re.search(f'{key}="([^"]*)"', challenge)[1] for key in ("realm", "nonce"))
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        secret, action = md5(f"{self.name}:{realm}:{self.name}-secret"), md5(f"REGISTER:{uri}")
        proof = md5(f"{secret}:{nonce}:00000001:abc:auth:{action}")
        credentials = (
            f'Digest username="{self.name}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm=MD5, '
            f'qop=auth, nc=00000001, cnonce="abc", response="{proof}"')
        self.request("REGISTER", uri, own, Expires=expires, Authorization=credentials)
        self.next("REGISTER", 200)
        return self

    def invite(self, callee, **headers):
        """Begins a call."""
        dialog = Dialog(f"<sip:{self.name}@{DOMAIN}>", f"<sip:{callee}@{DOMAIN}>")
        dialog.target = f"sip:{callee}@{DOMAIN}"
        self.request("INVITE", dialog.target, dialog, SDP, **headers)
        return dialog

    def ringing(self):
        """Is called, and rings."""
        invite = self.next("INVITE")
        dialog = Dialog(invite.get("To"), invite.get("From"), invite.get("Call-ID"))
        dialog.invite, dialog.target = invite, target(invite)
        self.respond(invite, 180, "Ringing", dialog)
        return dialog

    def answer(self, dialog):
        self.respond(dialog.invite, 200, "OK", dialog, SDP)
        self.next("ACK")

    def answered(self, dialog):
        """Its call was taken."""
        answer = self.next("INVITE", "final")
        assert answer.status == 200, answer
        dialog.remote, dialog.target = answer.get("To"), target(answer)
        self.request("ACK", dialog.target, dialog)
        return answer

    def reinvite(self, dialog, body):
        self.request("INVITE", dialog.target, dialog, body)

    def transfer(self, dialog, to, attended=None):
        """Asks the other party to call somebody, or the party of another of this phone's calls."""
        replaces = ""
        if attended:
            tag = lambda address: address.split("tag=")[1]
            parts = f"{attended.call_id};to-tag={tag(attended.remote)};from-tag={tag(attended.local)}"
            replaces = f"?Replaces={urllib.parse.quote(parts)}"
        self.request("REFER", dialog.target, dialog, Refer_To=f"<sip:{to}@{DOMAIN}{replaces}>")
        self.next("REFER", 202)

    def transferred(self, dialog):
        """Is asked to call somebody: does so, as its libraries do."""
        refer = self.next("REFER")
        self.respond(refer, 202, "Accepted", dialog)
        to, replaces = re.search(r"<sip:([^@]*)@[^?>]*(?:\?Replaces=([^>]*))?>", refer.get("Refer-To")).groups()
        return self.invite(to, **({"Replaces": urllib.parse.unquote(replaces)} if replaces else {}))

    def notify(self, dialog, status):
        """Tells how the call it was asked for comes on."""
        self.request("NOTIFY", dialog.target, dialog, f"SIP/2.0 {status}", "message/sipfrag", Event="refer", Subscription_State="terminated")
        self.next("NOTIFY", 200)

    def hang_up(self, dialog):
        self.request("BYE", dialog.target, dialog)
        self.next("BYE", 200)

    def hung_up(self, seconds=PATIENCE):
        """The other party hung up."""
        bye = self.next("BYE", seconds=seconds)
        self.respond(bye, 200, "OK")
        return bye


def target(message):
    return re.search("<([^>]*)>", message.get("Contact"))[1]


class Dialog:
    """What a dialogue's requests have in common, from its phone's side."""

    def __init__(self, local, remote, call_id=None):
        self.local = local if "tag=" in local else f"{local};tag={uuid.uuid4().hex[:10]}"
        self.remote, self.call_id = remote, call_id or uuid.uuid4().hex
        self.target, self.number, self.branch, self.invite = "", 0, "", None
