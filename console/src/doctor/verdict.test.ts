import { describe, expect, it } from "vitest";
import { parseRelayUrl, type RelayUrl } from "./url";
import { summaryOf, verdictOf, type Finding } from "./verdict";

function url(text: string): RelayUrl {
  const parsed = parseRelayUrl(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

const UDP = url("turn:turn.example.net:3478?transport=udp");
const TCP = url("turn:turn.example.net?transport=tcp");
const TLS = url("turns:turn.example.net:443?transport=tcp");
const STUN = url("stun:turn.example.net:3478");
const works = (of: RelayUrl, more: Partial<Finding> = {}): Finding => ({
  url: of,
  candidateMs: 20,
  address: "203.0.113.7",
  errors: [],
  isConnected: true,
  roundTripMs: 12,
  bitsPerSecond: 8e6,
  ...more,
});
const fails = (of: RelayUrl, code = 701, text = "TURN allocate request timed out."): Finding => ({
  url: of,
  errors: [{ code, text }],
});

describe("parseRelayUrl", () => {
  it.each([
    ["stun:a:1", "stun", 1],
    ["turn:a", "udp", 3478],
    ["turn:a:1?transport=tcp", "tcp", 1],
    ["turns:a", "tls", 5349],
    ["turns:a:443?transport=udp", "udp", 443],
    ["turns:[2001:db8::1]:443?transport=tcp", "tls", 443],
  ])("%s", (text, way, port) => {
    const parsed = parseRelayUrl(text);
    expect([parsed?.way, parsed?.port]).toEqual([way, port]);
  });

  it("takes nothing else", () => expect(parseRelayUrl("javascript:alert(1)")).toBeUndefined());
});

describe("verdictOf", () => {
  it.each([
    [works(UDP), "good", /works: a round trip takes 12 ms, 8.00 Mbit\/s/, /^$/],
    [works(STUN), "good", /203.0.113.7/, /^$/],
    [works(UDP, { roundTripMs: 400 }), "warn", /works/, /nearer/],
    [works(UDP, { bitsPerSecond: 1e5 }), "warn", /works/, /max_bitrate/],
    [works(UDP, { isConnected: false }), "bad", /nothing got from one relayed/, /relay_ports/],
    [fails(UDP), "bad", /Nothing came back over UDP/, /Open UDP 3478/],
    [fails(TCP), "bad", /No TCP connection/, /Open TCP 3478/],
    [fails(TLS), "bad", /No TLS connection/, /certificate/],
    [fails(TLS, 701, "TURN host lookup received error."), "bad", /does not resolve/, /DNS/],
    [fails(UDP, 401, "Unauthorized"), "bad", /refused a credential/, /clock/],
    [fails(UDP, 486, "Allocation Quota Reached"), "bad", /quota/, /raise/],
  ])("%#", (finding, tone, sentence, advice) => {
    const verdict = verdictOf(finding);
    expect(verdict.tone).toBe(tone);
    expect(verdict.sentence).toMatch(sentence);
    expect(verdict.advice).toMatch(advice);
  });
});

describe("summaryOf", () => {
  it.each([
    [[works(UDP), works(TCP), works(TLS)], "good", /over UDP, TCP and TLS/],
    [[fails(UDP), works(TLS)], "warn", /only over TLS/],
    [[fails(UDP), fails(TLS), works(STUN)], "bad", /No way/],
    [[works(STUN)], "bad", /no TURN URL/],
  ])("%#", (findings, tone, sentence) => {
    const summary = summaryOf(findings);
    expect(summary.tone).toBe(tone);
    expect(summary.sentence).toMatch(sentence);
  });
});
