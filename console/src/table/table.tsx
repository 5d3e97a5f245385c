import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { plural, pluralOf } from "../lib/format";
import { useQuery } from "../lib/query";
import { ErrorNote } from "../ui/note";
import { Icon } from "../ui/icon";
import { fitting, nextSort, parseSort, printSort, type Column } from "./columns";
import { useRowKeys } from "./use-row-keys";
import { useWindowRows } from "./use-window-rows";

export interface TableProps<Row> {
  /** What the rows are, for screen readers and the foot: "session". */
  noun: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  idOf: (row: Row) => string;
  /** The order of a list that nobody sorted otherwise, as in the address. */
  order?: string;
  /** Where a row leads; its first cell becomes the link. */
  hrefOf?: (row: Row) => string;
  isLoading?: boolean;
  error?: unknown;
  retry?: () => void;
  empty: ComponentChildren;
  gone?: ReadonlySet<string>;
  arrivals?: number;
  onShowArrivals?: () => void;
  hasMore?: boolean;
  isLoadingMore?: boolean;
  onMore?: () => void;
  /** Which rows are near the window, from time to time. */
  onVisible?: (first: number, last: number) => void;
  foot?: ComponentChildren;
}

const ROW_PX = 40;
const TALL_ROW_PX = 52;
const NARROW_PX = 640;

/** A table that draws only the rows near the window, so that a hundred thousand are as quick as ten. */
export function Table<Row>(props: TableProps<Row>) {
  const card = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const width = useWidth(card);
  const isTall = width < NARROW_PX;
  const columns = fitting(props.columns, width);
  const { rows } = props;
  const view = useWindowRows(rows.length, isTall ? TALL_ROW_PX : ROW_PX, body);
  useRowKeys(rows.length, view.scrollTo, body);
  const [first, last] = [view.items[0]?.index ?? 0, view.items.at(-1)?.index ?? 0];
  const isNearEnd = last >= rows.length - 20;
  useEffect(() => {
    if (isNearEnd && props.hasMore && !props.isLoadingMore && !props.error) props.onMore?.();
  }, [isNearEnd, rows.length, props.hasMore, props.isLoadingMore]);
  useEffect(() => props.onVisible?.(first, last), [first, last, rows.length]);
  const fresh = useFresh(rows, props.idOf);

  if (rows.length === 0 && !props.isLoading) {
    return (
      <div class="card" ref={card}>
        {props.error ? (
          <div class="card-body">
            <ErrorNote error={props.error} {...(props.retry && { retry: props.retry })} />
          </div>
        ) : (
          props.empty
        )}
      </div>
    );
  }
  return (
    <>
      {!!props.error && <ErrorNote error={props.error} {...(props.retry && { retry: props.retry })} />}
      <div class="card table-card" ref={card}>
        {!!props.arrivals && (
          <div class="arrivals">
            <button type="button" class="button primary small" onClick={props.onShowArrivals}>
              <Icon name="up" /> {plural(props.arrivals, `new ${props.noun}`)}
            </button>
          </div>
        )}
        <table class="table" aria-rowcount={props.hasMore ? -1 : rows.length + 1} aria-busy={!!props.isLoading}>
          <caption class="sr-only">{pluralOf(props.noun)}</caption>
          <Widths columns={columns} />
          <Head columns={columns} order={props.order ?? ""} />
          <tbody ref={body} class={isTall ? "is-tall" : ""}>
            {rows.length === 0 && <Skeletons columns={columns.length} />}
            {view.above > 0 && <Spacer columns={columns.length} height={view.above} />}
            {view.items.map((item) => {
              const row = rows[item.index];
              if (row === undefined) return null;
              const id = props.idOf(row);
              return (
                <TableRow
                  key={id}
                  row={row}
                  index={item.index}
                  columns={columns}
                  isNarrow={isTall}
                  href={props.hrefOf?.(row)}
                  isGone={props.gone?.has(id) ?? false}
                  isNew={fresh.has(id)}
                />
              );
            })}
            {view.below > 0 && <Spacer columns={columns.length} height={view.below} />}
          </tbody>
        </table>
        <div class="table-foot">
          <span>
            {rows.length > 0 &&
              (props.hasMore ? `${plural(rows.length, props.noun)} read, more below` : plural(rows.length, props.noun))}
            {props.isLoadingMore && " · reading more …"}
          </span>
          {props.foot}
        </div>
      </div>
    </>
  );
}

