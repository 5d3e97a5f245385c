import type { Schemas } from "../api/client";
import { reasonText } from "../lib/reasons";
import { capitalised, formatBytes, formatDuration } from "../lib/format";
import type { Tone } from "../ui/note";

type Entry = Schemas["TimelineEntry"];

export interface Told {
  title: string;
  detail: string;
  tone: Tone;
}

/** What an entry of a room's timeline says, in words. */
export function tell(entry: Entry): Told {
  const times = entry.count > 1 ? ` (${entry.count} times)` : "";
  const lasted = entry.durationMs == null ? "" : formatDuration(entry.durationMs);
  const told = (title: string, detail: string, tone: Tone = "neutral"): Told => ({
    title: title + times,
    detail,
    tone,
  });
  switch (entry.kind) {
    case "credential_minted":
      return told("Credential minted", lasted && `good for ${lasted}`);
    case "credential_revoked":
      return told("Credential revoked", "", "bad");
    case "credential_expired":
      return told("Credential expired", "opens nothing new from here on");
    case "allocated":
      return allocated(entry, lasted);
    case "refused":
      return told(`Refused: ${reasonText(entry.reason ?? "other")}`, refusedDetail(entry, lasted), "bad");
    case "peer_named":
      return told("Let a peer in", entry.address ?? "");
    case "peer_refused":
      return told("Peer refused", both(entry.address, entry.detail), "bad");
    case "peer_withdrawn":
      return told("Peer taken back", both(entry.address, entry.detail), "warn");
    case "first_data_sent":
      return told("First data to a peer", lasted && `${lasted} after the start`, "good");
    case "first_data_heard":
      return told("First data from a peer", lasted && `${lasted} after the start`, "good");
    case "refreshed":
      return told(
        lasted === "0 ms" ? "Gave the relay back" : "Refreshed",
        lasted === "0 ms" ? "" : `for another ${lasted}`,
      );
    case "path_changed":
      return told(
        "Came back from another address",
        entry.detail ? `${entry.detail} → ${entry.address ?? ""}` : (entry.address ?? ""),
        "warn",
      );
    case "ended":
      return ended(entry, lasted);
    default:
      return told(entry.kind.replaceAll("_", " "), both(entry.address, entry.detail));
  }
}

function allocated(entry: Entry, lasted: string): Told {
  const over = (entry.transport ?? "").toUpperCase();
  const inVain = entry.detail === "udp_unanswered" ? `; UDP was tried in vain ${lasted} before` : "";
  return {
    title: over ? `Relay opened over ${over}` : "Relay opened",
    detail: `${entry.address ?? ""}${inVain}`,
    tone: inVain ? "warn" : "good",
  };
}

function refusedDetail(entry: Entry, lasted: string): string {
  if (entry.reason === "expired" && lasted) return `expired ${lasted} before`;
  return both(entry.detail, entry.address);
}

function ended(entry: Entry, lasted: string): Told {
  const carried =
    entry.bytesIn == null ? "" : `${formatBytes(entry.bytesIn)} in, ${formatBytes(entry.bytesOut ?? 0)} out`;
  return {
    title: entry.reason ? `Ended: ${entry.reason.replaceAll("_", " ")}` : "Ended",
    detail: [lasted && `after ${lasted}`, carried].filter(Boolean).join(", "),
    tone: "neutral",
  };
}

function both(first: string | null | undefined, second: string | null | undefined): string {
  return [first, second].filter(Boolean).join(", ");
}

/** On which side of the picture an entry stands: who calls left, who is called right, both or nobody in the middle. */
export function sideOf(entry: Entry): "left" | "right" | "middle" {
  if (entry.role === "initiator") return "left";
  return entry.role === "receiver" ? "right" : "middle";
}

/** Who stands at a side: the clients seen there. */
export function namesOf(entries: Entry[], side: "left" | "right"): string {
  return [...new Set(entries.filter((entry) => sideOf(entry) === side).flatMap((entry) => entry.clients))].join(", ");
}

/** A verdict as a sentence of its own. A client's name that begins it stays as the application wrote it. */
export function asSentence(text: string, clients: string[]): string {
  const first = text.split(/ |'|,/, 1)[0] ?? "";
  return clients.includes(first) ? text : capitalised(text);
}
