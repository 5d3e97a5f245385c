import { api, take, type Schemas } from "../api/client";
import { formatCount, plural } from "../lib/format";
import { to } from "../lib/query";
import type { Column } from "../table/columns";
import { Ago } from "../ui/time";
import { figureColumns, NamedList, stateColumn } from "./named-list";

type Room = Schemas["Room"];

const COLUMNS: Column<Room>[] = [
  {
    id: "room",
    title: "Room",
    serverSort: "name",
    cell: (room) => room.room,
    narrow: (room) => (
      <>
        {plural(room.clients, "client")} · <Ago at={room.lastSeen} />
      </>
    ),
  },
  stateColumn(),
  { id: "clients", title: "Clients", width: 84, from: 640, isNumber: true, cell: (room) => formatCount(room.clients) },
  ...figureColumns<Room>(),
];

export function Rooms() {
  return (
    <NamedList<Room>
      noun="room"
      title="Rooms"
      about="A room is a call: what your application named when it asked for credentials."
      appears="A room appears when a credential names it:"
      columns={COLUMNS}
      nameOf={(room) => room.room}
      hrefOf={(room) => to.room(room.room)}
      fetch={(query, signal) => take(api.GET("/api/v1/rooms", { params: { query }, signal }))}
      concerns={(event) => /^(session\.(started|ended)|credential\.minted|room\.)/.test(event.type)}
    />
  );
}