function Widths<Row>({ columns }: { columns: Column<Row>[] }) {
  return (
    <colgroup>
      {columns.map((column) => (
        <col key={column.id} style={column.width === undefined ? {} : { width: `${column.width}px` }} />
      ))}
    </colgroup>
  );
}

function Head<Row>({ columns, order: unasked }: { columns: Column<Row>[]; order: string }) {
  const query = useQuery();
  const order = parseSort(query.get("sort") || unasked);
  const ask = (column: string) => {
    const next = printSort(nextSort(order, column));
    query.set({ sort: next === unasked ? "" : next });
  };
  return (
    <thead>
      <tr>
        {columns.map((column) => {
          const isSorted = order?.column === column.id;
          const sortable = column.sortKey ?? column.serverSort;
          return (
            <th
              key={column.id}
              scope="col"
              class={column.isNumber ? "num" : ""}
              {...(isSorted && { "aria-sort": order.isDescending ? "descending" : "ascending" })}
            >
              {sortable ? (
                <button type="button" onClick={() => ask(column.id)}>
                  {column.title}
                  {isSorted && <Icon name={order.isDescending ? "down" : "up"} />}
                </button>
              ) : (
                column.title
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

interface TableRowProps<Row> {
  row: Row;
  index: number;
  columns: Column<Row>[];
  isNarrow: boolean;
  href: string | undefined;
  isGone: boolean;
  isNew: boolean;
}

function TableRow<Row>({ row, index, columns, isNarrow, href, isGone, isNew }: TableRowProps<Row>) {
  const { route } = useLocation();
  const open = (event: MouseEvent) => {
    const target = event.target as Element;
    // Links and buttons of a row do their own; a marked text is no click.
    if (!href || target.closest("a,button,input") || window.getSelection()?.toString()) return;
    route(href);
  };
  const classes = [href && "is-linked", isGone && "is-gone", isNew && "is-new"].filter(Boolean).join(" ");
  return (
    <tr class={classes} aria-rowindex={index + 2} data-index={index} onClick={open}>
      {columns.map((column, position) => {
        const content = column.cell(row);
        return (
          <td key={column.id} class={column.isNumber ? "num" : ""}>
            {position === 0 && href ? (
              <a class="row-link" href={href}>
                {content}
              </a>
            ) : (
              content
            )}
            {isNarrow && column.narrow && <span class="sub">{column.narrow(row)}</span>}
          </td>
        );
      })}
    </tr>
  );
}

function Spacer({ columns, height }: { columns: number; height: number }) {
  return (
    <tr class="spacer" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}

function Skeletons({ columns }: { columns: number }) {
  return (
    <>
      {Array.from({ length: 8 }, (_, row) => (
        <tr key={row} aria-hidden="true">
          {Array.from({ length: columns }, (_, column) => (
            <td key={column}>
              <span class="skeleton" />
            </td>
          ))}
        </tr>
      ))}
    </>
  );
}

/** The width of an element, followed. */
function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(() => Math.min(window.innerWidth, 1000));
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    const observer = new ResizeObserver(() => setWidth(target.clientWidth));
    observer.observe(target);
    setWidth(target.clientWidth);
    return () => observer.disconnect();
  });
  return width;
}

/** Ids of rows that came on top since the first drawing: they are lit for a moment. */
function useFresh<Row>(rows: readonly Row[], idOf: (row: Row) => string): ReadonlySet<string> {
  const state = useRef<{ top: string | undefined; fresh: Set<string> }>({ top: undefined, fresh: new Set() });
  const top = rows[0] === undefined ? undefined : idOf(rows[0]);
  if (top !== state.current.top) {
    const before = state.current.top;
    const end = before === undefined ? -1 : rows.slice(0, 50).findIndex((row) => idOf(row) === before);
    state.current = { top, fresh: new Set(end > 0 ? rows.slice(0, end).map(idOf) : []) };
  }
  return state.current.fresh;
}
