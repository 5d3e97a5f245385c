import { asApiError } from "../api/error";
import { createStore, useStore } from "../lib/store";
import { Note, type Tone } from "./note";

interface Toast {
  id: number;
  tone: Tone;
  text: string;
}

const toasts = createStore<Toast[]>([]);
let lastId = 0;
const SHOWN_MS = 6000;

/** Says something in the corner for a few seconds. */
export function say(text: string, tone: Tone = "good"): void {
  lastId += 1;
  const id = lastId;
  toasts.set([...toasts.get(), { id, tone, text }].slice(-4));
  setTimeout(() => toasts.set(toasts.get().filter((toast) => toast.id !== id)), SHOWN_MS);
}

export function sayError(error: unknown): void {
  say(asApiError(error).message, "bad");
}

export function Toasts() {
  return (
    <div class="toasts" aria-live="polite">
      {useStore(toasts).map((toast) => (
        <Note key={toast.id} tone={toast.tone}>
          {toast.text}
        </Note>
      ))}
    </div>
  );
}
