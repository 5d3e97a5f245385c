/** One message of a stream of server-sent events. */
export interface SseMessage {
  id: string | undefined;
  event: string;
  data: string;
}

/** Reads server-sent events from pieces of text, wherever they are cut. Source: HTML Living Standard §9.2.6. */
export class SseParser {
  private rest = "";
  private id: string | undefined;
  private event = "";
  private data: string[] = [];

  push(piece: string): SseMessage[] {
    const lines = (this.rest + piece).split(/\r\n|\n|\r/);
    this.rest = lines.pop() ?? "";
    const messages: SseMessage[] = [];
    for (const line of lines) {
      if (line === "") this.finish(messages);
      else this.field(line);
    }
    return messages;
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") this.id = value;
    else if (name === "event") this.event = value;
    else if (name === "data") this.data.push(value);
  }

  private finish(messages: SseMessage[]): void {
    if (this.data.length > 0) {
      messages.push({ id: this.id, event: this.event || "message", data: this.data.join("\n") });
    }
    this.event = "";
    this.data = [];
  }
}
