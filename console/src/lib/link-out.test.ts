import { expect, it } from "vitest";
import { linkOut } from "./link-out";

it.each([
  ["https://crm.example/r/{room}", "a b/../c", "https://crm.example/r/a%20b%2F..%2Fc"],
  ["http://crm.example/?id={room}&again={room}", "x&y", "http://crm.example/?id=x%26y&again=x%26y"],
])("%s", (template, room, address) => expect(linkOut(template, "room", room)).toBe(address));

it.each([null, "", "javascript:alert('{room}')", "data:text/html,{room}", "/{room}", "{room}"])(
  "leads nowhere with %s",
  (template) => expect(linkOut(template, "room", "javascript:alert(1)")).toBeUndefined(),
);
