import type { ComponentChildren } from "preact";
import { useRoute } from "preact-iso";
import { api, take, type Schemas } from "../api/client";
import { ApiError } from "../api/error";
import { bitrateOf } from "../lib/bitrate";
import { Chart } from "../chart/chart";
import { findingsOf } from "../session/findings";
import {
  capitalised,
  formatBitrate,
  formatBytes,
  formatCount,
  formatDateTime,
  formatDuration,
  plural,
} from "../lib/format";
import { href, to } from "../lib/query";
import { useResource } from "../lib/resource";
import { useMay } from "../ui/access";
import { LiveBadge, Transport } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { CopyButton } from "../ui/copy";
import { Empty } from "../ui/empty";
import { ErrorNote, Note } from "../ui/note";
import { OnlyFor } from "../ui/only-for";
import { Card, Facts, PageHead, Stat } from "../ui/page";
import { Duration, useNow } from "../ui/time";
import { sessionName, type Session } from "./sessions";

type Detail = Schemas["SessionDetail"];

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

function Details({ session, error, reload }: { session: Detail; error: unknown; reload: () => void }) {
  const isOperator = useMay("operator");
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
          isLive &&
          isOperator && (
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
      {isLive && <OnlyFor role="operator" what="end sessions" />}
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
      <Bitrate session={session} />
      <Card title="Findings">
        <ul class="stack">
          {findingsOf(session).map((finding) => (
            <li key={finding.text}>
              <Note tone={finding.tone}>{finding.text}</Note>
            </li>
          ))}
        </ul>
      </Card>
      <div class="columns">
        <Card title="The client's leg">
          <Facts of={clientFacts(session)} />
        </Card>
        <Card title="The relay's leg">
          <Facts of={relayFacts(session)} />
        </Card>
      </div>
      <Marks session={session} />
      <Peers session={session} />
    </div>
  );
}

function Bitrate({ session }: { session: Detail }) {
  const now = useNow() / 1000;
  const rate = bitrateOf(session, now);
  return (
    <Card title="Bitrate" about="Whole messages between the client and the relay.">
      <Chart
        times={rate.times}
        series={[
          { label: "From the client", values: rate.received },
          { label: "To the client", values: rate.sent },
        ]}
        format={formatBitrate}
        height={160}
        label={`${formatBytes(session.bytesIn)} from the client and ${formatBytes(session.bytesOut)} to it`}
      />
    </Card>
  );
}

/** What happened on the way. */
function Marks({ session }: { session: Detail }) {
  if (session.marks.length === 0) return null;
  return (
    <Card title="On the way" about="Address changes, peers and refreshes, in order.">
      <ol class="lines">
        {session.marks.map((mark, index) => (
          <li key={`${mark.at} ${index}`}>
            <span>{markText(mark)}</span>
            <time class="muted" dateTime={mark.at}>
              {formatDuration(Date.parse(mark.at) - Date.parse(session.startedAt))} after the start
            </time>
          </li>
        ))}
      </ol>
      {session.marksFolded > 0 && <p class="muted">{plural(session.marksFolded, "more")} not kept.</p>}
    </Card>
  );
}

function markText(mark: Detail["marks"][number]): string {
  switch (mark.kind) {
    case "peer_named":
      return `Let ${mark.subject} in`;
    case "peer_refused":
      return `Peer ${mark.subject} refused: ${mark.detail}`;
    case "peer_withdrawn":
      return `Peer ${mark.subject} taken back: ${mark.detail}`;
    case "refreshed":
      return mark.subject === "0" ? "Gave the relay back" : `Refreshed for ${mark.subject} s`;
    case "path_changed":
      return `Came from ${mark.subject} instead of ${mark.detail}`;
    default:
      return `${mark.kind.replaceAll("_", " ")} ${mark.subject} ${mark.detail}`;
  }
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
