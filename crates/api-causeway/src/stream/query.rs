//! What a stream may be asked for.

use utoipa::IntoParams;

/// Where a stream begins, and what it tells.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its document is used: parameters are read one by one, to name every fault")]
pub(crate) struct StreamQuery {
    /// Begin after the event with this id; `Last-Event-ID` wins. From now on when not given.
    #[param(pattern = "^[0-9]{1,16}$")]
    after: Option<String>,
    /// Names of event types, separated by commas; all when not given.
    types: Option<String>,
}

/// Where a client that reconnects stopped.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its document is used: the header is read as it is")]
pub(crate) struct ResumeHeader {
    /// The last event that was received.
    #[param(rename = "Last-Event-ID", pattern = "^[0-9]{1,16}$")]
    last_event_id: Option<String>,
}
