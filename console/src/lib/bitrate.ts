import type { Schemas } from "../api/client";

type Detail = Schemas["SessionDetail"];

/** Bits per second of a session over its life, from its start to its end or to `now` (seconds since 1970). */
export function bitrateOf(
  session: Pick<Detail, "startedAt" | "endedAt" | "bitrate">,
  now: number,
): { times: number[]; received: number[]; sent: number[] } {
  const { intervalSecs, bytesIn, bytesOut } = session.bitrate;
  const start = Date.parse(session.startedAt) / 1000;
  const end = session.endedAt ? Date.parse(session.endedAt) / 1000 : now;
  // After the last interval that is told, nothing was carried.
  const count = Math.max(bytesIn.length, bytesOut.length, Math.ceil((end - start) / intervalSecs), 1);
  const rate = (bytes: number[]) => Array.from({ length: count }, (_, n) => ((bytes[n] ?? 0) * 8) / intervalSecs);
  return {
    times: Array.from({ length: count }, (_, n) => start + n * intervalSecs),
    received: rate(bytesIn),
    sent: rate(bytesOut),
  };
}
