import { api, take, type Schemas } from "../api/client";
import { formatBytes, formatCount } from "../lib/format";
import { to, useQuery } from "../lib/query";
import type { Column } from "../table/columns";
import { FilterChips, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { LiveBadge } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

export type Client = Schemas["Client"];

export const CLIENT_COLUMNS: Column<Client>[] = [
  {
    id: "client",
    title: "Client",
    cell: (client) => client.client,
    narrow: (client) => (
      <>
        {client.roles.join(", ")} · <Ago at={client.lastSeen} />
      </>
    ),
  },
  { id: "state", title: "State", width: 92, cell: (client) => <LiveBadge isLive={client.activeSessions > 0} /> },
  { id: "roles", title: "Roles", width: 150, from: 820, cell: (client) => client.roles.join(", ") },
  {
    id: "sessions",
    title: "Sessions",
    width: 96,
    from: 520,
    isNumber: true,
    cell: (client) => formatCount(client.sessions),
  },
  { id: "in", title: "In", width: 92, isNumber: true, cell: (client) => formatBytes(client.bytesIn) },
  { id: "out", title: "Out", width: 92, from: 560, isNumber: true, cell: (client) => formatBytes(client.bytesOut) },
  { id: "first", title: "First seen", width: 120, from: 980, cell: (client) => <Ago at={client.firstSeen} /> },
  { id: "last", title: "Last seen", width: 120, from: 720, cell: (client) => <Ago at={client.lastSeen} /> },
];

export function Clients() {
  const query = useQuery();
  const [prefix, active, room] = ["q", "active", "room"].map((name) => query.get(name));
  const filters = {
    ...(prefix && { prefix }),
    ...(active && { active: active === "true" }),
    ...(room && { room }),
  };
  const live = usePagedList<Client>(
    `clients ${JSON.stringify(filters)}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/clients", {
          params: { query: { ...filters, limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (client) => client.client,
    { concerns: (event) => /^(session\.(started|ended)|credential\.minted)/.test(event.type) },
  );
  return (
    <>
      <PageHead title="Clients" about="Who calls and is called, under the names your application gave them." />
      <Filters>
        <SearchBox name="q" label="Clients that begin with …" />
        <Segments
          name="active"
          label="State"
          of={[
            ["", "All"],
            ["true", "Live"],
            ["false", "Idle"],
          ]}
        />
        <FilterChips of={[["room", "Room"]]} />
      </Filters>
      <LiveTable
        live={live}
        noun="client"
        columns={CLIENT_COLUMNS}
        idOf={(client) => client.client}
        hrefOf={(client) => to.client(client.client)}
        isChanging={(client) => client.activeSessions > 0}
        empty={
          Object.keys(filters).length > 0 ? (
            <Empty title="No client fits these filters" />
          ) : (
            <Empty title="No clients yet" command={mintCommand()}>
              A client appears when a credential names it as initiator or receiver:
            </Empty>
          )
        }
      />
    </>
  );
}
