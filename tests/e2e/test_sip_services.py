"""`callService` of Aculab's unmodified libraries: a name leads to clients, or to an application that says where each call goes."""

import contextlib
import http.server
import json
import threading

import pytest

from causeway import HOST, wait_until
from sip import SipServer, browser
from test_sip_aculab import CLOUD, claims, mint
from test_webhooks import Receiver, signatures

SECRET = "an application's secret"


class Application:
    """Answers each question with what `answers` has for its service; nothing for None until it is closed."""

    def __init__(self):
        self.answers, self.asked, self.closing = {}, [], threading.Event()
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                application.asked.append((asked, signatures(dict(self.headers), body, SECRET), self.headers["Causeway-Event"]))
                status, answer = application.answers[asked["data"]["service"]] or (None, None)
                if status is None:
                    application.closing.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_):
                pass

        self.server = Receiver((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}/calls"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


def tables(application):
    lines = ["[calls]", "[[calls.service]]", 'name = "pair"', 'clients = ["ben.1", "cy.1"]']
    for name in ("asked", "busy", "broken", "long", "away", "late"):
        lines += ["[[calls.service]]", f'name = "{name}"', f'url = "{application.url}"', f'secret = "{SECRET}"', 'answer_within = "2s"']
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def world():
    with contextlib.closing(Application()) as application:
        settings = {"webhook_http": True, "webhook_allow": ["198.51.100.0/24"], "public_ip": [HOST], "turn_tls_listen": []}
        with SipServer(tables=tables(application), **settings) as server, browser() as pages:
            yield server, pages, application


@pytest.fixture
def phone(world):
    server, pages, _ = world

    def open(kind, name, register=True):
        token = mint(server, name)
        phone = pages.open(kind, name=name, url=server.wss("/sipproxy"), cloud=CLOUD, key=claims(token)["iss"], token=token)
        if register:
            phone.do("register")
            phone.heard("registered")
        return phone

    yield open
    pages.close()


def called(server, service):
    """The records of calls to a service, oldest first."""
    status, _, body = server.request("/api/v1/calls?limit=100")
    assert status == 200, body
    return [call for call in reversed(json.loads(body)["data"]) if call["service"] == service]


@pytest.mark.parametrize(("caller", "callee"), [("aculab4", "aculab3"), ("aculab3", "aculab4")])
def test_a_service_leads_to_clients_and_the_first_answer_wins(world, phone, caller, callee):
    server, _, _ = world
    ann, ben, cy = phone(caller, "ann-1", register=False), phone(callee, "ben.1"), phone(callee, "cy.1")
    ann.do("service", "pair")
    # Nothing proves who calls: a service call has no token.
    assert (ben.heard("incoming"), cy.heard("incoming")) == ("anonymous", "anonymous")
    ann.heard("ringing")
    ben.do("answer")
    ann.heard("answered")
    cy.heard("ended")
    received = ann.received()
    assert received["packets"] > 50 and received["energy"] > 0 and received["local"] == "relay", received
    ann.do("hangup")
    ben.heard("ended")
    server.wait_for_metric("causeway_calls", 0)
    wait_until(lambda: called(server, "pair"), 20, "the call's record")
    call = called(server, "pair")[-1]
    assert (call["to"], call["answeredBy"], call["cause"]) == (["ben.1", "cy.1"], "ben.1", "normal")


def test_an_application_says_whom_a_service_call_reaches(world, phone):
    server, _, application = world
    ann, ben = phone("aculab4", "ann-1"), phone("aculab4", "ben.1")
    application.answers["asked"] = (200, json.dumps({"dial": ["ben.1", "nobody"], "ring": "all", "ringFor": 30}))
    ann.do("service", "asked")
    assert ben.heard("incoming") == "ann-1"
    ben.do("answer")
    ann.heard("answered")
    ann.do("hangup")
    ben.heard("ended")
    asked, is_signed, event = application.asked[-1]
    assert is_signed and event == asked["type"] == "call.service"
    assert asked["data"] | {"callId": None} == {"callId": None, "service": "asked", "caller": "ann-1", "callerProven": True,
                                                "clientAddress": HOST, "headers": asked["data"]["headers"]}
    wait_until(lambda: called(server, "asked"), 20, "the call's record")
    call = called(server, "asked")[-1]
    assert (call["id"], call["to"], call["answeredBy"]) == (asked["data"]["callId"], ["ben.1", "nobody"], "ben.1")


def test_what_an_application_refuses_or_does_not_answer_ends_with_a_cause(world, phone):
    server, _, application = world
    ann = phone("aculab4", "ann-1", register=False)
    application.answers.update({
        "busy": (200, '{"reject": "busy"}'), "broken": (500, ""), "long": (200, json.dumps({"dial": "ben.1", "x": "x" * 16384})),
        "away": (200, '{"dial": "nobody"}'), "late": None,
    })
    for service, shown, cause in [
        ("busy", "BUSY", "busy"), ("broken", "FAILED", "failure"), ("long", "FAILED", "failure"), ("late", "FAILED", "timed_out"),
        ("away", "UNOBTAINABLE", "not_registered"),
    ]:
        ann.do("service", service)
        assert (service, ann.heard("ended")) == (service, shown)
        wait_until(lambda service=service: called(server, service), 20, f"the record of {service}")
        call = called(server, service)[-1]
        assert (service, call["cause"], call["from"], call["answeredAt"]) == (service, cause, "anonymous", None)
    ann.do("service", "unknown")
    assert ann.heard("ended") == "UNOBTAINABLE"
    # Who gives up is not rung for.
    ann.do("service", "late")
    ann.heard("ringing")
    ann.do("hangup")
    assert ann.heard("ended") == "NOANSWER"
    server.wait_for_metric("causeway_calls", 0)
