import type { ComponentChildren } from "preact";
import { ApiError, asApiError } from "../api/error";
import { asRemark } from "../lib/format";
import { Icon } from "./icon";

export type Tone = "neutral" | "good" | "warn" | "bad";

export function Note({ tone = "neutral", children }: { tone?: Tone; children: ComponentChildren }) {
  const icon = tone === "good" ? "check" : tone === "neutral" ? "info" : "failure";
  return (
    <div class={`note ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

/** Says what went wrong, and offers to try again where that may help. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof ApiError ? error : asApiError(error);
  return (
    <Note tone="bad">
      <div>{asRemark(problem.message)}</div>
      {problem.requestId && <div class="detail">Request {problem.requestId}</div>}
      {retry && (
        <button type="button" class="button small" onClick={retry}>
          Try again
        </button>
      )}
    </Note>
  );
}
