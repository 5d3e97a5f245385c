// Commands on a parked call with the official package: what cannot be done is refused, the call is sent to a user.
import Telnyx from 'telnyx';

const client = new Telnyx({maxRetries: 0});
const [id, to, state] = process.argv.slice(2);
const failure = async promise => {
  try {
    await promise;
    return null;
  } catch (error) {
    return [error.status, error.error?.errors?.[0]?.code];
  }
};
const seen = {};
seen.status = (await client.calls.retrieveStatus(id)).data;
seen.answer = await failure(client.calls.actions.answer(id, {}));
seen.speak = await failure(client.calls.actions.speak(id, {payload: 'hello', voice: 'female'}));
seen.dial = await failure(client.calls.dial({connection_id: '1', to: 'sip:a@b', from: 'c'}));
seen.unknown = await failure(client.calls.actions.hangup('v3:00000000-0000-4000-8000-000000000000', {}));
seen.badState = await failure(client.calls.actions.updateClientState(id, {client_state: 'not base64!'}));
seen.nowhere = await failure(client.calls.actions.transfer(id, {to: 'sip:@', command_id: 'once'}));
seen.state = (await client.calls.actions.updateClientState(id, {client_state: state})).data;
seen.transfer = (await client.calls.actions.transfer(id, {to, command_id: 'once'})).data;
seen.again = (await client.calls.actions.transfer(id, {to: 'nobody', command_id: 'once'})).data;
console.log(JSON.stringify(seen));
