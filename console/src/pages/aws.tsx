import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { useQuery } from "../lib/query";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox, Segments } from "../table/filters";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { WholeTable } from "../table/whole-table";
import { useMay } from "../ui/access";
import { accessKeyCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { PageHead } from "../ui/page";
import { Ago } from "../ui/time";
import { AccessKeyDetails, KeyState, restrictions, type AccessKey } from "./aws-details";
import { AccessKeyDialog, KeysDialog, TemporaryDialog, type Made } from "./aws-dialogs";
import { stateOf } from "./token-state";

/** Which dialog is open. */
type Open =
  | { dialog: "details"; key: AccessKey; isTemporary: boolean }
  | { dialog: "make" }
  | { dialog: "mint" }
  | { dialog: "made"; title: string; made: Made };

/** Access for AWS clients: keys, temporary credentials, and the channels they signal over. */
export function Aws() {
  const [open, setOpen] = useState<Open | undefined>(undefined);
  const [edition, setEdition] = useState(0);
  const kind = useQuery().get("kind");
  const isOwner = useMay("owner");
  const close = () => setOpen(undefined);
  const show = (title: string) => (made: Made) => {
    setOpen({ dialog: "made", title, made });
    setEdition(edition + 1);
  };
  const onOpen = (isTemporary: boolean) => (key: AccessKey) => setOpen({ dialog: "details", key, isTemporary });
  return (
    <>
      <PageHead
        title="AWS clients"
        about="Access keys for clients of AWS Kinesis Video Streams WebRTC, and the channels they signal over."
        actions={
          isOwner && (
            <>
              <button type="button" class="button" onClick={() => setOpen({ dialog: "mint" })}>
                Temporary credentials
              </button>
              <button type="button" class="button primary" onClick={() => setOpen({ dialog: "make" })}>
                <Icon name="plus" /> New access key
              </button>
            </>
          )
        }
      />
      <Filters>
        <Segments
          name="kind"
          label="What to show"
          of={[
            ["", "Access keys"],
            ["temporary", "Temporary"],
            ["channels", "Channels"],
          ]}
        />
        {kind === "" && <SearchBox name="q" label="Keys whose name or id has …" />}
      </Filters>
      {kind === "temporary" ? (
        <TemporaryKeys key={edition} onOpen={onOpen(true)} />
      ) : kind === "channels" ? (
        <Channels />
      ) : (
        <Keys key={edition} onOpen={onOpen(false)} />
      )}
      {open?.dialog === "details" && (
        <AccessKeyDetails
          accessKey={open.key}
          isTemporary={open.isTemporary}
          onClose={close}
          onChanged={() => {
            close();
            setEdition(edition + 1);
          }}
          onRotated={show(`A key in place of “${open.key.name || open.key.id}”`)}
        />
      )}
      {open?.dialog === "make" && <AccessKeyDialog onClose={close} onMade={show("The access key")} />}
      {open?.dialog === "mint" && <TemporaryDialog onClose={close} onMade={show("Temporary credentials")} />}
      {open?.dialog === "made" && <KeysDialog title={open.title} made={open.made} onClose={close} />}
    </>
  );
}

function Keys({ onOpen }: { onOpen: (key: AccessKey) => void }) {
  const keys = useResource(
    "access keys",
    async (signal) => (await take(api.GET("/api/v1/aws/access-keys", { signal }))).data,
    10_000,
  );
  return (
    <WholeTable
      resource={keys}
      noun="access key"
      columns={columns("name", onOpen)}
      idOf={(key) => key.id}
      textOf={(key) => `${key.name} ${key.id} ${key.preset} ${key.channel ?? ""} ${key.clientId ?? ""}`}
      empty={
        <Empty title="No access keys yet" command={accessKeyCommand()}>
          AWS clients sign what they ask for with an access key. Make one for a camera:
        </Empty>
      }
      nothing={<Empty title="No access key fits the search" />}
    />
  );
}

function TemporaryKeys({ onOpen }: { onOpen: (key: AccessKey) => void }) {
  const live = usePagedList<AccessKey>(
    "temporary keys",
    (cursor, signal) =>
      take(
        api.GET("/api/v1/aws/temporary-credentials", {
          params: { query: { limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (key) => key.id,
  );
  return (
    <LiveTable
      live={live}
      noun="temporary key"
      columns={columns("id", onOpen)}
      idOf={(key) => key.id}
      empty={
        <Empty title="No temporary credentials">
          Your application mints them for its visitors; they go when they expire.
        </Empty>
      }
    />
  );
}

function columns(by: "name" | "id", onOpen: (key: AccessKey) => void): Column<AccessKey>[] {
  const lasts: Column<AccessKey> = {
    id: "id",
    title: "Access key id",
    width: 240,
    from: 820,
    cell: (key) => <span class="mono">{key.id}</span>,
  };
  return [
    {
      id: by,
      title: by === "name" ? "Name" : "Access key id",
      cell: (key) => (
        <button type="button" class="row-link" onClick={() => onOpen(key)}>
          {by === "id" ? <span class="mono">{key.id}</span> : key.name || key.id}
        </button>
      ),
      narrow: (key) => [key.preset, restrictions(key)].filter(Boolean).join(", "),
      ...(by === "name" && { sortKey: (key: AccessKey) => key.name || key.id }),
    },
    {
      id: "state",
      title: "State",
      width: 108,
      cell: (key) => <KeyState of={key} />,
      ...(by === "name" && { sortKey: stateOf }),
    },
    ...(by === "name" ? [lasts] : []),
    { id: "preset", title: "May act as", width: 120, from: 480, cell: (key) => key.preset },
    { id: "restrictions", title: "Only", width: 220, from: 700, cell: restrictions },
    { id: "expires", title: "Expires", width: 110, from: 600, cell: (key) => <Ago at={key.expiresAt} /> },
  ];
}

const CHANNELS: Column<Schemas["Channel"]>[] = [
  { id: "name", title: "Name", cell: (channel) => channel.name },
  { id: "ttl", title: "Messages wait", width: 130, from: 480, cell: (channel) => `${channel.messageTtl} s` },
  { id: "created", title: "Made", width: 110, cell: (channel) => <Ago at={channel.createdAt} /> },
];

function Channels() {
  const live = usePagedList<Schemas["Channel"]>(
    "signalling channels",
    (cursor, signal) =>
      take(api.GET("/api/v1/aws/channels", { params: { query: { limit: 100, ...(cursor && { cursor }) } }, signal })),
    (channel) => channel.name,
  );
  return (
    <LiveTable
      live={live}
      noun="channel"
      columns={CHANNELS}
      idOf={(channel) => channel.name}
      empty={<Empty title="No signalling channels">AWS clients make them: CreateSignalingChannel.</Empty>}
    />
  );
}
