"""A Redis server, and a consumer that knows nothing but the documented schema of coturn's statistics database."""

import re
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass

from causeway import HOST, PASSWORD, USER, free_port, wait_until

CHANNEL = re.compile(
    r"turn/(?:realm/(?P<realm>[^/]*)/)?user/(?P<user>.*)/allocation/(?P<id>[0-9]{18})/"
    r"(?P<leaf>status|traffic|traffic/peer|total_traffic|total_traffic/peer)"
)
TRAFFIC = re.compile(r"rcvp=(\d+), rcvb=(\d+), sentp=(\d+), sentb=(\d+)")


class RedisServer:
    """Debian's redis-server on a free port."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.process = None

    def __enter__(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.scratch.name]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self.answers, 10, "redis-server")
        return self

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words, database=0):
        with Connection(self.port) as connection:
            connection.send("SELECT", str(database))
            connection.read()
            connection.send(*words)
            return connection.read()

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Connection:
    """Enough of the Redis protocol to ask and to listen."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.lines = self.socket.makefile("rb")

    def send(self, *words):
        parts = [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(parts))

    def read(self):
        line = self.lines.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:].strip().decode()
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.lines.read(length + 2)[:-2].decode()
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        if kind == b"-":
            raise RuntimeError(rest)
        return int(rest) if kind == b":" else rest

    def close(self):
        # The reader may be waiting in another thread: closing alone would not wake it.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass
class Message:
    allocation: str
    realm: str
    user: str
    leaf: str
    value: str

    @property
    def word(self):
        """The first word of a status."""
        return self.value.split(" ")[0]

    @property
    def fields(self):
        """The key=value pairs of a status."""
        return dict(pair.split("=", 1) for pair in self.value.split(" ", 1)[1].split(", "))

    @property
    def figures(self):
        """rcvp, rcvb, sentp, sentb."""
        return tuple(int(number) for number in TRAFFIC.fullmatch(self.value).groups())


class Consumer:
    """Subscribes to a documented pattern, without another word to the one that sees everything, and keeps what comes."""

    def __init__(self, redis, pattern="turn/*/allocation/*"):
        self.messages, self.strays = [], []
        self.connection = Connection(redis.port)
        self.connection.socket.settimeout(None)
        self.connection.send("PSUBSCRIBE", pattern)
        assert self.connection.read()[0] == "psubscribe"
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        try:
            while True:
                _, _, channel, value = self.connection.read()
                found = CHANNEL.fullmatch(channel)
                if found:
                    self.messages.append(Message(found["id"], found["realm"], found["user"], found["leaf"], value))
                else:
                    self.strays.append((channel, value))
        except (EOFError, OSError, ValueError):
            pass

    def allocations(self):
        """Messages by allocation, in the order of their first ones. What never was an allocation is left out."""
        found = {}
        for message in list(self.messages):
            if message.leaf == "status" and message.word == "new":
                found[message.allocation] = []
            if message.allocation in found:
                found[message.allocation].append(message)
        return found

    def ended(self):
        """Messages of those allocations that have ended, by allocation."""
        return {name: found for name, found in self.allocations().items() if found[-1].leaf == "total_traffic/peer"}

    def wait_for_ends(self, count, seconds=30):
        """Waits until that many allocations have ended; their messages, in the order of their beginning."""
        try:
            wait_until(lambda: len(self.ended()) >= count, seconds, f"the end of {count} allocations")
        except AssertionError as late:
            raise AssertionError("\n".join(map(str, self.messages))) from late
        return list(self.ended().values())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.thread.join(5)


class Coturn:
    """Debian's coturn with statistics in Redis."""

    def __init__(self, redis, realm="causeway"):
        self.redis, self.realm = redis, realm
        self.turn_port, self.tls_port = free_port(), free_port()
        self.scratch = tempfile.TemporaryDirectory()

    def __enter__(self):
        path = self.scratch.name
        pair = ["-keyout", f"{path}/key.pem", "-out", f"{path}/cert.pem"]
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=coturn.test", *pair]
        subprocess.run(request, check=True, capture_output=True)
        self.log = open(f"{path}/log", "wb")
        command = ["turnserver", "-n", "--no-cli", "--relay-threads=2", f"--listening-port={self.turn_port}"]
        command += [f"--tls-listening-port={self.tls_port}", f"--listening-ip={HOST}", f"--relay-ip={HOST}"]
        command += [f"--realm={self.realm}", "--lt-cred-mech", f"--user={USER}:{PASSWORD}", "--log-file=stdout"]
        command += [f"--cert={path}/cert.pem", f"--pkey={path}/key.pem", f"--pidfile={path}/pid", f"--userdb={path}/turndb"]
        command += [f"--redis-statsdb=ip=127.0.0.1 port={self.redis.port} dbname=0"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, cwd=path)
        wait_until(self.is_ready, 20, "turnserver")
        return self

    def is_ready(self):
        for port in (self.turn_port, self.tls_port):
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                return False
        return True

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
