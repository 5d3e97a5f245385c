import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { href } from "../lib/query";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { mintCommand, tokenCommand } from "../ui/commands";
import { ConfirmButton } from "../ui/confirm";
import { Command } from "../ui/copy";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { Ago } from "../ui/time";
import { TokenDialog } from "./token-dialog";

type Token = Schemas["Token"];

/** What a token dialog is open for: a new token, or one in the place of another. */
type Making = { replaces: Token | undefined };

function stateOf(token: Token): "active" | "revoked" | "expired" {
  if (token.revokedAt) return "revoked";
  return token.expiresAt && Date.parse(token.expiresAt) < Date.now() ? "expired" : "active";
}

export function Tokens() {
  const [making, setMaking] = useState<Making | undefined>(undefined);
  const [made, setMade] = useState<Schemas["NewToken"] | undefined>(undefined);
  const isOwner = useMay("owner");
  const tokens = useResource(
    "tokens",
    async (signal) => (await take(api.GET("/api/v1/tokens", { signal }))).data,
    10_000,
  );
  const revoke = async (token: Token) => {
    await take(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id: token.id } } }));
    tokens.reload();
  };
  const columns: Column<Token>[] = [
    {
      id: "name",
      title: "Name",
      cell: (token) => token.name,
      sortKey: (token) => token.name,
      narrow: (token) => token.scopes.join(", "),
    },
    { id: "state", title: "State", width: 108, cell: (token) => <State token={token} />, sortKey: stateOf },
    {
      id: "prefix",
      title: "Begins with",
      width: 130,
      from: 760,
      cell: (token) => <span class="mono">{token.prefix}…</span>,
    },
    { id: "scopes", title: "May", width: 190, from: 640, cell: (token) => token.scopes.join(", ") },
    {
      id: "projects",
      title: "For",
      width: 120,
      from: 1100,
      cell: (token) => (token.organizationWide ? "every project" : "this project"),
    },
    {
      id: "used",
      title: "Last used",
      width: 110,
      from: 560,
      cell: (token) => <Ago at={token.lastUsedAt} />,
      sortKey: (token) => token.lastUsedAt ?? "",
    },
    {
      id: "expires",
      title: "Expires",
      width: 110,
      from: 980,
      cell: (token) => <Ago at={token.expiresAt} />,
      sortKey: (token) => token.expiresAt ?? "",
    },
    {
      id: "actions",
      title: "Actions",
      width: 240,
      from: 880,
      cell: (token) => (
        <span class="row">
          <a href={href("/credentials", { token: String(token.id) })}>minted</a>
          {isOwner && stateOf(token) === "active" && (
            <>
              <button type="button" class="button small" onClick={() => setMaking({ replaces: token })}>
                Rotate
              </button>
              <ConfirmButton
                label="Revoke"
                isSmall
                title={`Revoke “${token.name}”?`}
                consequence="Requests with it are refused from here on. Credentials that it minted stay good."
                action="Revoke"
                run={() => revoke(token)}
              />
            </>
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <PageHead
        title="API tokens"
        about="What your application shows when it asks for credentials. Keep them on your servers."
        actions={
          isOwner && (
            <button type="button" class="button primary" onClick={() => setMaking({ replaces: undefined })}>
              <Icon name="plus" /> New token
            </button>
          )
        }
      />
      <Filters>
        <SearchBox name="q" label="Tokens whose name has …" />
      </Filters>
      <WholeTable
        resource={tokens}
        noun="token"
        columns={columns}
        idOf={(token) => String(token.id)}
        textOf={(token) => `${token.name} ${token.prefix} ${token.scopes.join(" ")}`}
        empty={<Empty title="No tokens yet" command={tokenCommand()} />}
        nothing={<Empty title="No token fits the search" />}
      />
      {making && (
        <TokenDialog
          replaces={making.replaces}
          onClose={() => setMaking(undefined)}
          onMade={(token) => {
            setMaking(undefined);
            setMade(token);
            tokens.reload();
          }}
        />
      )}
      {made && (
        <SecretDialog title={`Token “${made.name}”`} secret={made.value} onClose={() => setMade(undefined)}>
          <p>This is shown once. Store it where your application reads its secrets, then mint a credential with it:</p>
          {made.scopes.includes("credentials") && <Command text={mintCommand()} />}
        </SecretDialog>
      )}
    </>
  );
}

function State({ token }: { token: Token }) {
  const state = stateOf(token);
  return <Badge tone={state === "active" ? "good" : state === "revoked" ? "bad" : "neutral"}>{state}</Badge>;
}
