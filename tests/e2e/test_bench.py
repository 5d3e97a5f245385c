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
        if not re.search("coturn relayed nothing|nothing arrived", done.stderr):
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


FAST_PATH = [
    ("loopback", ["to a peer, at saturation", "to a peer, at a tenth of coturn's saturation", "to the client, at saturation",
                  "between own allocations, at saturation", "all in user space, to a peer, at saturation"]),
    ("virtual Ethernet", ["to a peer, at saturation", "to a peer, at a tenth of coturn's saturation", "to the client, at saturation",
                          "between own allocations, at saturation"]),
]  # fmt: skip


def test_quick_bench_of_the_fast_path_fills_every_row(tmp_path):
    page = tmp_path / "performance-fast-path.md"
    done = bench("--fast-path", "--write", str(page))
    if "there is no fast path" in done.stderr or "this program was built without it" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    for network, rows in FAST_PATH:
        for row in rows:
            figures = r" \| [0-9]+ \| (coturn|a bare forwarder) \| -?[0-9.]+ µs \| -?[0-9.]+ µs \| \S+ \| ≤ [0-9.]+ " + VERDICT
            assert re.search(f"^\\| {network}: {re.escape(row)}{figures}", text, re.MULTILINE), f"{network}: {row} is missing in\n{text}"
        for quantile in ("p50", "p99", "p99.9"):
            assert re.search(rf"^\| {network}, [0-9 ]+ packets a second: {re.escape(quantile)} \| -?[0-9.]+ µs", text, re.MULTILINE), text
    assert "make bench-fast-path" in text and "coturn 4." in text


def soak(*options):
    program = os.path.join(os.path.dirname(os.environ["CAUSEWAY_BIN"]), "fast-path-soak")
    if not os.path.exists(program):
        pytest.fail(f"no program at {program}: build it with cargo build --package causeway-bench")
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=110)
    if "there is no fast path here" in done.stderr:
        pytest.skip(done.stderr)
    return done


def test_channels_that_come_and_go_in_the_kernel_keep_their_word():
    done = soak("--seconds", "10")
    assert done.returncode == 0 and "everything as it should be" in done.stdout, done.stdout + done.stderr


def test_a_deadline_that_is_too_late_is_noticed():
    done = soak("--seconds", "4", "--channels", "500", "--late-millis", "200")
    assert done.returncode == 1 and "after its deadline" in done.stdout, done.stdout + done.stderr


# A server and its clients, few enough for a build without optimisation beside other tests.
THROUGH_SERVER = ["--through", "server", "--channels", "400", "--packets-per-sec", "4000"]


def soak_a_server(*options):
    return soak(*THROUGH_SERVER, "--causeway", os.environ["CAUSEWAY_BIN"], *options)


def test_channels_of_a_server_carry_till_their_end_and_not_after():
    done = soak_a_server("--seconds", "12")
    assert done.returncode == 0 and "everything as it should be" in done.stdout, done.stdout + done.stderr
    assert re.search(r"allocations: [0-9]+ granted, [1-9][0-9]* refreshed, [1-9][0-9]* ended with their credential, [1-9]", done.stdout), done.stdout


@pytest.mark.parametrize("shift_millis, told", [("-200", "after its deadline"), ("200", "before its deadline")])
def test_a_servers_credential_that_ends_at_another_time_is_noticed(shift_millis, told):
    done = soak_a_server("--seconds", "6", "--shift-millis", shift_millis)
    assert done.returncode == 1 and told in done.stdout, done.stdout + done.stderr


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
