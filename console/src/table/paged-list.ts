import type { ApiError } from "../api/error";
import { asApiError } from "../api/error";

/** A part of a list of the API. */
export interface Page<Row> {
  data: Row[];
  nextCursor?: string | null | undefined;
}

export type FetchPage<Row> = (cursor: string | undefined, signal: AbortSignal) => Promise<Page<Row>>;

export interface Snapshot<Row> {
  rows: readonly Row[];
  /** Ids of rows that were shown and are no longer on the list; they stay where they are until it is read anew. */
  gone: ReadonlySet<string>;
  /** Rows that came on top and are not shown yet. */
  arrivals: number;
  status: "loading" | "ready" | "failed";
  isLoadingMore: boolean;
  hasMore: boolean;
  error: ApiError | undefined;
}

/**
 * A list that is read page by page and kept up to date in place: rows change where they are, and what is new waits until
 * it may be shown, so nothing jumps under a reader's eyes.
 */
export class PagedList<Row> {
  private rows = new Map<string, Row>();
  private order: string[] = [];
  private pages: { cursor: string | undefined; ids: string[] }[] = [];
  private next: string | undefined;
  private newcomers: string[] = [];
  private newcomerRows = new Map<string, Row>();
  /** Between what is new and what is shown there are rows that were not read. */
  private hasHole = false;
  private gone = new Set<string>();
  private status: Snapshot<Row>["status"] = "loading";
  private isLoadingMore = false;
  private error: ApiError | undefined;
  private readonly life = new AbortController();
  private snapshotCache: Snapshot<Row> | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly fetchPage: FetchPage<Row>;
  private readonly idOf: (row: Row) => string;

  constructor(fetchPage: FetchPage<Row>, idOf: (row: Row) => string) {
    this.fetchPage = fetchPage;
    this.idOf = idOf;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get(): Snapshot<Row> {
    this.snapshotCache ??= {
      rows: this.order.map((id) => this.rows.get(id)).filter((row) => row !== undefined),
      gone: new Set(this.gone),
      arrivals: this.newcomers.length,
      status: this.status,
      isLoadingMore: this.isLoadingMore,
      hasMore: this.next !== undefined,
      error: this.error,
    };
    return this.snapshotCache;
  }

  close(): void {
    this.life.abort();
    this.listeners.clear();
  }

  /** Reads the list from its beginning and shows what is there. */
  async reload(): Promise<void> {
    await this.guarded(async () => {
      const page = await this.fetchPage(undefined, this.life.signal);
      this.rows.clear();
      this.order = [];
      this.pages = [];
      this.gone.clear();
      this.newcomers = [];
      this.newcomerRows.clear();
      this.append(undefined, page);
      this.status = "ready";
    });
  }

  /** Reads the next page, if there is one. */
  async more(): Promise<void> {
    const cursor = this.next;
    if (cursor === undefined || this.isLoadingMore) return;
    this.isLoadingMore = true;
    this.changed();
    await this.guarded(async () => {
      this.append(cursor, await this.fetchPage(cursor, this.life.signal));
    });
    this.isLoadingMore = false;
    this.changed();
  }

  /** Reads the first page again: known rows change in place, new ones wait for [showArrivals]. */
  async refreshHead(): Promise<void> {
    if (this.status !== "ready") return this.reload();
    await this.guarded(async () => {
      const page = await this.fetchPage(undefined, this.life.signal);
      const fresh = page.data.filter((row) => !this.rows.has(this.idOf(row)));
      this.newcomers = fresh.map(this.idOf);
      this.newcomerRows = new Map(fresh.map((row) => [this.idOf(row), row]));
      this.hasHole = this.order.length > 0 && fresh.length === page.data.length && page.nextCursor != null;
      this.patch(page.data);
      const first = this.pages[0];
      if (first && page.nextCursor == null) this.markGone(first.ids, page.data);
      // Nothing was shown, so nothing can jump.
      if (this.order.length === 0) await this.showArrivals();
    });
  }

  /** Reads the pages again that hold the rows from `first` to `last`. */
  async refreshRange(first: number, last: number): Promise<void> {
    if (this.status !== "ready") return;
    let index = 0;
    for (const page of [...this.pages]) {
      const [begin, end] = [index, index + page.ids.length];
      index = end;
      if (end <= first || begin > last) continue;
      // The first page begins with what is newest, which is not where its rows are any more: its own rows are looked for.
      await this.guarded(async () => {
        const fresh = await this.fetchPage(page.cursor, this.life.signal);
        this.patch(fresh.data);
        if (page.cursor !== undefined) this.markGone(page.ids, fresh.data);
      });
    }
  }

  /** Puts what is new on top. When more came than fits a page, the list begins anew. */
  async showArrivals(): Promise<void> {
    if (this.newcomers.length === 0) return;
    if (this.hasHole) return this.reload();
    const ids = this.newcomers;
    for (const [id, row] of this.newcomerRows) this.rows.set(id, row);
    this.order = [...ids, ...this.order];
    const first = this.pages[0];
    if (first) first.ids = [...ids, ...first.ids];
    this.newcomers = [];
    this.newcomerRows.clear();
    this.changed();
  }

  /** Changes rows by what an event told. */
  update(change: (row: Row) => Row): void {
    for (const [id, row] of this.rows) this.rows.set(id, change(row));
    this.changed();
  }

  private append(cursor: string | undefined, page: Page<Row>): void {
    const ids: string[] = [];
    for (const row of page.data) {
      const id = this.idOf(row);
      if (!this.rows.has(id)) ids.push(id);
      this.rows.set(id, row);
    }
    this.order = [...this.order, ...ids];
    this.pages.push({ cursor, ids });
    this.next = page.nextCursor ?? undefined;
  }

  private patch(rows: Row[]): void {
    for (const row of rows) {
      const id = this.idOf(row);
      if (!this.rows.has(id)) continue;
      this.rows.set(id, row);
      this.gone.delete(id);
    }
  }

  private markGone(ids: string[], present: Row[]): void {
    const there = new Set(present.map(this.idOf));
    for (const id of ids) if (!there.has(id)) this.gone.add(id);
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.error = undefined;
    } catch (error) {
      if (this.life.signal.aborted) return;
      this.error = asApiError(error);
      if (this.status === "loading") this.status = "failed";
    }
    this.changed();
  }

  private changed(): void {
    this.snapshotCache = undefined;
    for (const listener of [...this.listeners]) listener();
  }
}
