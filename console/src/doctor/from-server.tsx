import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { formatDuration } from "../lib/format";
import { Badge } from "../ui/badge";
import { ErrorNote } from "../ui/note";
import { Card } from "../ui/page";

type Examined = Schemas["Examined"];

/** The same addresses, tried by the server itself: what fails here is the server's doing, whatever the browser's network is. */
export function FromServer() {
  const [state, setState] = useState<{ isBusy: boolean; answer?: Schemas["Examination"]; error?: unknown }>({
    isBusy: false,
  });
  const run = async () => {
    setState({ isBusy: true });
    try {
      setState({ isBusy: false, answer: await take(api.POST("/api/v1/doctor/check")) });
    } catch (error) {
      setState({ isBusy: false, error });
    }
  };
  const { isBusy, answer, error } = state;
  return (
    <Card
      title="From the server"
      about="The server tries its own addresses, every transport of each. What works there and not in this browser is the way between them."
      actions={
        <button type="button" class="button" disabled={isBusy} onClick={() => void run()}>
          {isBusy ? "Trying …" : answer ? "Try again from the server" : "Try from the server"}
        </button>
      }
    >
      {error !== undefined && <ErrorNote error={error} retry={() => void run()} />}
      {isBusy && <p role="status">The server takes some seconds for each address.</p>}
      {answer && (
        <>
          <p data-server-summary={worst(answer.passes)}>{summary(answer)}</p>
          <ul class="lines server-passes">
            {answer.passes.map((one, index) => (
              <Pass key={index} of={one} />
            ))}
          </ul>
        </>
      )}
      {!isBusy && !answer && error === undefined && <p class="muted">Not tried yet.</p>}
    </Card>
  );
}

function Pass({ of }: { of: Examined }) {
  const tone = of.verdict === "ok" ? "good" : of.verdict === "failed" ? "bad" : "neutral";
  return (
    <li data-pass={of.verdict} data-transport={of.transport ?? ""}>
      <div>
        <code>{of.url}</code>{" "}
        <span class="muted">{[of.transport?.toUpperCase(), of.server].filter(Boolean).join(" · ")}</span>
        <p>{of.sentence}</p>
      </div>
      <Badge tone={tone}>{of.verdict === "ok" ? "works" : of.verdict === "failed" ? "fails" : "left out"}</Badge>
    </li>
  );
}

function worst(passes: Examined[]): "good" | "bad" {
  return passes.some((one) => one.verdict === "failed") ? "bad" : "good";
}

function summary({ passes, tookMs }: Schemas["Examination"]): string {
  const failed = passes.filter((one) => one.verdict === "failed").length;
  const tried = passes.filter((one) => one.verdict !== "skipped").length;
  const took = formatDuration(tookMs);
  if (tried === 0) return "There was nothing to try: the server advertises no URL.";
  if (failed === 0) return `All ${tried} work from the server, tried in ${took}.`;
  return `${failed} of ${tried} fail from the server, tried in ${took}.`;
}
