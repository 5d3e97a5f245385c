"""Start, reload, certificate swap, drain, stop: with live traffic, and nothing lost that should survive."""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from causeway import HOST, PASSWORD, SECRET, USER, Causeway, wait_until
from layout import OTHER_PEER, PEER
from turn_client import TurnClient, rest_password


def client(server, username=USER, password=PASSWORD, **options):
    return TurnClient((HOST, server.turn_port), username, password, **options)


class Traffic:
    """A live flow, client to peer and back, that counts what was lost."""

    def __init__(self, server):
        self.turn = client(server)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind((PEER, 0))
        self.peer.settimeout(2)
        assert self.turn.allocate().code == 0
        assert self.turn.bind(0x4000, self.peer.getsockname()).code == 0
        self.sent = self.returned = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            self.turn.send_channel(0x4000, b"%d" % self.sent)
            self.sent += 1
            try:
                data, relay = self.peer.recvfrom(100)
                self.peer.sendto(data, relay)
                self.turn.receive_payload(2)
                self.returned += 1
            except (TimeoutError, socket.timeout):
                pass
            time.sleep(0.001)

    def flows(self, count):
        target = self.returned + count
        wait_until(lambda: self.returned >= target, 20, "traffic to flow")

    def end(self):
        self.stopped.set()
        self.thread.join()
        self.turn.refresh(0)
        self.turn.sock.close()
        self.peer.close()
        assert self.sent > 100 and self.sent == self.returned, (self.sent, self.returned)


def test_the_first_start_shows_a_token_and_a_line_that_works_and_the_second_no_secret(tmp_path):
    environment = {"CAUSEWAY_API_TOKEN": "", "CAUSEWAY_TURN_SECRET": ""}
    with Causeway(data_dir=str(tmp_path / "data"), environment=environment) as server:
        line = next(line for line in server.banner.splitlines() if line.strip().startswith("curl"))
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=10)
        assert '"iceServers"' in done.stdout and "expiresAt" in done.stdout, (line, done)
        token = server.banner.split("API token (shown once): ")[1].split()[0]
        server.stop()
    with Causeway(data_dir=str(tmp_path / "data"), environment=environment) as server:
        assert token not in server.banner and "cwp_" not in server.banner
        server.token = token
        assert server.mint()["region"] == "local"
        assert token not in server.log()


def test_sigterm_drains(start):
    server = start(drain_timeout="30s")
    flow = Traffic(server)
    flow.flows(100)
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.health() == 503, 5, "the server to drain")
    with client(server) as newcomer:
        assert newcomer.allocate().code == 486
    flow.flows(100)
    assert server.process.poll() is None
    flow.end()
    assert server.process.wait(10) == 0


def test_a_draining_server_names_its_alternate(start):
    server = start(alternate_server=["198.51.100.77:3478"])
    with client(server) as newcomer:
        answer = newcomer.allocate()
        assert answer.code == 300
        assert answer.attributes[0x8023] == b"\0\1" + (3478).to_bytes(2, "big") + bytes([198, 51, 100, 77])


def test_a_drain_ends_at_its_deadline_and_a_second_signal_ends_it_at_once(start):
    server = start(drain_timeout="1s")
    with client(server) as turn:
        assert turn.allocate().code == 0
        server.signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    server = start(drain_timeout="60s")
    with client(server) as turn:
        assert turn.allocate().code == 0
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.health() == 503, 5, "the server to drain")
        server.signal(signal.SIGTERM)
        assert server.process.wait(5) == 0


def test_sighup_reloads_peers_and_secrets_without_losing_a_packet(start):
    server = start()
    flow = Traffic(server)
    flow.flows(50)
    with client(server) as turn:
        assert turn.allocate().code == 0
        assert turn.permit(("10.0.0.1", 0)).code == 403
        server.settings["allow_peer"] = ["198.51.100.0/24", "10.0.0.0/8"]
        server.write_config()
        server.signal(signal.SIGHUP)
        wait_until(lambda: turn.permit(("10.0.0.1", 0)).code == 0, 10, "the new peers to be allowed")
    server.settings["allow_peer"] = ["nonsense"]
    server.write_config()
    server.signal(signal.SIGHUP)
    wait_until(lambda: "the configuration in force stays" in server.log(), 10, "the bad file to be refused")
    flow.flows(50)
    flow.end()


