"""Two servers that find each other through a real Redis: SIP clients of one call those of the other."""

import base64
import json
import time

import pytest

from causeway import Causeway, wait_until
from postgres import Postgres
from redis_consumer import RedisServer
from sip import users
from sip_phone import SDP, SipPhone
from voice_phone import VoicePhone

NAMES = ["ann", "ben", "cat", "dan"]


@pytest.fixture(scope="module")
def shared():
    """A database and a Redis."""
    with Postgres() as postgres, RedisServer() as redis:
        yield {"database_url": postgres.url, "cluster_redis": f"redis://127.0.0.1:{redis.port}"}, redis


def serve(name, settings):
    return Causeway(tables=users(*NAMES), node_id=name, drain_timeout="1s", **settings)


@pytest.fixture(scope="module")
def pair(shared):
    """Two servers that stay."""
    with serve("node-a", shared[0]) as first, serve("node-b", shared[0]) as second:
        yield first, second


@pytest.fixture
def phone():
    """Opens registered phones, and closes them."""
    phones = []

    def open(server, name):
        phones.append(SipPhone(server, name).register())
        return phones[-1]

    yield open
    for one in phones:
        one.close()


def registered(server):
    """Who is registered, as our own API and the one of Aculab's clients tell."""
    own = json.loads(server.request("/api/v1/registrations")[2])["data"]
    basic = base64.b64encode(f"1-2-0/you@example.com:{server.token}".encode()).decode()
    theirs = json.loads(server.request("/webrtc_registered_clients", headers={"Authorization": f"Basic {basic}"}, token=False)[2])
    return sorted(each["clientId"] for each in own), sorted(each["client_id"] for each in theirs)


def until_registered(server, *names):
    """Presence is right within five seconds; a loaded machine has more."""
    expected = sorted(names)
    wait_until(lambda: registered(server) == (expected, expected), 30, f"{names} at {server.settings['node_id']}")


def until_idle(*servers):
    for server in servers:
        wait_until(lambda: server.metric("causeway_calls") == 0, 30, "no call")


def connected(caller, callee):
    """A call between two phones: each one's dialogue."""
    out = caller.invite(callee.name)
    there = callee.ringing()
    caller.next("INVITE", 180)
    callee.answer(there)
    answer = caller.answered(out)
    assert answer.body == SDP and there.invite.body == SDP
    return out, there


def test_registered_here_called_from_there_and_hung_up_from_either_side(pair, phone):
    first, second = pair
    ann, ben = phone(first, "ann"), phone(second, "ben")
    for server in pair:
        until_registered(server, "ann", "ben")
    for caller, callee in [(ann, ben), (ben, ann)]:
        for ender, other in [(caller, callee), (callee, caller)]:
            out, there = connected(caller, callee)
            assert callee.name in there.invite.get("To") and caller.name in there.invite.get("From")
            ender.hang_up(out if ender is caller else there)
            other.hung_up()
            until_idle(*pair)
    ben.close()
    for server in pair:
        until_registered(server, "ann")


