/** Signing in at an OpenID provider: the way there, and what is said when it did not work. */

/** Where one is: path and query. */
export type Here = Pick<Location, "pathname" | "search">;

const PROBLEM = "signInError";

/** Where one is, without what went wrong. */
export function withoutProblem(here: Here): string {
  const query = new URLSearchParams(here.search);
  if (!query.has(PROBLEM)) return here.pathname + here.search;
  query.delete(PROBLEM);
  const rest = query.toString();
  return here.pathname + (rest ? `?${rest}` : "");
}

/** Leads to the provider, and afterwards to where one is. */
export function toProvider(here: Here): string {
  return `/api/v1/auth/oidc?return=${encodeURIComponent(withoutProblem(here))}`;
}

/** In words, with what to do. */
export function providerProblem(code: string, name: string): string {
  switch (code) {
    case "provider_unreachable":
      return `This server does not reach ${name} at the moment. Try again, or sign in with a password.`;
    case "provider_busy":
      return `Many people sign in with ${name} at the moment. Try again in a few seconds.`;
    case "provider_stale":
      return "That sign-in began in another browser, at another address or too long ago. Try again.";
    case "provider_denied":
      return `The sign-in at ${name} was cancelled or refused there.`;
    case "provider_refused":
      return `What ${name} answered is not valid here. Try again; if it stays so, the server's log says why.`;
    case "email_unverified":
      return `${name} has not verified your e-mail address. Verify it there, then try again.`;
    case "not_let_in":
      return `${name} knows you, but nobody let you in here. Ask an owner for an invitation.`;
    case "too_many_tries":
      return "Too many tries from your network. Wait half a minute, then try again.";
    default:
      return `The sign-in with ${name} did not work. Try again.`;
  }
}
