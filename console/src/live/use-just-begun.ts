import { useRef, useState } from "preact/hooks";
import type { LiveEvent } from "./events";
import { JustBegun } from "./just-begun";
import { useEvents } from "./use-events";

/** Follows the event stream; the component is drawn again when something began or ended. */
export function useJustBegun(namesOf: (event: LiveEvent) => string[]): JustBegun {
  const begun = useRef(new JustBegun());
  const [, setRound] = useState(0);
  useEvents((events) => {
    if (begun.current.note(events, namesOf, Date.now())) setRound((round) => round + 1);
  });
  return begun.current;
}
