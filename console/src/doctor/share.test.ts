import { expect, it } from "vitest";
import { fromFragment, toFragment } from "./share";

const shared = {
  iceServers: [{ urls: ["stun:a:1"] }, { urls: ["turn:ü.example:1"], username: "u", credential: "c" }],
  expiresAt: "2026-11-21T10:00:00Z",
};

it("comes back as it was, and fits into a link", () => {
  const fragment = toFragment(shared);
  expect(fragment).toMatch(/^[A-Za-z0-9_-]+$/);
  expect(fromFragment(fragment)).toEqual(shared);
});

it.each([
  "",
  "%",
  "abc",
  btoa("null"),
  btoa("{}"),
  btoa('{"expiresAt":"x","iceServers":[null]}'),
  btoa('{"expiresAt":"x","iceServers":[{"urls":"turn:a"}]}'),
  btoa('{"expiresAt":"x","iceServers":[{"urls":[1]}]}'),
])("takes nothing else: %s", (fragment) => expect(fromFragment(fragment)).toBeUndefined());
