import type { Schemas } from "../api/client";
import { formatCount } from "../lib/format";
import { outcomeText } from "../lib/outcomes";
import { Badge } from "../ui/badge";
import { Card } from "../ui/page";

type Figures = NonNullable<Schemas["Overview"]["fastPath"]>;

/** What the kernel relays without waking the server, and why it left the rest. */
export function FastPathCard({ of }: { of: Figures }) {
  const share = of.packets > 0 ? (of.packetsInKernel / of.packets) * 100 : 0;
  const left = of.outcomes.filter(({ outcome }) => !outcome.startsWith("forwarded_"));
  return (
    <Card title="Kernel fast path" about="This server, since it was started.">
      <ul class="bars shares">
        <Bar
          name="Packets relayed in the kernel"
          told={`${share.toFixed(1)} % of ${formatCount(of.packets)}`}
          value={of.packetsInKernel}
          most={of.packets}
        />
        {of.packetsByXdp > 0 && (
          <Bar
            name="Before the kernel's own stack, by XDP"
            told={formatCount(of.packetsByXdp)}
            value={of.packetsByXdp}
            most={of.packets}
          />
        )}
        <Bar
          name="Channels in the kernel"
          told={`${formatCount(of.channels)} of ${formatCount(of.channelsMax)}`}
          value={of.channels}
          most={of.channelsMax}
        />
      </ul>
      <ul class="lines">
        {of.channelsRefused > 0 && (
          <li>
            <span>Channels that found no room</span>
            <Badge tone="warn">{formatCount(of.channelsRefused)}</Badge>
          </li>
        )}
        {of.programs.map(({ at, isAttached }) => (
          <li key={at}>
            <span>Program at {at}</span>
            <Badge tone={isAttached ? "good" : "bad"}>{isAttached ? "attached" : "taken off"}</Badge>
          </li>
        ))}
      </ul>
      {left.length > 0 && <Left of={left} />}
    </Card>
  );
}

function Left({ of }: { of: Figures["outcomes"] }) {
  const most = Math.max(...of.map(({ count }) => count), 1);
  return (
    <>
      <h3>Not relayed in the kernel</h3>
      <ul class="bars">
        {of.map(({ outcome, count }) => (
          <Bar key={outcome} name={outcomeText(outcome)} told={formatCount(count)} value={count} most={most} />
        ))}
      </ul>
    </>
  );
}

function Bar({ name, told, value, most }: { name: string; told: string; value: number; most: number }) {
  return (
    <li class="bar">
      <span>{name}</span>
      <span>{told}</span>
      <meter min={0} max={Math.max(most, 1)} value={value} aria-label={`${name}: ${told}`} />
    </li>
  );
}
