// The errors that need a server with tight limits, and an offer over HTTP, with the SDK v3.   node limits.mjs HTTPS WSS
import {Role, SignalingClient, control, credentials, event, refusal, region, signaling} from './common.mjs';

const [url, channelEndpoint] = process.argv.slice(2);
const kvs = control(url);
const data = signaling(url);
const out = {};

const {ChannelARN: channelARN} = await kvs.createSignalingChannel({
  ChannelName: 'js-limits', SingleMasterConfiguration: {MessageTtlSeconds: 5},
});
const open = async (role, clientId) => {
  const client = new SignalingClient({channelARN, channelEndpoint, role, clientId, region, credentials: credentials('admin')});
  const opened = event(client, 'open');
  client.open();
  await opened;
  return client;
};

// A viewer whose connection outlives its time.
const viewer = await open(Role.VIEWER, 'js-viewer');
const closed = event(viewer, 'close');

out.channels = await refusal(kvs.createSignalingChannel({ChannelName: 'one-too-many'}));
const asked = await Promise.all(Array.from({length: 12}, () =>
  data.getIceServerConfig({ChannelARN: channelARN}).then(() => 'fine', error => error)));
out.fine = asked.filter(answer => answer === 'fine').length;
out.rate = await refusal(Promise.reject(asked.find(answer => answer !== 'fine')));

// The master answers an offer that came over HTTP.
const master = await open(Role.MASTER);
const offered = event(master, 'sdpOffer');
const encode = description => Buffer.from(JSON.stringify(description)).toString('base64');
const offer = {ChannelARN: channelARN, SenderClientId: 'alexa', MessagePayload: encode({type: 'offer', sdp: 'v=0'})};
const answered = data.sendAlexaOfferToMaster(offer);
const [description, from] = await offered;
master.sendSdpAnswer({type: 'answer', sdp: description.sdp}, from);
out.alexa = JSON.parse(Buffer.from((await answered).Answer, 'base64'));
out.from = from;
out.storage = await refusal(kvs.updateMediaStorageConfiguration({
  ChannelARN: channelARN, MediaStorageConfiguration: {Status: 'ENABLED', StreamARN: channelARN.replace('channel', 'stream')},
}));
out.large = await refusal(kvs.tagResource({ResourceARN: channelARN, Tags: [{Key: 'k', Value: 'x'.repeat(200_000)}]}));
out.token = await refusal(control(url, 'expired').listSignalingChannels({}));
out.session = await refusal(control(url, 'tokenless').listSignalingChannels({}));
await closed;
out.expired = await refusal(data.getIceServerConfig({ChannelARN: channelARN, ClientId: 'js-viewer'}));
master.close();
out.nobody = await refusal(data.sendAlexaOfferToMaster(offer));
console.log(JSON.stringify(out));
process.exit(0);
