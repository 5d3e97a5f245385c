"""A SIP client that is a WebSocket and no more: many of them fit into one test."""

import asyncio
import hashlib
import json
import re
import secrets

from websockets.asyncio.client import connect

PATIENCE = 25


class Message:
    """A request or a response, read as far as tests look at it."""

    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        self.status = int(self.first.split()[1]) if self.first.startswith("SIP/2.0 ") else None
        self.method = None if self.status else self.first.split()[0]

    def all(self, name):
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name):
        return next(iter(self.all(name)), None)


class Wire:
    """One connection. Names what it sends as browsers' libraries do."""

    def __init__(self, socket, name, domain):
        self.socket, self.name, self.domain = socket, name, domain
        self.number, self.id = 0, secrets.token_hex(6)
        self.contact = f"<sip:{self.id}@{self.id}.invalid;transport=ws>"

    @classmethod
    async def open(cls, url, name, domain, **options):
        socket = await connect(url, subprotocols=["sip"], open_timeout=PATIENCE, compression=None, proxy=None, **options)
        return cls(socket, name, domain)

    async def close(self):
        await self.socket.close()

    async def say(self, text):
        await self.socket.send(text)

    async def hear(self, patience=PATIENCE):
        async with asyncio.timeout(patience):
            return Message(await self.socket.recv())

    def request(self, method, uri, headers=(), body="", to=None):
        self.number += 1
        own = f"sip:{self.name}@{self.domain}"
        lines = [
            f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/WSS {self.id}.invalid;branch=z9hG4bK{self.id}{self.number}",
            "Max-Forwards: 70", f"From: <{own}>;tag={self.id}", f"To: <{to or uri}>", f"Call-ID: {self.id}-{method}{self.number}",
            f"CSeq: {self.number} {method}", *headers, f"Content-Length: {len(body.encode())}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def answer(self, request, status, headers=(), body=""):
        lines = [f"SIP/2.0 {status} Said"]
        for name, value in request.headers:
            if name in ("Via", "From", "Call-ID", "CSeq"):
                lines.append(f"{name}: {value}")
            if name == "To":
                lines.append(f"To: {value}" + ("" if "tag=" in value else f";tag=callee-{self.id}"))
        return "\r\n".join([*lines, f"Contact: {self.contact}", *headers, f"Content-Length: {len(body.encode())}"]) + "\r\n\r\n" + body

    async def ask(self, method, uri, password=None, token=None, headers=(), body="", to=None):
        """Sends a request, answers one challenge, and gives the final response."""
        more = [f"Authorization: Bearer {token}"] if token else []
        for count in (1, 2):
            await self.say(self.request(method, uri, [*headers, *more], body, to))
            heard = await self.hear()
            while heard.status and heard.status < 200:
                heard = await self.hear()
            challenges = [value for value in heard.all("WWW-Authenticate") + heard.all("Proxy-Authenticate") if "MD5" in value]
            if count == 2 or password is None or not challenges:
                return heard
            name = "Authorization" if heard.status == 401 else "Proxy-Authorization"
            more = [f"{name}: {digest(challenges[-1], self.name, password, method, uri)}"]

    async def register(self, password=None, token=None, expires=600):
        headers = [f"Contact: {self.contact};expires={expires}"]
        own = f"sip:{self.name}@{self.domain}"
        return await self.ask("REGISTER", f"sip:{self.domain}", password, token, headers, to=own)


def digest(challenge, name, password, method, uri):
    """RFC 7616 §3.4 with MD5, as browsers' libraries do it."""
    said = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
    secret, what, cnonce = md5(f"{name}:{said['realm']}:{password}"), md5(f"{method}:{uri}"), secrets.token_hex(4)
    response = md5(f"{secret}:{said['nonce']}:00000001:{cnonce}:auth:{what}")
    return (
        f'Digest algorithm=MD5, username="{name}", realm="{said["realm"]}", nonce="{said["nonce"]}", uri="{uri}", '
        f'response="{response}", qop=auth, cnonce="{cnonce}", nc=00000001'
    )


async def until(condition, what, seconds=PATIENCE):
    """Waits for a state; the condition may take its time, and is asked away from the loop."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.05)


def token(server, name, callees="*"):
    """A client token of the API."""
    status, _, body = server.request("/api/v1/client-tokens", "POST", {"clientId": name, "callees": callees.split(",")})
    assert status == 201, body
    return json.loads(body)["token"]
