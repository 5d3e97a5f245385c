"""The bench against coturn: every figure is there. What the figures are is for a quiet machine to say."""

import os
import re
import subprocess

import pytest

SINGLES, BURSTS, BETWEEN, NONE = "≤ 0.9", "≤ 0.4", "≤ 0.55", "–"
LOADS = [
    *[("single packets to a peer", n, size, SINGLES) for size in (160, 1200) for n in (1, 100, 1000)],
    *[("single packets to the client", 100, size, SINGLES) for size in (160, 1200)],
    *[("single packets to a peer, 20000 a second", 100, size, NONE) for size in (160, 1200)],
    ("bursts of 30 to a peer", 1, 1200, BURSTS),
    ("bursts of 30 to a peer", 100, 1200, BURSTS),
    ("bursts of 30 to a peer", 100, 160, BURSTS),
    ("bursts of 30 to the client", 100, 1200, BURSTS),
    *[("single packets between own allocations", *load, BETWEEN) for load in ((2, 160), (100, 160), (100, 1200))],
    ("bursts of 30 between own allocations", 100, 1200, BURSTS),
]
VERDICT = r"\| (met|falls short) \|"


def bench(*options):
    program = os.path.join(os.path.dirname(os.environ["CAUSEWAY_BIN"]), "causeway-bench")
    if not os.path.exists(program):
        pytest.fail(f"no program at {program}: build it with cargo build --package causeway-bench")
    command = [program, "--quick", "--causeway", os.environ["CAUSEWAY_BIN"], *options]
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=110)
        # A twentieth of a second is less than a busy machine may leave a server without a processor.
        if "coturn relayed nothing" not in done.stderr:
            break
    return done


def test_quick_bench_fills_every_row(tmp_path):
    page = tmp_path / "performance.md"
    done = bench("--write", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    micros = r"\| [0-9.]+ µs \| [0-9.]+ µs \| [0-9.]+ \|"
    rows = [re.escape(f"| {name} | {n} | {size} ") + micros + re.escape(f" {most} ") + (r"\|  \|" if most == NONE else VERDICT) for name, n, size, most in LOADS]
    rates = [re.escape(f"| {name} | {n} | {size} | ") + r"(> )?[0-9 ]+000 \| (> )?[0-9 ]+000 \| [0-9.]+ \|" for name, n, size, _ in LOADS if "a second" not in name]
    latency = [rf"\| {name} \| -?[0-9.]+ µs \| -?[0-9.]+ µs \| -?[0-9.]+ \|" for name in ("p50", "p99")]
    idle = [
        r"\| memory of one, idle \| [0-9]+ B \| [0-9]+ B \| [0-9.]+ \| ≤ 0.2 " + VERDICT,
        r"\| the same, against a fixed limit \| [0-9]+ B \| \| \| ≤ 4096 B " + VERDICT,
        r"\| allocations per second \| [0-9]+ \| [0-9]+ \| [0-9.]+ \| ≥ 4 " + VERDICT,
    ]
    for row in rows + rates + latency + idle:
        assert re.search(f"^{row}", text, re.MULTILINE), f"{row} is missing in\n{text}"
    assert text.count("| falls short |") + text.count("| met |") == len([load for load in LOADS if load[3] != NONE]) + 3
    assert "make bench" in text and "coturn 4." in text


def test_bench_says_how_to_get_coturn_where_there_is_none(tmp_path):
    done = bench("--coturn", str(tmp_path / "turnserver"))
    assert done.returncode == 1
    assert "apt-get install coturn" in done.stderr, done.stderr


def names_kept(*options):
    program = os.path.join(os.path.dirname(os.environ["CAUSEWAY_BIN"]), "api-bench")
    if not os.path.exists(program):
        pytest.fail(f"no program at {program}: build it with cargo build --package causeway-bench")
    # Half the size of the smallest thing that could be kept of a name.
    command = [program, "--causeway", os.environ["CAUSEWAY_BIN"], "--only", "names", "--strict", "--bytes-per-name", "40"]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=110)


def test_memory_does_not_grow_with_user_names_that_are_refused():
    # The ring of recent events is full after 65 536 of them.
    done = names_kept("--way", "wrong-key", "--full", "70000", "--names", "150000")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_measurement_sees_what_is_kept_while_the_ring_of_events_fills():
    done = names_kept("--way", "unknown", "--full", "1000", "--names", "20000")
    assert done.returncode == 1 and "targets are missed" in done.stderr, done.stdout + done.stderr
