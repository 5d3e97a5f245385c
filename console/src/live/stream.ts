import { ownHeaders } from "../api/client";
import { identity, project, signedOut } from "../api/identity";
import { createStore } from "../lib/store";
import type { LiveEvent } from "./events";
import { SseParser } from "./sse";

export type StreamState = "off" | "connecting" | "live" | "lost";

/** How the stream is, for people. */
export const streamState = createStore<StreamState>("off");

type Listener = (events: LiveEvent[]) => void;

const listeners = new Set<Listener>();
/** What came since the last hand-out: many events a second become a few drawings. */
let waiting: LiveEvent[] = [];
let handOut: ReturnType<typeof setTimeout> | undefined;
let connection: AbortController | undefined;
let lastId: string | undefined;

/** Events are handed out together, at most this often. */
const HAND_OUT_MS = 200;
const RETRY_MS_MAX = 15_000;
/** The server shows every 15 s that it lives. */
const SILENCE_MS_MAX = 40_000;

/** Calls `listener` with what happens. A `gap` means: read again what you show. Returns how to stop. */
export function follow(listener: Listener): () => void {
  listeners.add(listener);
  if (!connection) start();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) stop();
  };
}

function start(): void {
  const controller = new AbortController();
  connection = controller;
  void run(controller.signal);
}

function stop(): void {
  connection?.abort();
  connection = undefined;
  streamState.set("off");
}

/** Another project has other events. */
project.subscribe(() => {
  lastId = undefined;
  if (connection) {
    stop();
    start();
  }
});

// A hidden page needs no stream, and a browser has only six connections for all pages of a server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else if (listeners.size > 0 && !connection) start();
});

/** The signal changes while one waits, which the compiler does not know. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

async function run(signal: AbortSignal): Promise<void> {
  let retry = 500;
  while (!isOver(signal)) {
    streamState.set(retry > 500 ? "lost" : "connecting");
    try {
      await read(signal, () => {
        retry = 500;
        streamState.set("live");
      });
    } catch {
      // Told by the state; what was missed comes with the next connection.
    }
    if (isOver(signal) || identity.get().state !== "signed-in") return;
    streamState.set("lost");
    await new Promise((done) => setTimeout(done, retry * (0.75 + Math.random() / 2)));
    retry = Math.min(retry * 2, RETRY_MS_MAX);
  }
}

async function read(signal: AbortSignal, onOpen: () => void): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  const headers: Record<string, string> = { ...ownHeaders("GET"), Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  try {
    const response = await fetch("/api/v1/events", {
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.status === 401) signedOut();
    if (!response.ok || !response.body) return;
    onOpen();
    const parser = new SseParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
      for (const message of parser.push(value)) {
        if (message.id) lastId = message.id;
        take(message.data);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

function take(data: string): void {
  waiting.push(JSON.parse(data) as LiveEvent);
  handOut ??= setTimeout(() => {
    const events = waiting;
    waiting = [];
    handOut = undefined;
    for (const listener of [...listeners]) listener(events);
  }, HAND_OUT_MS);
}
