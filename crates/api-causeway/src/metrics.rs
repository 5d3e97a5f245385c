//! `GET /metrics`: Prometheus text. Names come from one enum; labels are bounded lists, never a user, address or id.

use std::sync::Arc;

use ::metrics::{Key, Label, Level, Metadata, Recorder};
use axum::{extract::State, http::header, response::IntoResponse};
use causeway_app::Store;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::ApiState;

/// Labels by metric: the name, and what it may be. The others have none.
const LABELS: &[(Metric, &str, &str)] = &[
    (Metric::RelayedPackets, "direction", "`from_client`, `to_client`"),
    (Metric::RelayedBytes, "direction", "`from_client`, `to_client`"),
    (Metric::TurnRequests, "method", "TURN's methods in lower case: `binding`, `allocate` …"),
    (Metric::TurnRefusals, "code", "[error codes](troubleshooting.md#error-codes)"),
    (Metric::Drops, "reason", "[drop reasons](troubleshooting.md#drop-reasons)"),
    (Metric::ClientConnections, "transport", "`stream` (TCP, TLS), `dtls`"),
    (Metric::FastPathPackets, "outcome", "[outcomes](fast-path.md#outcomes)"),
    (Metric::FastPathAttached, "at", "an interface, a slash, and `tc`, `xdp` (in the driver) or `xdp_generic`"),
    (Metric::WebhookPosts, "outcome", "`taken`, `failed`"),
    (Metric::CallsEnded, "cause", "`normal`, `busy`, `rejected` … ([hang-up cause](glossary.md))"),
    (
        Metric::SignalMessages,
        "outcome",
        "`delivered`, `stored`, `expired`, `malformed`, `no_recipient`, `payload_too_long`, `too_fast`, `too_many_waiting`",
    ),
    (Metric::SignalRefusals, "error", "[names of errors](compat/aws-kvs.md#limits)"),
    (
        Metric::SignalCloses,
        "reason",
        "`superseded`, `channel_deleted`, `idle`, `too_old`, `going_away`, `too_slow`, `frame_too_large`, `silent`",
    ),
    (
        Metric::SignIns,
        "outcome",
        "`password`, `link`, `oidc`; refused: `wrong_password`, `bad_link`, `too_many_tries`, `not_let_in`, `email_unverified`, `provider_unreachable`, `provider_busy`, `provider_stale`, `provider_denied`, `provider_refused`, `failed`",
    ),
    (Metric::OidcRequests, "outcome", "`answered`, `failed`"),
    (Metric::SipLimits, "limit", "`connections_max`, `messages_per_sec` … ([limits](sip.md#limits))"),
];

