"""Debian's coturn tools, unmodified."""

import re
import subprocess
from dataclasses import dataclass

from causeway import HOST, HOST_V6, PASSWORD, SECRET, USER, free_port
from layout import PEER, PEER_V6


class TurnutilsPeer:
    """A UDP echo for turnutils_uclient."""

    def __enter__(self):
        self.port = free_port()
        command = ["turnutils_peer", "-L", PEER, "-L", PEER_V6, "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def address(self, host=PEER):
        return host, self.port

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@dataclass
class Run:
    code: int
    output: str

    @property
    def sent(self):
        return self.last(r"tot_send_msgs=(\d+)")

    @property
    def received(self):
        return self.last(r"tot_recv_msgs=(\d+)")

    @property
    def lost(self):
        return self.last(r"Total lost packets (\d+)")

    def last(self, pattern):
        found = re.findall(pattern, self.output)
        return int(found[-1]) if found else None


def uclient(server, *options, peer=None, v6=False, tls=False, secret=False, user=(USER, PASSWORD), messages=5, timeout=60):
    """Runs turnutils_uclient against a server; `peer` is an address of ours, else it talks to itself (-y)."""
    command = ["turnutils_uclient", *options, "-n", str(messages), "-p", str(server.tls_port if tls else server.turn_port)]
    command += ["-W", SECRET, "-u", "bob"] if secret else ["-u", user[0], "-w", user[1]]
    command += ["-e", peer[0], "-r", str(peer[1])] if peer else ["-y"]
    command.append(HOST_V6 if v6 else HOST)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        return Run(done.returncode, done.stdout + done.stderr)
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace") + (late.stderr or b"").decode(errors="replace")
        return Run(124, output)
