import { api, take, type Schemas } from "../api/client";
import { formatDateTime } from "../lib/format";
import { useQuery } from "../lib/query";
import { serverSort, type Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { tokenCommand } from "../ui/commands";

type Entry = Schemas["AuditEntry"];

const COLUMNS: Column<Entry>[] = [
  {
    id: "action",
    title: "What",
    width: 190,
    cell: (entry) => <span class="mono">{entry.action}</span>,
    narrow: (entry) => formatDateTime(Date.parse(entry.at)),
  },
  { id: "subject", title: "To what", cell: (entry) => entry.subject },
  {
    id: "who",
    title: "Who",
    width: 200,
    from: 560,
    cell: who,
  },
  {
    id: "detail",
    title: "Detail",
    width: 320,
    from: 1000,
    cell: (entry) => hasDetail(entry) && <span class="mono">{JSON.stringify(entry.detail)}</span>,
  },
  {
    id: "at",
    title: "When",
    width: 190,
    from: 720,
    serverSort: "at",
    cell: (entry) => formatDateTime(Date.parse(entry.at)),
  },
];

function hasDetail({ detail }: Entry): boolean {
  return detail != null && Object.keys(detail).length > 0;
}

function who(entry: Entry): string {
  if (entry.user) return entry.user;
  return entry.tokenId == null ? "the server" : `token ${entry.tokenId}`;
}

const idOf = (entry: Entry) => `${entry.at} ${entry.action} ${entry.subject} ${entry.tokenId ?? ""}`;

export function Audit() {
  const query = useQuery();
  const search = query.get("q");
  const sort = serverSort(COLUMNS, query.get("sort"));
  const live = usePagedList<Entry>(
    `audit ${search} ${sort ?? ""}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/audit", {
          params: {
            query: { ...(search && { search }), ...(sort && { sort }), limit: 100, ...(cursor && { cursor }) },
          },
          signal,
        }),
      ),
    idOf,
    { concerns: (event) => /^(token|credential\.revoked)/.test(event.type) },
  );
  return (
    <>
      <PageHead title="Audit" about="Who changed what, newest first. Nothing here can be changed or removed." />
      <Filters>
        <SearchBox name="q" label="What, to what, who …" />
      </Filters>
      <LiveTable
        live={live}
        noun="entry"
        columns={COLUMNS}
        order="-at"
        idOf={idOf}
        empty={
          search ? (
            <Empty title="No entry fits the search" />
          ) : (
            <Empty title="Nothing was done yet" command={tokenCommand()}>
              Every change over the API or in the console is written down here, for example a new token:
            </Empty>
          )
        }
      />
    </>
  );
}
