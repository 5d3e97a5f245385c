import { api, take, type Schemas } from "./client";
import { ApiError } from "./error";
import { identity, project, signedOut } from "./identity";

/** Signing in and out. The session is a cookie that scripts cannot read. */

/** How people get in. */
export type Ways = Schemas["Ways"];

/** What a one-time link is for. */
export type LinkInfo = Schemas["LinkInfo"];

/** Finds out who is signed in. */
export async function loadIdentity(): Promise<void> {
  try {
    const me = await take(api.GET("/api/v1/me"));
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
  return take(api.GET("/api/v1/auth"));
}

export async function signIn(email: string, password: string): Promise<void> {
  await take(api.POST("/api/v1/auth/login", { body: { email, password } }));
  await loadIdentity();
}

export function lookAtLink(token: string): Promise<LinkInfo> {
  return take(api.POST("/api/v1/auth/link", { body: { token } }));
}

/** Uses a one-time link: sets the password and signs in. */
export async function redeemLink(body: Schemas["WelcomeRequest"]): Promise<void> {
  await take(api.POST("/api/v1/auth/welcome", { body }));
  // The link is used up; whoever comes in begins at the overview.
  window.history.replaceState(null, "", "/");
  await loadIdentity();
}

export async function changePassword(current: string, password: string): Promise<void> {
  await take(api.POST("/api/v1/auth/password", { body: { current, password } }));
  await loadIdentity();
}

export async function signOut(isEverywhere: boolean): Promise<void> {
  await take(isEverywhere ? api.POST("/api/v1/auth/logout-everywhere") : api.POST("/api/v1/auth/logout"));
  signedOut();
}