/// Every metric there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Gauge: live allocations.
    Allocations,
    /// Counter: allocations granted.
    AllocationsCreated,
    /// Counter: allocations ended.
    AllocationsEnded,
    /// Counter by `direction`: relayed packets.
    RelayedPackets,
    /// Counter by `direction`: relayed payload bytes.
    RelayedBytes,
    /// Counter by `method`: requests of TURN clients.
    TurnRequests,
    /// Counter by `code`: error answers to TURN clients.
    TurnRefusals,
    /// Counter by `reason`: messages dropped without an answer.
    Drops,
    /// Counter: peers that a reloaded policy took back from live allocations.
    PeersWithdrawn,
    /// Gauge by `transport`: open TCP/TLS connections and DTLS associations.
    ClientConnections,
    /// Gauge: sockets that busy flows are sent by.
    RelaySenders,
    /// Counter: busy flows that got no socket of their own.
    RelaySendersRefused,
    /// Counter by `outcome`: packets that the kernel fast path saw and that might have been its own.
    FastPathPackets,
    /// Counter: packets among those forwarded that XDP took.
    FastPathByXdp,
    /// Gauge by `at`: whether a program of the fast path sits where it was put.
    FastPathAttached,
    /// Gauge: channels relayed in the kernel.
    FastPathFlows,
    /// Gauge: channels the kernel has room for; 0 without a fast path.
    FastPathFlowsMax,
    /// Counter: channels that stayed in user space for want of room.
    FastPathFlowsRefused,
    /// Counter: events that found their queue full.
    EventsDropped,
    /// Counter: ended sessions that were lost because the store did not answer for long.
    SessionRecordsLost,
    /// Gauge: 1 while Redis takes what is published.
    RedisUp,
    /// Counter: commands Redis answered.
    RedisCommands,
    /// Counter: batches in which Redis refused a command.
    RedisCommandsRefused,
    /// Counter: connections to Redis that failed or broke.
    RedisFailures,
    /// Counter: events lost because Redis was away too long.
    RedisEventsDropped,
    /// Gauge: events that wait for Redis.
    RedisEventsWaiting,
    /// Gauge: open event streams.
    EventStreams,
    /// Counter by `outcome`: posts to webhooks.
    WebhookPosts,
    /// Counter: events a webhook did not take for a day.
    WebhookEventsGivenUp,
    /// Counter: times events for webhooks were lost because the store was away too long.
    WebhookGaps,
    /// Gauge: events in memory that wait for a webhook.
    WebhookEventsWaiting,
    /// Counter: spans the collector of traces took.
    SpansExported,
    /// Counter: spans the collector of traces did not take, or that found the queue full.
    SpansDropped,
    /// Gauge: signalling WebSockets.
    SignalConnections,
    /// Counter by `outcome`: signalling messages.
    SignalMessages,
    /// Gauge: clients connected to register and call.
    CallClients,
    /// Counter: clients that were cut off because they did not take what they were told.
    CallClientsCutOff,
    /// Gauge: registrations of clients.
    Registrations,
    /// Gauge: calls between clients.
    Calls,
    /// Counter: calls that were placed.
    CallsStarted,
    /// Counter: calls that were answered.
    CallsAnswered,
    /// Counter by `cause`: calls that ended.
    CallsEnded,
    /// Counter by `error`: refused calls and upgrades of signing clients.
    SignalRefusals,
    /// Counter by `reason`: signalling WebSockets the server closed.
    SignalCloses,
    /// Counter: times a signalling WebSocket sent faster than it is read.
    SignalFloods,
    /// Gauge: SIP WebSockets.
    SipConnections,
    /// Counter: SIP messages that came.
    SipMessages,
    /// Counter: SIP messages that nothing came of.
    SipMessagesDropped,
    /// Counter by `limit`: limits of signalling that were reached.
    SipLimits,
    /// Gauge: WebSockets of Telnyx's clients.
    VertoConnections,
    /// Counter: frames of Telnyx's clients that came.
    VertoFrames,
    /// Counter: frames of Telnyx's clients that nothing came of.
    VertoFramesDropped,
    /// Counter: logins of Telnyx's clients that were refused.
    VertoLoginsRefused,
    /// Counter: sessions of Telnyx's clients that came back.
    VertoResumed,
    /// Counter: limits of Telnyx's clients that were reached.
    VertoLimits,
    /// Counter: events of voice calls that were not posted to the application, too many waited.
    VoiceWebhookEventsDropped,
    /// Counter: events of voice calls that no receiver took.
    VoiceWebhookEventsGivenUp,
    /// Counter: records of calls that were lost because the store did not answer for long.
    CallRecordsLost,
    /// Gauge: 1 on the server that posts to webhooks.
    WebhookPosting,
    /// Counter by `outcome`: sign-ins to the console.
    SignIns,
    /// Counter by `outcome`: requests to the OpenID Connect provider.
    OidcRequests,
    /// Counter: bugs met and survived on the data path.
    Panics,
}

