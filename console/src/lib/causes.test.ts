import { describe, expect, it } from "vitest";
import { CAUSE_CHOICES, causeText, causeTone } from "./causes";

describe("causes of calls", () => {
  it("have words and a tone, known or not", () => {
    expect([causeText("normal"), causeTone("normal")]).toEqual(["hung up", "good"]);
    expect([causeText("some_thing"), causeTone("some_thing")]).toEqual(["some thing", "neutral"]);
  });

  it("can be chosen, each once, after any", () => {
    expect(CAUSE_CHOICES[0]).toEqual(["", "Any end"]);
    expect(new Set(CAUSE_CHOICES.map(([, text]) => text)).size).toBe(CAUSE_CHOICES.length);
  });
});
