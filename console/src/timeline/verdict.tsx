import type { Schemas } from "../api/client";
import { Note } from "../ui/note";

/** Why the room's latest call went as it went, in one sentence. */
export function PathVerdict({ of }: { of: Schemas["Verdict"] }) {
  const isOpen = of.code === "connecting" || of.code === "nothing_yet";
  const sentence = of.sentence.charAt(0).toUpperCase() + of.sentence.slice(1);
  return (
    <div class="verdict" data-verdict={of.code}>
      <Note tone={isOpen ? "neutral" : of.good ? "good" : "bad"}>
        <strong>{sentence}.</strong>
      </Note>
    </div>
  );
}
