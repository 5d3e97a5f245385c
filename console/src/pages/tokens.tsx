import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { useMay } from "../ui/access";
import { mintCommand, tokenCommand } from "../ui/commands";
import { Command } from "../ui/copy";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { OnlyFor } from "../ui/only-for";
import { PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { Ago } from "../ui/time";
import { TokenDetails } from "./token-details";
import { TokenDialog } from "./token-dialog";
import { stateOf, TokenState } from "./token-state";

type Token = Schemas["Token"];

/** Which dialog is open. */
type Open =
  | { dialog: "details"; token: Token }
  | { dialog: "make"; replaces: Token | undefined }
  | { dialog: "made"; token: Schemas["NewToken"] };

export function Tokens() {
  const [open, setOpen] = useState<Open | undefined>(undefined);
  const isOwner = useMay("owner");
  const tokens = useResource(
    "tokens",
    async (signal) => (await take(api.GET("/api/v1/tokens", { signal }))).data,
    10_000,
  );
  const close = () => setOpen(undefined);
  return (
    <>
      <PageHead
        title="API tokens"
        about="What your application shows when it asks for credentials. Keep them on your servers."
        actions={
          isOwner && (
            <button
              type="button"
              class="button primary"
              onClick={() => setOpen({ dialog: "make", replaces: undefined })}
            >
              <Icon name="plus" /> New token
            </button>
          )
        }
      />
      <OnlyFor role="owner" what="make, rotate and revoke tokens" />
      <Filters>
        <SearchBox name="q" label="Tokens whose name has …" />
      </Filters>
      <WholeTable
        resource={tokens}
        noun="token"
        columns={columns((token) => setOpen({ dialog: "details", token }))}
        idOf={(token) => String(token.id)}
        textOf={(token) => `${token.name} ${token.prefix} ${token.scopes.join(" ")}`}
        empty={<Empty title="No tokens yet" command={tokenCommand()} />}
        nothing={<Empty title="No token fits the search" />}
      />
      {open?.dialog === "details" && (
        <TokenDetails
          token={open.token}
          onClose={close}
          onChanged={() => {
            close();
            tokens.reload();
          }}
          onRotate={() => setOpen({ dialog: "make", replaces: open.token })}
        />
      )}
      {open?.dialog === "make" && (
        <TokenDialog
          replaces={open.replaces}
          onClose={close}
          onMade={(token) => {
            setOpen({ dialog: "made", token });
            tokens.reload();
          }}
        />
      )}
      {open?.dialog === "made" && (
        <SecretDialog title={`Token “${open.token.name}”`} secret={open.token.value} onClose={close}>
          <p>This is shown once. Store it where your application reads its secrets.</p>
          {open.token.scopes.includes("credentials") && (
            <>
              <p>
                With it in <code>CAUSEWAY_API_TOKEN</code>, this mints a credential for the side that calls, and the
                same with <code>client_type=receiver</code> one for the other side:
              </p>
              <Command text={mintCommand()} />
            </>
          )}
        </SecretDialog>
      )}
    </>
  );
}

function columns(onOpen: (token: Token) => void): Column<Token>[] {
  return [
    {
      id: "name",
      title: "Name",
      cell: (token) => (
        <button type="button" class="row-link" onClick={() => onOpen(token)}>
          {token.name}
        </button>
      ),
      sortKey: (token) => token.name,
      narrow: (token) => token.scopes.join(", "),
    },
    { id: "state", title: "State", width: 108, cell: (token) => <TokenState of={token} />, sortKey: stateOf },
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
      from: 880,
      cell: (token) => <Ago at={token.expiresAt} />,
      sortKey: (token) => token.expiresAt ?? "",
    },
  ];
}
