"""The program under test as a child process."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from layout import HOST, HOST_V6, HTTP_HOST, SERVER_SPACE, on_server_host

USER, PASSWORD, SECRET = "alice", "wonderland", "causeway-test-secret"


def free_port():
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("0.0.0.0", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


class Paths:
    """Packets that all servers of a run have relayed in the kernel, and by XDP."""

    def __init__(self):
        self.in_kernel = self.by_xdp = 0

    def add(self, samples):
        def outcome(name):
            return samples.get(f'causeway_fast_path_packets_total{{outcome="{name}"}}', 0)

        self.in_kernel += sum(outcome(f"forwarded_{where}") for where in ("up", "down", "between"))
        self.by_xdp += samples.get("causeway_fast_path_xdp_packets_total", 0)


paths = Paths()


class Causeway:
    """Starts on free ports; `settings` are keys of causeway.toml, `None` leaves a key out; `regions` is its list,
    `tables` TOML put behind, `prefix` a command that starts it."""

    def __init__(self, data_dir=None, environment=None, regions=(), tables="", prefix=(), **settings):
        self.scratch = tempfile.TemporaryDirectory()
        self.data_dir = data_dir or os.path.join(self.scratch.name, "data")
        self.turn_port, self.tls_port, self.http_port = free_port(), free_port(), free_port()
        self.settings = {
            "data_dir": self.data_dir,
            "http_listen": f"{HTTP_HOST}:{self.http_port}",
            "turn_listen": [f"0.0.0.0:{self.turn_port}", f"[::]:{self.turn_port}"],
            "turn_tls_listen": [f"0.0.0.0:{self.tls_port}", f"[::]:{self.tls_port}"],
            "public_ip": [HOST, HOST_V6],
            "allow_peer": ["198.51.100.0/24", "2001:db8:1::/64"],
            "unauthenticated_replies_per_sec": 100000,
            "unauthenticated_replies_burst": 100000,
            "threads": 2,
            "fast_path": os.environ.get("E2E_FAST_PATH"),
        }
        self.settings.update(settings)
        self.regions = regions
        self.environment = {"CAUSEWAY_TURN_SECRET": SECRET, "CAUSEWAY_API_TOKEN": "e2e-token", **(environment or {})}
        self.token = self.environment.get("CAUSEWAY_API_TOKEN")
        self.tables = tables
        self.prefix = prefix
        self.process = None

    def write_config(self):
        self.config = os.path.join(self.scratch.name, "causeway.toml")
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items() if value is not None]
        lines += ["[[turn.user]]", f'name = "{USER}"', f'password = "{PASSWORD}"']
        for region in self.regions:
            lines += ["[[regions]]", *(f"{key} = {json.dumps(value)}" for key, value in region.items())]
        with open(self.config, "w") as file:
            file.write("\n".join(lines) + "\n" + self.tables)

    def __enter__(self):
        self.write_config()
        self.log_path = os.path.join(self.scratch.name, "log")
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            on_server_host(*self.prefix, os.environ["CAUSEWAY_BIN"], "serve", "--config", self.config),
            stdout=subprocess.PIPE,
            stderr=self.log_file,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("CAUSEWAY_")}, **self.environment},
            text=True,
        )
        wait_until(lambda: self.process.poll() is not None or self.health() == 200, 20, "the server to be ready")
        assert self.process.poll() is None, self.log()
        self.banner = self.read_banner()
        asked = os.environ.get("E2E_FAST_PATH") in ("tc", "xdp") and self.settings["fast_path"] == os.environ["E2E_FAST_PATH"]
        if SERVER_SPACE and asked:
            assert self.metric("causeway_fast_path_flows_max"), self.log()
        return self

    def read_banner(self):
        """The start-up block: one write, shortly after the server is ready."""
        descriptor = self.process.stdout.fileno()
        os.set_blocking(descriptor, False)

        def read():
            try:
                return os.read(descriptor, 65536).decode()
            except BlockingIOError:
                return None

        return wait_until(read, 10, "the start-up block")

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process and self.process.poll() is None:
            if SERVER_SPACE:
                with contextlib.suppress(OSError):
                    paths.add(self.metrics())
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def log(self):
        with open(self.log_path) as file:
            return re.sub(r"\x1b\[[0-9;]*m", "", file.read())

    def request(self, path, method="GET", body=None, headers=None, token=True):
        """Status, headers and body of an HTTP request."""
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        data = json.dumps(body).encode() if body is not None else None
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(f"http://{HTTP_HOST}:{self.http_port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def health(self):
        try:
            return self.request("/healthz", token=False)[0]
        except OSError:
            return None

    def mint(self, **parameters):
        """An ICE credential over REST."""
        status, _, body = self.request("/api/v1/credentials/ice", "POST", parameters)
        assert status == 200, body
        return json.loads(body)

    def metrics(self):
        """Prometheus samples by name with labels."""
        text = self.request("/metrics", token=False)[2]
        pairs = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def metric(self, name):
        return self.metrics().get(name, 0.0)


def wait_until(condition, seconds, what):
    """Waits for a state, not for a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")
