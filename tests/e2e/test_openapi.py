"""A fuzzer reads /openapi.json and calls every operation: no 5xx, and nothing the document does not say."""

import pathlib
import subprocess
import sys

import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


EXAMPLES = 30


@pytest.mark.parametrize(
    "selection",
    [
        # What would take the token or the project of this run away stays out, and what does not end or wants the token
        # elsewhere.
        ["--exclude-path-regex", "^/api/v1/(tokens/|projects/|events$)|^/2010", "--header", "Authorization: Bearer e2e-token"],
        ["--include-path-regex", "^/2010", "--auth", "anybody:e2e-token"],
    ],
    ids=["bearer", "basic"],
)
def test_the_server_answers_as_its_document_says(start, tmp_path, selection):
    server = start(api_requests_per_sec=100000, api_requests_burst=100000)
    schemathesis = pathlib.Path(sys.executable).parent / "schemathesis"
    command = [schemathesis, "run", f"http://127.0.0.1:{server.http_port}/openapi.json", "--checks", CHECKS]
    command += ["--max-examples", str(EXAMPLES), "--seed", "7", "--phases", "examples,coverage,fuzzing", "--no-color"]
    done = subprocess.run(command + selection, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert server.request("/healthz", token=False)[0] == 200
