"""Headless Chromium: two peer connections that may use the relay only, over each transport, with data, audio and video."""

import os
import re
import subprocess
import time

import pytest
from playwright.sync_api import sync_playwright

from causeway import HOST, Causeway, wait_until
from layout import SERVER_SPACE

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # The relay's certificate is self-signed; Chromium is told so, nothing else is changed.
    "--ignore-certificate-errors",
]

CALL = """
async ({iceServers, audio = 20, frames = 5, packets = 0}) => {
  const log = [];
  const open = () => new RTCPeerConnection({iceServers, iceTransportPolicy: 'relay'});
  const [alice, bob] = [open(), open()];
  alice.onicecandidate = e => e.candidate && bob.addIceCandidate(e.candidate);
  bob.onicecandidate = e => e.candidate && alice.addIceCandidate(e.candidate);
  alice.onicecandidateerror = e => log.push(`${e.url} ${e.errorCode} ${e.errorText}`);
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  media.getTracks().forEach(track => alice.addTrack(track, media));
  const chat = alice.createDataChannel('chat');
  const heard = [];
  bob.ondatachannel = e => { e.channel.onmessage = m => { heard.push(m.data); e.channel.send('pong'); }; };
  const echoed = new Promise(done => { chat.onmessage = m => done(m.data); });
  chat.onopen = () => chat.send('ping');
  await alice.setLocalDescription();
  await bob.setRemoteDescription(alice.localDescription);
  await bob.setLocalDescription();
  await alice.setRemoteDescription(bob.localDescription);
  const deadline = Date.now() + 30000;
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error(
    `no call: ${alice.iceConnectionState} ${log.join('; ')}`)), 30000));
  const answer = await Promise.race([echoed, late]);
  const stats = async pc => [...(await pc.getStats()).values()];
  const inbound = async kind => (await stats(bob)).find(s => s.type === 'inbound-rtp' && s.kind === kind) || {};
  const enough = async () => {
    const [heard, seen] = [await inbound('audio'), await inbound('video')];
    return heard.packetsReceived > audio && seen.framesDecoded > frames && heard.packetsReceived + seen.packetsReceived >= packets;
  };
  while (Date.now() < deadline && !(await enough())) {
    await new Promise(done => setTimeout(done, 100));
  }
  // Data may flow before the pair is nominated.
  let all, pair;
  while (!pair && Date.now() < deadline) {
    all = await stats(alice);
    pair = all.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    pair || await new Promise(done => setTimeout(done, 100));
  }
  const local = all.find(s => s.id === pair.localCandidateId);
  const result = {
    heard, answer, type: local.candidateType, protocol: local.relayProtocol,
    audioPackets: (await inbound('audio')).packetsReceived, videoPackets: (await inbound('video')).packetsReceived,
    videoFrames: (await inbound('video')).framesDecoded,
  };
  alice.close(); bob.close();
  return result;
}
"""


@pytest.fixture(scope="module")
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=FLAGS)
        context = browser.new_context(permissions=["camera", "microphone"])
        page = context.new_page()
        # getUserMedia needs a secure context; a page of localhost is one.
        page.route("http://localhost/", lambda route: route.fulfill(body="<title>call</title>", content_type="text/html"))
        page.goto("http://localhost/")
        yield page
        browser.close()


def in_kernel(server):
    """Packets relayed, and the part of them in the kernel, as `causeway fast-path status` has them."""
    told = subprocess.run([os.environ["CAUSEWAY_BIN"], "fast-path", "status", "--config", server.config], capture_output=True, text=True, check=True)
    relayed, share = (re.search(pattern, told.stdout) for pattern in (r"packets relayed +(\d+)", r"in the kernel +([0-9.]+) %"))
    assert relayed and share, told.stdout
    return int(relayed[1]), float(share[1]), told.stdout


def test_nearly_all_of_a_call_is_relayed_in_the_kernel(page):
    mode = os.environ.get("E2E_FAST_PATH", "tc")
    if mode == "off":
        pytest.skip("everything is relayed in user space")
    with Causeway(public_ip=[HOST], fast_path=mode) as server:
        if not server.metric("causeway_fast_path_flows_max"):
            pytest.skip("no fast path here: " + next(line for line in server.log().splitlines() if "fast path" in line))
        turn = server.mint(room="demo", initiator_client="alice", receiver_client="bob", ttl=60)["iceServers"][1]
        urls = [url for url in turn["urls"] if url.startswith("turn:") and url.endswith("transport=udp")]
        # What comes before there is a channel, and the first packet of each, weighs the more the shorter a call is: this is
        # one of some seconds.
        result = page.evaluate(CALL, {"iceServers": [{**turn, "urls": urls}], "packets": 1000})
        assert result["audioPackets"] + result["videoPackets"] >= 1000, result
        # A packet counts at both allocations, and is counted a few times a second: the end of the call is a while coming.
        wait_until(lambda: in_kernel(server)[0] >= 2000 and not server.metric("causeway_fast_path_flows"), 20, "the call to be counted")
        looks = [None]

        def at_rest():
            looks.append(in_kernel(server)[0])
            time.sleep(0.6)
            return looks[-1] == looks[-2]

        wait_until(at_rest, 20, "no packet to be added")
        relayed, share, told = in_kernel(server)
        assert share > 95, f"{share} % of {relayed} packets\n{told}"
        if SERVER_SPACE and mode == "xdp":
            by_xdp = int(re.search(r"by XDP +(\d+)", told)[1])
            assert by_xdp * 2 > relayed * 0.95, told


@pytest.fixture(scope="module")
def relay():
    with Causeway(advertise_self_signed=True, public_ip=[HOST]) as running:
        yield running


@pytest.mark.parametrize("scheme, transport, protocol", [("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")])
def test_a_call_through_the_relay(relay, page, scheme, transport, protocol):
    minted = relay.mint(room="demo", initiator_client="alice", receiver_client="bob", ttl=60)
    turn = minted["iceServers"][1]
    urls = [url for url in turn["urls"] if url.startswith(scheme + ":") and url.endswith("transport=" + transport)]
    assert len(urls) == 1, turn["urls"]
    before = relay.metrics()
    result = page.evaluate(CALL, {"iceServers": [{**turn, "urls": urls}]})
    assert (result["type"], result["protocol"]) == ("relay", protocol)
    assert (result["heard"], result["answer"]) == (["ping"], "pong")
    assert result["audioPackets"] > 20 and result["videoFrames"] > 5, result
    created = relay.metric("causeway_allocations_created_total") - before.get("causeway_allocations_created_total", 0)
    assert created >= 2


def test_a_turns_url_over_udp_is_served_as_browsers_speak_it(relay, page):
    # Browsers upgrade only TCP: turns: with transport=udp is plain TURN to the TLS port.
    minted = relay.mint(ttl=60)
    turn = minted["iceServers"][1]
    urls = [url for url in turn["urls"] if url.startswith("turns:") and url.endswith("transport=udp")]
    result = page.evaluate(CALL, {"iceServers": [{**turn, "urls": urls}]})
    assert result["type"] == "relay" and result["answer"] == "pong"
