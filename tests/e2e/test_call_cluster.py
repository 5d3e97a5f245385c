"""Two servers that find each other through a real Redis: SIP clients of one call those of the other."""

import base64
import json
import time

import jwt
import pytest

from causeway import wait_until
from postgres import Postgres
from redis_consumer import RedisServer
from sip import SipServer, browser, users
from sip_phone import DOMAIN, SDP, Dialog, SipPhone
from sip_wire import token
from voice_phone import VoicePhone

NAMES = ["ann", "ben", "cat", "dan"]


@pytest.fixture(scope="module")
def shared():
    """A database and a Redis."""
    with Postgres() as postgres, RedisServer() as redis:
        yield {"database_url": postgres.url, "cluster_redis": f"redis://127.0.0.1:{redis.port}"}, redis


def serve(name, settings):
    # No URL that cannot be reached: gathering waits five seconds for one.
    return SipServer(tables=users(*NAMES), node_id=name, drain_timeout="1s", turn_tls_listen=[], **settings)


@pytest.fixture(scope="module")
def pair(shared):
    """Two servers that stay."""
    with serve("node-a", shared[0]) as first, serve("node-b", shared[0]) as second:
        yield first, second


@pytest.fixture
def phone():
    """Opens registered phones, and closes them."""
    phones = []

    def open(server, name, **proof):
        phones.append(SipPhone(server, name))
        return phones[-1].register(**proof)

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
        say(ann, "ben", "will you answer this?")
        ben.next("MESSAGE")
        killed.stop()
        started = time.monotonic()
        assert ann.next("MESSAGE", "final").status == 480
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


# Where the three parties are: who transfers, who is transferred, to whom; and who called whom.
TRANSFERS = [
    ("ABB", "calls both"), ("ABA", "calls both"), ("AAB", "calls both"),
    ("ABB", "is called first"), ("ABA", "is called by both"), ("ABB", "is called by both"),
]


@pytest.mark.parametrize(("places", "how"), TRANSFERS)
def test_a_call_is_handed_on_to_somebody_who_was_asked_first_wherever_all_are(pair, phone, places, how):
    at = dict(zip("AB", pair, strict=True))
    ann, ben, cat = (phone(at[place], name) for place, name in zip(places, ["ann", "ben", "cat"], strict=True))
    for server in pair:
        until_registered(server, "ann", "ben", "cat")
    if how == "calls both":
        with_ben, bens = connected(ann, ben)
    else:
        bens, with_ben = connected(ben, ann)
    if how == "is called by both":
        cats, with_cat = connected(cat, ann)
    else:
        with_cat, cats = connected(ann, cat)
    # Another place of cat's has no call that could be replaced.
    elsewhere = phone(at["A" if places[2] == "B" else "B"], "cat")
    for server in pair:
        wait_until(lambda: registered(server)[0] == ["ann", "ben", "cat", "cat"], 30, "both places to be known")
    ann.transfer(with_ben, "cat", attended=with_cat)
    out = ben.transferred(bens)
    there = cat.ringing()
    tags = [address.split("tag=")[1] for address in (cats.local, cats.remote)]
    assert there.invite.get("Replaces") == f"{cats.call_id};to-tag={tags[0]};from-tag={tags[1]}"
    assert "sip:ben@" in there.invite.get("From")
    cat.answer(there)
    ben.answered(out)
    ben.notify(bens, "200 OK")
    told = ann.next("NOTIFY")
    assert "200" in told.body
    ann.respond(told, 200, "OK")
    cat.hang_up(cats)
    ann.hung_up()
    ann.hang_up(with_ben)
    ben.hung_up()
    cat.hang_up(there)
    ben.hung_up()
    until_idle(*pair)
    assert elsewhere.take(lambda message: message.method == "INVITE") is None


