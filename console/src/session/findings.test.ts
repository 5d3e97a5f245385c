import { expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { findingsOf } from "./findings";

type Detail = Schemas["SessionDetail"];

const session = (more: Partial<Detail>) =>
  ({
    transport: "tls",
    moves: 0,
    refusals: 0,
    peers: [{ address: "198.51.100.7:9" }],
    firstSentMs: 100,
    firstHeardMs: 300,
    udpUnansweredMs: null,
    ...more,
  }) as Detail;

it.each<[Partial<Detail>, string[]]>([
  [{}, ["good Data flowed both ways after 300 ms."]],
  [{ peers: [] }, ["bad The client let no peer in, so nothing could reach it."]],
  [{ firstSentMs: null, firstHeardMs: null }, ["bad No data went through in either direction."]],
  [{ firstHeardMs: null }, ["bad The client sent, but nothing came from a peer."]],
  [{ firstSentMs: null }, ["bad Peers sent, but the client sent nothing through the relay."]],
])("%#", (more, expected) => {
  expect(findingsOf(session(more)).map((finding) => `${finding.tone} ${finding.text}`)).toEqual(expected);
});

it("tells of blocked UDP, of wandering and of refusals", () => {
  const texts = findingsOf(session({ udpUnansweredMs: 2000, moves: 2, refusals: 1 })).map((finding) => finding.text);
  expect(texts[0]).toMatch(/UDP was tried 2.0 s before.*over TLS/);
  expect(texts[1]).toMatch(/2 times/);
  expect(texts[3]).toMatch(/1 request/);
});
