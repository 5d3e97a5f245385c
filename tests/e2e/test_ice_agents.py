"""aioice and aiortc from PyPI: ICE through the relay, relay to relay and relay to host."""

import asyncio

import aioice
import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from causeway import HOST


def turn_options(server, minted, transport):
    turn = minted["iceServers"][1]
    return dict(
        turn_server=(HOST, server.turn_port),
        turn_username=turn["username"],
        turn_password=turn["credential"],
        turn_transport=transport,
    )


async def connect(alice, bob, alice_keeps, bob_keeps):
    for agent in (alice, bob):
        await agent.gather_candidates()
    for candidate in alice.local_candidates:
        if candidate.type in alice_keeps:
            await bob.add_remote_candidate(candidate)
    for candidate in bob.local_candidates:
        if candidate.type in bob_keeps:
            await alice.add_remote_candidate(candidate)
    await alice.add_remote_candidate(None)
    await bob.add_remote_candidate(None)
    alice.remote_username, alice.remote_password = bob.local_username, bob.local_password
    bob.remote_username, bob.remote_password = alice.local_username, alice.local_password
    await asyncio.gather(alice.connect(), bob.connect())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("bob_keeps", [{"relay"}, {"host"}], ids=["to-relay", "to-host"])
def test_aioice_sends_both_ways(server, transport, bob_keeps):
    async def run():
        minted = server.mint(ttl=60)
        alice = aioice.Connection(ice_controlling=True, transport_policy=aioice.TransportPolicy.RELAY, **turn_options(server, minted, transport))
        policy = aioice.TransportPolicy.RELAY if bob_keeps == {"relay"} else aioice.TransportPolicy.ALL
        bob = aioice.Connection(ice_controlling=False, transport_policy=policy, **turn_options(server, minted, transport))
        await connect(alice, bob, {"relay"}, bob_keeps)
        for n in range(50):
            await alice.send(b"to bob %d" % n)
            assert await asyncio.wait_for(bob.recv(), 5) == b"to bob %d" % n
            await bob.send(b"to alice %d" % n)
            assert await asyncio.wait_for(alice.recv(), 5) == b"to alice %d" % n
        await alice.close()
        await bob.close()

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_aiortc_opens_a_data_channel_through_the_relay(server, transport):
    async def run():
        minted = server.mint(ttl=60)
        turn = minted["iceServers"][1]
        before = server.metric("causeway_allocations_created_total")
        ice = RTCIceServer(
            urls=[f"turn:{HOST}:{server.turn_port}?transport={transport}"],
            username=turn["username"],
            credential=turn["credential"],
        )
        alice, bob = (RTCPeerConnection(RTCConfiguration(iceServers=[ice])) for _ in range(2))
        chat = alice.createDataChannel("chat")
        answered = asyncio.get_running_loop().create_future()

        @bob.on("datachannel")
        def on_channel(channel):
            channel.on("message", lambda message: channel.send("re: " + message))

        chat.on("open", lambda: chat.send("hello"))
        chat.on("message", lambda message: answered.done() or answered.set_result(message))
        await alice.setLocalDescription(await alice.createOffer())
        await bob.setRemoteDescription(only_relay(alice.localDescription))
        await bob.setLocalDescription(await bob.createAnswer())
        await alice.setRemoteDescription(only_relay(bob.localDescription))
        assert await asyncio.wait_for(answered, 30) == "re: hello"
        await alice.close()
        await bob.close()
        assert server.metric("causeway_allocations_created_total") >= before

    asyncio.run(asyncio.wait_for(run(), 60))


def only_relay(description):
    """Leaves no candidate but relayed ones."""
    lines = description.sdp.split("\r\n")
    description.sdp = "\r\n".join(line for line in lines if not line.startswith("a=candidate") or " typ relay" in line)
    return description
