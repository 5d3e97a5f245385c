"""Clients whose URL cannot be changed: the name of the original service leads to this server, over HTTPS on port 443.

A hosts file of the test's own maps the name, and each client is told to trust the test's certificate; nothing else differs.
"""

import json
import os
import socket
import subprocess

import pytest

from test_credentials_api import COMMANDS, SAMPLES, assert_opens, assert_shape

NAME = "turnix.io"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificate")
    cert, key, store = directory / "cert.pem", directory / "key.pem", directory / "trust.p12"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["keytool", "-importcert", "-noprompt", "-file", str(cert), "-keystore", str(store), "-storepass", "changeit"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key, store


@pytest.fixture(scope="module")
def server(certificate):
    from causeway import Causeway

    cert, key, _ = certificate
    # The network namespace is the tests' own, so the port is free.
    with Causeway(http_tls_listen="127.0.0.1:443", tls_cert=str(cert), tls_key=str(key), public_host=NAME) as running:
        yield running


def run(server, certificate, tmp_path, command, token):
    cert, _, store = certificate
    hosts = tmp_path / "hosts"
    # Java looks its own machine up; no name server answers in here.
    hosts.write_text(f"127.0.0.1 localhost {socket.gethostname()} {NAME}\n")
    trust = {name: str(cert) for name in ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")}
    trust["JDK_JAVA_OPTIONS"] = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
    own = {**os.environ, **trust, "CAUSEWAY_URL": f"https://{NAME}", "CAUSEWAY_API_TOKEN": token, "LC_ALL": "C.UTF-8"}
    # The file system view is the command's own; it ends with it.
    inside = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), *command]
    return subprocess.run(inside, env=own, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("sample", COMMANDS)
def test_the_sample_reaches_this_server_by_the_original_name(server, echo, certificate, tmp_path, sample):
    done = run(server, certificate, tmp_path, [*COMMANDS[sample], str(SAMPLES / sample)], server.token)
    assert done.returncode == 0, done.stderr
    turn = assert_shape(json.loads(done.stdout))
    # A configured certificate: turns: URLs are handed out, with the name.
    assert [url.split(":")[:2] for url in turn["urls"]] == [["turn", NAME]] * 2 + [["turns", NAME]] * 2
    assert_opens(server, echo, turn)


def test_a_client_that_does_not_trust_the_certificate_gets_nothing(server, certificate, tmp_path):
    unset = [word for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR") for word in ("-u", name)]
    command = ["env", *unset, *COMMANDS["curl.sh"], str(SAMPLES / "curl.sh")]
    done = run(server, certificate, tmp_path, command, server.token)
    assert done.returncode != 0 and "iceServers" not in done.stdout


def test_http_2_and_http_1_1_are_negotiated(server, certificate, tmp_path):
    for option, version in [("--http2", "2"), ("--http1.1", "1.1")]:
        url = f"https://{NAME}/api/v1/credentials/ice"
        command = ["curl", "--silent", option, "--write-out", "\n%{http_code} %{http_version}", "-X", "POST", url]
        done = run(server, certificate, tmp_path, [*command, "-H", f"Authorization: Bearer {server.token}"], server.token)
        assert done.stdout.splitlines()[-1] == f"200 {version}", done
