import { useEffect } from "preact/hooks";
import { formatDateTime, formatDuration, formatRelative } from "../lib/format";
import { createStore, useStore } from "../lib/store";

/** The time, to the second, for everything on the page that counts up. */
const now = createStore(Date.now());
let users = 0;
let timer: ReturnType<typeof setInterval> | undefined;

export function useNow(): number {
  useEffect(() => {
    users += 1;
    timer ??= setInterval(() => now.set(Date.now()), 1000);
    return () => {
      users -= 1;
      if (users > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  }, []);
  return useStore(now);
}

/** How long ago, with the exact time on hovering. */
export function Ago({ at }: { at: string | null | undefined }) {
  const current = useNow();
  if (!at) return <span class="muted">never</span>;
  const moment = Date.parse(at);
  return (
    <time dateTime={at} title={formatDateTime(moment)}>
      {formatRelative(moment, Math.max(current, moment > Date.now() ? current : moment))}
    </time>
  );
}

/** How long from one moment to another, or until now. */
export function Duration({ from, to }: { from: string; to: string | null | undefined }) {
  const current = useNow();
  const end = to ? Date.parse(to) : current;
  return <>{formatDuration(end - Date.parse(from))}</>;
}
