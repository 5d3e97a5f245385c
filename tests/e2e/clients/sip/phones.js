// One phone per page, whichever client is behind it: `phone` with the same commands, and `log` of what it told.
'use strict';

const log = (globalThis.log = []);
const note = (name, detail) => log.push(detail === undefined ? [name] : [name, detail]);
const until = async (what, millis = 25000) => {
  const deadline = Date.now() + millis;
  for (;;) {
    const found = await what();
    if (found || Date.now() > deadline) return found;
    await new Promise(done => setTimeout(done, 50));
  }
};
// The place of the first entry of this name after `from`, once it is there.
globalThis.heard = (name, from = 0) =>
  until(() => { const at = log.findIndex((entry, index) => index >= from && entry[0] === name); return at < 0 ? null : { at, detail: log[at][1] ?? null }; })
    .then(found => found || { missing: name, log });

// Sound that came, and over which path, once there was enough of it.
globalThis.received = async pc => {
  // Sound is only decoded where it is played.
  const audio = (globalThis.speaker ??= new Audio());
  audio.srcObject = new MediaStream(pc.getReceivers().map(receiver => receiver.track));
  await audio.play();
  const read = async () => {
    const stats = [...(await pc.getStats()).values()];
    const audio = stats.find(s => s.type === 'inbound-rtp' && s.kind === 'audio') || {};
    const video = stats.find(s => s.type === 'inbound-rtp' && s.kind === 'video') || {};
    const pair = stats.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    const local = pair && stats.find(s => s.id === pair.localCandidateId);
    return { packets: audio.packetsReceived || 0, energy: audio.totalAudioEnergy || 0, frames: video.framesDecoded || 0,
             local: local ? local.candidateType : null };
  };
  // While a pair is tried again it is not in use: what was there once counts.
  let last;
  await until(async () => { last = await read(); return last.packets > 50 && last.energy > 0 && last.local; });
  return last;
};

// What came so far, as it is.
globalThis.heardNow = async pc => {
  const stats = [...(await pc.getStats()).values()];
  const sum = (kind, what) => stats.filter(s => s.type === 'inbound-rtp' && s.kind === kind).reduce((n, s) => n + (s[what] || 0), 0);
  return { packets: sum('audio', 'packetsReceived'), energy: sum('audio', 'totalAudioEnergy'), frames: sum('video', 'framesDecoded') };
};

// What becomes of a session timer is told by no library.
globalThis.WebSocket = class extends WebSocket {
  constructor(...all) {
    super(...all);
    this.addEventListener('message', event => {
      const found = /^SIP\/2.0 (\d+) [^]*\r\nCSeq: *\d+ UPDATE\r\n/i.exec(event.data);
      if (found) note('refreshed', Number(found[1]));
    });
  }
};

const pcConfig = options => ({ iceServers: options.iceServers || [], iceTransportPolicy: 'relay' });

class JsSipPhone {
  constructor(options) {
    this.options = options;
    const settings = {
      sockets: [new JsSIP.WebSocketInterface(options.url)], uri: `sip:${options.name}@${options.domain}`, register: false,
      session_timers: options.timers !== false,
    };
    if (options.token) settings.authorization_jwt = `Bearer ${options.token}`; else settings.password = options.password;
    this.ua = new JsSIP.UA(settings);
    this.ua.on('connected', () => note('connected'));
    this.ua.on('disconnected', () => note('disconnected'));
    this.ua.on('registered', () => note('registered'));
    this.ua.on('unregistered', () => note('unregistered'));
    this.ua.on('registrationFailed', e => note('refused', e.cause));
    this.ua.on('newRTCSession', e => this.session(e.session, e.originator));
    this.ua.on('newMessage', e => e.originator === 'remote' && note('text', `${e.message.remote_identity.uri.user}: ${e.request.body}`));
    this.sessions = [];
    this.ua.start();
  }
  session(session, originator) {
    this.sessions.push(session);
    this.now = session;
    session.on('progress', e => e.originator === 'remote' && note('ringing'));
    session.on('confirmed', () => note('answered'));
    session.on('ended', e => note('ended', e.cause));
    session.on('failed', e => note('failed', e.cause));
    session.on('hold', e => note('hold', e.originator));
    session.on('unhold', e => note('unhold', e.originator));
    session.on('newDTMF', e => e.originator === 'remote' && note('dtmf', e.dtmf.tone));
    session.on('refer', e => {
      note('referred', e.request.refer_to.uri.user);
      e.accept(null, { mediaConstraints: { audio: true, video: false }, pcConfig: pcConfig(this.options) });
    });
    session.on('replaces', e => e.accept());
    session.on('sdp', e => e.originator === 'local' && e.type === 'offer' && note('offered'));
    if (originator === 'remote') note('incoming', session.remote_identity.uri.user);
  }
  register() { this.ua.register(); }
  unregister() { this.ua.unregister(); }
  call(to) {
    const target = to.includes('@') ? `sip:${to}` : `sip:${to}@${this.options.domain}`;
    const sessionTimersExpires = this.options.timer;
    this.ua.call(target, { sessionTimersExpires, mediaConstraints: { audio: true, video: false }, pcConfig: pcConfig(this.options) });
  }
  answer() { this.now.answer({ mediaConstraints: { audio: true, video: false }, pcConfig: pcConfig(this.options) }); }
  reject(code) { this.now.terminate({ status_code: code }); }
  hangup() { this.now.terminate(); }
  hangup_first() { this.sessions[0].terminate(); }
  hold() { return new Promise(done => this.now.hold({}, done)); }
  unhold() { return new Promise(done => this.now.unhold({}, done)); }
  dtmf(tone) { this.now.sendDTMF(tone, { transportType: 'INFO' }); }
  transfer(to) {
    this.now.refer(`sip:${to}@${this.options.domain}`, {
      eventHandlers: { requestSucceeded: () => note('refer taken'), accepted: () => note('transferred'), failed: () => note('transfer failed') },
    });
  }
  // The first call's party gets the second's.
  attend() {
    const [first, second] = this.sessions;
    first.refer(second.remote_identity.uri, {
      replaces: second, eventHandlers: { accepted: () => note('transferred'), failed: () => note('transfer failed') },
    });
  }
  text(to, body) {
    this.ua.sendMessage(`sip:${to}@${this.options.domain}`, body, {
      eventHandlers: { succeeded: () => note('told'), failed: e => note('not told', e.response ? e.response.status_code : e.cause) },
    });
  }
  cut() { this.ua.transport.socket._ws.close(); }
  pc() { return this.now.connection; }
}

