import { api, take, type Schemas } from "../api/client";
import { formatBytes, formatCount } from "../lib/format";
import { to, useQuery } from "../lib/query";
import type { Column } from "../table/columns";
import { Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { LiveBadge } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

type Room = Schemas["Room"];

const COLUMNS: Column<Room>[] = [
  {
    id: "room",
    title: "Room",
    cell: (room) => room.room,
    narrow: (room) => (
      <>
        {formatCount(room.clients)} clients · <Ago at={room.lastSeen} />
      </>
    ),
  },
  { id: "state", title: "State", width: 92, cell: (room) => <LiveBadge isLive={room.activeSessions > 0} /> },
  { id: "clients", title: "Clients", width: 84, from: 640, isNumber: true, cell: (room) => formatCount(room.clients) },
  {
    id: "sessions",
    title: "Sessions",
    width: 96,
    from: 520,
    isNumber: true,
    cell: (room) => (
      <span title={`${room.activeSessions} of them live`}>
        {formatCount(room.sessions)}
        {room.activeSessions > 0 && <span class="muted"> ({formatCount(room.activeSessions)})</span>}
      </span>
    ),
  },
  { id: "in", title: "In", width: 92, isNumber: true, cell: (room) => formatBytes(room.bytesIn) },
  { id: "out", title: "Out", width: 92, from: 560, isNumber: true, cell: (room) => formatBytes(room.bytesOut) },
  { id: "first", title: "First seen", width: 120, from: 980, cell: (room) => <Ago at={room.firstSeen} /> },
  { id: "last", title: "Last seen", width: 120, from: 760, cell: (room) => <Ago at={room.lastSeen} /> },
];

export function Rooms() {
  const query = useQuery();
  const [prefix, active] = [query.get("q"), query.get("active")];
  const filters = { ...(prefix && { prefix }), ...(active && { active: active === "true" }) };
  const live = usePagedList<Room>(
    `rooms ${JSON.stringify(filters)}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/rooms", {
          params: { query: { ...filters, limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (room) => room.room,
    { concerns: (event) => /^(session\.(started|ended)|credential\.minted|room\.)/.test(event.type) },
  );
  return (
    <>
      <PageHead title="Rooms" about="A room is a call: what your application named when it asked for credentials." />
      <Filters>
        <SearchBox name="q" label="Rooms that begin with …" />
        <Segments
          name="active"
          label="State"
          of={[
            ["", "All"],
            ["true", "Live"],
            ["false", "Ended"],
          ]}
        />
      </Filters>
      <LiveTable
        live={live}
        noun="room"
        columns={COLUMNS}
        idOf={(room) => room.room}
        hrefOf={(room) => to.room(room.room)}
        isChanging={(room) => room.activeSessions > 0}
        empty={
          Object.keys(filters).length > 0 ? (
            <Empty title="No room fits these filters" />
          ) : (
            <Empty title="No rooms yet" command={mintCommand()}>
              A room appears when a credential names it:
            </Empty>
          )
        }
      />
    </>
  );
}
