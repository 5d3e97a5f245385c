import { ownHeaders } from "./client";
import { ApiError } from "./error";

/** A request to a route whose answers decide who is signed in, so that a 401 is its own affair. */
export async function send<T>(method: string, path: string, body?: object): Promise<T> {
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
  return answer as T;
}
