"""A call between the WebRTC SDK's master and viewer in two pages of headless Chromium, whose media goes through the relay."""

import os

import pytest
from playwright.sync_api import sync_playwright

from causeway import HOST
from kvs import CLIENTS, KEYS, REGION, KvsServer
from test_browser import FLAGS

SDK = os.path.join(CLIENTS, "node_modules", "amazon-kinesis-video-streams-webrtc", "dist", "kvs-webrtc.min.js")

OPEN = """
async ({role, channelARN, channelEndpoint, iceServers, credentials, region}) => {
  const pc = window.pc = new RTCPeerConnection({iceServers, iceTransportPolicy: 'relay'});
  const clientId = role === 'VIEWER' ? 'page-viewer' : undefined;
  const client = window.client = new KVSWebRTC.SignalingClient({
    channelARN, channelEndpoint, role: KVSWebRTC.Role[role], clientId, region, credentials});
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  media.getTracks().forEach(track => pc.addTrack(track, media));
  let remote;
  pc.onicecandidate = e => e.candidate && client.sendIceCandidate(e.candidate, role === 'MASTER' ? remote : undefined);
  client.on('iceCandidate', candidate => pc.addIceCandidate(candidate));
  client.on('sdpOffer', async (offer, from) => {
    remote = from;
    await pc.setRemoteDescription(offer);
    await pc.setLocalDescription(await pc.createAnswer());
    client.sendSdpAnswer(pc.localDescription, from);
  });
  client.on('sdpAnswer', answer => pc.setRemoteDescription(answer));
  await new Promise((done, fail) => { client.on('open', done); client.on('error', fail); client.open(); });
  if (role === 'VIEWER') {
    await pc.setLocalDescription(await pc.createOffer());
    client.sendSdpOffer(pc.localDescription);
  }
}
"""

RECEIVED = """
async () => {
  const deadline = Date.now() + 40000;
  for (;;) {
    const stats = [...(await window.pc.getStats()).values()];
    const inbound = kind => stats.find(s => s.type === 'inbound-rtp' && s.kind === kind) || {};
    const pair = stats.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    const out = {audio: inbound('audio').packetsReceived || 0, video: inbound('video').framesDecoded || 0,
                 local: pair && stats.find(s => s.id === pair.localCandidateId).candidateType};
    if (out.audio > 50 && out.video > 20 && pair || Date.now() > deadline) return out;
    await new Promise(done => setTimeout(done, 100));
  }
}
"""


@pytest.fixture(scope="module")
def kvs():
    # Not loopback: browsers ask the user before a page may speak to that.
    with KvsServer(listen=HOST, public_host=HOST, advertise_self_signed=True, public_ip=[HOST]) as server:
        yield server


@pytest.fixture(scope="module")
def pages():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=FLAGS)
        context = browser.new_context(permissions=["camera", "microphone"], ignore_https_errors=True)
        opened = []
        for _ in range(2):
            page = context.new_page()
            page.route("http://localhost/", lambda route: route.fulfill(body="<title>kvs</title>", content_type="text/html"))
            page.goto("http://localhost/")
            page.add_script_tag(path=SDK)
            opened.append(page)
        yield opened
        browser.close()


def test_a_video_call_of_two_pages_goes_through_the_relay(kvs, pages):
    arn = kvs.client(key=KEYS["master"]).create_signaling_channel(ChannelName="browser")["ChannelARN"]
    before = kvs.metric("causeway_allocations_created_total")

    def arguments(role, preset, **client):
        key = KEYS[preset]
        control = kvs.client(key=key)
        asked = {"Protocols": ["WSS", "HTTPS"], "Role": role}
        answer = control.get_signaling_channel_endpoint(
            ChannelARN=arn, SingleMasterChannelEndpointConfiguration=asked)["ResourceEndpointList"]
        endpoints = {entry["Protocol"]: entry["ResourceEndpoint"] for entry in answer}
        servers = kvs.signaling(key, url=endpoints["HTTPS"]).get_ice_server_config(ChannelARN=arn, **client)["IceServerList"]
        ice = [{"urls": s["Uris"], "username": s["Username"], "credential": s["Password"]} for s in servers]
        return {
            "role": role, "channelARN": arn, "channelEndpoint": endpoints["WSS"], "iceServers": ice, "region": REGION,
            "credentials": {"accessKeyId": key[0], "secretAccessKey": key[1]},
        }

    master, viewer = pages
    master.evaluate(OPEN, arguments("MASTER", "master"))
    viewer.evaluate(OPEN, arguments("VIEWER", "viewer", ClientId="page-viewer"))
    for page in [viewer, master]:
        received = page.evaluate(RECEIVED)
        assert received["audio"] > 50 and received["video"] > 20 and received["local"] == "relay", received
    assert kvs.metric("causeway_allocations_created_total") - before >= 2
    # The sessions are ascribed to the channel and its clients, like those of any other credential.
    status, _, body = kvs.request("/api/v1/rooms/browser/clients")
    assert status == 200 and '"page-viewer"' in body and '"master"' in body, body
    for page in pages:
        page.evaluate("() => { window.client.close(); window.pc.close(); }")


def test_a_page_of_any_origin_may_call_and_sees_the_names_of_errors(kvs, pages):
    # What a browser asks before it calls, and what it may read of an answer.
    answer = pages[0].evaluate(
        """async url => {
          const response = await fetch(url + '/describeSignalingChannel', {method: 'POST', body: '{}',
            headers: {'content-type': 'application/json', 'x-amz-date': '20200101T000000Z', 'x-amz-user-agent': 'page'}});
          return [response.status, response.headers.get('x-amzn-errortype'), (await response.json()).__type];
        }""",
        kvs.url,
    )
    assert answer == [403, "MissingAuthenticationTokenException", "MissingAuthenticationTokenException"]
