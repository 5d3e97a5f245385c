"""SIP without a browser: users of the API, lists of who is registered, limits, and a server that comes back."""

import asyncio
import base64
import json
import signal
import time

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from causeway import Causeway
from sip import users
from sip_phone import SDP, SipPhone, target
from sip_wire import Wire, token, until

DOMAIN = "example.test"


@pytest.fixture(scope="module")
def server():
    with Causeway(tables=users("ann"), api_requests_per_sec=100000, api_requests_burst=100000) as server:
        yield server


def url(server, path="/sip"):
    return f"ws://127.0.0.1:{server.http_port}{path}"


def listed(server):
    """Who can be called, as a backend of Aculab's clients asks."""
    basic = "Basic " + base64.b64encode(f"1-2-0/somebody:{server.token}".encode()).decode()
    status, _, body = server.request("/webrtc_registered_clients", headers={"Authorization": basic})
    assert status == 200, body
    return sorted(entry["client_id"] for entry in json.loads(body))


def registered(server):
    status, _, body = server.request("/api/v1/registrations")
    assert status == 200, body
    return sorted(entry["clientId"] for entry in json.loads(body)["data"])


def test_a_user_that_the_api_made_registers_until_it_is_removed(server):
    async def story():
        status, _, body = server.request("/api/v1/sip-users", "POST", {"name": "bea"})
        assert status == 201, body
        password = json.loads(body)["password"]
        ann, bea = await Wire.open(url(server), "ann", DOMAIN), await Wire.open(url(server), "bea", DOMAIN)
        assert (await bea.register("wrong-" + password)).status == 401
        assert (await bea.register(password)).status == 200
        assert (await ann.register("ann-secret")).status == 200
        # What a connection has proven it need not prove again.
        assert (await bea.register()).status == 200
        assert registered(server) == ["ann", "bea"]
        assert server.request("/api/v1/sip-users/bea", "DELETE")[0] == 204
        await until(lambda: registered(server) == ["ann"], "the registration of a removed user to end")
        assert (await bea.register()).status == 401
        assert (await bea.register(password)).status == 401
        called = await bea.ask("INVITE", f"sip:ann@{DOMAIN}", password, headers=[f"Contact: {bea.contact}"])
        assert called.status == 407
        assert (await ann.register("ann-secret")).status == 200 and registered(server) == ["ann"]
        await ann.close()
        await bea.close()

    asyncio.run(story())


def test_a_closed_socket_is_off_the_list_within_a_second(server):
    async def story():
        wires = [await Wire.open(url(server, "/sipproxy"), f"client-{number}", DOMAIN) for number in range(4)]
        for wire in wires:
            assert (await wire.register(token=token(server, wire.name))).status == 200
        names = [wire.name for wire in wires]
        assert [name for name in listed(server) if name in names] == names
        took = []
        for number, wire in enumerate(wires):
            if number % 2:
                await wire.close()
            else:
                # Gone without a word.
                wire.socket.transport.abort()
            closed = time.monotonic()
            await until(lambda: wire.name not in listed(server), "the list to be without it")
            took.append(time.monotonic() - closed)
        # A busy machine may be late with one of them, by itself.
        assert min(took) < 1, took

    asyncio.run(story())


def test_a_text_outside_a_call_reaches_who_is_registered(server):
    async def story():
        ann, bob = await Wire.open(url(server), "ann", DOMAIN), await Wire.open(url(server), "bob", DOMAIN)
        text = ["Content-Type: text/plain"]
        assert (await ann.ask("MESSAGE", f"sip:bob@{DOMAIN}", "ann-secret", headers=text, body="hello")).status == 480
        assert (await bob.register(token=token(server, "bob"))).status == 200
        asked = asyncio.create_task(ann.ask("MESSAGE", f"sip:bob@{DOMAIN}", "ann-secret", headers=text, body="hello"))
        told = await bob.hear()
        assert (told.method, told.body) == ("MESSAGE", "hello") and "sip:ann@" in told.get("From")
        await bob.say(bob.answer(told, 200))
        assert (await asked).status == 200
        spoofed = await bob.ask("MESSAGE", f"sip:ann@{DOMAIN}", "bob-guess", headers=text, body="hello")
        assert spoofed.status == 407
        await ann.close()
        await bob.close()

    asyncio.run(story())


def test_a_session_timer_that_is_too_short_is_refused_and_a_callees_own_is_kept(server):
    assert server.request("/api/v1/sip-users", "POST", {"name": "cleopatra", "password": "cleopatra-secret"})[0] == 201
    ann, cleo = SipPhone(server, "ann").register(), SipPhone(server, "cleopatra").register()
    out = ann.invite("cleopatra", Supported="timer", Session_Expires="30")
    refused = ann.next("INVITE", "final")
    assert (refused.status, refused.get("Min-SE")) == (422, "90")
    ann.request("ACK", out.target, out)
    out = ann.invite("cleopatra", Supported="timer", Session_Expires=refused.get("Min-SE"))
    first = cleo.next("INVITE")
    cleo.respond(first, 422, "Session Interval Too Small", Min_SE="1800")
    cleo.next("ACK")
    there = cleo.ringing()
    assert there.invite.get("Session-Expires") == "1800;refresher=uas" and there.invite.get("Call-ID") == first.get("Call-ID")
    cleo.respond(there.invite, 200, "OK", there, SDP, Session_Expires="1800;refresher=uas", Require="timer")
    cleo.next("ACK")
    answer = ann.answered(out)
    assert answer.get("Session-Expires") == "90;refresher=uac" and target(answer)
    for method, body in [("UPDATE", ""), ("INVITE", SDP)]:
        ann.request(method, out.target, out, body, Supported="timer", Session_Expires="59;refresher=uac")
        refused = ann.next(method, "final")
        assert (refused.status, refused.get("Min-SE")) == (422, "90")
        if body:
            ann.request("ACK", out.target, out)
    ann.request("UPDATE", out.target, out, Supported="timer", Session_Expires="90;refresher=uac")
    assert ann.next("UPDATE", "final").get("Session-Expires") == "90;refresher=uac"
    cleo.hang_up(there)
    ann.hung_up()
    for one in (ann, cleo):
        one.close()


