"""Parked calls, their webhooks, and the commands that steer them."""

import base64
import json
import threading

import pytest
import telnyx

from causeway import wait_until
from telnyx_pages import VoiceServer
from telnyx_phone import Phone
from test_webhooks import Sink


@pytest.fixture(scope="module")
def server():
    with VoiceServer(webhook_allow=["198.51.100.0/24"], webhook_http=True) as server:
        yield server


class Silent(Sink):
    """Takes posts and says nothing to them until it is closed."""

    def __init__(self):
        self.is_over = threading.Event()
        super().__init__()

    @property
    def status(self):
        self.is_over.wait(60)
        return 503

    @status.setter
    def status(self, _):
        pass

    def close(self):
        self.is_over.set()
        super().close()


@pytest.fixture(scope="module")
def receiver(server):
    """The official package, with the key of this server: it refuses wrong signatures and old timestamps."""
    return telnyx.Telnyx(api_key="x", public_key=server.v2("/public_key", status=200)["data"]["public"])


@pytest.fixture
def sinks(receiver):
    pair = Sink(), Sink()
    yield pair
    for sink in pair:
        for _, headers, body in sink.posts:
            assert receiver.webhooks.unwrap(body.decode(), headers=headers).data.event_type.startswith("call.")
        sink.close()


@pytest.fixture
def free_sinks():
    pair = Held(), Sink()
    yield pair
    pair[0].is_free.set()
    for sink in pair:
        sink.close()


def parking(server, user, sinks, **more):
    return server.connection(
        user, webhook_event_url=sinks[0].url, webhook_event_failover_url=sinks[1].url, webhook_api_version="2",
        outbound={"call_parking_enabled": True}, **more)


def events(sink):
    return [json.loads(body)["data"] for status, _, body in sink.posts if status < 300]


def types(sink):
    return [event["event_type"] for event in events(sink)]


def test_a_parked_call_is_told_and_sent_to_a_user_by_the_official_package(server, sinks):
    parking(server, "parker1", sinks)
    server.connection("target1")
    caller, callee = Phone(server, "parker1"), Phone(server, "target1")
    call = caller.dial("+15550100", clientState="Y3M=", custom_headers=[{"name": "X-Order", "value": "7"}])
    assert caller.told("telnyx_rtc.ringing")["callID"] == call
    wait_until(lambda: events(sinks[0]), 20, "call.initiated")
    first = events(sinks[0])[0]
    payload = first["payload"]
    assert first["event_type"] == "call.initiated" and first["record_type"] == "event"
    assert (payload["state"], payload["direction"], payload["from"], payload["to"]) == (
        "parked", "outgoing", "parker1", "+15550100")
    assert payload["client_state"] == "Y3M=" and payload["custom_headers"] == [{"name": "X-Order", "value": "7"}]

    state = base64.b64encode(b"mine").decode()
    seen = server.node("steer.mjs", payload["call_control_id"], "target1", state)
    assert seen["status"]["is_alive"] and seen["status"]["call_leg_id"] == payload["call_leg_id"]
    for refused in ["answer", "speak", "dial"]:
        assert seen[refused] == [422, "10038"], (refused, seen)
    assert seen["unknown"] == [422, "90015"] and seen["badState"] == [422, "90017"] and seen["nowhere"] == [422, "10027"]
    assert seen["state"] == seen["transfer"] == seen["again"] == {"result": "ok"}
    callee.answer()
    assert caller.told("telnyx_rtc.answer")["callID"] == call
    callee.bye(callee.told("telnyx_rtc.invite")["callID"])
    assert caller.told("telnyx_rtc.bye")["cause"] == "NORMAL_CLEARING"
    wait_until(lambda: "call.hangup" in types(sinks[0]), 20, "call.hangup")
    assert types(sinks[0]) == ["call.initiated", "call.answered", "call.bridged", "call.hangup"]
    ended = events(sinks[0])[-1]["payload"]
    assert (ended["hangup_cause"], ended["hangup_source"], ended["client_state"]) == ("normal_clearing", "callee", state)
    status = server.v2(f"/calls/{payload['call_control_id']}", status=200)["data"]
    assert status["is_alive"] is False and status["end_time"]
    assert server.v2(f"/calls/{payload['call_control_id']}/actions/hangup", "POST", {}, 422)["errors"][0]["code"] == "90018"
    caller.close()
    callee.close()


