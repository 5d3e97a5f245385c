// Connections, credentials and tokens with the official package; prints what it saw.
import Telnyx from 'telnyx';

const client = new Telnyx({maxRetries: 0});
const failure = async promise => {
  try {
    await promise;
    return null;
  } catch (error) {
    return {name: error.constructor.name, status: error.status, code: error.error?.errors?.[0]?.code};
  }
};
const seen = {};
const connection = (await client.credentialConnections.create({
  connection_name: 'from node', user_name: 'fromnode1', password: 'Password1',
  inbound: {simultaneous_ringing: 'enabled'}, sip_uri_calling_preference: 'internal',
})).data;
seen.connection = connection;
seen.retrieved = (await client.credentialConnections.retrieve(connection.id)).data;
seen.updated = (await client.credentialConnections.update(connection.id, {connection_name: 'renamed'})).data;
seen.listed = [];
for await (const one of client.credentialConnections.list({filter: {connection_name: {contains: 'renam'}}})) seen.listed.push(one.id);
seen.duplicate = await failure(client.credentialConnections.create(
  {connection_name: 'again', user_name: 'fromnode1', password: 'Password1'}));
seen.short = await failure(client.credentialConnections.create({connection_name: 'x', user_name: 'abcde', password: 'short'}));
seen.missing = await failure(client.credentialConnections.retrieve('999999'));

const ids = [];
for (let n = 0; n < 5; n++) {
  const body = {connection_id: connection.id, name: `user ${n}`, tag: n % 2 ? 'odd' : 'even'};
  ids.push((await client.telephonyCredentials.create(body)).data.id);
}
const pages = [];
for await (const one of client.telephonyCredentials.list({page: {size: 2}, filter: {resource_id: `connection:${connection.id}`}})) {
  pages.push(one.id);
}
seen.paged = pages.length === 5 && ids.every(id => pages.includes(id));
seen.tagged = [];
for await (const one of client.telephonyCredentials.list({filter: {tag: 'odd'}})) seen.tagged.push(one.name);
seen.credential = (await client.telephonyCredentials.update(ids[0], {name: 'first', expires_at: '2099-01-01T00:00:00Z'})).data;
seen.token = await client.telephonyCredentials.createToken(ids[0]);
await client.telephonyCredentials.delete(ids[1]);
seen.deleted = await failure(client.telephonyCredentials.retrieve(ids[1]));
seen.noConnection = await failure(client.telephonyCredentials.create({connection_id: '12345678'}));

const application = (await client.callControlApplications.create(
  {application_name: 'backend', webhook_event_url: 'https://example.com/hook'})).data;
seen.application = application.record_type;
await client.callControlApplications.delete(application.id);
seen.gone = await failure(client.callControlApplications.retrieve(application.id));
const stranger = new Telnyx({apiKey: 'cwp_nothing', maxRetries: 0});
seen.stranger = await failure(stranger.credentialConnections.list());
await client.credentialConnections.delete(connection.id);
seen.cascaded = await failure(client.telephonyCredentials.retrieve(ids[0]));
console.log(JSON.stringify(seen));
