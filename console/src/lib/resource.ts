import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { project } from "../api/identity";
import { useStore } from "./store";

export interface Resource<T> {
  data: T | undefined;
  error: unknown;
  reload: () => void;
}

/**
 * Something the API tells, read anew when `key` changes and every `everyMs` while the page is seen. What was read stays
 * while it is read again, and when that fails.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Resource<T> {
  const chosen = useStore(project);
  const wholeKey = `${chosen ?? ""} ${key}`;
  const [state, setState] = useState<{ key: string; data: T | undefined; error: unknown }>({
    key: wholeKey,
    data: undefined,
    error: undefined,
  });
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      if (!document.hidden) {
        try {
          const data = await latest.current(controller.signal);
          if (controller.signal.aborted) return;
          setState({ key: wholeKey, data, error: undefined });
        } catch (error) {
          if (controller.signal.aborted) return;
          setState((before) => ({ key: wholeKey, data: before.key === wholeKey ? before.data : undefined, error }));
        }
      }
      if (everyMs !== undefined) timer = setTimeout(() => void run(), everyMs);
    };
    void run();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [wholeKey, round, everyMs]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const isCurrent = state.key === wholeKey;
  return { data: isCurrent ? state.data : undefined, error: isCurrent ? state.error : undefined, reload };
}
