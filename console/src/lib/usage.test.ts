import { expect, it } from "vitest";
import { chartOf, costOf, groupsOf, toCsv, totalOf } from "./usage";

const row = (start: string, key: string, bytesIn: number, bytesOut = 0) => ({
  start,
  key,
  bytesIn,
  bytesOut,
  sessions: 1,
  seconds: 60,
});
const ROWS = [
  row("2026-11-21T10:00:00Z", "a", 10),
  row("2026-11-21T10:00:00Z", "b", 5, 100),
  row("2026-11-21T12:00:00Z", "a", 30),
  row("2026-11-21T12:00:00Z", "c", 1),
];
const at = (text: string) => Date.parse(text) / 1000;
const RANGE = { from: at("2026-11-21T10:20:00Z"), to: at("2026-11-21T13:00:00Z"), step: 3600 };

it("sums groups, the largest first", () => {
  expect(groupsOf(ROWS).map((sum) => [sum.key, sum.bytesIn, sum.bytesOut, sum.sessions])).toEqual([
    ["b", 5, 100, 1],
    ["a", 40, 0, 2],
    ["c", 1, 0, 1],
  ]);
});

it("loses nothing on the way to the chart, whatever is folded into the rest", () => {
  for (const seriesMax of [1, 2, 3, 9]) {
    const { times, series } = chartOf(ROWS, RANGE, (usage) => usage.bytesIn, seriesMax);
    expect(times).toHaveLength(3);
    expect(series.length).toBe(Math.min(3, seriesMax));
    const sum = series.flatMap((one) => one.values).reduce((a, b) => a + b, 0);
    expect(sum).toBe(totalOf(ROWS).bytesIn);
  }
});

it("shows an hour without usage as nothing", () => {
  const { series } = chartOf(ROWS, RANGE, (usage) => usage.bytesIn, 9);
  expect(series.find((one) => one.label === "a")?.values).toEqual([10, 0, 30]);
});

it("counts what it costs", () => {
  const sum = { bytesIn: 1e9, bytesOut: 1e9, sessions: 1, seconds: 600 };
  expect(costOf(sum, { perGigabyte: 0.05, perMinute: 0.001 })).toBeCloseTo(0.11);
});

it("writes no formula into a spreadsheet", () => {
  const csv = toCsv([row("t", "=1+1", 1), row("t", '-a","b', 2)]);
  expect(csv).toContain("t,'=1+1,1,0,1,60\r\n");
  expect(csv).toContain(`t,"'-a"",""b",2,0,1,60\r\n`);
});
