import { createStore } from "../lib/store";

export type Role = "owner" | "operator" | "viewer";

/** Who asks, as `GET /api/v1/me` tells. */
export interface Me {
  /** Null for the holder of an API token. */
  user: { id: number; email: string; name: string; role: Role } | null;
  role: Role | null;
  scopes: string[];
  csrfToken: string | null;
  project: string | null;
  projects: { slug: string; disabled: boolean }[];
  version: string;
  features: Record<string, boolean>;
}

export type Identity = { state: "unknown" } | { state: "signed-out" } | { state: "signed-in"; me: Me };

export const identity = createStore<Identity>({ state: "unknown" });

const PROJECT_KEY = "causeway.project";

/** The project that is looked at; null is the one the sign-in belongs to. */
export const project = createStore<string | null>(localStorage.getItem(PROJECT_KEY));

export function chooseProject(slug: string | null): void {
  if (slug) localStorage.setItem(PROJECT_KEY, slug);
  else localStorage.removeItem(PROJECT_KEY);
  project.set(slug);
}

export function csrfToken(): string | null {
  const current = identity.get();
  return current.state === "signed-in" ? current.me.csrfToken : null;
}

export function signedOut(): void {
  identity.set({ state: "signed-out" });
}

/** What somebody may do; a token's scopes say the same as a role. */
export function roleOf(me: Me): Role {
  if (me.role) return me.role;
  if (me.scopes.includes("admin")) return "owner";
  return me.scopes.includes("credentials") ? "operator" : "viewer";
}

/** Whether a role may what another may; the server decides, the console only leaves out what would be refused. */
export function may(role: Role, needed: Role): boolean {
  const order: Role[] = ["viewer", "operator", "owner"];
  return order.indexOf(role) >= order.indexOf(needed);
}
