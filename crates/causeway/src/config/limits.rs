//! Limits that are not keys: what grows has one, and the reference page names it.

/// A limit that is the same on every server.
pub(crate) struct FixedLimit {
    /// How `causeway explain` finds it.
    pub(crate) name: &'static str,
    /// How much.
    pub(crate) value: String,
    /// Of what, and what happens beyond.
    pub(crate) doc: &'static str,
}

/// Every one that an operator may meet.
pub(crate) fn fixed() -> [FixedLimit; 6] {
    let seconds = |time: std::time::Duration| format!("{}s", time.as_secs());
    let limit = |name, value, doc| FixedLimit { name, value, doc };
    [
        limit(
            "mint_queue",
            causeway_store::MINTS_WAITING_MAX.to_string(),
            "Credentials that wait to be written. A request for one more is answered 503 with Retry-After.",
        ),
        limit(
            "mint_batch",
            causeway_store::MINTS_PER_COMMIT_MAX.to_string(),
            "Credentials in one transaction: those that wait are made durable together.",
        ),
        limit(
            "mint_patience",
            seconds(causeway_store::MINT_PATIENCE),
            "How long a request waits for its credential to be durable. Then it is answered 503 with Retry-After.",
        ),
        limit(
            "events_kept",
            crate::serve::EVENTS_KEPT.to_string(),
            "Newest events in memory, for every consumer of them. One that falls further behind is told of a gap.",
        ),
        limit(
            "senders",
            format!("1/{} of the descriptors", crate::serve::DESCRIPTORS_PER_SENDER),
            "Sockets that busy flows are sent by. A busy flow beyond them is sent as any other, and counted in causeway_relay_senders_refused_total.",
        ),
        limit(
            "sessions_waiting",
            crate::serve::SESSIONS_WAITING_MAX.to_string(),
            "Ended sessions that wait for a store that does not answer. More are lost, and counted in causeway_session_records_lost_total.",
        ),
    ]
}

impl FixedLimit {
    /// What `causeway explain` says.
    pub(crate) fn page(&self) -> String {
        let Self { name, value, doc } = self;
        format!("{name}\n\n{doc}\n\n  fixed        {value}\n")
    }
}

/// The part of the reference page, in Markdown.
pub(crate) fn reference() -> String {
    let head = "\nLimits that are the same everywhere and are not keys:\n\n| limit | value | of what, and what happens beyond |\n\
                | --- | --- | --- |\n";
    let row = |FixedLimit { name, value, doc }: FixedLimit| format!("| `{name}` | {value} | {doc} |\n");
    fixed().into_iter().map(row).fold(head.to_owned(), |page, row| page + &row)
}
