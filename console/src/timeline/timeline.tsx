import type { Schemas } from "../api/client";
import { formatDateTime, formatMoment } from "../lib/format";
import { to } from "../lib/query";
import { namesOf, sideOf, tell } from "./text";

type Story = Schemas["Timeline"];
type Entry = Schemas["TimelineEntry"];

/** Both ends of a room's calls in one order, side by side. */
export function Timeline({ story }: { story: Story }) {
  const { entries } = story;
  return (
    <section class="card timeline-card" aria-label="Timeline">
      <div class="timeline-head" aria-hidden="true">
        <strong>{namesOf(entries, "left") || "initiator"}</strong>
        <span class="muted">time</span>
        <strong>{namesOf(entries, "right") || "receiver"}</strong>
      </div>
      {story.isCut && <p class="muted timeline-cut">Older entries are left out.</p>}
      <ol class="timeline">
        {entries.map((entry, index) => (
          <Row key={`${entry.at} ${entry.kind} ${index}`} entry={entry} />
        ))}
      </ol>
    </section>
  );
}

function Row({ entry }: { entry: Entry }) {
  const side = sideOf(entry);
  const told = tell(entry);
  const at = Date.parse(entry.at);
  return (
    <li class={`timeline-row ${side}`} data-kind={entry.kind}>
      <time dateTime={entry.at} title={formatDateTime(at)}>
        {formatMoment(at, Date.now())}
        <span class="ms">.{String(at % 1000).padStart(3, "0")}</span>
      </time>
      <div class={`timeline-entry ${told.tone}`}>
        <div>
          <span class="who">{entry.clients.join(" + ") || entry.username || "somebody"}: </span>
          {entry.session ? <a href={to.session(entry.session)}>{told.title}</a> : told.title}
        </div>
        {told.detail && <div class="detail">{told.detail}</div>}
      </div>
    </li>
  );
}
