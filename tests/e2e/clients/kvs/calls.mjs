// Every operation, and every error it can have, with the AWS SDK for JavaScript v3.   node calls.mjs URL
import {control, refusal, signaling} from './common.mjs';

const [url] = process.argv.slice(2);
const kvs = control(url);
const out = {};

const {ChannelARN: arn} = await kvs.createSignalingChannel({
  ChannelName: 'js-calls', SingleMasterConfiguration: {MessageTtlSeconds: 30}, Tags: [{Key: 'a', Value: '1'}],
});
const {ChannelInfo: info} = await kvs.describeSignalingChannel({ChannelName: 'js-calls'});
out.info = {...info, CreationTime: info.CreationTime.getTime()};
out.arn = arn;
const list = await kvs.listSignalingChannels({ChannelNameCondition: {ComparisonOperator: 'BEGINS_WITH', ComparisonValue: 'js-'}});
out.listed = list.ChannelInfoList.map(channel => channel.ChannelName);
await kvs.updateSignalingChannel({
  ChannelARN: arn, CurrentVersion: info.Version, SingleMasterConfiguration: {MessageTtlSeconds: 60},
});
await kvs.tagResource({ResourceARN: arn, Tags: [{Key: 'b', Value: '2'}]});
await kvs.untagResource({ResourceARN: arn, TagKeyList: ['a']});
out.tags = (await kvs.listTagsForResource({ResourceARN: arn})).Tags;
const {ResourceEndpointList} = await kvs.getSignalingChannelEndpoint({
  ChannelARN: arn, SingleMasterChannelEndpointConfiguration: {Protocols: ['WSS', 'HTTPS'], Role: 'VIEWER'},
});
out.endpoints = Object.fromEntries(ResourceEndpointList.map(e => [e.Protocol, e.ResourceEndpoint]));
out.storage = (await kvs.describeMediaStorageConfiguration({ChannelARN: arn})).MediaStorageConfiguration.Status;
out.ice = (await signaling(out.endpoints.HTTPS).getIceServerConfig({ChannelARN: arn, ClientId: 'v', Service: 'TURN'})).IceServerList;

const viewer = control(url, 'viewer');
out.errors = {
  exists: await refusal(kvs.createSignalingChannel({ChannelName: 'js-calls'})),
  invalid: await refusal(kvs.createSignalingChannel({ChannelName: 'a b'})),
  stale: await refusal(kvs.deleteSignalingChannel({ChannelARN: arn, CurrentVersion: info.Version})),
  denied: await refusal(viewer.deleteSignalingChannel({ChannelARN: arn})),
  tags: await refusal(kvs.tagResource({ResourceARN: arn, Tags: Array.from({length: 51}, (_, i) => ({Key: `k${i}`, Value: ''}))})),
  iceMissing: await refusal(signaling(url).getIceServerConfig({ChannelARN: arn.replace('js-calls', 'js-none')})),
  iceDenied: await refusal(signaling(url, 'describe').getIceServerConfig({ChannelARN: arn})),
  iceClient: await refusal(signaling(url).getIceServerConfig({ChannelARN: arn, ClientId: 'AWS_me'})),
  iceInvalid: await refusal(signaling(url).getIceServerConfig({ChannelARN: arn, Service: 'STUN'})),
  unknownKey: await refusal(control(url, 'unknown').listSignalingChannels({})),
  wrongSecret: await refusal(control(url, 'wrong').listSignalingChannels({})),
};
await kvs.deleteSignalingChannel({ChannelARN: arn});
out.errors.gone = await refusal(kvs.describeSignalingChannel({ChannelARN: arn}));
console.log(JSON.stringify(out));
