import type { ComponentChildren } from "preact";
import type { Tone } from "./note";

/** A state in a word. Its mark differs by shape as well as by colour. */
export function Badge({ tone = "neutral", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function LiveBadge({ isLive }: { isLive: boolean }) {
  return isLive ? <Badge tone="good">live</Badge> : <Badge>ended</Badge>;
}

export function Transport({ of }: { of: string }) {
  return <span class="tag">{of.toUpperCase()}</span>;
}
