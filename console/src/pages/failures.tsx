import { api, take, type Schemas } from "../api/client";
import { capitalised, formatCount, formatDuration } from "../lib/format";
import { href, to, useQuery } from "../lib/query";
import { reasonText, REASON_NAMES } from "../lib/reasons";
import { useResource } from "../lib/resource";
import { sinceFilter, SINCE_CHOICES } from "../lib/since";
import { serverSort, type Column } from "../table/columns";
import { Choice, FilterChips, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { WholeTable } from "../table/whole-table";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

type Failure = Schemas["Failure"];
type Group = Schemas["FailureGroup"];

const FIGURES_MS = 5000;

export function Failures() {
  const query = useQuery();
  return (
    <>
      <PageHead
        title="Failures"
        about="Every attempt that the relay refused, with its reason. Equal ones of a minute are one row."
      />
      <Filters>
        <SearchBox name="q" label="User name, room, client, address …" />
        <Segments
          name="by"
          label="Grouped by"
          of={[
            ["", "Each"],
            ["reason", "By reason"],
            ["room", "By room"],
            ["client", "By client"],
          ]}
        />
        <Choice name="since" label="Since" of={SINCE_CHOICES} />
        <Choice
          name="reason"
          label="Reason"
          of={[
            ["", "Any reason"],
            ...REASON_NAMES.map((name): [string, string] => [name, capitalised(reasonText(name))]),
          ]}
        />
        <FilterChips
          of={[
            ["room", "Room"],
            ["client", "Client"],
          ]}
        />
      </Filters>
      {query.get("by") ? <Groups by={query.get("by")} /> : <Each />}
    </>
  );
}

function useFailureFilters() {
  const query = useQuery();
  const [search, reason, room, client] = ["q", "reason", "room", "client"].map((name) => query.get(name));
  const since = query.get("since");
  const { from } = sinceFilter(since);
  return {
    key: JSON.stringify([search, reason, room, client, since]),
    isFiltered: [search, reason, room, client, since].some(Boolean),
    filters: {
      ...(search && { search }),
      ...(reason && { reason }),
      ...(room && { room }),
      ...(client && { client }),
      ...(from && { since: from }),
    },
  };
}

function NoFailures({ isFiltered }: { isFiltered: boolean }) {
  return isFiltered ? (
    <Empty title="No refusal fits these filters" />
  ) : (
    <Empty title="Nothing was refused">
      Whoever comes with a wrong, expired or revoked credential, names a forbidden peer or reaches a limit is listed
      here with the reason.
    </Empty>
  );
}

const COLUMNS: Column<Failure>[] = [
  {
    id: "reason",
    title: "Reason",
    cell: (failure) => <ReasonText failure={failure} />,
    narrow: (failure) => (
      <>
        {failure.clients.join(" + ") || failure.username} · <Ago at={failure.lastAt} />
      </>
    ),
  },
  {
    id: "count",
    title: "Times",
    width: 80,
    isNumber: true,
    serverSort: "count",
    cell: (failure) => formatCount(failure.count + failure.folded),
  },
  { id: "who", title: "Client", width: 130, from: 640, cell: (failure) => <Who failure={failure} /> },
  {
    id: "room",
    title: "Room",
    width: 150,
    from: 820,
    cell: (failure) => failure.room && <a href={to.room(failure.room)}>{failure.room}</a>,
  },
  { id: "transport", title: "Over", width: 76, from: 1060, cell: (failure) => failure.transport?.toUpperCase() ?? "" },
  {
    id: "address",
    title: "From",
    width: 190,
    from: 980,
    cell: (failure) => <span class="mono">{failure.clientAddress}</span>,
  },
  {
    id: "username",
    title: "User name, as claimed",
    width: 300,
    from: 1360,
    cell: (failure) =>
      failure.username && (
        <a class="mono" href={to.credential(failure.username)}>
          {failure.username}
        </a>
      ),
  },
  {
    id: "first",
    title: "First",
    width: 104,
    from: 900,
    serverSort: "first",
    cell: (failure) => <Ago at={failure.at} />,
  },
  {
    id: "at",
    title: "Last",
    width: 104,
    from: 560,
    serverSort: "last",
    cell: (failure) => <Ago at={failure.lastAt} />,
  },
];

function ReasonText({ failure }: { failure: Failure }) {
  const detail =
    failure.expiredMs != null ? `${formatDuration(failure.expiredMs)} before` : (failure.peer ?? failure.limit ?? "");
  const text = reasonText(failure.reason);
  return (
    <>
      {capitalised(text)} {detail && <span class="muted">{detail}</span>}
    </>
  );
}

function Who({ failure }: { failure: Failure }) {
  const [first] = failure.clients;
  return first ? <a href={to.client(first)}>{failure.clients.join(" + ")}</a> : <span class="muted">unknown</span>;
}

function Each() {
  const { key, filters, isFiltered } = useFailureFilters();
  const sort = serverSort(COLUMNS, useQuery().get("sort"));
  const live = usePagedList<Failure>(
    `failures ${key} ${sort ?? ""}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/failures", {
          params: { query: { ...filters, ...(sort && { sort }), limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (failure) => failure.id,
    { concerns: (event) => event.type === "auth.refused" || event.type === "limit.reached" },
  );
  return (
    <LiveTable
      live={live}
      noun="refusal"
      columns={COLUMNS}
      order="-first"
      idOf={(failure) => failure.id}
      isChanging={(failure) => Date.parse(failure.lastAt) > Date.now() - 60_000}
      empty={<NoFailures isFiltered={isFiltered} />}
    />
  );
}

function Groups({ by }: { by: string }) {
  const { key, filters, isFiltered } = useFailureFilters();
  const groups = useResource(
    `failures by ${by} ${key}`,
    async (signal) => {
      const answer = await take(
        api.GET("/api/v1/failures", { params: { query: { ...filters, group_by: by } }, signal }),
      );
      return answer.groups ?? [];
    },
    FIGURES_MS,
  );
  const columns: Column<Group>[] = [
    {
      id: "key",
      title: capitalised(by),
      cell: (group) => (by === "reason" ? capitalised(reasonText(group.key)) : group.key || `no ${by}`),
      sortKey: (group) => group.key,
    },
    {
      id: "count",
      title: "Times",
      width: 110,
      isNumber: true,
      cell: (group) => formatCount(group.count),
      sortKey: (group) => group.count,
    },
    {
      id: "first",
      title: "First",
      width: 120,
      from: 560,
      cell: (group) => <Ago at={group.firstAt} />,
      sortKey: (group) => group.firstAt,
    },
    {
      id: "last",
      title: "Last",
      width: 120,
      from: 420,
      cell: (group) => <Ago at={group.lastAt} />,
      sortKey: (group) => group.lastAt,
    },
  ];
  return (
    <WholeTable
      resource={groups}
      noun="group"
      columns={columns}
      idOf={(group) => group.key}
      {...(by && { hrefOf: (group: Group) => href("/failures", { [by]: group.key }) })}
      empty={<NoFailures isFiltered={isFiltered} />}
    />
  );
}
