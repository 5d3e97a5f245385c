// Node's fetch in the forms applications use, turnix-js's among them. Prints one JSON line per answer.
const url = `${process.env.CAUSEWAY_URL}/api/v1/credentials/ice`;
const Authorization = `Bearer ${process.env.CAUSEWAY_API_TOKEN}`;
const form = "application/x-www-form-urlencoded";
const json = "application/json";

async function ask(name, headers, body, query = "", more = {}) {
  const answer = await fetch(url + query, { method: "POST", headers: { Authorization, ...headers }, body, ...more });
  console.log(JSON.stringify({ name, status: answer.status, body: await answer.text() }));
}

const chunks = () => new ReadableStream({
  start(stream) {
    for (const part of ['{"room":', '"demo-room"', "}"]) stream.enqueue(new TextEncoder().encode(part));
    stream.close();
  },
});

await ask("turnix-js without options (c)", { "Content-Type": form }, new URLSearchParams({}).toString());
await ask("turnix-js with options (d)", { "Content-Type": form },
  new URLSearchParams({ room: "demo-room", initiator_client: "alice", receiver_client: "bob", ttl: 600 }).toString());
await ask("URLSearchParams sets the type (d)", {}, new URLSearchParams({ room: "demo-room" }));
await ask("JSON (e)", { "Content-Type": json }, JSON.stringify({ room: "demo-room", ttl: 600, receiver_client: null }));
await ask("empty JSON (e)", { "Content-Type": json }, "{}");
await ask("JSON type, no body (a)", { "Content-Type": json });
await ask("no body, no type (f)", {});
await ask("query (g)", {}, undefined, "?ttl=600&room=demo-room");
await ask("chunked JSON (e)", { "Content-Type": json }, chunks(), "", { duplex: "half" });