def test_requests_inside_a_call_go_both_ways(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")
    out, there = connected(ann, ben)
    hold = SDP.replace("sendrecv", "sendonly")
    for asker, own, other, theirs in [(ann, out, ben, there), (ben, there, ann, out)]:
        asker.reinvite(own, hold)
        offer = other.next("INVITE")
        assert offer.body == hold
        other.respond(offer, 200, "OK", theirs, SDP)
        other.next("ACK")
        assert asker.next("INVITE", 200).body == SDP
        asker.request("ACK", own.target, own)
        asker.request("INFO", own.target, own, "Signal=7\r\nDuration=160\r\n", "application/dtmf-relay")
        asker.next("INFO", 200)
        digits = other.next("INFO")
        assert "Signal=7" in digits.body
        other.respond(digits, 200, "OK")
        # A refused offer leaves the call as it is.
        asker.reinvite(own, hold)
        other.respond(other.next("INVITE"), 488, "Not Acceptable Here", theirs)
        other.next("ACK")
        assert asker.next("INVITE", "final").status == 488
        asker.request("ACK", own.target, own)
    ann.hang_up(out)
    ben.hung_up()
    until_idle(*pair)


def test_a_cancel_and_every_refusal_cross(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")
    out = ann.invite("ben")
    there = ben.ringing()
    ann.next("INVITE", 180)
    ann.request("CANCEL", out.target, out)
    ann.next("CANCEL", 200)
    assert ann.next("INVITE", "final").status == 487
    ann.request("ACK", out.target, out)
    ben.respond(ben.next("CANCEL"), 200, "OK")
    ben.respond(there.invite, 487, "Request Terminated", there)
    for status, reason in [(486, "Busy Here"), (603, "Decline"), (404, "Not Found")]:
        out = ann.invite("ben")
        there = ben.ringing()
        ben.respond(there.invite, status, reason, there)
        assert ann.next("INVITE", "final").status == status
        ann.request("ACK", out.target, out)
    out = ann.invite("cat")
    assert ann.next("INVITE", "final").status == 480, "nobody is there"
    until_idle(*pair)


def test_a_client_that_is_cut_off_ends_its_call_at_the_other_server(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")
    connected(ann, ben)
    ben.close()
    ann.hung_up()
    until_idle(*pair)
    until_registered(pair[0], "ann")
    ben = phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")
    connected(ann, ben)
    ann.close()
    ben.hung_up()
    until_idle(*pair)


@pytest.mark.parametrize("victim", ["of the caller", "of the callee"])
def test_a_killed_server_ends_the_calls_of_the_other_and_its_clients_are_gone(pair, shared, phone, victim):
    stays = pair[0]
    with serve("node-k", shared[0]) as killed:
        ann, ben, cat = phone(stays, "ann"), phone(killed, "ben"), phone(stays, "cat")
        for server in [stays, killed]:
            until_registered(server, "ann", "ben", "cat")
        connected(*((ben, ann) if victim == "of the caller" else (ann, ben)))
        out, there = connected(cat, phone(stays, "dan"))
        killed.stop()
        started = time.monotonic()
        ann.hung_up()
        print("hung up after", time.monotonic() - started)
        until_registered(stays, "ann", "cat", "dan")
        print("presence right after", time.monotonic() - started)
        # The others talk on.
        cat.hang_up(out)
        assert there
        ann.invite("ben")
        assert ann.next("INVITE", "final").status == 480
        until_idle(stays)


def test_without_redis_own_clients_talk_others_are_refused_and_all_is_well_when_it_is_back(shared, phone):
    with RedisServer() as redis:
        own = {**shared[0], "cluster_redis": f"redis://127.0.0.1:{redis.port}"}
        with serve("node-x", own) as first, serve("node-y", own) as second:
            ann, ben, cat = phone(first, "ann"), phone(first, "ben"), phone(second, "cat")
            for server in [first, second]:
                until_registered(server, "ann", "ben", "cat")
            here, _ = connected(ann, ben)
            connected(cat, ann)
            redis.process.kill()
            redis.process.wait()
            cat.hung_up()
            ann.hung_up()
            ann.hang_up(here)
            ben.hung_up()
            here, _ = connected(ann, ben)
            ann.hang_up(here)
            ben.hung_up()
            until_registered(first, "ann", "ben")
            out = ann.invite("cat")
            assert ann.next("INVITE", "final").status == 503
            ann.request("ACK", out.target, out)
            with redis:
                for server in [first, second]:
                    until_registered(server, "ann", "ben", "cat")
                out, _ = connected(ann, cat)
                ann.hang_up(out)
                cat.hung_up()
                until_idle(first, second)


def test_a_server_that_stops_says_goodbye_and_is_forgotten_at_once(pair, shared, phone):
    stays = pair[0]
    with serve("node-s", shared[0]) as stops:
        ann, ben = phone(stays, "ann"), phone(stops, "ben")
        for server in [stays, stops]:
            until_registered(server, "ann", "ben")
        connected(ann, ben)
        stops.signal(15)
        ann.hung_up()
        # Its connection is closed behind that.
        ben.next("BYE")
        stops.process.wait(30)
        until_registered(stays, "ann")
        until_idle(stays)


@pytest.fixture(scope="module")
def voices(pair):
    """Users of the JSON-RPC dialect, made at the first server."""
    for name in ["vera", "vito"]:
        body = {"connection_name": f"of {name}", "user_name": name, "password": "Password1"}
        status, _, text = pair[0].request("/v2/credential_connections", "POST", body)
        assert status == 201, text


def test_clients_of_the_other_dialect_call_across_too(pair, voices, phone, request):
    first, second = pair
    vera, vito, ben = VoicePhone(first, "vera"), VoicePhone(second, "vito"), phone(second, "ben")
    request.addfinalizer(vera.close)
    request.addfinalizer(vito.close)
    until_registered(first, "ben", "vera", "vito")
    call = vera.invite("vito", SDP)
    invited = vito.next("telnyx_rtc.invite")
    assert invited["sdp"].startswith("v=0") and invited["caller_id_number"] == "vera", invited
    vito.answer(invited["callID"], SDP)
    assert vera.next("telnyx_rtc.answer")["callID"] == call
    vera.digits(call, "5")
    vito.hang_up(invited["callID"])
    assert vera.next("telnyx_rtc.bye")["callID"] == call
    until_idle(*pair)
    # To a client that speaks SIP, and from one.
    call = vera.invite("ben", SDP)
    there = ben.ringing()
    ben.answer(there)
    assert vera.next("telnyx_rtc.answer")["callID"] == call
    vera.hang_up(call)
    ben.hung_up()
    out = ben.invite("vera")
    invited = vera.next("telnyx_rtc.invite")
    vera.answer(invited["callID"], SDP)
    ben.answered(out)
    ben.hang_up(out)
    assert vera.next("telnyx_rtc.bye")["callID"] == invited["callID"]
    until_idle(*pair)