def test_a_peer_denied_by_sighup_is_cut_off_at_once(start):
    server = start()
    flow = Traffic(server)
    flow.flows(50)
    with client(server) as turn, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as denied:
        denied.bind((OTHER_PEER, 0))
        denied.settimeout(2)
        assert turn.allocate().code == 0
        assert turn.bind(0x4000, denied.getsockname()).code == 0
        turn.send_channel(0x4000, b"before")
        assert denied.recv(100) == b"before"
        server.settings["deny_peer"] = [f"{OTHER_PEER}/32"]
        server.write_config()
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.metric("causeway_peers_withdrawn_total") == 1, 10, "the peer to be withdrawn")
        turn.send_channel(0x4000, b"after")
        denied.sendto(b"after", turn.relayed)
        assert turn.permit((OTHER_PEER, 0)).code == 403
        # The answer came behind both: nothing of them passed.
        assert turn.data == []
        denied.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(denied.recv(100))
    wait_until(lambda: f"deny-peer {OTHER_PEER}/32" in server.log(), 5, "the rule in the log")
    assert f"{OTHER_PEER}:" not in server.log()
    flow.flows(50)
    flow.end()


def test_sighup_with_a_bad_file_changes_nothing_and_tells_every_fault(start):
    server = start(allow_peer=["198.51.100.0/24", "10.0.0.0/8"])
    flow = Traffic(server)
    flow.flows(60)
    with client(server) as turn:
        assert turn.allocate().code == 0
        good = dict(server.settings)
        # A good change beside the bad ones is not taken either.
        server.settings.update(allow_peer=["198.51.100.0/24"], relay_ports="65535-49152", allocations_max=1, realy=1)
        server.write_config()
        server.signal(signal.SIGHUP)
        wait_until(lambda: "the configuration in force stays" in server.log(), 10, "the bad file to be refused")
        assert "relay_ports" in server.log() and "realy" in server.log()
        assert turn.permit(("10.0.0.1", 0)).code == 0
        with client(server) as second:
            assert second.allocate().code == 0
        # No file at all is no better.
        os.remove(server.config)
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("the configuration in force stays") == 2, 10, "the missing file to be refused")
        assert turn.permit(("10.0.0.2", 0)).code == 0
        assert server.health() == 200
        # And a good one is taken after them.
        server.settings = {**good, "allow_peer": ["198.51.100.0/24"]}
        server.write_config()
        server.signal(signal.SIGHUP)
        wait_until(lambda: turn.permit(("10.0.0.3", 0)).code == 403, 10, "the good file to be taken")
    flow.flows(60)
    flow.end()