impl Metric {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 62] = [
        Self::Allocations,
        Self::AllocationsCreated,
        Self::AllocationsEnded,
        Self::RelayedPackets,
        Self::RelayedBytes,
        Self::TurnRequests,
        Self::TurnRefusals,
        Self::Drops,
        Self::PeersWithdrawn,
        Self::ClientConnections,
        Self::RelaySenders,
        Self::RelaySendersRefused,
        Self::FastPathPackets,
        Self::FastPathByXdp,
        Self::FastPathAttached,
        Self::FastPathFlows,
        Self::FastPathFlowsMax,
        Self::FastPathFlowsRefused,
        Self::EventsDropped,
        Self::SessionRecordsLost,
        Self::RedisUp,
        Self::RedisCommands,
        Self::RedisCommandsRefused,
        Self::RedisFailures,
        Self::RedisEventsDropped,
        Self::RedisEventsWaiting,
        Self::EventStreams,
        Self::WebhookPosts,
        Self::WebhookEventsGivenUp,
        Self::WebhookGaps,
        Self::WebhookEventsWaiting,
        Self::SpansExported,
        Self::SpansDropped,
        Self::SignalConnections,
        Self::SignalMessages,
        Self::CallClients,
        Self::CallClientsCutOff,
        Self::Registrations,
        Self::Calls,
        Self::CallsStarted,
        Self::CallsAnswered,
        Self::CallsEnded,
        Self::SignalRefusals,
        Self::SignalCloses,
        Self::SignalFloods,
        Self::SipConnections,
        Self::SipMessages,
        Self::SipMessagesDropped,
        Self::SipLimits,
        Self::VertoConnections,
        Self::VertoFrames,
        Self::VertoFramesDropped,
        Self::VertoLoginsRefused,
        Self::VertoResumed,
        Self::VertoLimits,
        Self::VoiceWebhookEventsDropped,
        Self::VoiceWebhookEventsGivenUp,
        Self::CallRecordsLost,
        Self::WebhookPosting,
        Self::SignIns,
        Self::OidcRequests,
        Self::Panics,
    ];

    /// The name scrapers see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocations => "causeway_allocations",
            Self::AllocationsCreated => "causeway_allocations_created_total",
            Self::AllocationsEnded => "causeway_allocations_ended_total",
            Self::RelayedPackets => "causeway_relayed_packets_total",
            Self::RelayedBytes => "causeway_relayed_bytes_total",
            Self::TurnRequests => "causeway_turn_requests_total",
            Self::TurnRefusals => "causeway_turn_refusals_total",
            Self::Drops => "causeway_drops_total",
            Self::PeersWithdrawn => "causeway_peers_withdrawn_total",
            Self::ClientConnections => "causeway_client_connections",
            Self::RelaySenders => "causeway_relay_senders",
            Self::RelaySendersRefused => "causeway_relay_senders_refused_total",
            Self::FastPathPackets => "causeway_fast_path_packets_total",
            Self::FastPathByXdp => "causeway_fast_path_xdp_packets_total",
            Self::FastPathAttached => "causeway_fast_path_attached",
            Self::FastPathFlows => "causeway_fast_path_flows",
            Self::FastPathFlowsMax => "causeway_fast_path_flows_max",
            Self::FastPathFlowsRefused => "causeway_fast_path_flows_refused_total",
            Self::EventsDropped => "causeway_events_dropped_total",
            Self::SessionRecordsLost => "causeway_session_records_lost_total",
            Self::RedisUp => "causeway_redis_up",
            Self::RedisCommands => "causeway_redis_commands_total",
            Self::RedisCommandsRefused => "causeway_redis_commands_refused_total",
            Self::RedisFailures => "causeway_redis_failures_total",
            Self::RedisEventsDropped => "causeway_redis_events_dropped_total",
            Self::RedisEventsWaiting => "causeway_redis_events_waiting",
            Self::EventStreams => "causeway_event_streams",
            Self::WebhookPosts => "causeway_webhook_posts_total",
            Self::WebhookEventsGivenUp => "causeway_webhook_events_given_up_total",
            Self::WebhookGaps => "causeway_webhook_gaps_total",
            Self::WebhookEventsWaiting => "causeway_webhook_events_waiting",
            Self::SpansExported => "causeway_spans_exported_total",
            Self::SpansDropped => "causeway_spans_dropped_total",
            Self::SignalConnections => "causeway_signal_connections",
            Self::CallClients => "causeway_call_clients",
            Self::CallClientsCutOff => "causeway_call_clients_cut_off_total",
            Self::Registrations => "causeway_registrations",
            Self::Calls => "causeway_calls",
            Self::CallsStarted => "causeway_calls_started_total",
            Self::CallsAnswered => "causeway_calls_answered_total",
            Self::CallsEnded => "causeway_calls_ended_total",
            Self::SipConnections => "causeway_sip_connections",
            Self::SipMessages => "causeway_sip_messages_total",
            Self::SipMessagesDropped => "causeway_sip_messages_dropped_total",
            Self::SipLimits => "causeway_sip_limits_total",
            Self::VertoConnections => "causeway_verto_connections",
            Self::VertoFrames => "causeway_verto_frames_total",
            Self::VertoFramesDropped => "causeway_verto_frames_dropped_total",
            Self::VertoLoginsRefused => "causeway_verto_logins_refused_total",
            Self::VertoResumed => "causeway_verto_resumed_total",
            Self::VertoLimits => "causeway_verto_limits_total",
            Self::VoiceWebhookEventsDropped => "causeway_voice_webhook_events_dropped_total",
            Self::VoiceWebhookEventsGivenUp => "causeway_voice_webhook_events_given_up_total",
            Self::CallRecordsLost => "causeway_call_records_lost_total",
            Self::SignalMessages => "causeway_signal_messages_total",
            Self::SignalRefusals => "causeway_signal_refusals_total",
            Self::SignalCloses => "causeway_signal_closes_total",
            Self::SignalFloods => "causeway_signal_floods_total",
            Self::WebhookPosting => "causeway_webhook_posting",
            Self::SignIns => "causeway_sign_ins_total",
            Self::OidcRequests => "causeway_oidc_requests_total",
            Self::Panics => "causeway_panics_total",
        }
    }

    /// One line for people.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Allocations => "Live TURN allocations.",
            Self::AllocationsCreated => "TURN allocations granted.",
            Self::AllocationsEnded => "TURN allocations ended.",
            Self::RelayedPackets => "Packets relayed, by direction.",
            Self::RelayedBytes => "Payload bytes relayed, by direction.",
            Self::TurnRequests => "Requests of TURN clients, by method.",
            Self::TurnRefusals => "Error answers to TURN clients, by code.",
            Self::Drops => "Messages dropped without an answer, by reason.",
            Self::PeersWithdrawn => "Peers that a reloaded policy took back from live allocations.",
            Self::ClientConnections => "Open client connections and associations, by transport.",
            Self::RelaySenders => "Sockets that busy flows are sent by.",
            Self::RelaySendersRefused => {
                "Busy flows that got no socket of their own: too many, or the system gave none."
            }
            Self::FastPathPackets => "Packets the kernel fast path saw, by outcome.",
            Self::FastPathByXdp => "Packets among those forwarded in the kernel that XDP took.",
            Self::FastPathAttached => {
                "Whether a program of the fast path sits where it was put: 0 once an administrator took it off."
            }
            Self::FastPathFlows => "Channels relayed in the kernel.",
            Self::FastPathFlowsMax => "Channels the kernel has room for; 0 without a fast path.",
            Self::FastPathFlowsRefused => "Channels that stayed in user space for want of room.",
            Self::EventsDropped => "Events that found their queue full.",
            Self::SessionRecordsLost => "Ended sessions lost because the store did not answer for long.",
            Self::RedisUp => "Whether Redis takes what is published.",
            Self::RedisCommands => "Commands Redis answered.",
            Self::RedisCommandsRefused => "Batches in which Redis refused a command.",
            Self::RedisFailures => "Connections to Redis that failed or broke.",
            Self::RedisEventsDropped => "Events lost because Redis was away too long.",
            Self::RedisEventsWaiting => "Events that wait for Redis.",
            Self::EventStreams => "Open event streams.",
            Self::WebhookPosts => "Posts to webhooks, by outcome.",
            Self::WebhookEventsGivenUp => "Events that a webhook did not take for a day.",
            Self::WebhookGaps => "Times events for webhooks were lost because the store was away too long.",
            Self::WebhookEventsWaiting => "Events in memory that wait for a webhook.",
            Self::SpansExported => "Spans the collector of traces took.",
            Self::SpansDropped => "Spans the collector of traces did not take, or that found the queue full.",
            Self::SignalConnections => "Open signalling WebSockets.",
            Self::SignalMessages => "Signalling messages, by outcome.",
            Self::CallClients => "Clients connected to register and call.",
            Self::CallClientsCutOff => "Clients cut off because they did not take what they were told.",
            Self::Registrations => "Registrations of clients.",
            Self::Calls => "Calls between clients, from the first ring to the end.",
            Self::CallsStarted => "Calls that were placed.",
            Self::CallsAnswered => "Calls that were answered.",
            Self::CallsEnded => "Calls that ended, by cause.",
            Self::SignalRefusals => "Refused calls and upgrades of clients that sign, by error.",
            Self::SignalCloses => "Signalling WebSockets the server closed, by reason.",
            Self::SignalFloods => "Times a signalling WebSocket sent frames faster than they are read.",
            Self::SipConnections => "Open SIP WebSockets.",
            Self::SipMessages => "SIP messages that clients sent.",
            Self::SipMessagesDropped => "SIP messages nothing came of: unreadable, or of no exchange that is known.",
            Self::SipLimits => "Limits of SIP clients that were reached, by limit.",
            Self::VertoConnections => "Open WebSockets of Telnyx's clients.",
            Self::VertoFrames => "Frames that Telnyx's clients sent.",
            Self::VertoFramesDropped => {
                "Frames of Telnyx's clients without effect: unreadable, unknown, or before the login."
            }
            Self::VertoLoginsRefused => "Logins of Telnyx's clients that were refused.",
            Self::VertoResumed => "Sessions of Telnyx's clients that came back after a loss.",
            Self::VertoLimits => "Limits of Telnyx's clients that were reached.",
            Self::VoiceWebhookEventsDropped => "Events of voice calls that were not posted: too many waited.",
            Self::VoiceWebhookEventsGivenUp => {
                "Events of voice calls that neither the webhook URL nor its failover took."
            }
            Self::CallRecordsLost => "Records of calls lost because the store did not answer for long.",
            Self::WebhookPosting => "1 on the server that posts to webhooks, for all that share its database.",
            Self::SignIns => "Sign-ins to the console, by outcome.",
            Self::OidcRequests => "Requests to the OpenID Connect provider, by outcome.",
            Self::Panics => "Bugs met and survived on the data path.",
        }
    }

    /// Its label, if it has one: the name, and what it may be, in Markdown.
    #[must_use]
    pub fn label(self) -> Option<(&'static str, &'static str)> {
        LABELS.iter().find(|(metric, ..)| *metric == self).map(|(_, name, values)| (*name, *values))
    }

    /// Whether it goes down too; counters do not.
    #[must_use]
    pub const fn is_gauge(self) -> bool {
        matches!(
            self,
            Self::Allocations
                | Self::ClientConnections
                | Self::RelaySenders
                | Self::FastPathAttached
                | Self::FastPathFlows
                | Self::FastPathFlowsMax
                | Self::RedisUp
                | Self::RedisEventsWaiting
                | Self::EventStreams
                | Self::WebhookEventsWaiting
                | Self::SignalConnections
                | Self::CallClients
                | Self::Registrations
                | Self::Calls
                | Self::SipConnections
                | Self::VertoConnections
                | Self::WebhookPosting
        )
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of what.
    pub metric: Metric,
    /// Label name and value; the value is from a fixed list.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: u64,
}

