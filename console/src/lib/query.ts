import { useLocation } from "preact-iso";

/** The filters of a view are its query string, so that a link shows the same thing to somebody else. */
export interface Query {
  get(name: string): string;
  /** Changes some filters; an empty value leaves a filter out. A replaced view is not one to come back to. */
  set(changes: Record<string, string>, options?: { isReplaced?: boolean }): void;
}

export function useQuery(): Query {
  const location = useLocation();
  return {
    get: (name) => location.query[name] ?? "",
    set(changes, options) {
      // The address of the page, not of the last drawing: two changes may come in one turn.
      const search = new URLSearchParams(window.location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value) search.set(name, value);
        else search.delete(name);
      }
      const text = search.toString();
      location.route(window.location.pathname + (text ? `?${text}` : ""), options?.isReplaced ?? true);
    },
  };
}

/** The path with these filters. */
export function href(path: string, filters: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) search.set(name, value);
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export const to = {
  room: (room: string) => `/rooms/${encodeURIComponent(room)}`,
  client: (client: string) => `/clients/${encodeURIComponent(client)}`,
  call: (id: string) => `/calls/${encodeURIComponent(id)}`,
  session: (id: string) => `/sessions/${encodeURIComponent(id)}`,
  credential: (username: string) => `/credentials/${encodeURIComponent(username)}`,
  webhook: (id: number) => `/webhooks/${id}`,
};
