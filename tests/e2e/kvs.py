"""AWS clients against the program under test."""

import contextlib
import datetime
import json
import os
import ssl
import subprocess
from unittest import mock

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from causeway import Causeway, free_port

REGION, ACCOUNT = "us-west-2", "123456789012"
KEYS = {
    "admin": ("AKIDADMIN", "secretADMIN/KEY+1"),
    "master": ("AKIDMASTER", "secretMASTER/KEY+1"),
    "viewer": ("AKIDVIEWER", "secretVIEWER/KEY+1"),
    "describe": ("AKIDDESCRIBE", "secretDESCRIBE/KEY+1"),
}
BOUND = ("AKIDBOUND", "secretBOUND/KEY+1")
SESSION = ("AKIDSESSION", "secretSESSION/KEY+1", "session-TOKEN_1")
CLIENTS = os.path.join(os.path.dirname(__file__), "clients", "kvs")


def tables(**settings):
    """`[kvs]` with a key of every preset, one bound to a channel and a client, one with a session token."""
    settings = {"region": REGION, "account": ACCOUNT, **settings}
    lines = ["[kvs]"] + [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for preset, (key, secret) in KEYS.items():
        lines += ["[[kvs.access_key]]", f'id = "{key}"', f'secret = "{secret}"', f'preset = "{preset}"']
    lines += ["[[kvs.access_key]]", f'id = "{BOUND[0]}"', f'secret = "{BOUND[1]}"', 'preset = "viewer"']
    lines += ['channel = "mine-*"', 'client_id = "viewer-1"']
    lines += ["[[kvs.access_key]]", f'id = "{SESSION[0]}"', f'secret = "{SESSION[1]}"', 'preset = "admin"']
    lines += [f'session_token = "{SESSION[2]}"']
    return "\n".join(lines) + "\n"


class KvsServer(Causeway):
    """A server with a TLS listener, whose self-signed certificate `ca` is to be trusted."""

    def __init__(self, kvs=None, listen="127.0.0.1", https_port=None, **settings):
        self.https_port = https_port or free_port()
        settings = {"http_tls_listen": f"{listen}:{self.https_port}", "public_host": "localhost", **settings}
        self.host = settings["public_host"]
        super().__init__(tables=tables(**(kvs or {})), **settings)

    @property
    def ca(self):
        return os.path.join(self.data_dir, "self-signed.crt")

    @property
    def url(self):
        return f"https://{self.host}" + (f":{self.https_port}" if self.https_port != 443 else "")

    def client(self, service="kinesisvideo", key=KEYS["admin"], url=None, region=REGION, **config):
        """A client of boto3, which does not try again."""
        token = key[2] if len(key) > 2 else None
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=url or self.url,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            aws_session_token=token,
            verify=self.ca,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def signaling(self, key=KEYS["admin"], **more):
        return self.client("kinesis-video-signaling", key, **more)

    def node(self, script, *arguments, timeout=90, **keys):
        """What a script of clients/kvs prints as JSON; `keys` are known to it beside the usual ones."""
        keys = {**KEYS, "unknown": ("AKIDUNKNOWN", "secret"), "wrong": (KEYS["admin"][0], "wrong"), **keys}
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": self.ca, "KVS_KEYS": json.dumps(keys)}
        command = ["node", os.path.join(CLIENTS, script), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, cwd=CLIENTS)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def presign(url, key, parameters, expires=299, at=None, host=None):
    """A signed query as botocore makes it; `at` moves its clock, in seconds."""
    credentials = Credentials(key[0], key[1], key[2] if len(key) > 2 else None)
    request = AWSRequest("GET", url + "/", params=parameters)
    if host:
        request.headers["Host"] = host
    shift = datetime.timedelta(seconds=at or 0)
    with mock.patch("botocore.auth.get_current_datetime", lambda: datetime.datetime.now(datetime.timezone.utc) + shift):
        SigV4QueryAuth(credentials, "kinesisvideo", REGION, expires=expires).add_auth(request)
    return request.url


class Peer:
    """A signalling WebSocket, signed by botocore, read frame by frame."""

    def __init__(self, server, arn, client=None, key=KEYS["admin"], **options):
        parameters = {"X-Amz-ChannelARN": arn, **({"X-Amz-ClientId": client} if client else {})}
        # Not over TLS: this library reads and writes in two threads, which Python's ssl does not take before 3.13.
        url = presign(f"ws://127.0.0.1:{server.http_port}", key, parameters)
        self.socket = connect(url, open_timeout=20, close_timeout=2, legacy=True, **options)

    def send(self, action, payload="e30=", **more):
        self.raw(json.dumps({"action": action, "messagePayload": payload, **more}))

    def raw(self, frame):
        self.socket.send(frame)

    def overdo(self, frame):
        """Sends what ends the connection, perhaps before all of it was sent."""
        with contextlib.suppress(ConnectionClosed):
            self.raw(frame)

    def heard(self, timeout=10):
        """The next frame as text; raises when there is none in time."""
        return self.socket.recv(timeout=timeout)

    def frame(self, timeout=10):
        return json.loads(self.heard(timeout))

    def silent(self):
        """Whether nothing is on its way: what was sent before is answered after it."""
        self.raw(json.dumps({"action": "PING", "correlationId": "silent"}))
        return self.frame()["statusResponse"]["correlationId"] == "silent"

    def closed(self, timeout=10):
        """Code and reason of the close; frames before it are given up."""
        try:
            while True:
                self.socket.recv(timeout=timeout)
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (None, None)

    def close(self):
        self.socket.close()


def trusting(server):
    context = ssl.create_default_context(cafile=server.ca)
    context.set_alpn_protocols(["http/1.1"])
    return context
