import { expect, it } from "vitest";
import { LiveHistory } from "./live-history";

it("spans the whole time from the first figure on", () => {
  const history = new LiveHistory(10);
  expect(history.series()).toEqual({ times: [], values: [] });
  history.add(100, [1, 2]);
  expect(history.series()).toEqual({
    times: [90, 100],
    values: [
      [null, 1],
      [null, 2],
    ],
  });
});

it("forgets what is older, and takes no moment twice", () => {
  const history = new LiveHistory(10);
  for (const at of [100, 104, 104, 103, 108, 112]) history.add(at, [at]);
  expect(history.series()).toEqual({ times: [102, 104, 108, 112], values: [[null, 104, 108, 112]] });
});
