import { api, take, type Schemas } from "../api/client";
import { formatBytes, formatCount } from "../lib/format";
import { to, useQuery } from "../lib/query";
import { sinceFilter, SINCE_CHOICES } from "../lib/since";
import { serverSort, type Column } from "../table/columns";
import { Choice, FilterChips, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { LiveBadge, Transport } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago, Duration } from "../ui/time";

export type Session = Schemas["Session"];

/** Who a session belongs to, in a word. */
export function sessionName(session: Pick<Session, "clients" | "username">): string {
  return session.clients.map((entry) => entry.client).join(" + ") || session.username;
}

export const SESSION_COLUMNS: Column<Session>[] = [
  {
    id: "client",
    title: "Client",
    cell: (session) => sessionName(session),
    narrow: (session) => (
      <>
        {session.room ?? "no room"} · <Ago at={session.startedAt} />
      </>
    ),
  },
  { id: "state", title: "State", width: 92, cell: (session) => <LiveBadge isLive={session.endedAt == null} /> },
  {
    id: "room",
    title: "Room",
    width: 190,
    from: 700,
    cell: (session) => session.room && <a href={to.room(session.room)}>{session.room}</a>,
  },
  {
    id: "transport",
    title: "Transport",
    width: 96,
    from: 600,
    cell: (session) => <Transport of={session.transport} />,
  },
  {
    id: "started",
    title: "Started",
    width: 104,
    from: 480,
    serverSort: "started",
    cell: (session) => <Ago at={session.startedAt} />,
  },
  {
    id: "duration",
    title: "Duration",
    width: 110,
    from: 860,
    isNumber: true,
    serverSort: "duration",
    cell: (session) => <Duration from={session.startedAt} to={session.endedAt} />,
  },
  {
    id: "in",
    title: "In",
    width: 92,
    isNumber: true,
    serverSort: "bytes_in",
    cell: (session) => formatBytes(session.bytesIn),
  },
  {
    id: "out",
    title: "Out",
    width: 92,
    from: 420,
    isNumber: true,
    serverSort: "bytes_out",
    cell: (session) => formatBytes(session.bytesOut),
  },
  {
    id: "refusals",
    title: "Refusals",
    width: 86,
    from: 1000,
    isNumber: true,
    serverSort: "refusals",
    cell: (session) => (session.refusals > 0 ? formatCount(session.refusals) : <span class="muted">0</span>),
  },
  {
    id: "address",
    title: "Address",
    width: 190,
    from: 1180,
    cell: (session) => <span class="mono">{session.clientAddress}</span>,
  },
  { id: "region", title: "Region", width: 110, from: 1320, cell: (session) => session.region },
  { id: "end", title: "End", width: 140, from: 1480, cell: (session) => session.endReason ?? "" },
];

/** The newest first, as the API lists them. */
export const SESSION_ORDER = "-started";

export function Sessions() {
  const query = useQuery();
  const [search, active, room, client, username] = ["q", "active", "room", "client", "username"].map((name) =>
    query.get(name),
  );
  const since = query.get("since");
  const sort = serverSort(SESSION_COLUMNS, query.get("sort"));
  const filters = {
    ...(search && { search }),
    ...(active && { active: active === "true" }),
    ...(room && { room }),
    ...(client && { client }),
    ...(username && { username }),
  };
  const live = usePagedList<Session>(
    `sessions ${JSON.stringify(filters)} ${since} ${sort ?? ""}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/sessions", {
          params: {
            query: { ...filters, ...sinceFilter(since), ...(sort && { sort }), limit: 100, ...(cursor && { cursor }) },
          },
          signal,
        }),
      ),
    (session) => session.id,
    { concerns: (event) => event.type.startsWith("session.") },
  );
  return (
    <>
      <PageHead title="Sessions" about="Each is one allocation on the relay: one end of a call." />
      <Filters>
        <SearchBox name="q" label="Client, room, user name, address …" />
        <Segments
          name="active"
          label="State"
          of={[
            ["", "All"],
            ["true", "Live"],
            ["false", "Ended"],
          ]}
        />
        <Choice name="since" label="Begun" of={SINCE_CHOICES} />
        <FilterChips
          of={[
            ["room", "Room"],
            ["client", "Client"],
            ["username", "Credential"],
          ]}
        />
      </Filters>
      <LiveTable
        live={live}
        noun="session"
        columns={SESSION_COLUMNS}
        order={SESSION_ORDER}
        idOf={(session) => session.id}
        hrefOf={(session) => to.session(session.id)}
        isChanging={(session) => session.endedAt == null}
        empty={
          Object.keys(filters).length > 0 || since ? (
            <Empty title="No session fits these filters" />
          ) : (
            <Empty title="No sessions yet" command={mintCommand()}>
              A session begins when a client uses a credential to open the relay. Mint a credential and give its
              iceServers to a browser:
            </Empty>
          )
        }
      />
    </>
  );
}
