import { useEffect, useMemo, useRef } from "preact/hooks";
import { project } from "../api/identity";
import type { LiveEvent } from "../live/events";
import { useEvents } from "../live/use-events";
import { useStore } from "../lib/store";
import { PagedList, type FetchPage, type Snapshot } from "./paged-list";

/** A list of the API and its snapshot. `key` tells lists apart: another key is another list, read anew. */
export interface LiveList<Row> {
  list: PagedList<Row>;
  snapshot: Snapshot<Row>;
}

export interface Liveness {
  /** Whether an event means that the head of the list is another. */
  concerns: (event: LiveEvent) => boolean;
}

const REFRESH_MS = 700;
const WRITTEN_MS = 1100;

export function usePagedList<Row>(
  key: string,
  fetchPage: FetchPage<Row>,
  idOf: (row: Row) => string,
  liveness?: Liveness,
): LiveList<Row> {
  const chosen = useStore(project);
  const list = useMemo(() => new PagedList(fetchPage, idOf), [key, chosen]);
  useEffect(() => {
    void list.reload();
    return () => list.close();
  }, [list]);
  const head = useMemo(() => new AtMostEvery(REFRESH_MS), [list]);
  const again = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(
    () => () => {
      head.cancel();
      clearTimeout(again.current);
    },
    [head],
  );
  useEvents((events) => {
    if (!liveness) return;
    if (events.some((event) => event.type === "gap" || liveness.concerns(event))) {
      head.run(() => list.refreshHead());
      // An event is told at once, and written within a second.
      clearTimeout(again.current);
      again.current = setTimeout(() => head.run(() => list.refreshHead()), WRITTEN_MS);
    }
  });
  return { list, snapshot: useStore(list) };
}

/** Runs work at once when it was quiet, later when it was not, and never twice at a time. */
class AtMostEvery {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private notBefore = 0;
  private isRunning = false;
  private isWanted = false;
  private readonly everyMs: number;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  run(work: () => Promise<void>): void {
    this.isWanted = true;
    if (this.timer !== undefined || this.isRunning) return;
    this.timer = setTimeout(() => void this.go(work), Math.max(0, this.notBefore - Date.now()));
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.isWanted = false;
  }

  private async go(work: () => Promise<void>): Promise<void> {
    this.timer = undefined;
    this.isRunning = true;
    this.isWanted = false;
    await work();
    this.notBefore = Date.now() + this.everyMs;
    this.isRunning = false;
    if (this.isWanted as boolean) this.run(work);
  }
}