def make_certificate(directory, name):
    cert, key = os.path.join(directory, name + ".crt"), os.path.join(directory, name + ".key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*command, "-subj", f"/CN={name}", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def served_certificate(port):
    return ssl.get_server_certificate((HOST, port))


def test_a_new_certificate_is_served_while_traffic_flows(start, tmp_path):
    cert, key = make_certificate(str(tmp_path), "first")
    new_cert, new_key = make_certificate(str(tmp_path), "second")
    server = start(tls_cert=cert, tls_key=key)
    before = served_certificate(server.tls_port)
    flow = Traffic(server)
    flow.flows(50)
    with client(server, tcp=True) as held:
        assert held.allocate().code == 0
        shutil.copy(new_key, key)
        shutil.copy(new_cert, cert)
        wait_until(lambda: served_certificate(server.tls_port) != before, 15, "the new certificate")
        assert held.refresh().code == 0
    flow.flows(50)
    flow.end()


def test_the_service_manager_is_told(start, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        server = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(1000) == b"READY=1\n"
        server.signal(signal.SIGHUP)
        assert manager.recv(1000) == b"RELOADING=1\n"
        assert manager.recv(1000) == b"READY=1\n"
        server.signal(signal.SIGTERM)
        assert manager.recv(1000) == b"STOPPING=1\n"
        assert server.process.wait(10) == 0


def test_a_credential_survives_kill_and_restart(tmp_path):
    with Causeway(data_dir=str(tmp_path / "data")) as server:
        turn = server.mint(ttl=600)["iceServers"][1]
        server.stop()
    with Causeway(data_dir=str(tmp_path / "data")) as server:
        with client(server, turn["username"], turn["credential"]) as again:
            assert again.allocate().code == 0
        with client(server, turn["username"], "wrong") as wrong:
            assert wrong.allocate().code == 401


def test_a_second_server_on_the_same_data_is_refused_and_ends_no_session(start):
    server = start(usage_flush_interval=1)

    def live():
        return json.loads(server.request("/api/v1/sessions?active=true")[2])["data"]

    with client(server) as turn:
        assert turn.allocate().code == 0
        wait_until(lambda: len(live()) == 1, 20, "the session to be written")
        command = [os.environ["CAUSEWAY_BIN"], "serve", "--data-dir", server.data_dir, "--http-listen", "127.0.0.1:0",
                   "--turn-listen", "127.0.0.1:0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert second.returncode not in (0, None)
        assert "another causeway serves from" in second.stderr and "--data-dir" in second.stderr, second.stderr
        assert len(live()) == 1 and turn.refresh().code == 0


def test_expiry_gates_new_allocations_and_spares_live_ones(server):
    turn = server.mint(ttl=2)["iceServers"][1]
    with client(server, turn["username"], turn["credential"]) as live:
        assert live.allocate().code == 0

        def refused():
            with client(server, turn["username"], turn["credential"]) as late:
                return late.allocate().code == 401

        wait_until(refused, 10, "the credential to expire")
        assert live.refresh().code == 0
        assert live.permit(("198.51.100.9", 0)).code == 0


def test_expiry_ends_live_allocations_when_told_to(start):
    server = start(on_expiry="terminate")
    turn = server.mint(ttl=2)["iceServers"][1]
    with client(server, turn["username"], turn["credential"]) as live:
        assert live.allocate().code == 0
        wait_until(lambda: server.metric("causeway_allocations") == 0, 10, "the allocation to end")


def test_rest_names_of_every_form(server):
    future, past = int(time.time()) + 600, int(time.time()) - 5
    good = [f"{future}:alice", f"{future}", f"alice:{future}", f"{future}:alice:x", f":{future}", "99999999999:bob"]
    for name in good:
        with client(server, name, rest_password(SECRET, name)) as turn:
            assert turn.allocate().code == 0, name
            assert turn.refresh(0).code == 0, "who gets this port next starts anew"
    for name in [f"{past}:alice", "nobody"]:
        with client(server, name, rest_password(SECRET, name)) as turn:
            assert turn.allocate().code == 401, name
    with client(server, f"{future}:alice", "wrong") as turn:
        assert turn.allocate().code == 401
    with client(server, f"{future}:al ice", rest_password(SECRET, f"{future}:al ice")) as turn:
        assert turn.allocate().code == 400


def test_both_of_two_secrets_verify_and_the_first_signs(start):
    server = start(environment={"CAUSEWAY_TURN_SECRET": "new-secret,old-secret"})
    name = f"{int(time.time()) + 60}:alice"
    for secret in ("new-secret", "old-secret"):
        with client(server, name, rest_password(secret, name)) as turn:
            assert turn.allocate().code == 0, secret
    import json

    minted = json.loads(server.request("/api/v1/turn-rest?service=turn&username=bob")[2])
    assert minted["password"] == rest_password("new-secret", minted["username"])


def test_a_rest_credential_of_causeway_opens_a_real_coturn(server):
    import json

    from causeway import free_port

    minted = json.loads(server.request("/?service=turn&username=carol")[2])
    port = free_port()
    command = ["turnserver", "-n", "--no-cli", "--use-auth-secret", f"--static-auth-secret={SECRET}", "-r", "causeway"]
    command += ["-L", PEER, "-E", PEER, "-p", str(port), "--no-tls", "--no-dtls", "--log-file", "stdout"]
    coturn = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with TurnClient((PEER, port), minted["username"], minted["password"]) as turn:
            def answers():
                try:
                    return turn.allocate().code == 0
                except (OSError, TimeoutError):
                    return False

            wait_until(answers, 15, "coturn to grant an allocation")
    finally:
        coturn.kill()
        coturn.wait()


def test_credential_commands_explain_themselves():
    environment = {**os.environ, "CAUSEWAY_TURN_SECRET": SECRET}
    program = environment.pop("CAUSEWAY_BIN")

    def run(*arguments):
        return subprocess.run([program, "credential", *arguments], capture_output=True, text=True, env=environment, timeout=10)

    minted = dict(line.split(None, 1) for line in run("mint", "--user", "alice").stdout.splitlines())
    assert minted["password"] == rest_password(SECRET, minted["username"])
    assert run("inspect", minted["username"], minted["password"]).stdout.startswith("good: made with secret 1")
    assert "wrong password" in run("inspect", minted["username"], "x").stdout
    past = f"{int(time.time()) - 100}:alice"
    assert run("inspect", past, rest_password(SECRET, past)).stdout.startswith("expired 10")


def test_check_tells_every_fault_and_exits_64(tmp_path):
    program = os.environ["CAUSEWAY_BIN"]
    config = tmp_path / "bad.toml"
    config.write_text('relay_ports = "65535-49152"\nrealy = 1\n')
    done = subprocess.run([program, "check", "--config", str(config)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 64
    assert "error[config.relay_ports]" in done.stderr and "did you mean" in done.stderr
    assert subprocess.run([program, "serve", "--nonsense"], capture_output=True, timeout=10).returncode == 64


def test_check_warns_of_certificates_it_cannot_use(tmp_path):
    program = os.environ["CAUSEWAY_BIN"]
    config = tmp_path / "causeway.toml"
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    config.write_text(f'tls_cert = "{certificate}"\ntls_key = "{key}"\n')

    def check():
        done = subprocess.run([program, "check", "--config", str(config)], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0 and "configuration is good" in done.stdout
        return done.stderr

    assert f"warning: cannot read {certificate}" in check()
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*request, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=True)
    assert check() == ""
    subprocess.run([*request, "-keyout", str(key), "-out", os.devnull], capture_output=True, check=True)
    assert f"warning: {key} does not fit {certificate}" in check()
