import type { Schemas } from "../api/client";
import { Badge } from "../ui/badge";

/** Whatever is made once, may expire and may be revoked. */
type Token = Pick<Schemas["Token"], "revokedAt" | "expiresAt">;

export function stateOf(token: Token): "active" | "revoked" | "expired" {
  if (token.revokedAt) return "revoked";
  return token.expiresAt && Date.parse(token.expiresAt) < Date.now() ? "expired" : "active";
}

export function TokenState({ of }: { of: Token }) {
  const state = stateOf(of);
  return <Badge tone={state === "active" ? "good" : state === "revoked" ? "bad" : "neutral"}>{state}</Badge>;
}
