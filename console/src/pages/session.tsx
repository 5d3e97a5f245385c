import type { ComponentChildren } from "preact";
import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { ApiError } from "../api/error";
import { formatBytes, formatCount, formatDateTime, formatDuration } from "../lib/format";
import { href, to } from "../lib/query";
import { useResource } from "../lib/resource";
import { LiveBadge, Transport } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { CopyButton } from "../ui/copy";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/note";
import { Card, Facts, PageHead, Stat } from "../ui/page";
import { Duration } from "../ui/time";
import { sessionName, type Session } from "./sessions";

const FIGURES_MS = 2000;

export function SessionPage() {
  const id = useRoute().params["id"] ?? "";
  const { data, error, reload } = useResource(
    `session ${id}`,
    (signal) => take(api.GET("/api/v1/sessions/{id}", { params: { path: { id } }, signal })),
    FIGURES_MS,
  );
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      return <Empty title="No such session">It may have been removed with its client's or room's data.</Empty>;
    }
    return error === undefined ? <PageHead title="Session" /> : <ErrorNote error={error} retry={reload} />;
  }
  return <Details session={data} error={error} reload={reload} />;
}

function Details({ session, error, reload }: { session: Session; error: unknown; reload: () => void }) {
  const isLive = session.endedAt == null;
  const end = async () => {
    await take(api.DELETE("/api/v1/sessions/{id}", { params: { path: { id: session.id } } }));
    reload();
  };
  return (
    <div class="stack">
      <PageHead
        title={sessionName(session)}
        badge={<LiveBadge isLive={isLive} />}
        about={
          session.room ? (
            <>
              In room <a href={to.room(session.room)}>{session.room}</a>
            </>
          ) : (
            "In no room"
          )
        }
        actions={
          isLive && (
            <ConfirmButton
              label="End the session"
              title="End this session?"
              consequence="The client's relay is taken away at once. Its credential stays good, so the client may open another."
              action="End it"
              run={end}
            />
          )
        }
      />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <div class="stats">
        <Stat label="Duration" value={<Duration from={session.startedAt} to={session.endedAt} />} />
        <Stat
          label="From the client"
          value={formatBytes(session.bytesIn)}
          hint={`${formatCount(session.packetsIn)} messages`}
        />
        <Stat
          label="To the client"
          value={formatBytes(session.bytesOut)}
          hint={`${formatCount(session.packetsOut)} messages`}
        />
        <Stat
          label="First data"
          value={session.firstDataMs == null ? "none" : formatDuration(session.firstDataMs)}
          hint={session.firstDataMs == null ? "no payload went through" : "after the start"}
        />
        <Stat label="Refusals" value={formatCount(session.refusals)} hint="peers and limits" />
      </div>
      <div class="columns">
        <Card title="The client's leg">
          <Facts of={clientFacts(session)} />
        </Card>
        <Card title="The relay's leg">
          <Facts of={relayFacts(session)} />
        </Card>
      </div>
      <Peers session={session} />
    </div>
  );
}

function clientFacts(session: Session): [string, ComponentChildren][] {
  return [
    ...session.clients.map((entry): [string, ComponentChildren] => [
      capitalised(entry.role),
      <a key={entry.client} href={to.client(entry.client)}>
        {entry.client}
      </a>,
    ]),
    [
      "Address",
      <span key="address" class="mono">
        {session.clientAddress}
      </span>,
    ],
    ["Transport", <Transport key="transport" of={session.transport} />],
    ["TLS", session.tls ? `${session.tls.version} ${session.tls.cipher}` : "none"],
    [
      "Listener",
      <span key="listener" class="mono">
        {session.listener}
      </span>,
    ],
    [
      "Credential",
      <a key="credential" class="mono" href={to.credential(session.username)}>
        {session.username}
      </a>,
    ],
    ["Kind", session.credentialKind],
  ];
}

function relayFacts(session: Session): [string, ComponentChildren][] {
  return [
    [
      "Session",
      <span key="id" class="row">
        <span class="mono">{session.id}</span>
        <CopyButton text={session.id} />
      </span>,
    ],
    [
      "Relayed",
      session.relayedAddresses.map((address) => (
        <div key={address} class="mono">
          {address}
        </div>
      )),
    ],
    ["Towards peers", <Transport key="relay" of={session.relayTransport} />],
    ["From peers", `${formatBytes(session.peerBytesIn)}, ${formatCount(session.peerPacketsIn)} datagrams`],
    ["To peers", `${formatBytes(session.peerBytesOut)}, ${formatCount(session.peerPacketsOut)} datagrams`],
    ["Region", `${session.region}, node ${session.node}`],
    ["Started", formatDateTime(Date.parse(session.startedAt))],
    [
      "Ended",
      session.endedAt
        ? `${formatDateTime(Date.parse(session.endedAt))} (${session.endReason ?? "unknown"})`
        : "still live",
    ],
  ];
}

function Peers({ session }: { session: Session }) {
  return (
    <Card title="Peers" about="Whom the client let in, at most 32.">
      {session.peers.length === 0 ? (
        <p class="muted">The client named no peer, so nothing could reach it.</p>
      ) : (
        <ul>
          {session.peers.map((peer) => (
            <li key={peer.address} class="row">
              <span class="mono">{peer.address}</span>
              {peer.session && <a href={to.session(peer.session)}>session {peer.session} of this server</a>}
            </li>
          ))}
        </ul>
      )}
      {session.room && (
        <p>
          <a href={href("/sessions", { room: session.room })}>All sessions of the room</a>
        </p>
      )}
    </Card>
  );
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
