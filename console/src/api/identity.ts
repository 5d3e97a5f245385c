import { createStore } from "../lib/store";

export type Role = "owner" | "operator" | "viewer";

/** Who is signed in, as `GET /api/v1/me` tells. */
export interface Me {
  user: { name: string } | null;
  role: Role;
  csrfToken: string | null;
  organization: string | null;
  projects: string[];
  features: string[];
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

/** What each role may do; the server decides, the console only leaves out what would be refused. */
export function may(role: Role, needed: Role): boolean {
  const order: Role[] = ["viewer", "operator", "owner"];
  return order.indexOf(role) >= order.indexOf(needed);
}
