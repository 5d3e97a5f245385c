"""A fuzzer reads /openapi.json and calls every operation: no 5xx, and nothing the document does not say."""

import json
import pathlib
import subprocess
import sys

import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


EXAMPLES = 30
BEARER = ["--header", "Authorization: Bearer e2e-token"]


@pytest.mark.parametrize(
    "selection",
    [
        # What would take the token or the project of this run away stays out, and what does not end or wants the token
        # elsewhere.
        ["--exclude-path-regex", "^/api/v1/(tokens/|projects/|events$)|^/2010|^/webrtc_", *BEARER],
        ["--include-path-regex", "^/2010", "--auth", "anybody:e2e-token"],
        ["--include-path-regex", "^/webrtc_", "--auth", "1-2-0/anybody:e2e-token"],
    ],
    ids=["bearer", "basic", "basic with a cloud"],
)
def test_the_server_answers_as_its_document_says(start, tmp_path, selection):
    server = start(api_requests_per_sec=100000, api_requests_burst=100000)
    fuzz(server, tmp_path, selection)


def test_the_routes_of_a_webhook_that_is_there_answer_as_their_document_says(start, tmp_path):
    """A made-up number finds no webhook, and then only the 404 is tried."""
    server = start(api_requests_per_sec=100000, api_requests_burst=100000)
    status, _, body = server.request("/api/v1/webhooks", "POST", {"url": "https://example.com/hooks"})
    assert status == 201, body
    (tmp_path / "schemathesis.toml").write_text(f'[parameters]\n"path.id" = {json.loads(body)["id"]}\n')
    fuzz(server, tmp_path, ["--include-path-regex", "^/api/v1/webhooks/", "--exclude-method", "DELETE", *BEARER])
    done = {entry["action"] for entry in json.loads(server.request("/api/v1/audit?limit=200")[2])["data"]}
    assert {"webhook.change", "webhook.rotate_secret", "webhook.replay"} <= done


def fuzz(server, folder, selection):
    schemathesis = pathlib.Path(sys.executable).parent / "schemathesis"
    command = [schemathesis, "run", f"http://127.0.0.1:{server.http_port}/openapi.json", "--checks", CHECKS]
    command += ["--max-examples", str(EXAMPLES), "--seed", "7", "--phases", "examples,coverage,fuzzing", "--no-color"]
    done = subprocess.run(command + selection, capture_output=True, text=True, timeout=110, cwd=folder)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert server.request("/healthz", token=False)[0] == 200
