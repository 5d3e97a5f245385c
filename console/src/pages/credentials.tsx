import { api, take, type Schemas } from "../api/client";
import { formatBytes, formatCount } from "../lib/format";
import { to, useQuery } from "../lib/query";
import { serverSort, type Column } from "../table/columns";
import { FilterChips, Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { Badge } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";

export type Credential = Schemas["Credential"];

export function CredentialState({ of }: { of: Credential }) {
  return <Badge tone={of.state === "active" ? "good" : of.state === "revoked" ? "bad" : "neutral"}>{of.state}</Badge>;
}

/** Whom it was minted for: the one who holds it, or both. */
export function holder(credential: Credential): string {
  const { clientType, initiatorClient, receiverClient } = credential;
  if (clientType === "initiator") return initiatorClient ?? "";
  if (clientType === "receiver") return receiverClient ?? "";
  return [initiatorClient, receiverClient].filter(Boolean).join(" + ");
}

export function limitsText(credential: Credential): string {
  const { maxBytes, maxAllocations, maxBitrate, clientIp, peerScope } = credential.limits;
  return [
    maxBytes != null && formatBytes(maxBytes),
    maxAllocations != null && `${formatCount(maxAllocations)} at once`,
    maxBitrate != null && `${formatBytes(maxBitrate).replace("B", "bit")}/s`,
    clientIp != null && `only from ${clientIp}`,
    peerScope === "room" && "only within its room",
  ]
    .filter(Boolean)
    .join(", ");
}

const COLUMNS: Column<Credential>[] = [
  {
    id: "username",
    title: "User name",
    cell: (credential) => <span class="mono">{credential.username}</span>,
    narrow: (credential) => (
      <>
        {holder(credential) || "nobody"} · <Ago at={credential.issuedAt} />
      </>
    ),
  },
  { id: "state", title: "State", width: 104, cell: (credential) => <CredentialState of={credential} /> },
  { id: "holder", title: "Held by", width: 150, from: 640, cell: holder },
  {
    id: "room",
    title: "Room",
    width: 160,
    from: 820,
    cell: (credential) => credential.room && <a href={to.room(credential.room)}>{credential.room}</a>,
  },
  {
    id: "issued",
    title: "Issued",
    width: 104,
    from: 700,
    serverSort: "issued",
    cell: (credential) => <Ago at={credential.issuedAt} />,
  },
  {
    id: "expires",
    title: "Expires",
    width: 104,
    from: 920,
    serverSort: "expires",
    cell: (credential) => <Ago at={credential.expiresAt} />,
  },
  {
    id: "sessions",
    title: "Live",
    width: 72,
    from: 560,
    isNumber: true,
    cell: (credential) => formatCount(credential.activeSessions),
  },
  { id: "limits", title: "Limits", width: 200, from: 1200, cell: limitsText },
];

export function Credentials() {
  const query = useQuery();
  const [search, state, room, client, token] = ["q", "state", "room", "client", "token"].map((name) => query.get(name));
  const sort = serverSort(COLUMNS, query.get("sort"));
  const filters = {
    ...(search && { search }),
    ...(state && { state }),
    ...(room && { room }),
    ...(client && { client }),
    ...(token && { token: Number(token) }),
  };
  const live = usePagedList<Credential>(
    `credentials ${JSON.stringify(filters)} ${sort ?? ""}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/credentials", {
          params: { query: { ...filters, ...(sort && { sort }), limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (credential) => credential.username,
    { concerns: (event) => event.type.startsWith("credential.") },
  );
  return (
    <>
      <PageHead
        title="Credentials"
        about="What opens the relay. The secret half is shown to whoever mints it and never again."
      />
      <Filters>
        <SearchBox name="q" label="User name, room, client …" />
        <Segments
          name="state"
          label="State"
          of={[
            ["", "All"],
            ["active", "Active"],
            ["expired", "Expired"],
            ["revoked", "Revoked"],
          ]}
        />
        <FilterChips
          of={[
            ["room", "Room"],
            ["client", "Client"],
            ["token", "Token"],
          ]}
        />
      </Filters>
      <LiveTable
        live={live}
        noun="credential"
        columns={COLUMNS}
        order="-issued"
        idOf={(credential) => credential.username}
        hrefOf={(credential) => to.credential(credential.username)}
        isChanging={(credential) => credential.state === "active"}
        empty={
          Object.keys(filters).length > 0 ? (
            <Empty title="No credential fits these filters" />
          ) : (
            <Empty title="No credentials yet" command={mintCommand()}>
              Your application mints one for each user and call:
            </Empty>
          )
        }
      />
    </>
  );
}