def test_every_post_is_signed_and_a_receiver_that_fails_is_tried_again_then_its_failover(server, sinks, receiver):
    parking(server, "parker2", sinks)
    sinks[0].status = 500
    caller = Phone(server, "parker2")
    call = caller.dial("somewhere")
    wait_until(lambda: events(sinks[1]), 25, "the failover")
    attempts = [json.loads(body) for _, _, body in sinks[0].posts]
    assert [post["meta"]["attempt"] for post in attempts] == [1, 2, 3]
    assert len({post["data"]["id"] for post in attempts} | {events(sinks[1])[0]["id"]}) == 1
    sinks[0].status = 200
    caller.bye(call, "USER_BUSY")
    wait_until(lambda: types(sinks[0]) == ["call.hangup"], 25, "the end")
    assert events(sinks[0])[0]["payload"]["hangup_cause"] == "originator_cancel"
    _, headers, body = sinks[0].posts[0]
    for wrong in [(body.decode() + " ", headers), (body.decode(), {**headers, "Telnyx-Timestamp": "1700000000"})]:
        with pytest.raises(ValueError, match="Signature verification failed|too old"):
            receiver.webhooks.unwrap(wrong[0], headers={name.lower(): value for name, value in wrong[1].items()})

    def mine():
        log = server.v2("/webhook_deliveries?page[size]=250", status=200)["data"]
        return [entry["http_status"] for entry in reversed(log) if entry["url"] in (sinks[0].url, sinks[1].url)]

    # An outcome is written when its answer has come.
    wait_until(lambda: len(mine()) >= 5, 20, "five outcomes")
    assert mine() == [500, 500, 500, 204, 200]
    caller.close()


def test_a_receiver_that_says_nothing_is_given_up_in_time_and_the_order_is_kept(server, sinks):
    silent = Silent()
    parking(server, "parker3", [silent, sinks[1]], webhook_timeout_secs=1)
    caller = Phone(server, "parker3")
    caller.bye(caller.dial("somewhere"), "USER_BUSY")
    wait_until(lambda: types(sinks[1]) == ["call.initiated", "call.hangup"], 40, "both events at the failover")

    def attempts():
        log = server.v2("/webhook_deliveries?page[size]=250", status=200)["data"]
        return [entry for entry in log if entry["url"] == silent.url]

    wait_until(lambda: len(attempts()) >= 6, 20, "six outcomes")
    tried = attempts()
    assert [entry["attempt"] for entry in reversed(tried)] == [1, 2, 3, 1, 2, 3]
    assert all(entry["http_status"] is None and entry["error"] == "no answer within 1 s" for entry in tried), tried
    given_up = server.metric("causeway_voice_webhook_events_given_up_total")
    # A second call, with nobody at the failover either: both of its events come to nothing, and are counted.
    sinks[1].status = 400
    caller.bye(caller.dial("somewhere"), "USER_BUSY")
    wait_until(lambda: server.metric("causeway_voice_webhook_events_given_up_total") == given_up + 2, 40, "both to be given up")
    assert server.metric("causeway_voice_webhook_events_dropped_total") == 0
    caller.close()
    silent.close()


@pytest.mark.parametrize("cause, shown, number, sip", [("CALL_REJECTED", "CALL_REJECTED", 21, 603), ("USER_BUSY", "USER_BUSY", 17, 486)])
def test_a_parked_call_is_rejected_with_either_cause(server, sinks, cause, shown, number, sip):
    user = f"reject{number}"
    parking(server, user, sinks)
    caller = Phone(server, user)
    caller.dial("somewhere")
    wait_until(lambda: events(sinks[0]), 20, "call.initiated")
    payload = events(sinks[0])[0]["payload"]
    live = server.v2(f"/connections/{payload['connection_id']}/active_calls", status=200)["data"]
    assert [leg["call_control_id"] for leg in live] == [payload["call_control_id"]]
    server.v2(f"/calls/{payload['call_control_id']}/actions/reject", "POST", {"cause": cause}, 200)
    bye = caller.told("telnyx_rtc.bye")
    assert (bye["cause"], bye["causeCode"], bye["sipCode"]) == (shown, number, sip)
    caller.close()


