import { useEffect, useRef } from "preact/hooks";
import type { LiveEvent } from "./events";
import { follow } from "./stream";

/** Hands over what happens while the component is shown, a few times a second at most. */
export function useEvents(listener: (events: LiveEvent[]) => void): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => follow((events) => latest.current(events)), []);
}
