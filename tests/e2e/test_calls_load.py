"""Many simulated clients that register and call each other: every call is placed, and nothing is left of them."""

import os
import re
import subprocess

import pytest


def load(*options):
    program = os.path.join(os.path.dirname(os.environ["CAUSEWAY_BIN"]), "calls")
    if not os.path.exists(program):
        pytest.fail(f"no program at {program}: build it with cargo build --package causeway-bench")
    command = [program, "--causeway", os.environ["CAUSEWAY_BIN"], "--stays-shortly", "--per-sec", "40", "--seconds", "5", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110)


@pytest.mark.parametrize("kind", ["sip", "verto"])
def test_two_hundred_clients_place_two_hundred_calls_and_nothing_stays(kind, tmp_path):
    page = tmp_path / "performance-calls.md"
    done = load("--only", kind, f"--{kind}-clients", "200", "--write", str(page))
    # It fails when a call comes to nothing, or a count does not come back to zero.
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert re.search(r"^\| \w+ \| 200 \| [0-9.]+ s \|.* KiB \| ≤ 25.0 KiB \| (met|falls short) \|$", text, re.MULTILINE), text
    for step in ("ringing", "answered", "hung up"):
        assert re.search(rf"^\| \w+ \| 200 \| {step} \| [0-9.]+ ms \|", text, re.MULTILINE), text