class Held(Sink):
    """Answers nobody until it is let go."""

    def __init__(self):
        self.is_free = threading.Event()
        self.came = 0
        super().__init__()

    @property
    def status(self):
        self.came += 1
        self.is_free.wait(60)
        return 204

    @status.setter
    def status(self, _):
        pass


def test_what_was_not_delivered_when_the_server_was_killed_is_delivered_by_the_next_in_order_and_once(tmp_path, free_sinks):
    held, taking = free_sinks
    settings = {"data_dir": str(tmp_path / "data"), "webhook_allow": ["198.51.100.0/24"], "webhook_http": True}
    with VoiceServer(**settings) as first:
        key = first.v2("/public_key", status=200)["data"]["public"]
        parking(first, "keeper1", [held, taking], webhook_timeout_secs=30)
        caller = Phone(first, "keeper1")
        call = caller.dial("somewhere")
        wait_until(lambda: held.came == 1, 20, "the first post")
        caller.bye(call, "USER_BUSY")
        # The end is behind the beginning, which is not taken yet. A second call, whose receiver takes what it is told.
        parking(first, "keeper2", [taking, held])
        other = Phone(first, "keeper2")
        second = other.dial("somewhere")
        wait_until(lambda: types(taking) == ["call.initiated"], 20, "the other call's beginning")

        def log(server):
            return server.v2("/webhook_deliveries?page[size]=250", status=200)["data"]

        wait_until(lambda: [entry["http_status"] for entry in log(first)] == [204], 20, "its outcome")
        known = log(first)
        other.bye(second, "USER_BUSY")
        wait_until(lambda: types(taking) == ["call.initiated", "call.hangup"], 20, "the other call's end")
        wait_until(lambda: len(log(first)) == 2, 20, "both outcomes")
        first.stop()
    held.is_free.set()
    wait_until(lambda: len(held.posts) == 1, 20, "the post that nobody waits for")
    held.posts.clear()
    with VoiceServer(**settings) as server:
        wait_until(lambda: len(held.posts) >= 2, 30, "both events")
        assert types(held) == ["call.initiated", "call.hangup"]
        assert types(taking) == ["call.initiated", "call.hangup"], "what was taken is not told again"
        receiver = telnyx.Telnyx(api_key="x", public_key=server.v2("/public_key", status=200)["data"]["public"])
        assert receiver.public_key == key
        for _, headers, body in held.posts:
            receiver.webhooks.unwrap(body.decode(), headers=headers)
        assert known[0] in log(server), "the log is there after a restart"
        wait_until(lambda: len(log(server)) == 4, 20, "the new outcomes")


class Refusing(Held):
    """Answers nobody until it is let go, then with a failure."""

    @property
    def status(self):
        return super().status and 503

    @status.setter
    def status(self, _):
        pass


def test_what_a_backend_was_still_to_be_told_of_a_client_is_forgotten_with_it(server):
    refusing, taking = Refusing(), Sink()
    parking(server, "erased1", [refusing, taking], webhook_timeout_secs=30)
    caller = Phone(server, "erased1")
    caller.bye(caller.dial("somewhere"))
    wait_until(lambda: refusing.came == 1, 20, "the first post")
    status, _, text = server.request("/api/v1/clients/erased1/erase", "POST")
    assert status == 200 and (json.loads(text)["calls"], json.loads(text)["events"]) == (1, 2), text
    refusing.is_free.set()
    # Another client's event is tried three times at this receiver, then at the other: longer than the first one's next try waits.
    parking(server, "erased2", [refusing, taking])
    other = Phone(server, "erased2")
    call = other.dial("somewhere")
    wait_until(lambda: events(taking), 30, "the other client's event")
    told = [json.loads(body)["data"]["payload"]["from"] for sink in (refusing, taking) for _, _, body in sink.posts]
    assert sorted(told) == ["erased1"] + ["erased2"] * 4, "what was under way, and nothing more"
    other.bye(call)
    other.close()
    refusing.close()
    taking.close()
