import type { components } from "./schema";

type Body = components["schemas"]["Error"];

/** An answer of the API that is not a success, or none at all (status 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly details: { field: string; code: string }[];

  constructor(status: number, body: Partial<Body> | undefined) {
    super(body?.message ?? (status === 0 ? "The server does not answer." : `The server answered ${status}.`));
    this.status = status;
    this.code = body?.error ?? (status === 0 ? "unreachable" : "unknown");
    this.requestId = body?.requestId;
    this.details = body?.details ?? [];
  }

  get isMissing(): boolean {
    return this.status === 404;
  }
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, undefined);
}
