// A whole exchange between the signalling client's master and viewers.   node exchange.mjs WSS ARN
import {Role, SignalingClient, credentials, event, region} from './common.mjs';

const [channelEndpoint, channelARN] = process.argv.slice(2);
const out = {};
const open = async (role, clientId, preset) => {
  const client = new SignalingClient({channelARN, channelEndpoint, role, clientId, region, credentials: credentials(preset)});
  const opened = event(client, 'open');
  client.open();
  await opened;
  return client;
};
const offer = {type: 'offer', sdp: `v=0 ${'x'.repeat(9000)}`};
const answer = {type: 'answer', sdp: 'v=0 answer'};
const candidate = {candidate: 'candidate:1 1 udp 1 192.0.2.1 1 typ host', sdpMid: '0', sdpMLineIndex: 0};

// The viewer comes first: its offer and candidates wait for the master.
const alice = await open(Role.VIEWER, 'alice', 'viewer');
alice.sendSdpOffer(offer);
alice.sendIceCandidate(candidate);
const masterRole = new SignalingClient({
  channelARN, channelEndpoint, role: Role.MASTER, region, credentials: credentials('master'),
});
const [offered, candidates] = [event(masterRole, 'sdpOffer'), event(masterRole, 'iceCandidate')];
masterRole.open();
const [gotOffer, offerFrom] = await offered;
out.offer = {same: gotOffer.sdp === offer.sdp, from: offerFrom};
const [gotCandidate, candidateFrom] = await candidates;
out.candidate = {same: gotCandidate.candidate === candidate.candidate, from: candidateFrom};

// The answer and the master's candidates come back, from nobody in particular.
const [answered, back] = [event(alice, 'sdpAnswer'), event(alice, 'iceCandidate')];
masterRole.sendSdpAnswer(answer, 'alice');
masterRole.sendIceCandidate(candidate, 'alice');
const [gotAnswer, answerFrom] = await answered;
out.answer = {same: gotAnswer.sdp === answer.sdp, from: answerFrom ?? null};
out.back = {from: (await back)[1] ?? null};

// A second viewer does not hear the first one.
const bob = await open(Role.VIEWER, 'bob', 'viewer');
let bobHeard = 0;
for (const name of ['sdpOffer', 'sdpAnswer', 'iceCandidate']) bob.on(name, () => bobHeard++);
const second = event(masterRole, 'sdpOffer');
bob.sendSdpOffer(offer);
out.second = (await second)[1];

// A failure is told under the name it was given.
const failed = event(masterRole, 'statusResponse');
const huge = {type: 'answer', sdp: 'x'.repeat(70_000)};
masterRole.sendSdpAnswer(huge, 'alice', 'name-1');
out.status = (await failed)[0];

// The newest connection of a client id wins; the earlier one is closed.
const closed = event(alice, 'close');
const alice2 = await open(Role.VIEWER, 'alice', 'viewer');
await closed;
const again = event(alice2, 'sdpAnswer');
masterRole.sendSdpAnswer(answer, 'alice');
out.takenOver = (await again)[0].sdp === answer.sdp;
out.bobHeard = bobHeard;

// A wrong secret is refused; browsers and this client see only that.
const wrong = new SignalingClient({channelARN, channelEndpoint, role: Role.MASTER, region, credentials: credentials('wrong')});
wrong.open();
out.refused = (await event(wrong, 'error'))[0] !== undefined;
for (const client of [masterRole, alice2, bob]) client.close();
console.log(JSON.stringify(out));
process.exit(0);
