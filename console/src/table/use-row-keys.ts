import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { isTyping } from "../lib/keys";

/** j and k go down and up the rows; Enter follows the row's link, as everywhere. */
export function useRowKeys(
  count: number,
  scrollTo: (index: number) => void,
  body: RefObject<HTMLElement | null>,
): void {
  const at = useRef(-1);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.key !== "j" && event.key !== "k") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event) || count === 0 || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      const focused = document.activeElement?.closest("tr[data-index]");
      if (focused && body.current?.contains(focused)) at.current = Number(focused.getAttribute("data-index"));
      at.current = Math.min(Math.max(at.current + (event.key === "j" ? 1 : -1), 0), count - 1);
      scrollTo(at.current);
      focusRow(body, at.current, 8);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [count, scrollTo, body]);
}

/** The row may have to be drawn first, which takes a frame or a few. */
function focusRow(body: RefObject<HTMLElement | null>, index: number, tries: number): void {
  const link = body.current?.querySelector<HTMLElement>(`tr[data-index="${index}"] :is(a, button)`);
  if (link) link.focus({ preventScroll: true, focusVisible: true } as FocusOptions);
  else if (tries > 0) requestAnimationFrame(() => focusRow(body, index, tries - 1));
}
