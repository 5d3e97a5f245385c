import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Column } from "./columns";
import { Table } from "./table";
import type { LiveList } from "./use-paged-list";

/** How often rows that are seen are read again: figures of live rows grow. */
const FIGURES_MS = 2000;

/** A table over a list of the API that is read page by page and stays up to date. */
export function LiveTable<Row>(props: {
  live: LiveList<Row>;
  noun: string;
  columns: Column<Row>[];
  /** The order of the list when the address asks for none. */
  order?: string;
  idOf: (row: Row) => string;
  hrefOf?: (row: Row) => string;
  empty: ComponentChildren;
  /** Whether a row still changes. */
  isChanging?: (row: Row) => boolean;
  foot?: ComponentChildren;
}) {
  const { list, snapshot } = props.live;
  const visible = useRef<[number, number]>([0, 0]);
  const card = useRef<HTMLDivElement>(null);
  const latest = useRef({ snapshot, isChanging: props.isChanging });
  latest.current = { snapshot, isChanging: props.isChanging };

  useEffect(() => {
    let isBusy = false;
    const timer = setInterval(() => {
      const [first, last] = visible.current;
      const seen = latest.current.snapshot.rows.slice(first, last + 1);
      const { isChanging } = latest.current;
      if (isBusy || document.hidden || !isChanging || !seen.some(isChanging)) return;
      isBusy = true;
      void list.refreshRange(first, last).finally(() => {
        isBusy = false;
      });
    }, FIGURES_MS);
    return () => clearInterval(timer);
  }, [list]);

  // What is new goes on top at once only where nothing moves under the reader's eyes, pointer or focus.
  useEffect(() => {
    if (snapshot.arrivals === 0) return;
    const element = card.current;
    const isLookedAt = window.scrollY > 40 || element?.matches(":hover") || element?.contains(document.activeElement);
    if (!isLookedAt) void list.showArrivals();
  }, [snapshot]);

  return (
    <div ref={card}>
      <Table
        noun={props.noun}
        columns={props.columns}
        {...(props.order && { order: props.order })}
        rows={snapshot.rows}
        idOf={props.idOf}
        {...(props.hrefOf && { hrefOf: props.hrefOf })}
        isLoading={snapshot.status === "loading"}
        error={snapshot.error}
        retry={() => void list.refreshHead()}
        empty={props.empty}
        gone={snapshot.gone}
        arrivals={snapshot.arrivals}
        onShowArrivals={() => void list.showArrivals()}
        hasMore={snapshot.hasMore}
        isLoadingMore={snapshot.isLoadingMore}
        onMore={() => void list.more()}
        onVisible={(first, last) => (visible.current = [first, last])}
        foot={props.foot}
      />
    </div>
  );
}
