// A page that registers with causeway, calls, and is called. The server is that of `make run`; ?server=HOST:PORT is another one.
import JsSIP from 'jssip';

const server = new URLSearchParams(location.search).get('server') ?? '127.0.0.1:8080';
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const DOMAIN = 'example.test'; // anything: users of causeway's default project have no domain of their own
const element = id => document.getElementById(id);

let phone = null;
let session = null;

const say = text => (element('state').value = text);

/** What the API answered when it was asked for credentials: a file here, in an application an answer of your backend. */
const iceServers = async () => (await (await fetch('ice.json')).json()).iceServers;

function show(ringsHere) {
  element('answer').hidden = !ringsHere;
  element('end').hidden = session === null;
}

function follow(next, name, ringsHere) {
  session = next;
  session.on('progress', event => event.originator === 'remote' && say(`${name} is rung.`));
  session.on('confirmed', () => { say(`Talking to ${name}.`); show(false); });
  session.on('peerconnection', ({ peerconnection }) => play(peerconnection));
  const over = text => { say(text); session = null; show(false); };
  session.on('ended', ({ cause }) => over(`Over: ${cause}.`));
  session.on('failed', ({ cause }) => over(`No call: ${cause}.`));
  show(ringsHere);
}

function play(connection) {
  connection.addEventListener('track', ({ streams }) => (element('sound').srcObject = streams[0]));
}

element('register').addEventListener('submit', event => {
  event.preventDefault();
  phone?.stop();
  const { name, password } = event.target.elements;
  phone = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(`${scheme}://${server}/sip`)],
    uri: `sip:${name.value}@${DOMAIN}`,
    password: password.value,
  });
  phone.on('disconnected', () => say(`There is no connection to ${server}.`));
  phone.on('registered', () => say(`Registered as ${name.value}.`));
  phone.on('registrationFailed', ({ cause }) => say(`Not registered: ${cause}.`));
  phone.on('newRTCSession', ({ session: next, originator }) => {
    if (originator !== 'remote') return;
    if (session) return next.terminate({ status_code: 486 });
    const caller = next.remote_identity.uri.user;
    say(`${caller} calls.`);
    follow(next, caller, true);
  });
  phone.start();
});

element('call').addEventListener('submit', async event => {
  event.preventDefault();
  if (!phone || session) return;
  const callee = event.target.elements.callee.value;
  const made = phone.call(`sip:${callee}@${DOMAIN}`, { mediaConstraints: { audio: true }, pcConfig: { iceServers: await iceServers() } });
  follow(made, callee, false);
  play(made.connection);
});

element('answer').addEventListener('click', async () => {
  session?.answer({ mediaConstraints: { audio: true }, pcConfig: { iceServers: await iceServers() } });
});

element('end').addEventListener('click', () => session?.terminate());
