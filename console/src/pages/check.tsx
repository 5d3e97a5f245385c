import { useEffect, useState } from "preact/hooks";
import { Results } from "../doctor/results";
import { useRun } from "../doctor/run";
import { fromFragment } from "../doctor/share";
import { summaryOf, verdictOf, type Finding } from "../doctor/verdict";
import { CopyButton } from "../ui/copy";
import { Note } from "../ui/note";
import { Gate } from "./gate";

/** The connection doctor for an end user: what the link carries is all there is; nothing of the API is asked. */
export function Check() {
  const [shared] = useState(() => fromFragment(window.location.hash.slice(1)));
  const run = useRun(() => Promise.resolve(shared?.iceServers ?? []));
  useEffect(() => {
    document.title = "Connection check";
  }, []);
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
  const findings = run.trials.flatMap((trial) => (trial.finding ? [trial.finding] : []));
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
      {run.state !== "idle" && <Results run={run} />}
    </main>
  );
}

/** The findings as a text to send to whoever asked for them. */
function report(findings: Finding[]): string {
  const lines = findings.map((finding) => `${finding.url.url}\n  ${verdictOf(finding).sentence}`);
  return [new Date().toISOString(), navigator.userAgent, summaryOf(findings).sentence, ...lines].join("\n");
}
