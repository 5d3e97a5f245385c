import { expect, it } from "vitest";
import { bitrateOf } from "./bitrate";

const START = "2026-11-21T10:00:00Z";
const at = Date.parse(START) / 1000;

it("gives bits per second, and silence up to now", () => {
  const session = {
    startedAt: START,
    endedAt: null,
    bitrate: { intervalSecs: 2, bytesIn: [250, 0, 500], bytesOut: [] },
  };
  const { times, received, sent } = bitrateOf(session, at + 9.5);
  expect(times).toEqual([at, at + 2, at + 4, at + 6, at + 8]);
  expect(received).toEqual([1000, 0, 2000, 0, 0]);
  expect(sent).toEqual([0, 0, 0, 0, 0]);
});

it("ends with the session", () => {
  const session = {
    startedAt: START,
    endedAt: "2026-11-21T10:00:03Z",
    bitrate: { intervalSecs: 1, bytesIn: [1], bytesOut: [1] },
  };
  expect(bitrateOf(session, at + 999).times).toHaveLength(3);
});
