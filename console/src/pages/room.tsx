import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { ApiError } from "../api/error";
import { formatBytes, formatCount } from "../lib/format";
import { href } from "../lib/query";
import { useResource } from "../lib/resource";
import { Timeline } from "../timeline/timeline";
import { PathVerdict } from "../timeline/verdict";
import { useMay } from "../ui/access";
import { LiveBadge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { LinkOut } from "../ui/link-out";
import { ErrorNote } from "../ui/note";
import { PageHead, Stat } from "../ui/page";
import { Ago } from "../ui/time";
import { EraseButton } from "./erase";
import { RevokeButton } from "./revoke";
import { SessionList } from "./session-list";

const FIGURES_MS = 2000;

export function RoomPage() {
  const room = useRoute().params["room"] ?? "";
  const isOperator = useMay("operator");
  const { data, error, reload } = useResource(
    `room ${room}`,
    (signal) => take(api.GET("/api/v1/rooms/{room}", { params: { path: { room } }, signal })),
    FIGURES_MS,
  );
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      return <Empty title={`No room ${room}`}>It was never named by a credential, or its data was deleted.</Empty>;
    }
    return error === undefined ? <PageHead title={room} /> : <ErrorNote error={error} retry={reload} />;
  }
  const isLive = data.activeSessions > 0;
  return (
    <div class="stack">
      <PageHead
        title={room}
        badge={<LiveBadge isLive={isLive} />}
        actions={
          <>
            <EraseButton kind="room" name={room} />
            <LinkOut kind="room" name={room} />
            {isOperator && (
              <RevokeButton label="End and revoke" what={`the room ${room}`} request={{ room }} onDone={reload} />
            )}
          </>
        }
      />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <div class="stats">
        <Stat
          label="Sessions"
          value={formatCount(data.sessions)}
          hint={`${formatCount(data.activeSessions)} live`}
          href={href("/sessions", { room })}
        />
        <Stat label="Clients" value={formatCount(data.clients)} href={href("/clients", { room })} />
        <Stat label="From clients" value={formatBytes(data.bytesIn)} />
        <Stat label="To clients" value={formatBytes(data.bytesOut)} />
        <Stat label="First seen" value={<Ago at={data.firstSeen} />} />
        <Stat label="Last seen" value={<Ago at={data.lastSeen} />} />
      </div>
      <Story room={room} />
      <h2>Sessions</h2>
      <SessionList of={{ room }} />
    </div>
  );
}

/** The verdict and the timeline. */
function Story({ room }: { room: string }) {
  const { data, error, reload } = useResource(
    `timeline ${room}`,
    (signal) => take(api.GET("/api/v1/rooms/{room}/timeline", { params: { path: { room } }, signal })),
    FIGURES_MS,
  );
  if (!data) return error === undefined ? null : <ErrorNote error={error} retry={reload} />;
  return (
    <>
      <PathVerdict of={data.verdict} />
      <Timeline story={data} />
    </>
  );
}
