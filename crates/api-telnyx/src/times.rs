//! Times as webhooks and calls have them: with microseconds.

use causeway_api_http::timestamp;
use causeway_types::UnixTime;

/// `2026-01-02T03:04:05.123000Z`.
pub(crate) fn precise(at: UnixTime) -> String {
    timestamp(at).replace('Z', "000Z")
}
