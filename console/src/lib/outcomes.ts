/** Why a packet was not relayed in the kernel, for people. */
const OUTCOMES: Readonly<Record<string, string>> = {
  passed_form: "Fragments, IP options, lengths that do not match",
  passed_unknown: "No channel: STUN, indications, anything else",
  passed_expired: "The channel is over",
  passed_unconfirmed: "From a peer, before anything came from the client",
  passed_first: "The first packet of a session",
  passed_merged: "Several datagrams in one",
  passed_size: "Too large for the way out",
  passed_way: "By another interface, or without a way out",
  dropped_rate: "Dropped: over a bandwidth limit",
  dropped_failed: "Dropped: could not be changed",
};

/** An outcome without a word of its own is shown by its name in the metrics. */
export function outcomeText(outcome: string): string {
  return OUTCOMES[outcome] ?? outcome;
}
