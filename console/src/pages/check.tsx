import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, take } from "../api/client";
import { Results } from "../doctor/results";
import { useRun, type Run } from "../doctor/run";
import { fromFragment, tokenOf } from "../doctor/share";
import { summaryOf, verdictOf, type Finding } from "../doctor/verdict";
import { CopyButton } from "../ui/copy";
import { Note } from "../ui/note";
import { Gate } from "./gate";

/** The connection doctor for an end user: what the link carries is all there is. */
export function Check() {
  const [fragment] = useState(() => window.location.hash.slice(1));
  const token = tokenOf(fragment);
  useEffect(() => {
    document.title = "Connection check";
  }, []);
  return token === undefined ? <BySharedCredential fragment={fragment} /> : <ByToken token={token} />;
}

/** The link carries a credential: nothing of the API is asked, and the findings stay with whoever opened it. */
function BySharedCredential({ fragment }: { fragment: string }) {
  const [shared] = useState(() => fromFragment(fragment));
  const run = useRun(() => Promise.resolve(shared?.iceServers ?? []));
  if (!shared) {
    return (
      <Gate title="Connection check">
        <Note tone="warn">This link is not whole. Copy all of it, or ask for a new one.</Note>
      </Gate>
    );
  }
  if (Date.parse(shared.expiresAt) < Date.now()) {
    return (
      <Gate title="Connection check">
        <Note tone="warn">This link is too old. Ask whoever gave it to you for a new one.</Note>
      </Gate>
    );
  }
  return <Examination run={run} />;
}

/** The link was made by the API: each run opens it once, and its result is kept for whoever made it. */
function ByToken({ token }: { token: string }) {
  const params = { path: { token } };
  const run = useRun(async (signal) => {
    const opened = await take(api.GET("/api/v1/doctor/{token}", { params, signal }));
    return opened.iceServers;
  });
  const [isKept, setIsKept] = useState<boolean | undefined>(undefined);
  const isDone = run.state === "done" && run.error === undefined;
  useEffect(() => {
    setIsKept(undefined);
    if (!isDone) return;
    const findings = findingsOf(run);
    const result: object = {
      summary: summaryOf(findings).sentence,
      userAgent: navigator.userAgent,
      findings: findings.map((finding) => ({ ...finding, sentence: verdictOf(finding).sentence })),
    };
    void take(
      api.POST("/api/v1/doctor/{token}/result", { params, body: { result: result as Record<string, never> } }),
    ).then(
      () => setIsKept(true),
      () => setIsKept(false),
    );
  }, [isDone]);
  return (
    <Examination run={run}>
      {isKept === true && <Note tone="good">The result was sent to whoever gave you this link.</Note>}
      {isKept === false && (
        <Note tone="warn">The result could not be sent: copy it, and give it to whoever gave you this link.</Note>
      )}
    </Examination>
  );
}

function Examination({ run, children }: { run: Run; children?: ComponentChildren }) {
  const findings = findingsOf(run);
  return (
    <main class="main check">
      <header class="page-head">
        <div>
          <h1>Connection check</h1>
          <p>
            Finds out whether calls get through from this device and network. It takes about half a minute; microphone
            and camera are not used.
          </p>
        </div>
        <div class="row">
          {run.state === "done" && (
            <span class="row">
              <CopyButton text={report(findings)} label="Copy the result" /> Copy the result
            </span>
          )}
          <button type="button" class="button primary" disabled={run.state === "running"} onClick={run.start}>
            {run.state === "idle" ? "Begin" : run.state === "running" ? "Checking …" : "Check again"}
          </button>
        </div>
      </header>
      {children}
      {run.state !== "idle" && <Results run={run} />}
    </main>
  );
}

function findingsOf(run: Run): Finding[] {
  return run.trials.flatMap((trial) => (trial.finding ? [trial.finding] : []));
}

/** The findings as a text to send to whoever asked for them. */
function report(findings: Finding[]): string {
  const lines = findings.map((finding) => `${finding.url.url}\n  ${verdictOf(finding).sentence}`);
  return [new Date().toISOString(), navigator.userAgent, summaryOf(findings).sentence, ...lines].join("\n");
}
