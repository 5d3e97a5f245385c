import { expect, it } from "vitest";
import type { LiveEvent } from "./events";
import { JustBegun } from "./just-begun";

const event = (type: string, room: string): LiveEvent => ({ id: "1", type, at: "", room });
const rooms = (one: LiveEvent) => (one.room ? [one.room] : []);

it("holds what began until it ends, or until the list must know", () => {
  const begun = new JustBegun();
  expect(begun.note([event("session.started", "a"), event("session.started", "b")], rooms, 1000)).toBe(true);
  expect([begun.has("a", 2000), begun.has("c", 2000)]).toEqual([true, false]);
  expect(begun.note([event("session.ended", "a")], rooms, 2000)).toBe(true);
  expect([begun.has("a", 2000), begun.has("b", 2000), begun.has("b", 6001)]).toEqual([false, true, false]);
  expect(begun.note([event("credential.minted", "b")], rooms, 2100)).toBe(false);
  expect(begun.note([], rooms, 7000)).toBe(true);
});
