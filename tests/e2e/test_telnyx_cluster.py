"""Two servers that find each other through a real Redis: a backend steers a call at whichever server it asks."""

import base64

import pytest
import telnyx

from causeway import wait_until
from postgres import Postgres
from redis_consumer import RedisServer
from telnyx_pages import Page, VoiceServer
from telnyx_phone import Phone
from test_telnyx_calls import events, types
from test_telnyx_recovery import context  # noqa: F401: a fixture
from test_webhooks import Sink


@pytest.fixture(scope="module")
def shared():
    with Postgres() as postgres, RedisServer() as redis:
        yield {"database_url": postgres.url, "cluster_redis": f"redis://127.0.0.1:{redis.port}", "drain_timeout": "1s",
               "webhook_allow": ["198.51.100.0/24"], "webhook_http": True}


@pytest.fixture(scope="module")
def pair(shared):
    """Two servers that stay."""
    with VoiceServer(node_id="node-c", **shared) as first, VoiceServer(node_id="node-d", **shared) as second:
        yield first, second


@pytest.fixture
def sinks(pair):
    """Two receivers; what they took is verified with the official package."""
    receiver = telnyx.Telnyx(api_key="x", public_key=pair[0].v2("/public_key", status=200)["data"]["public"])
    pair_of = Sink(), Sink()
    yield pair_of
    for sink in pair_of:
        for _, headers, body in sink.posts:
            assert receiver.webhooks.unwrap(body.decode(), headers=headers).data.event_type.startswith("call.")
        sink.close()


def shown(call):
    return {name: value for name, value in call.items() if name != "call_duration"}


def active(server, connection):
    answer = server.v2(f"/connections/{connection['id']}/active_calls", status=200)
    assert answer["meta"]["total_items"] == len(answer["data"])
    return [shown(call) for call in answer["data"]]


def test_a_callee_at_another_server_is_told_of_and_steered_like_one_here(pair, sinks, context):  # noqa: F811
    first, second = pair
    first.connection("alice", webhook_event_url=sinks[0].url)
    record = first.connection("bobby", webhook_event_url=sinks[1].url)
    alice = Page(context).login(first, login="alice", password="Password1").ready()
    bobby = Page(context).login(second, login="bobby", password="Password1").ready()
    alice.run("window.dial('bobby')")
    bobby.rings()
    wait_until(lambda: events(sinks[1]), 20, "call.initiated of the callee")
    began = events(sinks[1])[0]["payload"]
    assert (began["from"], began["to"], began["state"]) == ("alice", "bobby", "bridging")
    assert began["connection_id"] == record["id"]
    leg = f"/calls/{began['call_control_id']}"
    for server in pair:
        wait_until(lambda: server.request(f"/v2{leg}")[0] == 200, 20, "the leg to be known")
        assert server.v2(leg, status=200)["data"]["is_alive"]
    state = base64.b64encode(b"ours").decode()
    second.v2(f"{leg}/actions/client_state_update", "PUT", {"client_state": state}, 200)
    bobby.run("window.accept()")
    alice.state("active"), bobby.state("active")
    for server in pair:
        wait_until(lambda: [call["client_state"] for call in active(server, record)] == [state], 20, "the leg to be listed")
    bobby.run("window.call.dtmf('7')")
    wait_until(lambda: "call.dtmf.received" in types(sinks[1]), 20, "the digit")
    assert second.v2(f"{leg}/actions/hangup", "POST", {}, 200) == {"data": {"result": "ok"}}
    for page in [alice, bobby]:
        assert page.ended()[0] == "NORMAL_CLEARING"
    for sink, more in [(sinks[0], []), (sinks[1], ["call.dtmf.received"])]:
        wait_until(lambda: "call.hangup" in types(sink), 20, "the end")
        assert types(sink) == ["call.initiated", "call.answered", "call.bridged", *more, "call.hangup"]
    told = [event["payload"] for event in events(sinks[1])]
    assert {payload["call_session_id"] for payload in told} == {events(sinks[0])[0]["payload"]["call_session_id"]}
    assert {payload["call_leg_id"] for payload in told} == {began["call_leg_id"]}
    assert [payload["client_state"] for payload in told] == [None] + [state] * 4
    assert told[3]["digit"] == "7"
    for server in pair:
        assert server.v2(f"{leg}/actions/hangup", "POST", {}, 422)["errors"][0]["code"] == "90018"
        wait_until(lambda: active(server, record) == [], 20, "no leg to be listed")
    alice.close()
    bobby.close()