class SipJsPhone {
  constructor(options) {
    this.options = options;
    const settings = {
      uri: SIP.UserAgent.makeURI(`sip:${options.name}@${options.domain}`), transportOptions: { server: options.url }, logLevel: 'error',
      authorizationUsername: options.name, authorizationPassword: options.password || '', sipExtensionReplaces: 'Supported',
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: pcConfig(options), iceGatheringTimeout: 5000 },
      delegate: {
        onConnect: () => note('connected'),
        onDisconnect: () => note('disconnected'),
        onInvite: session => { this.take(session); note('incoming', session.remoteIdentity.uri.user); },
        onMessage: message => { note('text', `${message.request.from.uri.user}: ${message.request.body}`); message.accept(); },
      },
    };
    this.extraHeaders = options.token ? [`Authorization: Bearer ${options.token}`] : [];
    this.ua = new SIP.UserAgent(settings);
    this.sessions = [];
    this.started = this.ua.start();
    this.registerer = new SIP.Registerer(this.ua, { extraHeaders: this.extraHeaders });
    this.registerer.stateChange.addListener(state => note(state === 'Registered' ? 'registered' : state.toLowerCase()));
  }
  take(session) {
    this.sessions.push(session);
    this.now = session;
    session.stateChange.addListener(state => {
      if (state === SIP.SessionState.Established) note('answered');
      if (state === SIP.SessionState.Terminated) note('ended');
    });
    session.delegate = {
      onInfo: info => { const tone = /Signal=\s*(\S)/.exec(info.request.body); info.accept(); note('dtmf', tone ? tone[1] : info.request.body); },
      onRefer: referral => {
        referral.accept().then(() => {
          const inviter = referral.makeInviter();
          this.take(inviter);
          note('referred', inviter.request.to.uri.user);
          inviter.invite();
        });
      },
      onInvite: request => note('reinvite', /a=(sendonly|inactive)/.test(request.body) ? 'hold' : 'unhold'),
    };
  }
  async register() {
    await this.started;
    await this.registerer.register({ requestDelegate: { onReject: r => note('refused', r.message.statusCode) } });
  }
  async unregister() { await this.registerer.unregister(); }
  async call(to) {
    await this.started;
    const target = SIP.UserAgent.makeURI(to.includes('@') ? `sip:${to}` : `sip:${to}@${this.options.domain}`);
    const session = new SIP.Inviter(this.ua, target, { extraHeaders: this.extraHeaders, sessionDescriptionHandlerOptions: { constraints: { audio: true, video: false } } });
    this.take(session);
    await session.invite({ requestDelegate: {
      onProgress: response => response.message.statusCode === 180 && note('ringing'),
      onReject: response => note('failed', response.message.statusCode),
    } });
  }
  answer() { return this.now.accept({ sessionDescriptionHandlerOptions: { constraints: { audio: true, video: false } } }); }
  reject(code) { return this.now.reject({ statusCode: code }); }
  hangup() {
    if (this.now.state === SIP.SessionState.Established) return this.now.bye();
    return this.now.cancel ? this.now.cancel() : this.now.reject();
  }
  hangup_first() { return this.sessions[0].bye(); }
  async again(hold) {
    const done = new Promise(done => {
      this.now.sessionDescriptionHandlerOptionsReInvite = { ...this.now.sessionDescriptionHandlerOptionsReInvite, hold };
      this.now.invite({ requestDelegate: { onAccept: () => done('accepted'), onReject: r => done(r.message.statusCode) } });
    });
    return done;
  }
  hold() { return this.again(true); }
  unhold() { return this.again(false); }
  dtmf(tone) {
    return this.now.info({ requestOptions: { body: { contentDisposition: 'render', contentType: 'application/dtmf-relay', content: `Signal=${tone}\r\nDuration=100` } } });
  }
  transfer(to) {
    const target = SIP.UserAgent.makeURI(`sip:${to}@${this.options.domain}`);
    return this.now.refer(target, { requestDelegate: { onAccept: () => note('refer taken') },
      onNotify: n => { n.accept(); if (/SIP\/2.0 200/.test(n.request.body)) note('transferred'); } });
  }
  // The first call's party gets the second's.
  attend() {
    const [first, second] = this.sessions;
    return first.refer(second, { requestDelegate: { onAccept: () => note('refer taken') },
      onNotify: n => { n.accept(); if (/SIP\/2.0 200/.test(n.request.body)) note('transferred'); } });
  }
  text(to, body) {
    const messager = new SIP.Messager(this.ua, SIP.UserAgent.makeURI(`sip:${to}@${this.options.domain}`), body, 'text/plain', { extraHeaders: this.extraHeaders });
    return messager.message({ requestDelegate: { onAccept: () => note('told'), onReject: r => note('not told', r.message.statusCode) } });
  }
  cut() { this.ua.transport._ws.close(); }
  pc() { return this.now.sessionDescriptionHandler.peerConnection; }
}

