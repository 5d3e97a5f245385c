/** A STUN or TURN URL, taken apart. Source: RFC 7064 §3, RFC 7065 §3. */
export interface RelayUrl {
  url: string;
  host: string;
  port: number;
  /** How a browser reaches it. Browsers have no DTLS: they speak plain UDP to the port of a `turns:` URL over UDP. */
  way: "stun" | "udp" | "tcp" | "tls";
}

export function parseRelayUrl(url: string): RelayUrl | undefined {
  const parts = /^(stun|stuns|turn|turns):(\[[^\]]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(udp|tcp))?$/.exec(url);
  const [, scheme, host] = parts ?? [];
  if (!parts || !scheme || !host) return undefined;
  const isSecure = scheme.endsWith("s");
  const port = parts[3] ? Number(parts[3]) : isSecure ? 5349 : 3478;
  const transport = parts[4] ?? (scheme === "turns" ? "tcp" : "udp");
  const way = scheme.startsWith("stun") ? "stun" : transport === "udp" ? "udp" : isSecure ? "tls" : "tcp";
  return { url, host, port, way };
}

export const WAY_TEXT: Record<RelayUrl["way"], string> = {
  stun: "STUN over UDP",
  udp: "TURN over UDP",
  tcp: "TURN over TCP",
  tls: "TURN over TLS",
};
