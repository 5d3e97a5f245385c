import type { LiveEvent } from "./events";

/** A session is told of at once and listed a moment later: for so long the event counts. */
const HELD_MS = 5000;

/** Names of which an event told that a session began, and that the lists of the API may not show live yet. */
export class JustBegun {
  private readonly until = new Map<string, number>();

  /** Takes what happened; whether anything is different. */
  note(events: LiveEvent[], namesOf: (event: LiveEvent) => string[], now: number): boolean {
    const before = this.until.size;
    let isChanged = false;
    for (const [name, until] of this.until) if (until < now) this.until.delete(name);
    for (const event of events) {
      for (const name of event.type === "session.started" ? namesOf(event) : []) {
        this.until.set(name, now + HELD_MS);
        isChanged = true;
      }
      // Whether others of the name live on is what the list says.
      for (const name of event.type === "session.ended" ? namesOf(event) : []) this.until.delete(name);
    }
    return isChanged || this.until.size !== before;
  }

  has(name: string, now: number): boolean {
    return (this.until.get(name) ?? 0) > now;
  }
}
