import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
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
/** An event is told at once, and written within a second, on a busy server a little later. */
const WRITTEN_MS = [600, 1200, 1900, 4000];

export function usePagedList<Row>(
  key: string,
  fetchPage: FetchPage<Row>,
  idOf: (row: Row) => string,
  liveness?: Liveness,
): LiveList<Row> {
  const chosen = useStore(project);
  const list = useMemo(() => new PagedList(fetchPage, idOf), [key, chosen]);
  const head = useMemo(() => new AtMostEvery(REFRESH_MS), [list]);
  const again = useRef<ReturnType<typeof setTimeout>[]>([]);
  const isLive = liveness !== undefined;
  const refreshUntilWritten = useCallback(() => {
    again.current.forEach(clearTimeout);
    again.current = WRITTEN_MS.map((after) => setTimeout(() => head.run(() => list.refreshHead()), after));
  }, [head, list]);
  useEffect(() => {
    void list.reload();
    // What was told just before this list was opened may not be written yet.
    if (isLive) refreshUntilWritten();
    return () => {
      list.close();
      head.cancel();
      again.current.forEach(clearTimeout);
    };
  }, [list, head, isLive, refreshUntilWritten]);
  useEvents((events) => {
    if (!liveness) return;
    if (events.some((event) => event.type === "gap" || liveness.concerns(event))) {
      head.run(() => list.refreshHead());
      refreshUntilWritten();
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
