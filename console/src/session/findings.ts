import type { Schemas } from "../api/client";
import { formatDuration, plural } from "../lib/format";
import type { Tone } from "../ui/note";

type Detail = Schemas["SessionDetail"];

export interface Finding {
  tone: Tone;
  text: string;
}

/** What a session's figures tell about the client's network and about how the call went. */
export function findingsOf(session: Detail): Finding[] {
  const found: Finding[] = [];
  const add = (tone: Tone, text: string) => found.push({ tone, text });
  const over = session.transport.toUpperCase();
  if (session.udpUnansweredMs != null) {
    add(
      "warn",
      `UDP was tried ${formatDuration(session.udpUnansweredMs)} before and went unanswered, so the client came over ${over}: its network blocks UDP.`,
    );
  }
  if (session.moves > 0) {
    add(
      "warn",
      `The client came back from another address ${plural(session.moves, "time")}: it changed networks, or its NAT forgets fast.`,
    );
  }
  if (session.peers.length === 0) add("bad", "The client let no peer in, so nothing could reach it.");
  else if (session.firstSentMs == null && session.firstHeardMs == null) {
    add("bad", "No data went through in either direction.");
  } else if (session.firstHeardMs == null) add("bad", "The client sent, but nothing came from a peer.");
  else if (session.firstSentMs == null) add("bad", "Peers sent, but the client sent nothing through the relay.");
  else {
    const both = Math.max(session.firstSentMs, session.firstHeardMs);
    add("good", `Data flowed both ways after ${formatDuration(both)}.`);
  }
  if (session.refusals > 0) {
    add("warn", `${plural(session.refusals, "request")} of this session met a refusal: a peer or a limit.`);
  }
  return found;
}
