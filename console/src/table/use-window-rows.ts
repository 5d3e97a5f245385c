import {
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  windowScroll,
  type VirtualItem,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

export interface WindowRows {
  items: VirtualItem[];
  /** Heights of what is left out above and below, in pixels. */
  above: number;
  below: number;
  scrollTo: (index: number) => void;
}

/** Which of many equally high rows are near the window, which is what scrolls. */
export function useWindowRows(count: number, height: number, body: RefObject<HTMLElement | null>): WindowRows {
  const [, draw] = useState(0);
  const [virtualizer] = useState(
    () =>
      new Virtualizer<Window, Element>({
        count,
        getScrollElement: () => window,
        estimateSize: () => height,
        observeElementRect: observeWindowRect,
        observeElementOffset: observeWindowOffset,
        scrollToFn: windowScroll,
      }),
  );
  const margin = body.current ? body.current.getBoundingClientRect().top + window.scrollY : 0;
  virtualizer.setOptions({
    ...virtualizer.options,
    count,
    estimateSize: () => height,
    overscan: 12,
    scrollMargin: margin,
    // The top bar and the table's head cover rows.
    scrollPaddingStart: 110,
    scrollPaddingEnd: 60,
    onChange: () => draw((n) => n + 1),
  });
  useEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  useLayoutEffect(() => virtualizer.measure(), [virtualizer, height]);
  const items = virtualizer.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  return {
    items,
    above: first ? first.start - margin : 0,
    below: last ? Math.max(0, count * height - (last.end - margin)) : 0,
    scrollTo: (index) => virtualizer.scrollToIndex(index, { align: "auto" }),
  };
}
