import { describe, expect, it } from "vitest";
import { asRemark, formatBitrate, formatBytes, formatDuration, formatRelative, plural } from "./format";

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [12_345, "12.3 kB"],
    [999_600, "1.00 MB"],
    [123_456_789, "123 MB"],
    [2.5e15, "2.50 PB"],
    [2.5e18, "2500 PB"],
  ])("%d is %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

it("writes bit rates in bits", () => expect(formatBitrate(1_500_000)).toBe("1.50 Mbit/s"));

describe("formatDuration", () => {
  it.each([
    [-5, "0 ms"],
    [999, "999 ms"],
    [1300, "1.3 s"],
    [59_400, "59 s"],
    [60_000, "1 min"],
    [61_000, "1 min 1 s"],
    [3_600_000, "1 h"],
    [49 * 3_600_000, "2 d 1 h"],
  ])("%d ms is %s", (ms, text) => expect(formatDuration(ms)).toBe(text));
});

describe("formatRelative", () => {
  it.each([
    [0, 1000, "just now"],
    [0, 8000, "8 s ago"],
    [300_000, 0, "in 5 min"],
    [0, 7_200_000, "2 h ago"],
    [0, 72 * 3_600_000, "3 d ago"],
  ])("%d seen at %d is %s", (at, now, text) => expect(formatRelative(at, now)).toBe(text));
});

it("counts one thing and many", () => {
  expect([plural(0, "room"), plural(1, "room"), plural(1200, "room"), plural(2, "entry")]).toEqual([
    "0 rooms",
    "1 room",
    "1,200 rooms",
    "2 entries",
  ]);
});

describe("asRemark", () => {
  it("makes a sentence of what the API says, and leaves fields and sentences as they are", () => {
    expect(asRemark("this link was used or is over; ask for a new one")).toBe(
      "This link was used or is over; ask for a new one.",
    );
    expect(asRemark("roomLink: only http and https")).toBe("roomLink: only http and https.");
    expect(asRemark("The server does not answer.")).toBe("The server does not answer.");
  });
});
