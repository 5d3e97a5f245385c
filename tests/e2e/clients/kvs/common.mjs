// What every script of this folder needs: the clients as published, and keys from the environment.
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
// Node 20 has no WebSocket of its own; the signalling client takes this one.
globalThis.WebSocket ??= require('ws');

export const {KinesisVideo} = require('@aws-sdk/client-kinesis-video');
export const {KinesisVideoSignaling} = require('@aws-sdk/client-kinesis-video-signaling');
export const {Role, SignalingClient} = require('amazon-kinesis-video-streams-webrtc');

export const region = 'us-west-2';

export const credentials = preset => {
  const [accessKeyId, secretAccessKey, sessionToken] = JSON.parse(process.env.KVS_KEYS)[preset];
  return {accessKeyId, secretAccessKey, ...(sessionToken && {sessionToken})};
};

export const control = (endpoint, preset = 'admin') =>
  new KinesisVideo({region, endpoint, credentials: credentials(preset), maxAttempts: 1});

export const signaling = (endpoint, preset = 'admin') =>
  new KinesisVideoSignaling({region, endpoint, credentials: credentials(preset), maxAttempts: 1});

// Name, status and text of the error a call ends with.
export const refusal = async call => {
  try {
    await call;
  } catch (error) {
    return {name: error.name, status: error.$metadata?.httpStatusCode, message: error.message, id: error.$metadata?.requestId};
  }
  throw new Error('the call was answered');
};

// The next event of a name, or an error after ten seconds.
export const event = (emitter, name) =>
  new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`no ${name} within ten seconds`)), 10_000);
    emitter.once(name, (...values) => (clearTimeout(timer), done(values)));
  });
