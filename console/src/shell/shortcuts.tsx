import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { isTyping } from "../lib/keys";
import { Dialog } from "../ui/dialog";
import { PLACES } from "./nav";
import { nextTheme } from "./theme";

const CHORD_MS = 1200;

/** The keys that work on every page, and the list of them. */
export function Shortcuts() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  const { route } = useLocation();
  const goSince = useRef(-Infinity);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      if (document.querySelector("dialog[open]")) return;
      const place = PLACES.flatMap((group) => group.places).find((candidate) => candidate.key === event.key);
      const isChord = event.timeStamp - goSince.current < CHORD_MS;
      goSince.current = -Infinity;
      if (isChord && place) route(place.path);
      else if (event.key === "g") goSince.current = event.timeStamp;
      else if (event.key === "?") setHelpOpen(true);
      else if (event.key === "/") document.querySelector<HTMLInputElement>("[data-search]")?.focus();
      else if (event.key === "T") nextTheme();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [route]);
  if (!isHelpOpen) return null;
  return (
    <Dialog title="Keys" onClose={() => setHelpOpen(false)}>
      <dl class="facts">
        <Key keys={["/"]} text="search this page" />
        <Key keys={["j"]} text="next row" />
        <Key keys={["k"]} text="row before" />
        <Key keys={["Enter"]} text="open the row" />
        <Key keys={["Shift", "T"]} text="system, light or dark colours" />
        <Key keys={["?"]} text="this list" />
        {PLACES.flatMap((group) => group.places).map((place) => (
          <Key key={place.path} keys={["g", place.key]} text={place.title} />
        ))}
      </dl>
    </Dialog>
  );
}

function Key({ keys, text }: { keys: string[]; text: string }) {
  return (
    <>
      <dt class="row">
        {keys.map((name) => (
          <kbd key={name}>{name}</kbd>
        ))}
      </dt>
      <dd>{text}</dd>
    </>
  );
}
