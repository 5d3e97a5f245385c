import type { ComponentChildren } from "preact";
import { api, take, type Schemas } from "../api/client";
import { CAUSE_CHOICES, causeText, causeTone } from "../lib/causes";
import { capitalised } from "../lib/format";
import { to, useQuery } from "../lib/query";
import { sinceFilter, SINCE_CHOICES } from "../lib/since";
import type { Column } from "../table/columns";
import { Choice, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { Badge } from "../ui/badge";
import { clientTokenCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago, Duration } from "../ui/time";

export type Call = Schemas["Call"];

/** Whom a call was placed to: a service, clients, or nobody yet. */
export function calleesOf(call: Call): string {
  const names = call.to.join(", ");
  if (call.service) return names ? `${call.service} (${names})` : call.service;
  return names || "nobody yet";
}

export function CallState({ of }: { of: Call }) {
  if (of.state === "active") return <Badge tone="good">talking</Badge>;
  if (of.state !== "ended") return <Badge tone="warn">{of.state}</Badge>;
  return of.answeredAt == null ? <Badge>missed</Badge> : <Badge>ended</Badge>;
}

export function Cause({ of }: { of: Call }) {
  if (of.cause == null) return null;
  const tone = causeTone(of.cause);
  return <span class={tone === "bad" ? "bad-text" : ""}>{capitalised(causeText(of.cause))}</span>;
}

const COLUMNS: Column<Call>[] = [
  {
    id: "call",
    title: "Call",
    cell: (call) => (
      <>
        {call.from} <span class="muted">to</span> {calleesOf(call)}
      </>
    ),
    narrow: (call) => (
      <>
        {call.cause == null ? call.state : causeText(call.cause)} · <Ago at={call.startedAt} />
      </>
    ),
  },
  { id: "state", title: "State", width: 108, cell: (call) => <CallState of={call} /> },
  { id: "cause", title: "End", width: 190, from: 640, cell: (call) => <Cause of={call} /> },
  { id: "started", title: "Started", width: 110, from: 480, cell: (call) => <Ago at={call.startedAt} /> },
  {
    id: "talk",
    title: "Talk",
    width: 100,
    isNumber: true,
    cell: (call) =>
      call.answeredAt == null ? <span class="muted">none</span> : <Duration from={call.answeredAt} to={call.endedAt} />,
  },
  {
    id: "answered",
    title: "Answered by",
    width: 170,
    from: 900,
    cell: (call) => call.answeredBy && <a href={to.client(call.answeredBy)}>{call.answeredBy}</a>,
  },
  { id: "dialect", title: "Dialect", width: 90, from: 1060, cell: (call) => call.dialect.toUpperCase() },
  {
    id: "code",
    title: "SIP code",
    width: 86,
    from: 1180,
    isNumber: true,
    cell: (call) => call.sipCode ?? "",
  },
  {
    id: "address",
    title: "Caller's address",
    width: 170,
    from: 1320,
    cell: (call) => <span class="mono">{call.clientAddress ?? ""}</span>,
  },
];

/** Calls under these filters: those that go on first. */
export function CallTable({ of, since, empty }: { of: Filter; since: string; empty: ComponentChildren }) {
  const live = usePagedList<Call>(
    `calls ${JSON.stringify(of)} ${since}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/calls", {
          params: { query: { ...of, ...sinceFilter(since), limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (call) => call.id,
    { concerns: (event) => event.type.startsWith("call.") },
  );
  return (
    <LiveTable
      live={live}
      noun="call"
      columns={COLUMNS}
      idOf={(call) => call.id}
      hrefOf={(call) => to.call(call.id)}
      isChanging={(call) => call.state !== "ended"}
      empty={empty}
    />
  );
}

export interface Filter {
  client?: string;
  cause?: string;
  active?: boolean;
}

export function Calls() {
  const query = useQuery();
  const [client, cause, active, since] = ["client", "cause", "active", "since"].map((name) => query.get(name));
  const filter: Filter = {
    ...(client && { client }),
    ...(cause && { cause }),
    ...(active && { active: active === "true" }),
  };
  return (
    <>
      <PageHead title="Calls" about="Between clients that register here, whatever they speak." />
      <Filters>
        <SearchBox name="client" label="Client id, in full" />
        <Segments
          name="active"
          label="State"
          of={[
            ["", "All"],
            ["true", "Live"],
            ["false", "Ended"],
          ]}
        />
        <Choice name="cause" label="End" of={CAUSE_CHOICES} />
        <Choice name="since" label="Begun" of={SINCE_CHOICES} />
      </Filters>
      <CallTable
        of={filter}
        since={since ?? ""}
        empty={
          Object.keys(filter).length > 0 || since ? (
            <Empty title="No call fits these filters" />
          ) : (
            <Empty title="No calls yet" command={clientTokenCommand()}>
              Calls are placed between registered clients. Mint a client token and give it to a browser:
            </Empty>
          )
        }
      />
    </>
  );
}
