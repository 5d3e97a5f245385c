"""`causeway probe`: every step over every transport, against this server and Debian's coturn, and the reason for each failure."""

import contextlib
import os
import re
import socket
import subprocess
import time

import pytest

from causeway import HOST, HOST_V6, PASSWORD, SECRET, USER, free_port, wait_until
from turn_client import TurnClient, rest_password

STEPS = {"binding", "allocate", "permission", "channel", "data", "1200 B", "refresh"}


class Probe:
    """One run: exit code, rows of the table by transport and server, notes below it."""

    def __init__(self, *arguments):
        command = [os.environ["CAUSEWAY_BIN"], "probe", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.code, self.output, self.errors = done.returncode, done.stdout, done.stderr
        table, _, rest = self.output.partition("times in milliseconds")
        header, *lines = table.splitlines() or [""]
        # Columns of steps are right-aligned under their titles.
        titles = re.finditer(r"(?:\S| (?=B))+", header)
        ends = [(title.group(), title.end()) for title in titles][1:]
        self.rows = {}
        for line in lines if header.startswith("transport") else ():
            transport, server, *_ = line.split()
            steps = zip(ends, ends[1:-1])
            cells = {title: line[start:end].split()[-1:] for (_, start), (title, end) in steps}
            cells = {title: cell[0] if cell else "" for title, cell in cells.items()}
            self.rows[transport, server] = {**cells, "result": line.split()[-1]}
        self.notes = rest.strip().splitlines()

    def good(self):
        return [row for row, cells in self.rows.items() if cells["result"] == "ok"]


def probe(*urls, username=USER, password=PASSWORD, options=()):
    return Probe(*urls, "--username", username, "--password", password, *options)


def literal(host):
    return f"[{host}]" if ":" in host else host


def certificate(directory, name, host):
    """An authority, and a P-256 certificate of it for `host`."""
    files = {kind: os.path.join(directory, f"{name}.{kind}") for kind in ("ca", "ca.key", "crt", "key", "csr", "ext")}
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    kind = "IP" if re.fullmatch(r"[0-9.]+|.*:.*", host) else "DNS"
    with open(files["ext"], "w") as file:
        file.write(f"subjectAltName={kind}:{host}\n")
    for command in (
        ["req", "-x509", *new, "-days", "2", "-keyout", files["ca.key"], "-out", files["ca"]],
        ["req", *new, "-keyout", files["key"], "-out", files["csr"]],
        ["x509", "-req", "-in", files["csr"], "-CA", files["ca"], "-CAkey", files["ca.key"], "-CAcreateserial"]
        + ["-days", "2", "-extfile", files["ext"], "-out", files["crt"]],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return files


class Coturn:
    """Debian's turnserver with one user and an ECDSA certificate."""

    def __init__(self, directory, *options):
        self.files = certificate(directory, "coturn", HOST)
        self.ca = self.files["ca"]
        self.directory, self.options = directory, options

    def command(self):
        """With ports of its own each time."""
        self.port, self.tls_port = free_port(), free_port()
        directory, files = self.directory, self.files
        command = ["turnserver", "-n", "--no-cli", "--no-stdout-log", "--log-file", os.path.join(directory, "coturn.log")]
        command += ["--pidfile", os.path.join(directory, "coturn.pid"), "--userdb", os.path.join(directory, "turndb")]
        command += ["-L", HOST, "-L", HOST_V6, "--listening-port", str(self.port), "--tls-listening-port", str(self.tls_port)]
        command += ["--cert", files["crt"], "--pkey", files["key"], "-a", "-r", "coturn.example", "-u", f"{USER}:{PASSWORD}"]
        return [*command, *self.options]

    def __enter__(self):
        # It accepts connections before all its listeners are there, and goes on without one whose port somebody took meanwhile.
        for _ in range(3):
            self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            plain = [f"stun:{literal(host)}:{self.port}" for host in (HOST, HOST_V6)]
            ready = [*plain, f"stuns:{HOST}:{self.tls_port}", "--insecure", "--timeout", "3"]
            with contextlib.suppress(AssertionError):
                wait_until(lambda: Probe(*ready).code == 0, 30, "coturn to answer on every listener")
                return self
            self.__exit__()
        raise AssertionError("coturn does not answer on every listener")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def coturn(tmp_path_factory):
    with Coturn(str(tmp_path_factory.mktemp("coturn"))) as running:
        yield running


@pytest.mark.parametrize("host", [HOST, HOST_V6], ids=["v4", "v6"])
def test_every_transport_passes_every_step(server, host):
    plain, tls = f"{literal(host)}:{server.turn_port}", f"{literal(host)}:{server.tls_port}"
    run = probe(f"turn:{plain}", f"turns:{tls}", options=["--insecure"])
    assert run.code == 0, run.output
    assert run.good() == [("udp", plain), ("tcp", plain), ("tls", tls), ("dtls", tls)], run.output
    for (transport, _), cells in run.rows.items():
        assert all(float(cells[step]) >= 0 for step in STEPS), run.output
        assert (cells["connect"] == "-") == (transport == "udp"), run.output
    assert all("relayed address 198.51.100.1:" in note and 'realm "causeway"' in note for note in run.notes), run.output


def test_a_transport_in_the_url_is_the_only_one_tried(server):
    at, tls = f"{HOST}:{server.turn_port}", f"{HOST}:{server.tls_port}"
    for url, expected in [
        (f"turn:{at}?transport=udp", ("udp", at)),
        (f"turn:{at}?transport=tcp", ("tcp", at)),
        (f"turns:{tls}?transport=tcp", ("tls", tls)),
        (f"turns:{tls}?transport=udp", ("dtls", tls)),
    ]:
        assert probe(url, options=["--insecure"]).good() == [expected]


def test_a_name_is_tried_over_each_family_it_has(server):
    found = {address[0] for *_, address in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    run = probe(f"turn:localhost:{server.turn_port}?transport=tcp")
    assert set(run.good()) == {("tcp", f"{literal(address)}:{server.turn_port}") for address in found}, run.output


def test_relay_ports_are_tried_from_outside_too(server, start):
    run = probe(f"turn:{HOST}:{server.turn_port}?transport=udp")
    assert run.code == 0 and "its relay ports are open to this machine" in run.notes[0], run.output
    # Seen as 127.0.0.1, which the policy refuses as a peer.
    run = probe(f"turn:127.0.0.1:{server.turn_port}?transport=udp")
    assert run.code == 0 and "its policy refuses this machine as a peer" in run.notes[0], run.output
    # Nothing leads from here to the address that is told to clients.
    server = start(public_ip=[f"203.0.113.9/{HOST}"])
    run = probe(f"turn:{HOST}:{server.turn_port}?transport=udp", options=["--timeout", "1"])
    assert run.code == 0 and re.search(r"sent straight to 203\.0\.113\.9:\d+ did not arrive", run.notes[0]), run.output


def test_a_pass_leaves_no_allocation_behind(start):
    server = start()
    assert probe(f"turn:{HOST}:{server.turn_port}").code == 0
    # Two allocations for each of two transports.
    wait_until(lambda: server.metric("causeway_allocations_created_total") == 4, 10, "the counters")
    wait_until(lambda: server.metric("causeway_allocations") == 0, 10, "no allocation to be left")


def test_a_stun_url_ends_with_binding_and_needs_no_credential(server):
    run = Probe(f"stun:{HOST}:{server.turn_port}")
    assert run.code == 0 and len(run.good()) == 2, run.output
    assert all(cells["allocate"] == "" and cells["binding"] for cells in run.rows.values()), run.output


def test_an_issued_credential_and_a_turn_rest_one_pass(server):
    turn = server.mint(ttl=600)["iceServers"][1]
    assert probe(f"turn:{HOST}:{server.turn_port}", username=turn["username"], password=turn["credential"]).code == 0
    name = f"{int(time.time()) + 600}:bob"
    assert probe(f"turn:{HOST}:{server.turn_port}", username=name, password=rest_password(SECRET, name)).code == 0


def test_with_room_for_one_allocation_it_sends_to_itself_and_with_none_it_says_why(start):
    server = start(allocations_per_user_max=1)
    run = probe(f"turn:{HOST}:{server.turn_port}")
    assert run.code == 0 and all("from it to itself" in note for note in run.notes), run.output
    with TurnClient((HOST, server.turn_port), USER, PASSWORD) as holder:
        assert holder.allocate().code == 0
        run = probe(f"turn:{HOST}:{server.turn_port}?transport=udp")
        holder.refresh(0)
    assert run.code == 1 and "allocate failed: error 486: the quota" in run.output, run.output


def test_a_certificate_is_trusted_by_its_authority_and_for_its_name_only(start, tmp_path):
    files = certificate(str(tmp_path), "own", "localhost")
    server = start(tls_cert=files["crt"], tls_key=files["key"])
    name, address = f"turns:localhost:{server.tls_port}", f"turns:{HOST}:{server.tls_port}"
    run = probe(name, options=["--ca", files["ca"]])
    assert run.code == 0 and {transport for transport, _ in run.good()} == {"tls", "dtls"}, run.output
    run = probe(address, options=["--ca", files["ca"]])
    assert run.code == 1 and run.good() == [], run.output
    assert all(f"the certificate is not for {HOST}" in note for note in run.notes), run.output
    run = probe(name)
    assert run.code == 1 and run.good() == [], run.output
    assert all("connect failed: the certificate is not trusted here" in note for note in run.notes), run.output
    assert all(cells["connect"] == "failed" and cells["binding"] == "" for cells in run.rows.values()), run.output


def test_an_authoritys_own_certificate_is_told_from_an_untrusted_one(start, tmp_path):
    files = certificate(str(tmp_path), "own", "localhost")
    server = start(tls_cert=files["ca"], tls_key=files["ca.key"])
    run = probe(f"turns:localhost:{server.tls_port}", options=["--ca", files["ca"]])
    assert run.code == 1 and all("is an authority's own" in note for note in run.notes), run.output


def test_a_wrong_password_is_told_from_an_expired_credential(server):
    url = f"turn:{HOST}:{server.turn_port}"
    run = probe(url, password="wrong")
    assert run.code == 1 and len(run.notes) == 2, run.output
    assert all("allocate failed: error 401: the server does not accept" in note for note in run.notes), run.output
    assert all(cells["binding"] and cells["allocate"] == "failed" for cells in run.rows.values()), run.output
    name = f"{int(time.time()) - 3600 * 3}:bob"
    run = probe(url, username=name, password=rest_password(SECRET, name))
    assert run.code == 1 and all("expired 3 h ago, so get a new one" in note for note in run.notes), run.output


def test_a_closed_port_is_told_from_a_silent_one(server):
    port = free_port()
    run = probe(f"turn:{HOST}:{port}")
    assert run.code == 1 and len(run.notes) == 2, run.output
    assert f"binding failed: UDP port {port} of {HOST} is closed" in run.notes[0], run.output
    assert f"connect failed: TCP port {port} of {HOST} is closed" in run.notes[1], run.output
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        port = silent.getsockname()[1]
        started = time.monotonic()
        run = probe(f"turn:{HOST}:{port}?transport=udp", options=["--timeout", "1"])
        assert time.monotonic() - started < 5
    assert run.code == 1 and f"no answer within 1 s: nothing speaks STUN on UDP port {port}" in run.output, run.output


def test_a_plain_port_says_that_it_speaks_no_tls(server):
    run = probe(f"turns:{HOST}:{server.turn_port}?transport=tcp", options=["--insecure"])
    assert run.code == 1 and f"check that port {server.turn_port} is its TLS port" in run.output, run.output


def test_one_failure_does_not_hide_what_works(server):
    run = probe(f"turn:{HOST}:{server.turn_port}", f"turn:{HOST}:{free_port()}?transport=tcp", "turn:no-such-name.invalid")
    assert run.code == 1 and 'the name "no-such-name.invalid" cannot be resolved' in run.output, run.output


@pytest.mark.parametrize(
    "arguments, part",
    [
        ([], "URL"),
        (["turn:h"], "needs --username and --password"),
        (["turn:h", "--username", "u"], "--username needs --password"),
        (["http://h", "--username", "u", "--password", "p"], "write it as turn:HOST"),
        (["stun:h:99999"], "from 1 to 65535"),
        (["stun:h", "--timeout", "0"], "--timeout"),
        (["stun:h", "--ca", "/nonexistent"], "cannot read /nonexistent"),
        (["stun:h", "--ca", "f", "--insecure"], "--insecure"),
    ],
)
def test_bad_usage_exits_64(arguments, part):
    run = Probe(*arguments)
    assert run.code == 64 and part in run.errors, run.errors
    assert run.output == ""


def test_help_shows_examples():
    run = Probe("--help")
    assert run.code == 0 and "causeway probe turns:" in run.output and "Exit code" in run.output


def test_an_independent_server_passes_over_every_transport(coturn):
    urls = [f"turn:{HOST}:{coturn.port}", f"turn:[{HOST_V6}]:{coturn.port}", f"turns:{HOST}:{coturn.tls_port}"]
    run = probe(*urls, options=["--ca", coturn.ca])
    assert run.code == 0, run.output
    assert [transport for transport, _ in run.good()] == ["udp", "tcp", "udp", "tcp", "tls", "dtls"], run.output
    assert all('realm "coturn.example"' in note for note in run.notes), run.output


def test_an_independent_servers_refusals_are_explained(coturn, tmp_path):
    run = probe(f"turn:{HOST}:{coturn.port}", password="wrong")
    assert run.code == 1 and all("error 401: the server does not accept" in note for note in run.notes), run.output
    with Coturn(str(tmp_path), f"--denied-peer-ip={HOST}") as closed:
        run = probe(f"turn:{HOST}:{closed.port}")
    assert run.code == 1 and all("permission failed: error 403" in note for note in run.notes), run.output