def test_nobody_rings_for_a_call_to_be_replaced_that_is_not_there(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")
    leg = "00000000-0000-4000-8000-000000000001"
    for named, status in [(leg, 404), ("no-leg-of-ours", 481)]:
        out = ann.invite("ben", Replaces=f"{named};to-tag=a;from-tag=b")
        assert ann.next("INVITE", "final").status == status
        ann.request("ACK", out.target, out)
    assert ben.take(lambda message: message.method == "INVITE") is None
    until_idle(*pair)


def say(phone, to, text):
    dialog = Dialog(f"<sip:{phone.name}@{DOMAIN}>", f"<sip:{to}@{DOMAIN}>")
    phone.request("MESSAGE", f"sip:{to}@{DOMAIN}", dialog, text, "text/plain")


def test_texts_outside_calls_reach_clients_of_the_other_server(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    for server in pair:
        until_registered(server, "ann", "ben")
    for sender, receiver in [(ann, ben), (ben, ann)]:
        for status in (200, 486):
            say(sender, receiver.name, f"will it be {status}?")
            told = receiver.next("MESSAGE")
            assert told.body == f"will it be {status}?" and f"sip:{sender.name}@" in told.get("From")
            receiver.respond(told, status, "Said")
            assert sender.next("MESSAGE", "final").status == status
        say(sender, "cat", "anybody there?")
        assert sender.next("MESSAGE", "final").status == 480


def test_what_is_revoked_at_one_server_is_over_at_the_other(pair, phone):
    first, second = pair
    body = {"name": "eve-of-the-api", "password": "eve-of-the-api-secret"}
    assert first.request("/api/v1/sip-users", "POST", body)[0] == 201
    ann, eve = phone(first, "ann"), phone(second, "eve-of-the-api")
    tom = phone(second, "tom", token=token(first, "tom"))
    until_registered(first, "ann", "eve-of-the-api", "tom")
    for who in (eve, tom):
        connected(ann, who)
    for who, revoke in [
        (eve, lambda: first.request("/api/v1/sip-users/eve-of-the-api", "DELETE")[0]),
        (tom, lambda: first.request("/api/v1/client-tokens/revoke", "POST", {"clientId": "tom"})[0]),
    ]:
        assert revoke() in (200, 204)
        # Its call ends, and it is registered nowhere; the connection stays, and has to prove itself again.
        assert who.hung_up().get("Reason").endswith('text="administrative"')
        ann.hung_up()
    for server in pair:
        until_registered(server, "ann")
    own = Dialog(f"<sip:tom@{DOMAIN}>", f"<sip:tom@{DOMAIN}>")
    tom.request("REGISTER", f"sip:{DOMAIN}", own, Expires=600)
    assert tom.next("REGISTER", "final").status == 401
    until_idle(*pair)


def test_calls_are_listed_at_every_server_from_their_start(pair, phone):
    ann, ben = phone(pair[0], "ann"), phone(pair[1], "ben")
    until_registered(pair[0], "ann", "ben")

    def listed(server, query="?active=true"):
        return {call["id"]: call for call in json.loads(server.request(f"/api/v1/calls{query}")[2])["data"]}

    def one(server, id):
        status, _, body = server.request(f"/api/v1/calls/{id}")
        # It is never away, between its end and its record either.
        assert status == 200, body
        return json.loads(body)

    for server in pair:
        wait_until(lambda: not listed(server), 30, "calls of before to be over")
    out = ann.invite("ben")
    there = ben.ringing()
    for server in pair:
        wait_until(lambda: [call["state"] for call in listed(server).values()] == ["ringing"], 30, "the call to ring everywhere")
    ben.answer(there)
    ann.answered(out)
    for server in pair:
        wait_until(lambda: [call["state"] for call in listed(server).values()] == ["active"], 30, "the call to be active everywhere")
        (call,) = listed(server).values()
        assert (call["from"], call["to"], call["answeredBy"]) == ("ann", ["ben"], "ben")
        assert one(server, call["id"])["state"] == "active"
    ann.hang_up(out)
    ben.hung_up()
    for server in pair:
        wait_until(lambda: one(server, call["id"])["state"] == "ended", 30, "the call to be over everywhere")
        assert one(server, call["id"])["cause"] == "normal" and not listed(server)
        wait_until(lambda: call["id"] in listed(server, "?active=false"), 30, "its record")


def test_two_pages_of_aculabs_clients_at_two_servers_hear_each_other(pair):
    with browser() as pages:
        phones = []
        for server, name in zip(pair, ["ann-1", "ben.2"], strict=True):
            proof = token(server, name)
            key = jwt.decode(proof, options={"verify_signature": False})["iss"]
            phones.append(pages.open("aculab4", name=name, url=server.wss("/sipproxy"), cloud="1-2-0", key=key, token=proof))
        ann, ben = phones
        ben.do("register")
        ben.heard("registered")
        until_registered(pair[0], "ben.2")
        ann.do("call", "ben.2")
        assert ben.heard("incoming") == "ann-1"
        ann.heard("ringing")
        ben.do("answer")
        ann.heard("answered")
        for one in phones:
            received = one.received()
            assert received["packets"] > 50 and received["energy"] > 0 and received["local"] == "relay", received
        ben.do("hangup")
        assert ann.heard("ended") == "NORMAL"
        pages.close()
    until_idle(*pair)


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