// Both versions of Aculab's library. They take their ICE servers from the server; `relay` has every connection forced
// through them.
class AculabPhone {
  constructor(options, Client) {
    this.options = options;
    const Plain = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Plain {
      constructor(config) { super({ ...config, iceTransportPolicy: 'relay' }); globalThis.lastPc = this; }
    };
    this.client = new Client(options.cloud, options.key, options.name, 0);
    this.client._ua.transport.configuration.server = options.url;
    this.client.onIncomingState = state => note(state.ready ? 'registered' : 'refused', state.cause);
    this.client.onIncoming = incoming => {
      this.take(incoming.call);
      note('incoming', incoming.from);
      note('kind', incoming.type);
    };
  }
  take(call) {
    this.now = call;
    call.onRinging = () => note('ringing');
    call.onConnected = () => note('answered');
    call.onDisconnect = end => note('ended', end.cause);
    call.onMedia = () => note('media');
    call.onMediaRemove = () => note('media gone');
  }
  register() { this.client.enableIncoming(this.options.token); }
  unregister() { this.client.disableIncoming(); }
  call(to, token) { this.take(this.client.callClient(to, token || this.options.token, { constraints: { audio: true, video: false } })); }
  service(name) { this.take(this.client.callService(name, { constraints: { audio: true, video: false } })); }
  answer() { this.now.answer({ constraints: { audio: true, video: false } }); }
  // With streams of the page's own, to which others can be added.
  async streams() {
    this.sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.picture = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
    return { localStreams: [this.sound, this.picture], receiveAudio: true, receiveVideo: true };
  }
  async call_open(to) { this.take(this.client.callClient(to, this.options.token, await this.streams())); }
  // The library takes a picture only where it gives one.
  async answer_open() { this.now.answer(await this.streams()); }
  // One change at a time.
  settled() { return until(() => this.now._signaling_stable); }
  async add_video() { await this.settled(); this.now.addStream(this.picture); }
  async remove_video() { await this.settled(); this.now.removeStream(this.picture); }
  mute(is_muted) { this.now.mute(is_muted, false, is_muted, false); }
  dtmf(tones) { this.now.sendDtmf(tones); }
  token(token) { this.options.token = token; }
  reject(code) { this.now.reject(code); }
  hangup() { this.now.disconnect(); }
  cut() { this.client._ua.transport._ws.close(); }
  pc() { return globalThis.lastPc; }
}

const kinds = {
  jssip: JsSipPhone, sipjs: SipJsPhone,
  aculab4: class extends AculabPhone { constructor(options) { super(options, Aculab4.AculabCloudClient); } },
  aculab3: class extends AculabPhone { constructor(options) { super(options, Aculab3.AculabCloudClient); } },
};
globalThis.open = (kind, options) => { globalThis.phone = new kinds[kind](options); };
