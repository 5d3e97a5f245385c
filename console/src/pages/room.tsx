import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { formatCount } from "../lib/format";
import { href } from "../lib/query";
import { useResource } from "../lib/resource";
import { Timeline } from "../timeline/timeline";
import { PathVerdict } from "../timeline/verdict";
import { ErrorNote } from "../ui/note";
import { Stat } from "../ui/page";
import { FIGURES_MS, NamedPage } from "./named-page";

/** Clients of a room whose calls are named. */
const CLIENTS_MAX = 8;

export function RoomPage() {
  const room = useRoute().params["room"] ?? "";
  return (
    <NamedPage
      kind="room"
      name={room}
      load={(signal) => take(api.GET("/api/v1/rooms/{room}", { params: { path: { room } }, signal }))}
      stat={(data) => <Stat label="Clients" value={formatCount(data.clients)} href={href("/clients", { room })} />}
    >
      <Story room={room} />
      <RoomCalls room={room} />
    </NamedPage>
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
      <PathVerdict of={data.verdict} clients={data.entries.flatMap((entry) => entry.clients)} />
      <Timeline story={data} />
    </>
  );
}

/** Where the calls of its clients are: a call between registered clients is in no room. */
function RoomCalls({ room }: { room: string }) {
  const { data } = useResource(
    `clients of ${room}`,
    (signal) => take(api.GET("/api/v1/clients", { params: { query: { room, limit: CLIENTS_MAX } }, signal })),
    FIGURES_MS,
  );
  if (!data || data.data.length === 0) return null;
  return (
    <p class="row">
      Calls of
      {data.data.map((row) => (
        <a key={row.client} href={href("/calls", { client: row.client })}>
          {row.client}
        </a>
      ))}
      {data.nextCursor && <a href={href("/clients", { room })}>and others</a>}
    </p>
  );
}