def test_one_address_is_given_so_many_relay_credentials_a_second_and_another_its_own(server):
    refusals = 'causeway_sip_limits_total{limit="ice_per_address_per_sec"}'

    async def story():
        proof = token(server, "ann")
        key = jwt.decode(proof, options={"verify_signature": False})["iss"]
        domain = f"{key}.webrtc-1-2-0.aculabcloud.net"
        asking = {"headers": ["X-AculabTurnRequest: 1"]}

        async def crowd(number):
            wire = await Wire.open(url(server), "ann", domain, local_addr=("127.0.0.3", 0))
            answers = []
            for each in range(25):
                # Each client's own: a connection is given its own again without being counted.
                wire.name = f"client-{number}-{each}"
                answers.append(await wire.ask("OPTIONS", f"sip:{domain}", **asking))
            await wire.close()
            return answers

        before, started = server.metric(refusals), time.monotonic()
        answers = [answer for some in await asyncio.gather(*(crowd(number) for number in range(8))) for answer in some]
        took = time.monotonic() - started
        given = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        # 20 at once, and 20 a second.
        assert 20 <= len(given) <= 20 + 20 * (took + 1) and all("turn:" in answer.body for answer in given)
        if took < 8:
            assert refused
        assert {(answer.status, answer.get("Retry-After")) for answer in refused} <= {(503, "60")}
        assert server.metric(refusals) - before == len(refused)
        other = await Wire.open(url(server), "ann", domain, local_addr=("127.0.0.4", 0))
        assert (await other.ask("OPTIONS", f"sip:{domain}", **asking)).status == 200
        # What it was given it has, whatever others ask.
        for _ in range(30):
            assert (await other.ask("OPTIONS", f"sip:{domain}", **asking)).status == 200
        await other.close()

    asyncio.run(story())


def test_one_address_has_so_many_connections_and_another_its_own():
    with Causeway(tables=users(connections_per_address_max=3)) as server:

        async def story():
            own = [await Wire.open(url(server), "ann", DOMAIN) for _ in range(3)]
            with pytest.raises(InvalidStatus) as refused:
                await Wire.open(url(server), "ann", DOMAIN)
            assert refused.value.response.status_code == 503
            other = await Wire.open(url(server), "ann", DOMAIN, local_addr=("127.0.0.2", 0))
            await own.pop().close()
            limit = 'causeway_sip_limits_total{limit="connections_per_address_max"}'
            await until(lambda: server.metric("causeway_sip_connections") == 3, "a seat to be free")
            assert server.metric(limit) == 1
            own.append(await Wire.open(url(server), "ann", DOMAIN))
            for wire in [*own, other]:
                await wire.close()

        asyncio.run(story())


CLIENTS, WITH_TOKEN = 1000, 100


class Crowd:
    """Clients as libraries are: each comes back a second after its socket closed, for as long as it takes."""

    def __init__(self, server, names):
        self.server, self.stop = server, asyncio.Event()
        self.tokens = {name: token(server, name) for name in names[:WITH_TOKEN]}
        self.names, self.statuses = names, set()

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for name in self.names:
                group.create_task(self.client(name))

    async def client(self, name):
        while not self.stop.is_set():
            try:
                wire = await Wire.open(url(self.server), name, DOMAIN)
                proof = {"token": self.tokens[name]} if name in self.tokens else {"password": f"{name}-secret"}
                self.statuses.add((await wire.register(**proof)).status)
                await self.hold(wire)
            except InvalidStatus as error:
                assert error.response.status_code == 503
            except (ConnectionClosed, InvalidMessage, OSError, TimeoutError):
                pass
            await asyncio.sleep(1)

    async def hold(self, wire):
        waits = [asyncio.create_task(wire.socket.wait_closed()), asyncio.create_task(self.stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        wire.socket.transport.abort()

    def is_there(self):
        try:
            return self.server.health() == 200 and self.server.metric("causeway_registrations") == len(self.names)
        except OSError:
            return False


def test_a_server_that_comes_back_finds_its_thousand_clients_again():
    names = [f"client-{number}" for number in range(CLIENTS)]
    with Causeway(tables=users(*names), api_requests_per_sec=100000, api_requests_burst=100000) as server:

        async def story():
            crowd = Crowd(server, names)
            running = asyncio.create_task(crowd.run())
            await until(crowd.is_there, "everybody to be registered", 60)
            for how in (signal.SIGKILL, signal.SIGTERM):
                await asyncio.to_thread(again, server, how)
                await until(crowd.is_there, "everybody to be registered again", 60)
            assert crowd.statuses == {200}
            crowd.stop.set()
            await running
            await until(lambda: server.metric("causeway_registrations") == 0, "everybody to be gone")

        asyncio.run(story())


def again(server, how):
    """The same server on the same ports, with what it had kept."""
    server.signal(how)
    server.process.wait(30)
    server.__enter__()
