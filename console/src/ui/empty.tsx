import type { ComponentChildren } from "preact";
import { Command } from "./copy";

/** An empty list says why, and shows the command that would fill it. */
export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}
