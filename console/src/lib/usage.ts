import type { Schemas } from "../api/client";

type UsageRow = Schemas["UsageRow"];

export interface UsageSum {
  key: string;
  bytesIn: number;
  bytesOut: number;
  sessions: number;
  seconds: number;
}

const ZERO: Omit<UsageSum, "key"> = { bytesIn: 0, bytesOut: 0, sessions: 0, seconds: 0 };

function added<T extends Omit<UsageSum, "key">>(sum: T, row: Omit<UsageSum, "key">): T {
  return {
    ...sum,
    bytesIn: sum.bytesIn + row.bytesIn,
    bytesOut: sum.bytesOut + row.bytesOut,
    sessions: sum.sessions + row.sessions,
    seconds: sum.seconds + row.seconds,
  };
}

export function totalOf(rows: Omit<UsageSum, "key">[]): Omit<UsageSum, "key"> {
  return rows.reduce((sum, row) => added(sum, row), ZERO);
}

/** Sums of each group, the largest first. */
export function groupsOf(rows: UsageRow[]): UsageSum[] {
  const sums = new Map<string, UsageSum>();
  for (const row of rows) sums.set(row.key, added(sums.get(row.key) ?? { key: row.key, ...ZERO }, row));
  const weight = (sum: UsageSum) => sum.bytesIn + sum.bytesOut;
  return [...sums.values()].sort((a, b) => weight(b) - weight(a) || a.key.localeCompare(b.key));
}

/** The largest groups by themselves and the rest as one, in every interval from `from` to `to`; seconds since 1970. */
export function chartOf(
  rows: UsageRow[],
  range: { from: number; to: number; step: number },
  value: (row: UsageRow) => number,
  seriesMax: number,
): { times: number[]; series: { label: string; values: number[] }[] } {
  const times: number[] = [];
  for (let at = Math.floor(range.from / range.step) * range.step; at < range.to; at += range.step) times.push(at);
  const position = new Map(times.map((at, index) => [at, index]));
  const names = groupsOf(rows).map((sum) => sum.key);
  const shown = names.length > seriesMax ? names.slice(0, seriesMax - 1) : names;
  const labels = [...shown, ...(shown.length < names.length ? ["others"] : [])];
  const series = labels.map((label) => ({ label, values: times.map(() => 0) }));
  for (const row of rows) {
    const index = position.get(Date.parse(row.start) / 1000);
    const own = shown.indexOf(row.key);
    const target = series[own >= 0 ? own : series.length - 1];
    if (index !== undefined && target) target.values[index] = (target.values[index] ?? 0) + value(row);
  }
  return { times, series };
}

export interface Prices {
  perGigabyte: number;
  perMinute: number;
}

export function costOf(sum: Omit<UsageSum, "key">, prices: Prices): number {
  return ((sum.bytesIn + sum.bytesOut) / 1e9) * prices.perGigabyte + (sum.seconds / 60) * prices.perMinute;
}

/** Rows as a table for spreadsheets. A name never becomes a formula there. */
export function toCsv(rows: UsageRow[]): string {
  const head = "start,key,bytesIn,bytesOut,sessions,seconds";
  const lines = rows.map((row) =>
    [row.start, cell(row.key), row.bytesIn, row.bytesOut, row.sessions, row.seconds].join(","),
  );
  return [head, ...lines, ""].join("\r\n");
}

function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
