import { expect, it } from "vitest";
import { SseParser } from "./sse";

it("reads messages however the text is cut", () => {
  const text = 'id: 7\nevent: session.ended\ndata: {"a":\ndata: 1}\n\n: still here\n\ndata:x\n\n';
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new SseParser();
    const messages = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    expect(messages).toEqual([
      { id: "7", event: "session.ended", data: '{"a":\n1}' },
      { id: "7", event: "message", data: "x" },
    ]);
  }
});

it("holds back what is not finished", () => {
  expect(new SseParser().push("data: half")).toEqual([]);
});
