/** Commands the console shows, with the address it was opened at. */

export function mintCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/api/v1/credentials/ice \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" \\`,
    `  -d room=demo -d initiator_client=alice -d receiver_client=bob \\`,
    `  -d client_type=initiator -d ttl=600`,
  ].join("\n");
}

export function tokenCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/api/v1/tokens \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" -H "Content-Type: application/json" \\`,
    `  -d '{"name":"my application","scopes":["credentials"]}'`,
  ].join("\n");
}

export function accessKeyCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/api/v1/aws/access-keys \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" -H "Content-Type: application/json" \\`,
    `  -d '{"name":"front door","preset":"master","channel":"cam-*"}'`,
  ].join("\n");
}

export function webhookCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/api/v1/webhooks \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" -H "Content-Type: application/json" \\`,
    `  -d '{"url":"https://example.com/hook","events":["session.ended"]}'`,
  ].join("\n");
}

export function clientTokenCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/api/v1/client-tokens \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" -H "Content-Type: application/json" \\`,
    `  -d '{"clientId":"alice","callees":["*"]}'`,
  ].join("\n");
}

export function voiceConnectionCommand(): string {
  return [
    `curl -X POST ${window.location.origin}/v2/credential_connections \\`,
    `  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" -H "Content-Type: application/json" \\`,
    `  -d '{"connection_name":"web","user_name":"webphones","password":"a long password"}'`,
  ].join("\n");
}
