import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

/** A page before one is signed in. */
export function Gate({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Causeway`;
  }, [title]);
  return (
    <main class="gate">
      <div class="card">
        <div class="brand">
          <img src="/favicon.svg" alt="" /> Causeway
        </div>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}
