import type { ComponentChildren } from "preact";
import { formatBytes, formatCount } from "../lib/format";
import { useQuery } from "../lib/query";
import type { LiveEvent } from "../live/events";
import { useJustBegun } from "../live/use-just-begun";
import { serverSort, type Column } from "../table/columns";
import { FilterChips, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import type { Page } from "../table/paged-list";
import { usePagedList } from "../table/use-paged-list";
import { LiveBadge } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

/** What the API tells of rooms and of clients alike. */
export interface Figures {
  activeSessions: number;
  sessions: number;
  bytesIn: number;
  bytesOut: number;
  firstSeen: string;
  lastSeen: string;
}

export interface NameQuery {
  prefix?: string;
  active?: boolean;
  room?: string;
  sort?: string;
  limit: number;
  cursor?: string;
}

/** The newest first: what one looks for is most often what just happened. */
const ORDER = "-last";
const PAGE = 100;

/** The columns that rooms and clients have in common. */
export function figureColumns<Row extends Figures>(): Column<Row>[] {
  return [
    {
      id: "sessions",
      title: "Sessions",
      width: 96,
      from: 520,
      isNumber: true,
      serverSort: "sessions",
      cell: (row) => (
        <span title={`${row.activeSessions} of them live`}>
          {row.activeSessions > 0 && <span class="muted">{formatCount(row.activeSessions)} / </span>}
          {formatCount(row.sessions)}
        </span>
      ),
    },
    {
      id: "in",
      title: "In",
      width: 92,
      isNumber: true,
      serverSort: "bytes_in",
      cell: (row) => formatBytes(row.bytesIn),
    },
    {
      id: "out",
      title: "Out",
      width: 92,
      from: 560,
      isNumber: true,
      serverSort: "bytes_out",
      cell: (row) => formatBytes(row.bytesOut),
    },
    {
      id: "first",
      title: "First seen",
      width: 120,
      from: 980,
      serverSort: "first_seen",
      cell: (row) => <Ago at={row.firstSeen} />,
    },
    {
      id: "last",
      title: "Last seen",
      width: 120,
      from: 720,
      serverSort: "last_seen",
      cell: (row) => <Ago at={row.lastSeen} />,
    },
  ];
}

export function stateColumn<Row extends Figures>(): Column<Row> {
  return {
    id: "state",
    title: "State",
    width: 92,
    cell: (row) => <LiveBadge isLive={row.activeSessions > 0} />,
  };
}

function roomsOf({ session }: LiveEvent): string[] {
  return session?.room ? [session.room] : [];
}

function clientsOf({ session }: LiveEvent): string[] {
  return session?.clients.map((entry) => entry.client) ?? [];
}

/** A list of rooms or of clients. */
export function NamedList<Row extends Figures>(props: {
  noun: "room" | "client";
  title: string;
  about: string;
  /** When an empty list fills. */
  appears: string;
  columns: Column<Row>[];
  nameOf: (row: Row) => string;
  hrefOf: (row: Row) => string;
  fetch: (query: NameQuery, signal: AbortSignal) => Promise<Page<Row>>;
  concerns: (event: LiveEvent) => boolean;
  chips?: ComponentChildren;
}) {
  const query = useQuery();
  const [prefix, active, room] = ["q", "active", "room"].map((name) => query.get(name));
  const filters = {
    ...(prefix && { prefix }),
    ...(active && { active: active === "true" }),
    ...(room && props.noun === "client" && { room }),
  };
  const sort = serverSort(props.columns, query.get("sort") || ORDER);
  const live = usePagedList<Row>(
    `${props.noun}s ${JSON.stringify(filters)} ${sort ?? ""}`,
    (cursor, signal) =>
      props.fetch({ ...filters, ...(sort && { sort }), limit: PAGE, ...(cursor && { cursor }) }, signal),
    props.nameOf,
    { concerns: props.concerns },
  );
  const begun = useJustBegun(props.noun === "room" ? roomsOf : clientsOf);
  const now = Date.now();
  const shown = live.snapshot.rows.map((row) =>
    row.activeSessions === 0 && begun.has(props.nameOf(row), now)
      ? { ...row, activeSessions: 1, sessions: Math.max(row.sessions, 1) }
      : row,
  );
  return (
    <>
      <PageHead title={props.title} about={props.about} />
      <Filters>
        <SearchBox name="q" label={`${props.title} that begin with …`} />
        <Segments
          name="active"
          label="State"
          of={[
            ["", "All"],
            ["true", "Live"],
            ["false", "Ended"],
          ]}
        />
        {props.noun === "client" && <FilterChips of={[["room", "Room"]]} />}
      </Filters>
      <LiveTable
        live={{ ...live, snapshot: { ...live.snapshot, rows: shown } }}
        noun={props.noun}
        columns={props.columns}
        order={ORDER}
        idOf={props.nameOf}
        hrefOf={props.hrefOf}
        isChanging={(row) => row.activeSessions > 0}
        empty={
          Object.keys(filters).length > 0 ? (
            <Empty title={`No ${props.noun} fits these filters`} />
          ) : (
            <Empty title={`No ${props.noun}s yet`} command={mintCommand()}>
              {props.appears}
            </Empty>
          )
        }
      />
    </>
  );
}
