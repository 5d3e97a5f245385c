/** The filter "since" of lists: a span until now. */
const SPANS_MS: Record<string, number> = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 };

export const SINCE_CHOICES: [string, string][] = [
  ["", "Any time"],
  ["1h", "Last hour"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
];

export function sinceFilter(since: string): { from?: string } {
  const ms = SPANS_MS[since];
  return ms === undefined ? {} : { from: new Date(Date.now() - ms).toISOString() };
}
