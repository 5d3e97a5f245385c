import { api, take } from "../api/client";
import { to, useQuery } from "../lib/query";
import { serverSort } from "../table/columns";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { Empty } from "../ui/empty";
import { SESSION_COLUMNS, SESSION_ORDER, type Session } from "./sessions";

/** The sessions of one room, client or credential, for the page about it. */
export function SessionList({ of }: { of: { room?: string; client?: string; username?: string } }) {
  const sort = serverSort(SESSION_COLUMNS, useQuery().get("sort"));
  const live = usePagedList<Session>(
    `sessions of ${JSON.stringify(of)} ${sort ?? ""}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/sessions", {
          params: { query: { ...of, ...(sort && { sort }), limit: 50, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (session) => session.id,
    { concerns: (event) => event.type.startsWith("session.") && concerns(event.session, of) },
  );
  return (
    <LiveTable
      live={live}
      noun="session"
      columns={SESSION_COLUMNS}
      order={SESSION_ORDER}
      idOf={(session) => session.id}
      hrefOf={(session) => to.session(session.id)}
      isChanging={(session) => session.endedAt == null}
      empty={<Empty title="No sessions">Nobody has opened the relay here yet: the credentials were not used.</Empty>}
    />
  );
}

function concerns(
  session: { room: string | null; clients: { client: string }[]; username: string } | undefined,
  of: { room?: string; client?: string; username?: string },
): boolean {
  if (!session) return false;
  if (of.room !== undefined) return session.room === of.room;
  if (of.client !== undefined) return session.clients.some((entry) => entry.client === of.client);
  return session.username === of.username;
}
