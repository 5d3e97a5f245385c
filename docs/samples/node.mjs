// Gets an ICE credential with Node's own fetch and prints the answer. Run: node node.mjs
// Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
const { CAUSEWAY_URL, CAUSEWAY_API_TOKEN } = process.env;

async function iceCredential(parameters) {
  const response = await fetch(`${CAUSEWAY_URL}/api/v1/credentials/ice`, {
    method: "POST",
    headers: { Authorization: `Bearer ${CAUSEWAY_API_TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify(parameters),
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`no credential: ${response.status} ${await response.text()}`);
  return response.json(); // { iceServers, expiresAt, region }; a browser takes iceServers as they are
}

const answer = await iceCredential({ room: "demo-room", initiator_client: "alice", receiver_client: "bob", ttl: 600 });
console.log(JSON.stringify(answer));
