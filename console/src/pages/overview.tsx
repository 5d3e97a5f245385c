import { useEffect, useRef, useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { Chart } from "../chart/chart";
import { capitalised, formatBitrate, formatBytes, formatCount } from "../lib/format";
import { LiveHistory } from "../lib/live-history";
import { href } from "../lib/query";
import { reasonText } from "../lib/reasons";
import { useResource } from "../lib/resource";
import { regionState, regionTone } from "../regions/state";
import { Badge } from "../ui/badge";
import { mintCommand } from "../ui/commands";
import { Command } from "../ui/copy";
import { ErrorNote, Note } from "../ui/note";
import { Card, PageHead, Stat } from "../ui/page";
import { FastPathCard } from "./fast-path-card";

type Figures = Schemas["Overview"];

const FIGURES_MS = 2000;

export function Overview() {
  const { data, error, reload } = useResource(
    "overview",
    (signal) => take(api.GET("/api/v1/overview", { signal })),
    FIGURES_MS,
  );
  return (
    <div class="stack">
      <PageHead title="Overview" />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      {data && <Everything of={data} />}
    </div>
  );
}

function Everything({ of }: { of: Figures }) {
  const { live, today } = of;
  return (
    <>
      {of.alerts.map((alert) => (
        <Note key={alert.code + alert.message} tone={alert.severity === "error" ? "bad" : "warn"}>
          {alert.message} <a href={alert.link}>Look into it</a>
        </Note>
      ))}
      <div class="stats">
        <Stat label="Live sessions" value={formatCount(live.sessions)} href={href("/sessions", { active: "true" })} />
        <Stat label="Live rooms" value={formatCount(live.rooms)} href={href("/rooms", { active: "true" })} />
        <Stat label="Live clients" value={formatCount(live.clients)} href={href("/clients", { active: "true" })} />
        <Stat label="From clients" value={formatBitrate(live.bytesInPerSec * 8)} href="/usage" />
        <Stat label="To clients" value={formatBitrate(live.bytesOutPerSec * 8)} href="/usage" />
      </div>
      <Traffic of={of} />
      <h2>Today, in UTC</h2>
      <div class="stats">
        <Stat label="From clients" value={formatBytes(today.bytesIn)} href="/usage" />
        <Stat label="To clients" value={formatBytes(today.bytesOut)} href="/usage" />
        <Stat label="Sessions begun" value={formatCount(today.sessions)} href={href("/sessions", { since: "24h" })} />
        <Stat label="Credentials minted" value={formatCount(today.minted)} href="/credentials" />
      </div>
      {today.minted === 0 && live.sessions === 0 && <FirstSteps />}
      <div class="columns three">
        <Refusals of={today.refusals} />
        <Servers of={of} />
        {of.fastPath && <FastPathCard of={of.fastPath} />}
      </div>
    </>
  );
}

/** The last minutes of traffic, as seen since the page was opened. */
function Traffic({ of }: { of: Figures }) {
  const history = useRef(new LiveHistory());
  const [shown, setShown] = useState(history.current.series());
  useEffect(() => {
    history.current.add(Date.parse(of.at) / 1000, [of.live.bytesInPerSec * 8, of.live.bytesOutPerSec * 8]);
    setShown(history.current.series());
  }, [of.at]);
  return (
    <Card title="Traffic now" about="This server, both directions, the last five minutes.">
      <Chart
        times={shown.times}
        series={[
          { label: "From clients", values: shown.values[0] ?? [] },
          { label: "To clients", values: shown.values[1] ?? [] },
        ]}
        format={formatBitrate}
        label={`Now ${formatBitrate(of.live.bytesInPerSec * 8)} from clients and ${formatBitrate(of.live.bytesOutPerSec * 8)} to clients`}
        height={200}
      />
    </Card>
  );
}

function Refusals({ of }: { of: Figures["today"]["refusals"] }) {
  const most = Math.max(...of.map((refusal) => refusal.count), 1);
  return (
    <Card title="Refusals by reason" about="Today." actions={<a href="/failures">All failures</a>}>
      {of.length === 0 ? (
        <p class="muted">Nothing was refused.</p>
      ) : (
        <ul class="bars">
          {of.map(({ reason, count }) => (
            <li key={reason}>
              <a href={href("/failures", { reason, since: "24h" })}>
                <span>{capitalised(reasonText(reason))}</span>
                <span>{formatCount(count)}</span>
                <meter min={0} max={most} value={count} aria-label={`${count} of ${most}`} />
              </a>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Servers({ of }: { of: Figures }) {
  const { health } = of;
  const parts: [string, string | undefined][] = [
    ["Relay", health.relay],
    ["Database", health.store],
    ["Redis", health.redis],
  ];
  return (
    <Card title="Regions and health" actions={<a href="/regions">All regions</a>}>
      <ul class="lines">
        {of.regions.map((region) => {
          const state = { is_online: region.isOnline, is_operational: region.isOperational };
          return (
            <li key={region.slug}>
              <a href={href("/regions", { q: region.slug })}>{region.name}</a>
              <span class="muted">{formatCount(region.liveSessions)} live</span>
              <Badge tone={regionTone(state)}>{regionState(state)}</Badge>
            </li>
          );
        })}
        {parts.map(
          ([name, state]) =>
            state && (
              <li key={name}>
                <span>{name}</span>
                <Badge tone={state === "ok" ? "good" : "bad"}>{state}</Badge>
              </li>
            ),
        )}
      </ul>
    </Card>
  );
}

/** For a server that has not seen a call yet. */
function FirstSteps() {
  return (
    <Card title="First steps" about="Three things make the first call go through the relay.">
      <ol class="steps">
        <li>
          <a href="/tokens">Make an API token</a> that may mint credentials, and give it to your application.
        </li>
        <li>
          Mint a credential for each side of a call, and give its <code>iceServers</code> to that side's browser. This
          one is for the side that calls; the other's has <code>client_type=receiver</code>:
          <Command text={mintCommand()} />
        </li>
        <li>
          <a href="/doctor">Ask the connection doctor</a> whether callers get through.
        </li>
      </ol>
    </Card>
  );
}
