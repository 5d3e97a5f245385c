"""Two servers that find each other through a real Redis: a backend steers a call at whichever server it asks."""

import base64

import pytest

from causeway import wait_until
from postgres import Postgres
from redis_consumer import RedisServer
from telnyx_pages import VoiceServer
from telnyx_phone import Phone


@pytest.fixture(scope="module")
def shared():
    with Postgres() as postgres, RedisServer() as redis:
        yield {"database_url": postgres.url, "cluster_redis": f"redis://127.0.0.1:{redis.port}", "drain_timeout": "1s"}


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
        first.stop()
        seen = set()

        def gone():
            got, _, text = second.request(f"/v2{leg}/actions/hangup", "POST", {})
            seen.add((got, text.split('"code":"')[1].split('"')[0]))
            return got == 422

        wait_until(gone, 30, "the call to be nobody's")
        assert seen <= {(503, "10037"), (422, "90015")}, seen
        callee.close()
