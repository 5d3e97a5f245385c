import { createStore } from "../lib/store";
import type { components } from "./schema";

export type Role = "owner" | "operator" | "viewer";

/** Who asks, as `GET /api/v1/me` tells. */
export type Me = components["schemas"]["Me"];

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
  return (current.state === "signed-in" && current.me.csrfToken) || null;
}

export function signedOut(): void {
  identity.set({ state: "signed-out" });
}

const ROLES: Role[] = ["viewer", "operator", "owner"];

/** What somebody may do; a token's scopes say the same as a role. One that this console does not know may only look. */
export function roleOf(me: Me): Role {
  if (me.role) return ROLES.find((role) => role === me.role) ?? "viewer";
  if (me.scopes.includes("admin")) return "owner";
  return me.scopes.includes("credentials") ? "operator" : "viewer";
}

/** Whether a role may what another may; the server decides, the console only leaves out what would be refused. */
export function may(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
