import { expect, it } from "vitest";
import { asSentence, namesOf, sideOf, tell } from "./text";

const entry = (kind: string, more: object = {}) => ({
  at: "2026-11-21T10:00:00Z",
  kind,
  clients: ["alice"],
  count: 1,
  ...more,
});

it.each([
  [entry("credential_minted", { durationMs: 600_000 }), "Credential minted", "good for 10 min"],
  [
    entry("refused", { reason: "expired", durationMs: 4000 }),
    "Refused: the credential had expired",
    "expired 4.0 s before",
  ],
  [entry("refused", { reason: "wrong_key", count: 3 }), "Refused: wrong password (3 times)", ""],
  [entry("allocated", { transport: "tls", address: "a:1" }), "Relay opened over TLS", "a:1"],
  [
    entry("allocated", { transport: "tls", address: "a:1", detail: "udp_unanswered", durationMs: 2000 }),
    "Relay opened over TLS",
    "a:1; UDP was tried in vain 2.0 s before",
  ],
  [entry("path_changed", { detail: "a:1", address: "b:2" }), "Came back from another address", "a:1 → b:2"],
  [
    entry("ended", { reason: "client_refresh_zero", durationMs: 60_000, bytesIn: 1000, bytesOut: 2000 }),
    "Ended: client refresh zero",
    "after 1 min, 1.00 kB in, 2.00 kB out",
  ],
  [entry("something_new", { detail: "x" }), "something new", "x"],
])("%#", (given, title, detail) => {
  const told = tell(given);
  expect([told.title, told.detail]).toEqual([title, detail]);
});

it("puts who calls left and who is called right", () => {
  const entries = [
    entry("allocated", { role: "initiator" }),
    entry("allocated", { role: "receiver", clients: ["bob"] }),
  ];
  expect(entries.map(sideOf)).toEqual(["left", "right"]);
  expect([namesOf(entries, "left"), namesOf(entries, "right")]).toEqual(["alice", "bob"]);
});

it("begins a sentence in capitals, but with a name as it is", () => {
  const told = (text: string) => asSentence(text, ["alice", "bob"]);
  expect(told("all well: both sides used the relay")).toBe("All well: both sides used the relay");
  expect(told("alice reached the relay by TCP only")).toBe("alice reached the relay by TCP only");
  expect(told("bob's credential had expired")).toBe("bob's credential had expired");
  expect(told("alicia reached nobody")).toBe("Alicia reached nobody");
});
