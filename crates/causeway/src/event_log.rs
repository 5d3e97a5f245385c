//! Relay events as log lines: life cycle at INFO without personal data; who and where at DEBUG.

use causeway_types::RelayEvent;

/// Life-cycle events at INFO without personal data; who and where at DEBUG.
pub(crate) fn log_event(event: &RelayEvent) {
    match event {
        RelayEvent::AllocationCreated { allocation, username, five_tuple, relayed, lifetime, .. } => {
            tracing::info!(%allocation, lifetime_secs = lifetime.as_secs(), transport = %five_tuple.transport, "allocation created");
            tracing::debug!(%allocation, %username, %five_tuple, ?relayed, "allocation belongs to");
        }
        RelayEvent::AllocationEnded { allocation, reason, duration, traffic, .. } => tracing::info!(
            %allocation,
            reason = reason.as_str(),
            duration_secs = duration.as_secs(),
            bytes_from_client = traffic.from_client.bytes,
            bytes_to_client = traffic.to_client.bytes,
            "allocation ended"
        ),
        RelayEvent::AuthRefused { five_tuple, username, refusal } => {
            tracing::debug!(%five_tuple, ?username, ?refusal, "authentication refused");
        }
        RelayEvent::PeerRefused { allocation, peer, rule } => {
            tracing::debug!(%allocation, %peer, %rule, "peer refused");
        }
        RelayEvent::PeerWithdrawn { allocation, peer, rule } => {
            tracing::info!(%allocation, %rule, "the reloaded policy took a peer back");
            tracing::debug!(%allocation, %peer, "the peer was");
        }
        RelayEvent::LimitReached { limit, username, .. } => {
            tracing::debug!(limit = limit.as_str(), ?username, "limit reached")
        }
        RelayEvent::AllocationMoved { allocation, moved } => tracing::debug!(%allocation, ?moved, "allocation moved"),
        RelayEvent::AllocationRefreshed { allocation, lifetime } => {
            tracing::debug!(%allocation, lifetime_secs = lifetime.as_secs(), "allocation refreshed");
        }
        RelayEvent::FirstData { allocation, direction, after } => {
            tracing::debug!(%allocation, ?direction, after_ms = after.as_millis(), "first data");
        }
        // For the book of sessions, too many for a log; and the enum may grow.
        RelayEvent::PeerPermitted { .. } | RelayEvent::TrafficCounted { .. } | _ => {
            tracing::trace!(?event, "relay event");
        }
    }
}