/// Counters in Prometheus' text format
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, description = "Every metric.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics<S: Store>(State(state): State<Arc<ApiState<S>>>) -> impl IntoResponse {
    let text = render((state.metrics)());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// A recorder of its own for each scrape: the counters live in the data plane, and two servers in one process must not
/// share a registry.
fn render(samples: Vec<Sample>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metadata = Metadata::new("causeway", Level::INFO, None);
    for metric in Metric::ALL {
        if metric.is_gauge() {
            recorder.describe_gauge(metric.name().into(), None, metric.help().into());
        } else {
            recorder.describe_counter(metric.name().into(), None, metric.help().into());
        }
    }
    for sample in samples {
        let labels: Vec<Label> = sample.label.into_iter().map(|(name, value)| Label::new(name, value)).collect();
        let key = Key::from_parts(sample.metric.name(), labels);
        if sample.metric.is_gauge() {
            // Counts of sockets and allocations are far below 2^53.
            let value = u32::try_from(sample.value).map_or(f64::MAX, f64::from);
            recorder.register_gauge(&key, &metadata).set(value);
        } else {
            recorder.register_counter(&key, &metadata).absolute(sample.value);
        }
    }
    recorder.handle().render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_appear_under_their_names_with_their_labels() {
        let text = render(vec![
            Sample { metric: Metric::Allocations, label: None, value: 3 },
            Sample { metric: Metric::Drops, label: Some(("reason", "peer_policy".to_owned())), value: 7 },
        ]);
        assert!(text.contains("causeway_allocations 3\n"), "{text}");
        assert!(text.contains("causeway_drops_total{reason=\"peer_policy\"} 7\n"), "{text}");
        assert!(text.contains("# TYPE causeway_drops_total counter"), "{text}");
    }
}
