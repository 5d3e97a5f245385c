import { formatBitrate, formatDuration } from "../lib/format";
import { Badge } from "../ui/badge";
import { ErrorNote, Note } from "../ui/note";
import type { Run, Trial } from "./run";
import { WAY_TEXT } from "./url";
import { summaryOf, verdictOf } from "./verdict";

const STEP_TEXT: Record<Trial["step"], string> = {
  waiting: "waiting",
  gathering: "asking for an address",
  connecting: "connecting through the relay",
  measuring: "measuring",
  done: "done",
};

/** What the trials have found so far: everything together first, then each URL by itself. */
export function Results({ run }: { run: Run }) {
  const findings = run.trials.flatMap((trial) => (trial.finding ? [trial.finding] : []));
  const isDone = run.state === "done" && run.error === undefined;
  const summary = isDone ? summaryOf(findings) : undefined;
  return (
    <div class="stack">
      {run.error !== undefined && <ErrorNote error={run.error} retry={run.start} />}
      {summary && (
        <div data-summary={summary.tone}>
          <Note tone={summary.tone}>
            <strong>{summary.sentence}</strong>
            {summary.advice && <div>{summary.advice}</div>}
          </Note>
        </div>
      )}
      <ol class="trials">
        {run.trials.map((trial) => (
          <Result key={trial.url.url} trial={trial} />
        ))}
      </ol>
    </div>
  );
}

function Result({ trial }: { trial: Trial }) {
  const { url, finding } = trial;
  const verdict = finding && verdictOf(finding);
  return (
    <li class="card trial" data-url={url.url} data-tone={verdict?.tone ?? trial.step}>
      <div class="row spread">
        <div>
          <h3>{WAY_TEXT[url.way]}</h3>
          <code class="muted">{url.url}</code>
        </div>
        {verdict ? (
          <Badge tone={verdict.tone}>
            {verdict.tone === "good" ? "works" : verdict.tone === "warn" ? "works, but" : "fails"}
          </Badge>
        ) : (
          <span class="muted" role="status">
            {STEP_TEXT[trial.step]} …
          </span>
        )}
      </div>
      {verdict && (
        <>
          <p>{verdict.sentence}</p>
          {verdict.advice && <p class="advice">{verdict.advice}</p>}
          <dl class="figures">
            <Figure name="Address" value={finding.address} />
            <Figure
              name="First answer"
              value={finding.candidateMs !== undefined && formatDuration(finding.candidateMs)}
            />
            <Figure
              name="Round trip"
              value={finding.roundTripMs !== undefined && formatDuration(finding.roundTripMs)}
            />
            <Figure
              name="Throughput"
              value={finding.bitsPerSecond !== undefined && formatBitrate(finding.bitsPerSecond)}
            />
          </dl>
          {finding.errors.length > 0 && verdict.tone === "bad" && (
            <p class="muted">
              The browser said: {finding.errors.map((error) => `${error.code} ${error.text}`.trim()).join("; ")}
            </p>
          )}
        </>
      )}
    </li>
  );
}

function Figure({ name, value }: { name: string; value: string | false | undefined }) {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
