import { api, take, type Schemas } from "../api/client";
import { to } from "../lib/query";
import type { Column } from "../table/columns";
import { Ago } from "../ui/time";
import { figureColumns, NamedList, stateColumn } from "./named-list";

type Client = Schemas["Client"];

const COLUMNS: Column<Client>[] = [
  {
    id: "client",
    title: "Client",
    serverSort: "name",
    cell: (client) => client.client,
    narrow: (client) => (
      <>
        {client.roles.join(", ")} · <Ago at={client.lastSeen} />
      </>
    ),
  },
  stateColumn(),
  { id: "roles", title: "Roles", width: 150, from: 820, cell: (client) => client.roles.join(", ") },
  ...figureColumns<Client>(),
];

export function Clients() {
  return (
    <NamedList<Client>
      noun="client"
      title="Clients"
      about="Who calls and is called, under the names your application gave them."
      appears="A client appears when a credential names it as initiator or receiver:"
      columns={COLUMNS}
      nameOf={(client) => client.client}
      hrefOf={(client) => to.client(client.client)}
      fetch={(query, signal) => take(api.GET("/api/v1/clients", { params: { query }, signal }))}
      concerns={(event) => /^(session\.(started|ended)|credential\.minted)/.test(event.type)}
    />
  );
}
