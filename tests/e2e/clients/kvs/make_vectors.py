"""Requests signed by botocore, for the tests of the verifier: python make_vectors.py > crates/credentials/tests/it/botocore.json"""

import datetime
import json
import random
import string
from unittest import mock

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

RANDOM = random.Random(7)
LETTERS = string.ascii_letters + string.digits + " -_.~!*'();:@&=+$,/?#[]%<>\"|{}`^äß€"


def text(low, high, letters=LETTERS):
    return "".join(RANDOM.choice(letters) for _ in range(RANDOM.randint(low, high)))


def vector(number):
    secret = text(1, 60, string.ascii_letters + string.digits + "/+")
    token = text(1, 80, string.ascii_letters + string.digits + "/+=-_") if RANDOM.random() < 0.4 else None
    credentials = Credentials(f"AKID{number}", secret, token)
    at = datetime.datetime.fromtimestamp(RANDOM.randint(0, 4_000_000_000), datetime.timezone.utc)
    host = text(1, 10, string.ascii_lowercase) + RANDOM.choice(["", ":443", ":8443", ".example.test"])
    parameters = {text(1, 12): text(0, 40) for _ in range(RANDOM.randint(0, 6))}
    with mock.patch("botocore.auth.get_current_datetime", lambda: at):
        if number % 2:
            request = AWSRequest("GET", f"wss://{host}/", params=parameters)
            expires = RANDOM.randint(1, 604800)
            SigV4QueryAuth(credentials, "kinesisvideo", "us-west-2", expires=expires).add_auth(request)
            headers, body = {"host": host}, ""
        else:
            body = json.dumps({text(1, 8): text(0, 60) for _ in range(RANDOM.randint(0, 4))}, ensure_ascii=False)
            request = AWSRequest("POST", f"https://{host}/v1/get-ice-server-config", data=body.encode())
            request.headers["Content-Type"] = "application/json"
            request.headers["X-Odd"] = text(0, 30, string.ascii_letters + "    ;,:")
            request.headers["Host"] = host
            SigV4Auth(credentials, "kinesisvideo", "us-west-2").add_auth(request)
            headers = {name.lower(): value for name, value in request.headers.items()}
    prepared = request.prepare()
    path, _, query = prepared.url.split(host, 1)[1].partition("?")
    return {"method": request.method, "path": path, "query": query, "headers": headers, "body": body,
            "secret": secret, "at": int(at.timestamp())}


print("[" + ",\n".join(json.dumps(vector(number), ensure_ascii=False) for number in range(200)) + "]")
