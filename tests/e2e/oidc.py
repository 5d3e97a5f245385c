"""A certified OpenID provider as a child process, and a person who walks through its pages with an ordinary HTTP client."""

import itertools
import json
import os
import re
import selectors
import subprocess
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

import httpx

from causeway import free_port

SCRIPT = os.path.join(os.path.dirname(__file__), "clients", "oidc", "provider.mjs")
FLOW = "causeway_oidc"
CLIENT_ID, CLIENT_SECRET = "causeway console", "s3cret: with a colon"


class Provider:
    """Its issuer is at `localhost`, so that for a browser it is another site than the console at 127.0.0.1."""

    def __init__(self):
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self.process = None

    def settings(self, **more):
        """Keys of causeway.toml, and what belongs into the environment."""
        keys = {"oidc_issuer": self.issuer, "oidc_client_id": CLIENT_ID, "oidc_name": "Example ID", **more}
        return {**keys, "environment": {"CAUSEWAY_OIDC_CLIENT_SECRET": CLIENT_SECRET}}

    def start(self, run, algorithm="RS256", email_in_id_token=False):
        """With new keys, and having forgotten everything."""
        options = {
            "port": self.port,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "redirectUri": f"http://127.0.0.1:{run.http_port}/api/v1/auth/oidc/callback",
            "algorithm": algorithm,
            "emailInIdToken": email_in_id_token,
        }
        command = ["node", SCRIPT, json.dumps(options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(30), "the provider does not start"
        assert self.process.stdout.readline() == "ready\n"
        return self

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


class Walker:
    """Follows links one by one, with cookies of its own at either end, and for the console from an address of its own."""

    addresses = itertools.count(1)

    def __init__(self, run, flow=None):
        headers = {"X-Forwarded-For": f"2001:db8:{next(self.addresses):x}::1"}
        self.console = httpx.Client(base_url=f"http://127.0.0.1:{run.http_port}", timeout=20, headers=headers)
        if flow:
            self.console.cookies.set(FLOW, flow, domain="127.0.0.1")
        self.elsewhere = httpx.Client(timeout=20)

    @property
    def flow(self):
        """What ties the provider's answer to this browser."""
        return self.console.cookies.get(FLOW)

    def leave(self, back="/"):
        """To the provider: its URL."""
        answer = self.console.get("/api/v1/auth/oidc", params={"return": back})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def at_provider(self, url, subject, email, verified=True, button="yes"):
        """Signs in there: the URL that leads back."""
        answer = self.elsewhere.get(url)
        form = {"sub": subject, "email": email, "answer": button, **({"verified": "on"} if verified else {})}
        for _ in range(10):
            if answer.has_redirect_location:
                url = urljoin(str(answer.url), answer.headers["location"])
                if "/api/v1/auth/oidc/callback" in url:
                    return url
                answer = self.elsewhere.get(url)
            else:
                [action] = re.findall(r'action="([^"]+)"', answer.text)
                answer = self.elsewhere.post(urljoin(str(answer.url), action), data=form)
        raise AssertionError(answer.text)

    def come_back(self, url):
        """Where the console leads."""
        answer = self.console.get(url)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def sign_in(self, subject, email, verified=True, back="/", **more):
        return self.come_back(self.at_provider(self.leave(back), subject, email, verified, **more))

    def me(self):
        answer = self.console.get("/api/v1/me")
        return answer.json()["user"] if answer.status_code == 200 else None


def with_query(url, **changes):
    """The URL with values of its query replaced; none takes one out."""
    parts = urlsplit(url)
    values = {name: value for name, [value] in parse_qs(parts.query).items()}
    values.update(changes)
    query = httpx.QueryParams({name: value for name, value in values.items() if value is not None})
    return urlunsplit(parts._replace(query=str(query)))
