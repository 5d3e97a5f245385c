"""Two pages of a browser that call each other through the relay, as an application's page would."""

from console_browser import PATIENCE_MS

PAGE = """
window.join = iceServers => {
  window.heard = 0;
  window.peer = new RTCPeerConnection({iceServers, iceTransportPolicy: 'relay'});
  peer.ondatachannel = event => use(event.channel);
  peer.onicecandidate = event => { if (event.candidate) window.allocatedAt ??= Date.now(); };
};
window.use = channel => {
  window.channel = channel;
  channel.onmessage = message => { window.heard += message.data.length; };
};
window.described = async () => {
  if (peer.iceGatheringState !== 'complete') {
    await new Promise(done => peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && done()));
  }
  return peer.localDescription.toJSON();
};
window.offer = async () => {
  use(peer.createDataChannel('chat'));
  await peer.setLocalDescription();
  return described();
};
window.answer = async offer => {
  await peer.setRemoteDescription(offer);
  await peer.setLocalDescription();
  return described();
};
window.talk = () => {
  window.talking = setInterval(() => channel.readyState === 'open' && channel.send('x'.repeat(1000)), 20);
};
"""


class CallPage:
    """One side of a call: in a window of its own, since a page behind another one is hidden."""

    def __init__(self, browser):
        self.page = browser.new_context().new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.route("http://localhost/", lambda route: route.fulfill(body="<title>call</title>", content_type="text/html"))
        self.page.goto("http://localhost/")
        self.page.evaluate(PAGE)

    def join(self, minted):
        self.page.evaluate("servers => join(servers)", minted["iceServers"])

    def hears(self, length=1000):
        self.page.wait_for_function("length => heard >= length", arg=length)

    def is_connected(self):
        self.page.wait_for_function("() => peer.connectionState === 'connected'")

    def lost(self):
        """Waits until nothing comes any more."""
        self.page.wait_for_function("() => ['disconnected', 'failed', 'closed'].includes(peer.connectionState)")

    def kinds(self):
        """Kinds of the candidates of the pair in use."""
        return self.page.evaluate(
            """async () => {
              const all = [...(await peer.getStats()).values()];
              const pair = all.find(one => one.type === 'candidate-pair' && one.state === 'succeeded');
              return [pair.localCandidateId, pair.remoteCandidateId].map(id => all.find(one => one.id === id).candidateType);
            }"""
        )

    def hang_up(self):
        self.page.evaluate("() => { clearInterval(window.talking); peer.close(); }")


def connect(caller, callee):
    """Carries the descriptions over, and waits until both are connected and talk."""
    offer = caller.page.evaluate("offer()")
    answer = callee.page.evaluate("offer => answer(offer)", offer)
    caller.page.evaluate("answer => peer.setRemoteDescription(answer)", answer)
    for side in (caller, callee):
        side.is_connected()
        side.page.evaluate("talk()")
    for side in (caller, callee):
        side.hears()
