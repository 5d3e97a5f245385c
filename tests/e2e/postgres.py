"""A PostgreSQL server of the test's own, on a free port of loopback."""

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile

from causeway import free_port, wait_until


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    assert found, "PostgreSQL is not installed: run scripts/install-test-tools"
    return found[-1]


# PostgreSQL refuses to run as root; Debian's package brings a user for it.
AS_OWNER = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []


class Postgres:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="causeway-postgres-")
        os.chmod(self.home, 0o777)
        self.data = os.path.join(self.home, "data")
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.process = None

    def __enter__(self):
        command = [program("initdb"), "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(AS_OWNER + command, check=True, capture_output=True, cwd="/")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home)

    def start(self):
        options = ["-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        self.process = subprocess.Popen(
            AS_OWNER + [program("postgres"), *options], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, 30, "PostgreSQL to be ready")

    def stop(self):
        if self.process and self.process.poll() is None:
            with open(os.path.join(self.data, "postmaster.pid")) as file:
                subprocess.run(["kill", "-INT", file.readline().strip()], check=True)
            self.process.wait(30)

    @contextlib.contextmanager
    def hung(self):
        """Every process of the server stands still meanwhile: it takes connections, and answers nothing."""
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            first = file.readline().strip()
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", first], check=True, capture_output=True, text=True)
        pids = [first, *found.stdout.split()]
        subprocess.run(["kill", "-STOP", *pids], check=True)
        try:
            yield
        finally:
            # runuser stops itself when what it started is stopped.
            subprocess.run(["kill", "-CONT", *pids, str(self.process.pid)], check=True)

    def query(self, sql):
        """Rows of text fields."""
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-AtF", "|", "-c", sql]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        return [line.split("|") for line in answer.stdout.splitlines()]
