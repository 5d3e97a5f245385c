import type { Schemas } from "../api/client";
import { asSentence } from "./text";
import { Note } from "../ui/note";

/** Why the room's latest call went as it went, in one sentence. */
export function PathVerdict({ of, clients }: { of: Schemas["Verdict"]; clients: string[] }) {
  const isOpen = of.code === "connecting" || of.code === "nothing_yet";
  return (
    <div class="verdict" data-verdict={of.code}>
      <Note tone={isOpen ? "neutral" : of.good ? "good" : "bad"}>
        <strong>{asSentence(of.sentence, clients)}.</strong>
      </Note>
    </div>
  );
}
