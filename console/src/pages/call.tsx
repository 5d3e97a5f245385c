import type { ComponentChildren } from "preact";
import { useRoute } from "preact-iso";
import { api, take, type Schemas } from "../api/client";
import { ApiError } from "../api/error";
import { causeText, causeTone } from "../lib/causes";
import { capitalised, formatBytes, formatDateTime, formatDuration } from "../lib/format";
import { to } from "../lib/query";
import { useResource } from "../lib/resource";
import { Badge, Transport } from "../ui/badge";
import { CopyButton } from "../ui/copy";
import { Empty } from "../ui/empty";
import { ErrorNote, Note, type Tone } from "../ui/note";
import { Card, Facts, PageHead, Stat } from "../ui/page";
import { Duration } from "../ui/time";
import { calleesOf, CallState } from "./calls";

type Detail = Schemas["CallDetail"];
type Session = Schemas["Session"];

const FIGURES_MS = 2000;

export function CallPage() {
  const id = useRoute().params["id"] ?? "";
  const { data, error, reload } = useResource(
    `call ${id}`,
    (signal) => take(api.GET("/api/v1/calls/{id}", { params: { path: { id } }, signal })),
    FIGURES_MS,
  );
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      return <Empty title="No such call">Calls are kept as long as the project's records.</Empty>;
    }
    return error === undefined ? <PageHead title="Call" /> : <ErrorNote error={error} retry={reload} />;
  }
  return (
    <div class="stack">
      <PageHead
        title={`${data.from} to ${calleesOf(data)}`}
        badge={<CallState of={data} />}
        about={data.service ? `Placed to the service ${data.service}` : `Placed over ${data.dialect.toUpperCase()}`}
      />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <div class="stats">
        <Stat label="Duration" value={<Duration from={data.startedAt} to={data.endedAt} />} hint="from the start" />
        <Stat
          label="Talk"
          value={data.answeredAt == null ? "none" : <Duration from={data.answeredAt} to={data.endedAt} />}
          hint={data.answeredAt == null ? "nobody answered" : "from the answer"}
        />
        <Stat
          label="End"
          value={data.cause == null ? "goes on" : capitalised(causeText(data.cause))}
          {...(data.cause != null && { hint: `by the ${data.endedBy ?? "server"}, as SIP ${data.sipCode ?? ""}` })}
        />
        <Stat label="Caller's media" value={pathWord(data.callerPath)} />
        <Stat label="Callee's media" value={pathWord(data.calleePath)} />
      </div>
      <Verdict call={data} />
      <Steps call={data} />
      <div class="columns">
        <Party
          title="The caller"
          name={data.from}
          address={data.clientAddress}
          path={data.callerPath}
          sessions={data.callerSessions}
          more={[["Dialect", data.dialect.toUpperCase()]]}
        />
        <Party
          title="The callee"
          name={data.answeredBy}
          address={data.answeredAddress}
          path={data.calleePath}
          sessions={data.calleeSessions}
          more={[["Called", <Names key="called" of={data.to} />]]}
        />
      </div>
      <p class="row muted">
        <span class="mono">{data.id}</span> <CopyButton text={data.id} />
      </p>
    </div>
  );
}

function Names({ of }: { of: string[] }) {
  if (of.length === 0) return <span class="muted">nobody yet</span>;
  return (
    <>
      {of.map((name, index) => (
        <span key={name}>
          {index > 0 && ", "}
          <a href={to.client(name)}>{name}</a>
        </span>
      ))}
    </>
  );
}

const PATHS: Record<string, [string, string, Tone]> = {
  relayed: ["Relayed", "through this relay", "good"],
  direct: ["Direct", "past the relay, which carried connectivity checks alone", "good"],
  unknown: ["Unknown", "not seen at this relay", "neutral"],
};

function pathWord(path: string): string {
  return PATHS[path]?.[0] ?? capitalised(path);
}

/** What became of the call, in one sentence. */
function Verdict({ call }: { call: Detail }) {
  const tone: Tone = call.cause == null ? "neutral" : call.answeredAt == null ? causeTone(call.cause) : "good";
  return (
    <div class="verdict" data-cause={call.cause ?? call.state}>
      <Note tone={tone}>
        <strong>{sentence(call)}</strong>
      </Note>
    </div>
  );
}

function sentence(call: Detail): string {
  const who = call.answeredBy ?? calleesOf(call);
  if (call.state === "active") return `${call.from} and ${who} talk.`;
  if (call.cause == null) return `${call.from} waits for ${who}.`;
  if (call.answeredAt == null) return `${call.from} did not reach ${who}: ${causeText(call.cause)}.`;
  const talked = `${call.from} and ${who} talked for ${formatDuration(call.talkMs)}`;
  return call.cause === "normal" ? `${talked}.` : `${talked}, then: ${causeText(call.cause)}.`;
}

/** The states of the call with their times. */
function Steps({ call }: { call: Detail }) {
  const start = Date.parse(call.startedAt);
  const steps: [string, string][] = [[`${call.from} called ${calleesOf(call)}`, call.startedAt]];
  if (call.ringingAt != null) steps.push(["A device rang", call.ringingAt]);
  if (call.answeredAt != null) steps.push([`${call.answeredBy ?? "Somebody"} answered`, call.answeredAt]);
  if (call.endedAt != null) {
    steps.push([`Ended by the ${call.endedBy ?? "server"}: ${causeText(call.cause ?? "")}`, call.endedAt]);
  }
  return (
    <Card title="States" about={formatDateTime(start)}>
      <ol class="lines">
        {steps.map(([text, at]) => (
          <li key={text}>
            <span>{text}</span>
            <time class="muted" dateTime={at}>
              {at === call.startedAt ? "at the start" : `${formatDuration(Date.parse(at) - start)} after the start`}
            </time>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Party(props: {
  title: string;
  name: string | null | undefined;
  address: string | null | undefined;
  path: string;
  sessions: Session[];
  more: [string, ComponentChildren][];
}) {
  const [word, about, tone] = PATHS[props.path] ?? [capitalised(props.path), "", "neutral"];
  const facts: [string, ComponentChildren][] = [
    ["Client", props.name ? <a href={to.client(props.name)}>{props.name}</a> : <span class="muted">nobody</span>],
    ["Address", <span class="mono">{props.address ?? "not kept"}</span>],
    ...props.more,
    [
      "Media",
      <>
        <Badge tone={tone}>{word.toLowerCase()}</Badge> <span class="muted">{about}</span>
      </>,
    ],
  ];
  return (
    <Card title={props.title}>
      <Facts of={facts} />
      {props.sessions.length > 0 && (
        <>
          <h3>Relay sessions</h3>
          <ul class="lines">
            {props.sessions.map((session) => (
              <li key={session.id}>
                <a class="mono" href={to.session(session.id)}>
                  {session.id}
                </a>
                <span class="row muted">
                  <Transport of={session.transport} />
                  {formatBytes(session.peerBytesOut)} to peers, {formatBytes(session.peerBytesIn)} from them
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}
