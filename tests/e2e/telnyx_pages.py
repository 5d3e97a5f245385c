"""Telnyx's browser client, unmodified, in pages of headless Chromium."""

import json
import os
import subprocess

from causeway import HOST, Causeway, free_port

CLIENTS = os.path.join(os.path.dirname(__file__), "clients", "telnyx")
SDK = os.path.join(CLIENTS, "node_modules", "@telnyx", "webrtc", "lib", "bundle.js")

# Before the client takes hold of it: `cut` breaks the newest socket.
SOCKETS = """
window.sockets = [];
window.WebSocket = class extends window.WebSocket {
  constructor(...what) { super(...what); window.sockets.push(this); }
};
window.cut = () => window.sockets.at(-1).close();
"""

# What a page keeps: every event and every state of its calls, to be waited for.
SCRIPT = """
window.seen = {ready: 0, errors: [], warnings: [], states: [], notes: [], calls: {}};
window.incoming = [];
window.start = options => {
  const client = window.client = new TelnyxWebRTC.TelnyxRTC(options);
  client.on('telnyx.ready', () => window.seen.ready++);
  client.on('telnyx.error', e => window.seen.errors.push({code: e.error && e.error.code, name: e.error && e.error.name}));
  client.on('telnyx.warning', w => window.seen.warnings.push(w.warning && w.warning.code));
  client.on('telnyx.notification', n => {
    if (n.type !== 'callUpdate') { window.seen.notes.push(n.type); return; }
    const call = n.call;
    if (window.call && window.call.id === call.id) window.call = call;
    window.seen.calls[call.id] = call;
    window.seen.states.push({id: call.id, state: call.state, cause: call.cause, causeCode: call.causeCode,
      sipCode: call.sipCode, direction: call.direction});
    if (call.direction === 'inbound' && call.state === 'ringing' && !window.incoming.includes(call)) window.incoming.push(call);
  });
  client.connect();
};
window.dial = (destinationNumber, more) => {
  const call = window.call = window.client.newCall({destinationNumber, audio: true, video: false, ...more});
  window.seen.calls[call.id] = call;
  return call.id;
};
window.accept = () => { const call = window.call = window.incoming[window.incoming.length - 1]; call.answer(); return call.id; };
window.stateOf = () => window.call && window.call.state;
window.peer = () => window.call.peer.instance;
window.energy = async () => {
  // Sound nobody plays is not decoded.
  if (window.call.remoteStream && !(window.sound && window.sound.srcObject === window.call.remoteStream)) {
    window.sound = new Audio();
    window.sound.srcObject = window.call.remoteStream;
    window.sound.play();
  }
  const stats = [...(await window.peer().getStats()).values()];
  const audio = stats.find(s => s.type === 'inbound-rtp' && s.kind === 'audio') || {};
  const pair = stats.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
  return {energy: audio.totalAudioEnergy || 0, packets: audio.packetsReceived || 0,
          local: pair && stats.find(s => s.id === pair.localCandidateId).candidateType};
};
"""

ENERGY = """async () => {
  const deadline = Date.now() + 30000;
  for (;;) {
    const got = await window.energy();
    if (got.energy > 0.0001 && got.packets > 50 && got.local || Date.now() > deadline) return got;
    await new Promise(done => setTimeout(done, 100));
  }
}"""


class VoiceServer(Causeway):
    """A server with the REST calls of this family."""

    def __init__(self, **settings):
        self.https_port = free_port()
        # Not loopback: browsers ask the user before a page may speak to that.
        super().__init__(
            http_tls_listen=f"{HOST}:{self.https_port}", public_host=HOST, advertise_self_signed=True, public_ip=[HOST],
            **settings)

    @property
    def host(self):
        """The `host` option of a client."""
        return f"wss://{HOST}:{self.https_port}/rtc/v1"

    def v2(self, path, method="GET", body=None, status=None, **more):
        got, _, text = self.request(f"/v2{path}", method, body, **more)
        assert status is None or got == status, (got, text)
        return json.loads(text) if text and text[0] in "{[" else text

    def connection(self, user_name, **more):
        body = {"connection_name": f"of {user_name}", "user_name": user_name, "password": "Password1", **more}
        return self.v2("/credential_connections", "POST", body, 201)["data"]

    def credential(self, connection, **more):
        return self.v2("/telephony_credentials", "POST", {"connection_id": connection["id"], **more}, 201)["data"]

    def token_of(self, credential):
        return self.v2(f"/telephony_credentials/{credential['id']}/token", "POST", status=201)

    def node(self, script, *arguments, timeout=60):
        """What a script of clients/telnyx prints as JSON."""
        environment = {**os.environ, "TELNYX_API_KEY": self.token, "TELNYX_BASE_URL": f"http://127.0.0.1:{self.http_port}/v2"}
        done = subprocess.run(["node", os.path.join(CLIENTS, script), *arguments], capture_output=True, text=True,
                              timeout=timeout, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Page:
    """A page with the client."""

    def __init__(self, context):
        self.page = context.new_page()
        self.page.route("http://localhost/", lambda route: route.fulfill(body="<title>voice</title>", content_type="text/html"))
        self.load()

    def load(self):
        self.page.goto("http://localhost/")
        self.page.add_script_tag(content=SOCKETS)
        self.page.add_script_tag(path=SDK)
        self.page.add_script_tag(content=SCRIPT)

    def login(self, server, **options):
        self.page.evaluate("options => window.start(options)", {"host": server.host, **options})
        return self

    def run(self, script, *arguments):
        return self.page.evaluate(script, *arguments)

    def until(self, condition, what, seconds=25):
        """Waits until a JavaScript expression is true; says what was seen otherwise."""
        try:
            self.page.wait_for_function(condition, timeout=seconds * 1000, polling=50)
        except Exception as error:
            raise AssertionError(f"{what}: {self.seen()}") from error
        return self

    def ready(self, times=1):
        return self.until(f"window.seen.ready >= {times}", "ready")

    def state(self, state):
        return self.until(f"window.call && window.call.state === '{state}'", f"state {state}")

    def rings(self, count=1):
        return self.until(f"window.incoming.length >= {count}", "an incoming call")

    def seen(self):
        return self.page.evaluate("({...window.seen, calls: undefined, state: window.stateOf()})")

    def ended(self):
        """Cause, number and SIP code of the call's end."""
        self.until("window.seen.states.some(s => s.id === window.call.id && ['hangup', 'destroy'].includes(s.state))", "the end")
        return self.run("[window.call.cause, window.call.causeCode, window.call.sipCode]")

    def close(self):
        self.page.close()
