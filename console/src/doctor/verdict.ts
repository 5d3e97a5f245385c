import { formatBitrate, formatDuration } from "../lib/format";
import { WAY_TEXT, type RelayUrl } from "./url";

/** What was seen when one URL was tried. */
export interface Finding {
  url: RelayUrl;
  /** Milliseconds until the first candidate; undefined when none came. */
  candidateMs?: number;
  /** The relayed or mapped address. */
  address?: string;
  /** What the browser said went wrong while it gathered. */
  errors: { code: number; text: string }[];
  /** Whether two connections over this URL reached each other. */
  isConnected?: boolean;
  roundTripMs?: number;
  bitsPerSecond?: number;
}

export interface Verdict {
  tone: "good" | "warn" | "bad";
  sentence: string;
  /** What to change; empty when nothing. */
  advice: string;
}

const UNAUTHORIZED = 401;
const QUOTA = 486;
const SLOW_ROUND_TRIP_MS = 300;
const SLOW_BITS_PER_SECOND = 500_000;

/** What a finding means, in a sentence, and what to do about it. */
export function verdictOf(finding: Finding): Verdict {
  const { url } = finding;
  if (finding.candidateMs === undefined) return unreachable(finding);
  if (url.way === "stun") {
    return {
      tone: "good",
      sentence: `The server answered after ${formatDuration(finding.candidateMs)}; from outside this browser is ${finding.address ?? "unknown"}.`,
      advice: "",
    };
  }
  if (!finding.isConnected) {
    return {
      tone: "bad",
      sentence: `The relay gave an address (${finding.address ?? "unknown"}), but nothing got from one relayed address to another.`,
      advice:
        "Open the relay's port range (relay_ports, UDP) towards the internet and towards the server itself, and check that public_ip is the address the outside reaches.",
    };
  }
  return connected(finding);
}

function connected(finding: Finding): Verdict {
  const figures = [
    finding.roundTripMs !== undefined && `a round trip takes ${formatDuration(finding.roundTripMs)}`,
    finding.bitsPerSecond !== undefined && `${formatBitrate(finding.bitsPerSecond)} went through`,
  ].filter(Boolean);
  const sentence = `${WAY_TEXT[finding.url.way]} works${figures.length > 0 ? `: ${figures.join(", ")}` : ""}.`;
  if ((finding.roundTripMs ?? 0) > SLOW_ROUND_TRIP_MS) {
    return {
      tone: "warn",
      sentence,
      advice: "Voices will overlap at this delay. A relay nearer to the callers helps: add a region there.",
    };
  }
  if ((finding.bitsPerSecond ?? Infinity) < SLOW_BITS_PER_SECOND) {
    return {
      tone: "warn",
      sentence,
      advice:
        "This is enough for a voice, not for video. Look for a limit: the credential's max_bitrate, the server's bandwidth, or this network.",
    };
  }
  return { tone: "good", sentence, advice: "" };
}

function unreachable({ url, errors }: Finding): Verdict {
  const said = (pattern: RegExp) => errors.some((error) => pattern.test(error.text));
  const codes = new Set(errors.map((error) => error.code));
  if (codes.has(UNAUTHORIZED)) {
    return {
      tone: "bad",
      sentence: `${url.host} answered, but refused a credential that this server just minted.`,
      advice:
        "Another TURN server may answer at that address, or several servers do not share one database. Compare the server's clock as well.",
    };
  }
  if (codes.has(QUOTA)) {
    return {
      tone: "bad",
      sentence: "The relay answered, but a quota is used up.",
      advice: "End sessions that are not needed, or raise allocations_per_user_max or allocations_max.",
    };
  }
  if (said(/host lookup|resolve/i)) {
    return {
      tone: "bad",
      sentence: `The name ${url.host} does not resolve in this network.`,
      advice: "Add the name to the DNS that callers use, or advertise an address that they know (public_host).",
    };
  }
  return closed(url);
}

function closed(url: RelayUrl): Verdict {
  const place = `${url.host}, port ${url.port}`;
  if (url.way === "stun" || url.way === "udp") {
    return {
      tone: "bad",
      sentence: `Nothing came back over UDP from ${place}.`,
      advice: `Open UDP ${url.port} to the server, in its own firewall and its provider's. If this network blocks UDP, callers here depend on TCP or TLS.`,
    };
  }
  if (url.way === "tcp") {
    return {
      tone: "bad",
      sentence: `No TCP connection to ${place}, or nothing that speaks TURN there.`,
      advice: `Open TCP ${url.port} to the server and check that turn_listen covers it. If this network lets only web traffic out, callers here depend on TLS, best on port 443.`,
    };
  }
  return {
    tone: "bad",
    sentence: `No TLS connection to ${place}: the port is closed, or the browser does not trust the certificate.`,
    advice: `Open TCP ${url.port}, and use a certificate that is valid for ${url.host} and signed by an authority that browsers know; they accept no self-signed one here.`,
  };
}

/** All findings together, in a sentence for a person who wants to call. */
export function summaryOf(findings: Finding[]): Verdict {
  const relays = findings.filter((finding) => finding.url.way !== "stun");
  const good = relays.filter((finding) => finding.isConnected);
  if (relays.length === 0) {
    return { tone: "bad", sentence: "The server advertises no TURN URL.", advice: "Set public_host or public_ip." };
  }
  if (good.length === 0) {
    return {
      tone: "bad",
      sentence: "No way through the relay works from this browser.",
      advice: "Begin with the first result below.",
    };
  }
  const ways = [...new Set(good.map((finding) => finding.url.way.toUpperCase()))];
  if (good.length === relays.length) {
    return { tone: "good", sentence: `Calls from this browser get through, over ${list(ways)}.`, advice: "" };
  }
  return {
    tone: "warn",
    sentence: `Calls from this browser get through, but only over ${list(ways)}.`,
    advice: ways.includes("UDP")
      ? "Callers behind strict firewalls need what failed below."
      : "Without UDP, media waits for lost packets: sound and picture suffer on bad networks.",
  };
}

function list(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1) ?? ""}`;
}
