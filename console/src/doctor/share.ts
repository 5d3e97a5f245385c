import type { Schemas } from "../api/client";

type IceServer = Schemas["IceServer"];

/** What a link for an end user carries: a credential, and when it stops working. It is all that the page knows. */
export interface Shared {
  iceServers: IceServer[];
  expiresAt: string;
}

/**
 * The part of the link after "#", which a browser sends to no server. It needs no account and no request to the API: whoever
 * has it holds one credential, which relays only within a room of its own.
 */
export function toFragment(shared: Shared): string {
  const bytes = new TextEncoder().encode(JSON.stringify(shared));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

/** What the fragment carries; undefined when it is cut or made up. */
export function fromFragment(fragment: string): Shared | undefined {
  try {
    const bytes = Uint8Array.from(atob(fragment.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isShared(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isShared(value: unknown): value is Shared {
  if (typeof value !== "object" || value === null) return false;
  const { iceServers, expiresAt } = value as Partial<Shared>;
  const isText = (text: unknown) => text === undefined || text === null || typeof text === "string";
  return (
    typeof expiresAt === "string" &&
    Array.isArray(iceServers) &&
    iceServers.every(
      (server: Partial<IceServer> | null) =>
        typeof server === "object" &&
        server !== null &&
        Array.isArray(server.urls) &&
        server.urls.every((url) => typeof url === "string") &&
        isText(server.username) &&
        isText(server.credential),
    )
  );
}

/** The token of a link that the API made: `#token=` and 32 digits. */
export function tokenOf(fragment: string): string | undefined {
  return /^token=([0-9a-f]{32})$/.exec(fragment)?.[1];
}
