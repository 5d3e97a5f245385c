import { api, take, type Schemas } from "../api/client";
import { href, useQuery } from "../lib/query";
import type { Column } from "../table/columns";
import { FilterChips, Filters } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { clientTokenCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

export type Registration = Schemas["Registration"];

const COLUMNS: Column<Registration>[] = [
  {
    id: "client",
    title: "Client",
    cell: (registration) => registration.clientId,
    narrow: (registration) => (
      <>
        {registration.dialect.toUpperCase()} · <Ago at={registration.since} />
      </>
    ),
  },
  {
    id: "dialect",
    title: "Dialect",
    width: 150,
    from: 560,
    cell: (registration) => registration.dialect.toUpperCase() + (registration.enableIncoming ? "" : ", only calls"),
  },
  { id: "since", title: "Since", width: 110, from: 480, cell: (registration) => <Ago at={registration.since} /> },
  { id: "expires", title: "Expires", width: 110, cell: (registration) => <Ago at={registration.expiresAt} /> },
  {
    id: "address",
    title: "Address",
    width: 200,
    from: 820,
    cell: (registration) => <span class="mono">{registration.address ?? ""}</span>,
  },
  {
    id: "calls",
    title: "Calls",
    width: 84,
    from: 640,
    cell: (registration) => <a href={href("/calls", { client: registration.clientId })}>Show</a>,
  },
  {
    id: "agent",
    title: "User agent",
    width: 240,
    from: 1040,
    cell: (registration) => registration.userAgent ?? "",
  },
];

/** Who can be called now. A row whose registration ended stays where it is, marked as gone, until the list is read anew. */
export function Registrations() {
  const query = useQuery();
  const clientId = query.get("clientId");
  const filters = { ...(clientId && { clientId }) };
  const live = usePagedList<Registration>(
    `registrations ${clientId}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/registrations", {
          params: { query: { ...filters, limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (registration) => registration.id,
    { concerns: (event) => event.type.startsWith("registration.") },
  );
  return (
    <>
      <PageHead title="Registrations" about="Clients that are connected now, and can be called." />
      <Filters>
        <FilterChips of={[["clientId", "Client"]]} />
      </Filters>
      <LiveTable
        live={live}
        noun="registration"
        columns={COLUMNS}
        idOf={(registration) => registration.id}
        hrefOf={(registration) => `/registrations?clientId=${encodeURIComponent(registration.clientId)}`}
        isChanging={() => true}
        empty={
          clientId ? (
            <Empty title="This client is not registered" />
          ) : (
            <Empty title="Nobody is registered" command={clientTokenCommand()}>
              A client registers with a client token. Mint one and give it to a browser:
            </Empty>
          )
        }
      />
    </>
  );
}
