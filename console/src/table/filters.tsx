import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useQuery } from "../lib/query";
import { Icon } from "../ui/icon";

export function Filters({ children }: { children: ComponentChildren }) {
  return (
    <div class="filters" role="search">
      {children}
    </div>
  );
}

/** Typing waits this long before it becomes a question to the server. */
const TYPING_MS = 250;

/** The search of a view. "/" goes there. */
export function SearchBox({ name, label }: { name: string; label: string }) {
  const query = useQuery();
  const current = query.get(name);
  const [text, setText] = useState(current);
  useEffect(() => setText(current), [current]);
  useEffect(() => {
    if (text === current) return;
    const timer = setTimeout(() => query.set({ [name]: text.trim() }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="search">
      <Icon name="search" />
      <input
        class="input"
        type="search"
        data-search
        value={text}
        placeholder={label}
        aria-label={label}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") query.set({ [name]: text.trim() });
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

/** A few choices side by side; the first is what is shown without the filter. */
export function Segments({ name, label, of }: { name: string; label: string; of: [string, string][] }) {
  const query = useQuery();
  const current = query.get(name);
  return (
    <div class="segments" role="group" aria-label={label}>
      {of.map(([value, text]) => (
        <button key={value} type="button" aria-pressed={current === value} onClick={() => query.set({ [name]: value })}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function Choice({ name, label, of }: { name: string; label: string; of: [string, string][] }) {
  const query = useQuery();
  return (
    <select
      class="input"
      aria-label={label}
      value={query.get(name)}
      onChange={(event) => query.set({ [name]: event.currentTarget.value })}
    >
      {of.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
}

/** Filters that other pages' links set: shown only while they are set, and taken off here. */
export function FilterChips({ of }: { of: [string, string][] }) {
  const query = useQuery();
  return (
    <>
      {of.map(([name, label]) => {
        const value = query.get(name);
        if (!value) return null;
        return (
          <span class="chip" key={name}>
            {label} <b>{value}</b>
            <button type="button" aria-label={`Remove the filter ${label}`} onClick={() => query.set({ [name]: "" })}>
              <Icon name="close" />
            </button>
          </span>
        );
      })}
    </>
  );
}
