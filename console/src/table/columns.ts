import type { ComponentChildren } from "preact";

export interface Column<Row> {
  /** In the URL when it is sorted by. */
  id: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** A second line of the first column where there is no room for other columns. */
  narrow?: (row: Row) => ComponentChildren;
  /** Width in pixels; the first column takes what is left. */
  width?: number;
  /** The table's width from which on the column is shown. */
  from?: number;
  isNumber?: boolean;
  /** What a list that is wholly here is sorted by. */
  sortKey?: (row: Row) => string | number;
  /** What the API calls this order, for a list that is read page by page. */
  serverSort?: string;
}

export interface SortOrder {
  column: string;
  isDescending: boolean;
}

/** "-bytes" is by bytes, most first. */
export function parseSort(text: string): SortOrder | undefined {
  if (!text) return undefined;
  return text.startsWith("-") ? { column: text.slice(1), isDescending: true } : { column: text, isDescending: false };
}

export function printSort(order: SortOrder | undefined): string {
  return order ? (order.isDescending ? "-" : "") + order.column : "";
}

/** What a click on a column's title asks for: most first, least first, the list's own order. */
export function nextSort(current: SortOrder | undefined, column: string): SortOrder | undefined {
  if (current?.column !== column) return { column, isDescending: true };
  return current.isDescending ? { column, isDescending: false } : undefined;
}

export function sorted<Row>(
  rows: readonly Row[],
  columns: Column<Row>[],
  order: SortOrder | undefined,
): readonly Row[] {
  const key = columns.find((column) => column.id === order?.column)?.sortKey;
  if (!order || !key) return rows;
  const sign = order.isDescending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (typeof x === "string" && typeof y === "string") return sign * x.localeCompare(y, "en", { numeric: true });
    return x < y ? -sign : x > y ? sign : 0;
  });
}

/** What the API calls the order that the address asks for, where it can list so. */
export function serverSort<Row>(columns: Column<Row>[], text: string): string | undefined {
  const order = parseSort(text);
  const name = columns.find((column) => column.id === order?.column)?.serverSort;
  return order && name && (order.isDescending ? "-" : "") + name;
}

/** The columns that fit. */
export function fitting<Row>(columns: Column<Row>[], width: number): Column<Row>[] {
  return columns.filter((column) => width >= (column.from ?? 0));
}
