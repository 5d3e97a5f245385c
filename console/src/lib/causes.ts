import { capitalised } from "./format";
import type { Tone } from "../ui/note";

/** What the causes of calls mean, for people, and how they look. */
const CAUSES: Record<string, [string, Tone]> = {
  normal: ["hung up", "good"],
  cancelled: ["given up by the caller", "neutral"],
  busy: ["busy", "neutral"],
  rejected: ["rejected", "neutral"],
  no_answer: ["no answer", "neutral"],
  timed_out: ["nobody reacted in time", "warn"],
  not_found: ["no such client", "warn"],
  not_registered: ["not registered", "warn"],
  forbidden: ["not allowed", "bad"],
  answered_elsewhere: ["answered elsewhere", "neutral"],
  connection_lost: ["connection lost", "bad"],
  incompatible_media: ["no media in common", "bad"],
  incomplete: ["sent too little", "bad"],
  gateway_timeout: ["no answer behind the client", "bad"],
  bad_gateway: ["no way on", "bad"],
  replaced: ["replaced by a transfer", "neutral"],
  administrative: ["ended by an operator", "neutral"],
  duration_limit: ["longest duration reached", "warn"],
  congestion: ["a limit was reached", "bad"],
  failure: ["failed", "bad"],
  shutdown: ["the server stopped", "warn"],
};

export const CAUSE_CHOICES: [string, string][] = [
  ["", "Any end"],
  ...Object.entries(CAUSES).map(([name, [text]]): [string, string] => [name, capitalised(text)]),
];

export function causeText(cause: string): string {
  return CAUSES[cause]?.[0] ?? cause.replaceAll("_", " ");
}

export function causeTone(cause: string): Tone {
  return CAUSES[cause]?.[1] ?? "neutral";
}
