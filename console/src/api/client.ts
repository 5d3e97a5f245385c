import createClient, { type Middleware } from "openapi-fetch";
import { ApiError } from "./error";
import { csrfToken, project, signedOut } from "./identity";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** Headers that every request of the console carries. */
export function ownHeaders(method: string): Record<string, string> {
  const headers: Record<string, string> = {};
  const token = csrfToken();
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  const chosen = project.get();
  if (chosen) headers["X-Causeway-Project"] = chosen;
  return headers;
}

const identify: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(ownHeaders(request.method))) request.headers.set(name, value);
    return request;
  },
  onResponse({ response, schemaPath }) {
    // A wrong password is answered 401 as well, and says nothing about who is signed in.
    if (response.status === 401 && !schemaPath.startsWith("/api/v1/auth/")) signedOut();
  },
};

/** The public API, typed by its OpenAPI document. */
export const api = createClient<paths>({ credentials: "same-origin" });
api.use(identify);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What a request answered; throws an [ApiError] when it was not a success. */
export async function take<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, undefined);
  }
  if (!answer.response.ok) throw new ApiError(answer.response.status, asBody(answer.error));
  return answer.data as T;
}

function asBody(error: unknown): Partial<Schemas["Error"]> | undefined {
  return typeof error === "object" && error !== null ? error : undefined;
}
