import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

/** The head of a page: what it is, one sentence about it, and what can be done here. */
export function PageHead(props: {
  title: string;
  about?: ComponentChildren;
  badge?: ComponentChildren;
  actions?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.title} · Causeway`;
  }, [props.title]);
  return (
    <header class="page-head">
      <div>
        <div class="row">
          <h1>{props.title}</h1>
          {props.badge}
        </div>
        {props.about && <p>{props.about}</p>}
      </div>
      {props.actions && <div class="row">{props.actions}</div>}
    </header>
  );
}

export function Card(props: {
  title?: string;
  about?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card">
      {props.title && (
        <div class="card-head">
          <div>
            <h2>{props.title}</h2>
            {props.about && <p>{props.about}</p>}
          </div>
          {props.actions && <div class="row">{props.actions}</div>}
        </div>
      )}
      <div class="card-body">{props.children}</div>
    </section>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

/** A figure; a link where there is more to see. */
export function Stat(props: { label: string; value: ComponentChildren; hint?: ComponentChildren; href?: string }) {
  const inside = (
    <>
      <div class="label">{props.label}</div>
      <div class="value">{props.value}</div>
      {props.hint !== undefined && <div class="hint">{props.hint}</div>}
    </>
  );
  return props.href ? (
    <a class="stat" href={props.href}>
      {inside}
    </a>
  ) : (
    <div class="stat">{inside}</div>
  );
}
