"""Headless Chromium: two peer connections that may use the relay only, over each transport, with data, audio and video."""

import pytest
from playwright.sync_api import sync_playwright

from causeway import HOST

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
async (iceServers) => {
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
  while (Date.now() < deadline && !((await inbound('audio')).packetsReceived > 20 && (await inbound('video')).framesDecoded > 5)) {
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
    audioPackets: (await inbound('audio')).packetsReceived, videoFrames: (await inbound('video')).framesDecoded,
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


@pytest.fixture(scope="module")
def relay():
    from causeway import Causeway

    with Causeway(advertise_self_signed=True, public_ip=[HOST]) as running:
        yield running


@pytest.mark.parametrize("scheme, transport, protocol", [("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")])
def test_a_call_through_the_relay(relay, page, scheme, transport, protocol):
    minted = relay.mint(room="demo", initiator_client="alice", receiver_client="bob", ttl=60)
    turn = minted["iceServers"][1]
    urls = [url for url in turn["urls"] if url.startswith(scheme + ":") and url.endswith("transport=" + transport)]
    assert len(urls) == 1, turn["urls"]
    before = relay.metrics()
    result = page.evaluate(CALL, [{**turn, "urls": urls}])
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
    result = page.evaluate(CALL, [{**turn, "urls": urls}])
    assert result["type"] == "relay" and result["answer"] == "pong"
