/** What the API's reasons of refusals mean, for people. */
const REASONS: Record<string, string> = {
  expired: "the credential had expired",
  wrong_key: "wrong password",
  unknown_user: "unknown user name",
  revoked: "the credential was revoked",
  quota: "a quota is used up",
  limit: "a limit was reached",
  forbidden_peer: "forbidden peer",
  peer_withdrawn: "the peer is no longer allowed",
  other_user: "another user's session",
  other_address: "bound to another address",
  too_far_ahead: "expiry too far ahead",
  bid_down: "talked down to a weaker algorithm",
  unavailable: "the look-up was not possible",
  other: "for another reason",
};

export const REASON_NAMES = Object.keys(REASONS);

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}
