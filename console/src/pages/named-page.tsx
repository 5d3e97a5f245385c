import type { ComponentChildren } from "preact";
import { ApiError } from "../api/error";
import { formatBytes, formatCount } from "../lib/format";
import { href } from "../lib/query";
import { useResource } from "../lib/resource";
import { useMay } from "../ui/access";
import { LiveBadge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { LinkOut } from "../ui/link-out";
import { ErrorNote } from "../ui/note";
import { OnlyFor } from "../ui/only-for";
import { PageHead, Stat } from "../ui/page";
import { Ago } from "../ui/time";
import { EraseButton } from "./erase";
import type { Figures } from "./named-list";
import { RevokeButton } from "./revoke";
import { SessionList } from "./session-list";

export const FIGURES_MS = 2000;

/** The page about one room or one client. */
export function NamedPage<Row extends Figures>(props: {
  kind: "room" | "client";
  name: string;
  load: (signal: AbortSignal) => Promise<Row>;
  about?: (row: Row) => string;
  /** A figure of its own, between the sessions and the bytes. */
  stat: (row: Row) => ComponentChildren;
  children?: ComponentChildren;
  /** What is known of it though no credential named it. */
  whenMissing?: ComponentChildren;
}) {
  const { kind, name } = props;
  const isOperator = useMay("operator");
  const { data, error, reload } = useResource(`${kind} ${name}`, props.load, FIGURES_MS);
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      return (
        <div class="stack">
          <Empty title={props.whenMissing ? `No relay sessions of ${name}` : `No ${kind} ${name}`}>
            It was never named by a credential, or its data was deleted.
          </Empty>
          {props.whenMissing}
        </div>
      );
    }
    return error === undefined ? <PageHead title={name} /> : <ErrorNote error={error} retry={reload} />;
  }
  const filter = { [kind]: name };
  const whom = kind === "room" ? "clients" : "the client";
  return (
    <div class="stack">
      <PageHead
        title={name}
        badge={<LiveBadge isLive={data.activeSessions > 0} />}
        {...(props.about && { about: props.about(data) })}
        actions={
          <>
            <LinkOut kind={kind} name={name} />
            <EraseButton kind={kind} name={name} />
            {isOperator && (
              <RevokeButton label="End and revoke" what={`the ${kind} ${name}`} request={filter} onDone={reload} />
            )}
          </>
        }
      />
      <OnlyFor role="operator" what={`end the sessions of this ${kind} and revoke its credentials`} />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <div class="stats">
        <Stat
          label="Sessions"
          value={formatCount(data.sessions)}
          hint={`${formatCount(data.activeSessions)} live`}
          href={href("/sessions", filter)}
        />
        {props.stat(data)}
        <Stat label={`From ${whom}`} value={formatBytes(data.bytesIn)} />
        <Stat label={`To ${whom}`} value={formatBytes(data.bytesOut)} />
        <Stat label="First seen" value={<Ago at={data.firstSeen} />} />
        <Stat label="Last seen" value={<Ago at={data.lastSeen} />} />
      </div>
      {props.children}
      <h2>Sessions</h2>
      <SessionList of={filter} />
    </div>
  );
}
