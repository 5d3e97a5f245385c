import { useEffect, useRef, useState } from "preact/hooks";
import type { Schemas } from "../api/client";
import { asApiError } from "../api/error";
import { tryUrl, type Step } from "./try-url";
import { parseRelayUrl, type RelayUrl } from "./url";
import type { Finding } from "./verdict";

export interface Trial {
  url: RelayUrl;
  step: Step | "waiting" | "done";
  finding: Finding | undefined;
}

export interface Run {
  state: "idle" | "running" | "done";
  trials: Trial[];
  error: unknown;
  start: () => void;
}

/** Tries every URL of a freshly minted credential, one after the other, so that they do not slow each other. */
export function useRun(mint: (signal: AbortSignal) => Promise<Schemas["IceServer"][]>): Run {
  const [state, setState] = useState<Run["state"]>("idle");
  const [trials, setTrials] = useState<Trial[]>([]);
  const [error, setError] = useState<unknown>(undefined);
  const life = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => life.current?.abort(), []);

  const run = async (signal: AbortSignal) => {
    const servers = await mint(signal);
    const all = servers.flatMap((server) =>
      server.urls.flatMap((text) => {
        const url = parseRelayUrl(text);
        return url ? [{ url, server }] : [];
      }),
    );
    setTrials(all.map(({ url }) => ({ url, step: "waiting", finding: undefined })));
    for (const [index, { url, server }] of all.entries()) {
      const set = (change: Partial<Trial>) => {
        if (signal.aborted) return;
        setTrials((before) => before.map((trial, at) => (at === index ? { ...trial, ...change } : trial)));
      };
      const finding = await tryUrl(url, server, signal, (step) => set({ step }));
      set({ step: "done", finding });
    }
  };
  const start = () => {
    life.current?.abort();
    const controller = new AbortController();
    life.current = controller;
    setState("running");
    setError(undefined);
    setTrials([]);
    run(controller.signal)
      .catch((problem: unknown) => {
        if (!controller.signal.aborted) setError(asApiError(problem));
      })
      .finally(() => {
        if (!controller.signal.aborted) setState("done");
      });
  };
  return { state, trials, error, start };
}
