"""A small blocking TURN client that does exactly what a test tells it, right or wrong."""

import base64
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time

BINDING, ALLOCATE, REFRESH, SEND, DATA = 0x001, 0x003, 0x004, 0x006, 0x007
CREATE_PERMISSION, CHANNEL_BIND, CONNECT, CONNECTION_BIND = 0x008, 0x009, 0x00A, 0x00B
USERNAME, INTEGRITY, ERROR_CODE, CHANNEL_NUMBER, LIFETIME = 0x0006, 0x0008, 0x0009, 0x000C, 0x000D
PEER_ADDRESS, DATA_ATTRIBUTE, REALM, NONCE, RELAYED_ADDRESS = 0x0012, 0x0013, 0x0014, 0x0015, 0x0016
REQUESTED_FAMILY, EVEN_PORT, REQUESTED_TRANSPORT, MAPPED_ADDRESS = 0x0017, 0x0018, 0x0019, 0x0020
CONNECTION_ID, ADDITIONAL_FAMILY = 0x002A, 0x8000
COOKIE = 0x2112A442


def rest_password(secret, username):
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


def xor_address(address, transaction):
    ip, port = ipaddress.ip_address(address[0]), address[1]
    mask = int.from_bytes(struct.pack("!I", COOKIE) + transaction, "big")
    if ip.version == 4:
        return struct.pack("!BBHI", 0, 1, port ^ (COOKIE >> 16), int(ip) ^ COOKIE)
    return struct.pack("!BBH", 0, 2, port ^ (COOKIE >> 16)) + (int(ip) ^ mask).to_bytes(16, "big")


def read_address(value, transaction):
    mask = int.from_bytes(struct.pack("!I", COOKIE) + transaction, "big")
    port = struct.unpack("!H", value[2:4])[0] ^ (COOKIE >> 16)
    number = int.from_bytes(value[4:], "big")
    ip = ipaddress.ip_address(number ^ COOKIE) if value[1] == 1 else ipaddress.IPv6Address(number ^ mask)
    return str(ip), port


class Answer:
    def __init__(self, message):
        self.type, length = struct.unpack("!HH", message[:4])
        self.transaction = message[8:20]
        self.attributes = {}
        at = 20
        while at < 20 + length:
            kind, size = struct.unpack("!HH", message[at : at + 4])
            self.attributes.setdefault(kind, message[at + 4 : at + 4 + size])
            at += 4 + (size + 3) // 4 * 4

    @property
    def code(self):
        """The error code, or 0."""
        value = self.attributes.get(ERROR_CODE)
        return value[2] * 100 + value[3] if value else 0

    def address(self, kind):
        return read_address(self.attributes[kind], self.transaction)


class TurnClient:
    """One five-tuple, over UDP or TCP."""

    def __init__(self, server, username, password, tcp=False, source=None):
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.tcp = tcp
        self.sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        if source:
            self.sock.bind(source)
        self.sock.settimeout(5)
        self.sock.connect(server)
        self.username, self.password = username, password
        self.realm = self.nonce = None
        self.buffer = b""
        self.data = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def key(self):
        return hashlib.md5(f"{self.username}:{self.realm}:{self.password}".encode()).digest()

    def build(self, method, attributes, cls=0, transaction=None, signed=True):
        transaction = transaction or os.urandom(12)
        kind = (method & 0xF80) << 2 | (method & 0x70) << 1 | method & 0xF | cls
        body = b""
        extra = []
        if signed and self.nonce:
            extra = [(USERNAME, self.username.encode()), (REALM, self.realm.encode()), (NONCE, self.nonce)]
        for number, value in list(attributes) + extra:
            value = xor_address(value, transaction) if isinstance(value, tuple) else value
            body += struct.pack("!HH", number, len(value)) + value + b"\0" * (-len(value) % 4)
        if signed and self.nonce:
            head = struct.pack("!HHI", kind, len(body) + 24, COOKIE) + transaction
            body += struct.pack("!HH", INTEGRITY, 20) + hmac.new(self.key(), head + body, hashlib.sha1).digest()
        return struct.pack("!HHI", kind, len(body), COOKIE) + transaction + body

    def send_raw(self, message):
        self.sock.sendall(message) if self.tcp else self.sock.send(message)

    def receive(self, timeout=5):
        """The next whole message."""
        self.sock.settimeout(timeout)
        if not self.tcp:
            return self.sock.recv(65536)
        while True:
            if len(self.buffer) >= 4:
                kind, length = struct.unpack("!HH", self.buffer[:4])
                size = 20 + length if kind < 0x4000 else (4 + length + 3) // 4 * 4
                if len(self.buffer) >= size:
                    message, self.buffer = self.buffer[:size], self.buffer[size:]
                    return message if kind < 0x4000 else message[: 4 + length]
            chunk = self.sock.recv(65536)
            if not chunk:
                raise ConnectionError("closed by the server")
            self.buffer += chunk

    def answer_to(self, message, timeout=5):
        """Sends a request and waits for its answer; what else arrives is kept in `data`."""
        self.send_raw(message)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            received = self.receive(deadline - time.monotonic())
            if received[:1] < b"\x40" and received[8:20] == message[8:20]:
                return Answer(received)
            self.data.append(received)
        raise TimeoutError("no answer")

    def request(self, method, attributes=()):
        """A request with credentials, challenged as often as need be."""
        for _ in range(3):
            answer = self.answer_to(self.build(method, attributes))
            if answer.code in (401, 438) and NONCE in answer.attributes:
                fresh = self.nonce is None or answer.code == 438
                self.realm = answer.attributes[REALM].decode()
                self.nonce = answer.attributes[NONCE]
                if fresh:
                    continue
            return answer
        return answer

    def allocate(self, lifetime=None, family=None, transport=17, extra=()):
        attributes = [(REQUESTED_TRANSPORT, bytes([transport, 0, 0, 0]))]
        if lifetime is not None:
            attributes.append((LIFETIME, struct.pack("!I", lifetime)))
        if family is not None:
            attributes.append((REQUESTED_FAMILY, bytes([family, 0, 0, 0])))
        answer = self.request(ALLOCATE, attributes + list(extra))
        if answer.code == 0:
            self.relayed = answer.address(RELAYED_ADDRESS)
        return answer

    def refresh(self, lifetime=600):
        return self.request(REFRESH, [(LIFETIME, struct.pack("!I", lifetime))])

    def permit(self, *peers):
        return self.request(CREATE_PERMISSION, [(PEER_ADDRESS, peer) for peer in peers])

    def bind(self, number, peer):
        return self.request(CHANNEL_BIND, [(CHANNEL_NUMBER, struct.pack("!HH", number, 0)), (PEER_ADDRESS, peer)])

    def connect_peer(self, peer):
        return self.request(CONNECT, [(PEER_ADDRESS, peer)])

    def send_indication(self, peer, payload):
        self.send_raw(self.build(SEND, [(PEER_ADDRESS, peer), (DATA_ATTRIBUTE, payload)], cls=0x10, signed=False))

    def send_channel(self, number, payload):
        message = struct.pack("!HH", number, len(payload)) + payload
        self.send_raw(message + (b"\0" * (-len(payload) % 4) if self.tcp else b""))

    def receive_payload(self, timeout=5):
        """Application data of the next ChannelData or Data indication."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.data.pop(0) if self.data else self.receive(max(0.01, deadline - time.monotonic()))
            if message[:1] >= b"\x40":
                return message[4:]
            answer = Answer(message)
            if DATA_ATTRIBUTE in answer.attributes:
                return answer.attributes[DATA_ATTRIBUTE]