def test_every_server_lists_the_live_calls_of_all(pair):
    record = pair[0].connection("lister", outbound={"call_parking_enabled": True})
    phones = [Phone(server, "lister") for server in pair]
    calls = []
    for count, (server, phone) in enumerate(zip(pair, phones), 1):
        calls.append(phone.dial("somewhere", clientState=base64.b64encode(b"%d" % count).decode()))
        for asked in pair:
            wait_until(lambda: len(active(asked, record)) == count, 20, f"{count} live calls")
    seen = [active(asked, record) for asked in pair]
    assert seen[0] == seen[1] and [call["client_state"] for call in seen[0]] == ["MQ==", "Mg=="], "oldest first"
    assert seen[0][0] == shown(pair[1].v2(f"/calls/{seen[0][0]['call_control_id']}", status=200)["data"])
    phones[0].bye(calls[0])
    for asked in pair:
        wait_until(lambda: active(asked, record) == seen[0][1:], 20, "one live call")
    assert active(pair[0], pair[0].connection("nobody1")) == []
    for phone in phones:
        phone.close()


def test_a_command_reaches_the_server_of_its_call_until_that_is_gone(shared):
    with VoiceServer(node_id="node-a", **shared) as first, VoiceServer(node_id="node-b", **shared) as second:
        parking = first.connection("parker", outbound={"call_parking_enabled": True})
        second.connection("target")
        caller, callee = Phone(first, "parker"), Phone(second, "target")
        call = caller.dial("somewhere")
        [live] = first.v2(f"/connections/{parking['id']}/active_calls", status=200)["data"]
        leg = f"/calls/{live['call_control_id']}"

        def there():
            got, _, _ = second.request(f"/v2{leg}")
            return got == 200

        wait_until(there, 20, "the call to be known at the other server")
        status = second.v2(leg, status=200)["data"]
        assert (status["is_alive"], status["call_leg_id"]) == (True, live["call_leg_id"])
        # Refusals are the owner's, word for word.
        refused = second.v2(f"{leg}/actions/speak", "POST", {}, 422)
        assert refused == first.v2(f"{leg}/actions/speak", "POST", {}, 422) and refused["errors"][0]["code"] == "10038"
        assert second.v2(f"{leg}/actions/client_state_update", "PUT", {"client_state": "?"}, 422)["errors"][0]["code"] == "90017"
        state = base64.b64encode(b"mine").decode()
        done = second.v2(f"{leg}/actions/client_state_update", "PUT", {"client_state": state}, 200)
        assert done == {"data": {"result": "ok"}} and first.v2(leg, status=200)["data"]["client_state"] == state
        # Sent twice, to either server, done once.
        transfer = {"to": "target", "command_id": "one"}
        assert second.v2(f"{leg}/actions/transfer", "POST", transfer, 200) == done
        assert first.v2(f"{leg}/actions/transfer", "POST", transfer, 200) == done
        callee.answer()
        assert caller.told("telnyx_rtc.answer")["callID"] == call
        assert second.v2(f"{leg}/actions/hangup", "POST", {}, 200) == done
        for phone in [caller, callee]:
            assert phone.told("telnyx_rtc.bye")["cause"] == "NORMAL_CLEARING"
        assert second.v2(f"{leg}/actions/hangup", "POST", {}, 422)["errors"][0]["code"] == "90018", "known as over"
        # A call of nobody, and one whose server was killed.
        nobody = "/calls/v3:00000000-0000-4000-8000-000000000001"
        assert second.v2(f"{nobody}/actions/hangup", "POST", {}, 422)["errors"][0]["code"] == "90015"
        assert second.v2(nobody, status=404)["errors"][0]["code"] == "10005"
        caller.dial("somewhere")
        [live] = first.v2(f"/connections/{parking['id']}/active_calls", status=200)["data"]
        leg = f"/calls/{live['call_control_id']}"
        wait_until(there, 20, "the second call to be known at the other server")
        wait_until(lambda: len(active(second, parking)) == 1, 20, "it to be listed there")
        first.stop()
        seen = set()

        def gone():
            got, _, text = second.request(f"/v2{leg}/actions/hangup", "POST", {})
            seen.add((got, text.split('"code":"')[1].split('"')[0]))
            return got == 422

        wait_until(gone, 30, "the call to be nobody's")
        assert seen <= {(503, "10037"), (422, "90015")}, seen
        assert active(second, parking) == []
        callee.close()
