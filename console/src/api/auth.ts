import { ApiError } from "./error";
import { ownHeaders } from "./client";
import { identity, project, signedOut, type Me } from "./identity";

/** Signing in and out. The session is a cookie that scripts cannot read. */

async function send(path: string, method: string, body?: object): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: { ...ownHeaders(method), ...(body && { "Content-Type": "application/json" }) },
      body: body ? JSON.stringify(body) : null,
    });
  } catch {
    throw new ApiError(0, undefined);
  }
  const text = await response.text();
  const answer: unknown = text.startsWith("{") ? JSON.parse(text) : undefined;
  if (!response.ok) throw new ApiError(response.status, answer ?? undefined);
  return answer;
}

/** Finds out who is signed in. */
export async function loadIdentity(): Promise<void> {
  try {
    const me = (await send("/api/v1/me", "GET")) as Me;
    const chosen = project.get();
    if (chosen && !me.projects.includes(chosen)) project.set(null);
    identity.set({ state: "signed-in", me });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) signedOut();
    else throw error;
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  await send("/api/v1/auth/login", "POST", { name, password });
  await loadIdentity();
}

/** The first start's one-time link: makes the first owner and signs it in. */
export async function welcome(token: string, name: string, password: string): Promise<void> {
  await send("/api/v1/auth/welcome", "POST", { token, name, password });
  await loadIdentity();
}

export async function changePassword(current: string, next: string): Promise<void> {
  await send("/api/v1/auth/password", "POST", { current, new: next });
}

export async function signOut(isEverywhere: boolean): Promise<void> {
  await send(isEverywhere ? "/api/v1/auth/logout-everywhere" : "/api/v1/auth/logout", "POST");
  signedOut();
}
