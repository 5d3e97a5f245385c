// An OpenID provider that is certified, with people who are whoever they say they are. One argument, as JSON:
// port, clientId, clientSecret, redirectUri, algorithm, emailInIdToken. Says "ready" when it answers.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const options = JSON.parse(process.argv[2]);
const issuer = `http://localhost:${options.port}`;
const people = new Map();

function key() {
  const kinds = {
    RS256: ["rsa", { modulusLength: 2048 }],
    ES256: ["ec", { namedCurve: "P-256" }],
    EdDSA: ["ed25519", {}],
  };
  const { privateKey } = generateKeyPairSync(...kinds[options.algorithm]);
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: options.algorithm };
}

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: options.clientId,
      client_secret: options.clientSecret,
      redirect_uris: [options.redirectUri],
      id_token_signed_response_alg: options.algorithm,
    },
  ],
  jwks: { keys: [key()] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: !options.emailInIdToken,
  features: { devInteractions: { enabled: false } },
  enabledJWA: { idTokenSigningAlgValues: [options.algorithm] },
  pkce: { required: () => true },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people.get(id) }) }),
  // Nobody is asked what the console may know.
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});

const page = (path) => `<!doctype html><title>Example ID</title><h1>Example ID</h1><form method="post" action="${path}">
<label>Subject <input name="sub"></label><label>E-mail <input name="email"></label>
<label>Verified <input type="checkbox" name="verified"></label>
<button name="answer" value="yes">Continue</button><button name="answer" value="no">Cancel</button></form>`;

const oidc = provider.callback();

async function answer(request, response) {
  const { pathname } = new URL(request.url, issuer);
  if (!pathname.startsWith("/sign-in/")) return oidc(request, response);
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html");
    return response.end(page(pathname));
  }
  let body = "";
  for await (const part of request) body += part;
  const form = new URLSearchParams(body);
  if (form.get("answer") !== "yes") {
    return provider.interactionFinished(request, response, { error: "access_denied", error_description: "no" });
  }
  const email = form.get("email");
  people.set(form.get("sub"), { email, email_verified: form.has("verified"), name: `${form.get("sub")} at Example ID` });
  return provider.interactionFinished(request, response, { login: { accountId: form.get("sub"), remember: false } });
}

const { createServer } = await import("node:http");
createServer(answer).listen(options.port, "127.0.0.1", () => console.log("ready"));
