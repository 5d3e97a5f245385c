import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { href, useQuery } from "../lib/query";
import type { Column } from "../table/columns";
import { FilterChips, Filters, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { voiceConnectionCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";
import {
  ConnectionDetails,
  ConnectionState,
  CredentialDetails,
  CredentialState,
  Registered,
  type VoiceConnection,
  type VoiceCredential,
} from "./voice-details";

/** What Telnyx's clients log in with: connections, and the credentials that applications made for them. */
export function Voice() {
  const [edition, setEdition] = useState(0);
  const query = useQuery();
  const changed = () => setEdition(edition + 1);
  return (
    <>
      <PageHead title="Voice" about="What Telnyx's voice clients log in with, and who of them is connected." />
      <Filters>
        <Segments
          name="kind"
          label="What to show"
          of={[
            ["", "Connections"],
            ["credentials", "Credentials"],
          ]}
        />
        <FilterChips
          of={[
            ["connectionId", "Connection"],
            ["tag", "Tag"],
          ]}
        />
      </Filters>
      {query.get("kind") === "credentials" ? (
        <Credentials key={edition} onChanged={changed} />
      ) : (
        <Connections key={edition} onChanged={changed} />
      )}
    </>
  );
}

function Connections({ onChanged }: { onChanged: () => void }) {
  const [open, setOpen] = useState<VoiceConnection | undefined>(undefined);
  const live = usePagedList<VoiceConnection>(
    "voice connections",
    (cursor, signal) =>
      take(
        api.GET("/api/v1/voice-connections", { params: { query: { limit: 100, ...(cursor && { cursor }) } }, signal }),
      ),
    (connection) => connection.id,
    { concerns: (event) => event.type.startsWith("registration.") },
  );
  return (
    <>
      <LiveTable
        live={live}
        noun="connection"
        columns={connectionColumns(setOpen)}
        idOf={(connection) => connection.id}
        isChanging={() => true}
        empty={
          <Empty title="No voice connections" command={voiceConnectionCommand()}>
            Telnyx's clients log in to a credential connection. Make one:
          </Empty>
        }
      />
      {open && (
        <ConnectionDetails
          connection={open}
          onClose={() => setOpen(undefined)}
          onRemoved={() => {
            setOpen(undefined);
            onChanged();
          }}
        />
      )}
    </>
  );
}

function connectionColumns(onOpen: (connection: VoiceConnection) => void): Column<VoiceConnection>[] {
  return [
    {
      id: "name",
      title: "Name",
      cell: (connection) => (
        <button type="button" class="row-link" onClick={() => onOpen(connection)}>
          {connection.name}
        </button>
      ),
      narrow: (connection) => connection.userName ?? "application",
    },
    { id: "state", title: "State", width: 108, cell: (connection) => <ConnectionState of={connection} /> },
    {
      id: "user",
      title: "User name",
      width: 220,
      from: 640,
      cell: (connection) => <span class="mono">{connection.userName ?? ""}</span>,
    },
    {
      id: "registered",
      title: "Registered",
      width: 130,
      from: 480,
      cell: (connection) => <Registered userName={connection.userName} count={connection.registrations} />,
    },
    {
      id: "credentials",
      title: "Credentials",
      width: 110,
      from: 560,
      cell: (connection) =>
        connection.kind === "clients" ? (
          <a href={href("/voice", { kind: "credentials", connectionId: connection.id })}>Show</a>
        ) : (
          ""
        ),
    },
    { id: "made", title: "Made", width: 110, from: 820, cell: (connection) => <Ago at={connection.createdAt} /> },
  ];
}

function Credentials({ onChanged }: { onChanged: () => void }) {
  const [open, setOpen] = useState<VoiceCredential | undefined>(undefined);
  const query = useQuery();
  const [connection, tag] = [query.get("connectionId"), query.get("tag")];
  const filters = { ...(/^\d+$/.test(connection) && { connectionId: Number(connection) }), ...(tag && { tag }) };
  const live = usePagedList<VoiceCredential>(
    `voice credentials ${connection} ${tag}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/voice-credentials", {
          params: { query: { ...filters, limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (credential) => credential.id,
    { concerns: (event) => event.type.startsWith("registration.") },
  );
  return (
    <>
      <LiveTable
        live={live}
        noun="credential"
        columns={credentialColumns(setOpen)}
        idOf={(credential) => credential.id}
        isChanging={() => true}
        empty={
          <Empty title={connection || tag ? "No such credentials" : "No voice credentials"}>
            Applications make them for their users: POST /v2/telephony_credentials.
          </Empty>
        }
      />
      {open && (
        <CredentialDetails
          credential={open}
          onClose={() => setOpen(undefined)}
          onChanged={() => {
            setOpen(undefined);
            onChanged();
          }}
        />
      )}
    </>
  );
}

function credentialColumns(onOpen: (credential: VoiceCredential) => void): Column<VoiceCredential>[] {
  return [
    {
      id: "name",
      title: "Name",
      cell: (credential) => (
        <button type="button" class="row-link" onClick={() => onOpen(credential)}>
          {credential.name || credential.userName}
        </button>
      ),
      narrow: (credential) => credential.tag ?? "",
    },
    { id: "state", title: "State", width: 108, cell: (credential) => <CredentialState of={credential} /> },
    {
      id: "tag",
      title: "Tag",
      width: 140,
      from: 640,
      cell: (credential) =>
        credential.tag ? (
          <a href={href("/voice", { kind: "credentials", tag: credential.tag })}>{credential.tag}</a>
        ) : (
          ""
        ),
    },
    {
      id: "registered",
      title: "Registered",
      width: 130,
      from: 480,
      cell: (credential) => <Registered userName={credential.userName} count={credential.registrations} />,
    },
    { id: "expires", title: "Expires", width: 110, from: 560, cell: (credential) => <Ago at={credential.expiresAt} /> },
    { id: "made", title: "Made", width: 110, from: 820, cell: (credential) => <Ago at={credential.createdAt} /> },
  ];
}
