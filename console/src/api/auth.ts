import { ApiError } from "./error";
import { identity, project, signedOut, type Me } from "./identity";
import { send } from "./send";

/** Signing in and out. The session is a cookie that scripts cannot read. */

/** How people get in. */
export interface Ways {
  methods: string[];
  oidcName: string | null;
  needsFirstOwner: boolean;
}

/** What a one-time link is for. */
export interface LinkInfo {
  kind: "first" | "invitation" | "password";
  email: string | null;
  name: string | null;
}

/** Finds out who is signed in. */
export async function loadIdentity(): Promise<void> {
  try {
    const me = await send<Me>("GET", "/api/v1/me");
    const chosen = project.get();
    if (chosen && !me.projects.some((known) => known.slug === chosen)) project.set(null);
    identity.set({ state: "signed-in", me });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      signedOut();
      return;
    }
    // The project that was chosen is not there any more.
    if (error instanceof ApiError && error.isMissing && project.get()) {
      project.set(null);
      return loadIdentity();
    }
    throw error;
  }
}

export function waysIn(): Promise<Ways> {
  return send<Ways>("GET", "/api/v1/auth");
}

export async function signIn(email: string, password: string): Promise<void> {
  await send("POST", "/api/v1/auth/login", { email, password });
  await loadIdentity();
}

export function lookAtLink(token: string): Promise<LinkInfo> {
  return send<LinkInfo>("POST", "/api/v1/auth/link", { token });
}

/** Uses a one-time link: sets the password and signs in. */
export async function redeemLink(fields: {
  token: string;
  password: string;
  email?: string;
  name?: string;
}): Promise<void> {
  await send("POST", "/api/v1/auth/welcome", fields);
  // The link is used up; whoever comes in begins at the overview.
  window.history.replaceState(null, "", "/");
  await loadIdentity();
}

export async function changePassword(current: string, password: string): Promise<void> {
  await send("POST", "/api/v1/auth/password", { current, password });
  await loadIdentity();
}

export async function signOut(isEverywhere: boolean): Promise<void> {
  await send("POST", isEverywhere ? "/api/v1/auth/logout-everywhere" : "/api/v1/auth/logout");
  signedOut();
}
