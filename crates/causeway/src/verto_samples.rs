//! Counters of Telnyx's clients and of their backends' webhooks.

use causeway_api_causeway::{Metric, Sample};
use causeway_api_telnyx::DeliveryFigures;
use causeway_signal_verto::VertoFigures;

/// The counters as samples; `lost` events waited for nobody and were not handed to the deliveries.
pub(crate) fn verto_samples(figures: VertoFigures, deliveries: DeliveryFigures, lost: u64) -> [Sample; 8] {
    let VertoFigures { connections, frames, dropped, refused_logins, resumed, limited } = figures;
    [
        (Metric::VertoConnections, connections),
        (Metric::VertoFrames, frames),
        (Metric::VertoFramesDropped, dropped),
        (Metric::VertoLoginsRefused, refused_logins),
        (Metric::VertoResumed, resumed),
        (Metric::VertoLimits, limited),
        (Metric::VoiceWebhookEventsDropped, deliveries.dropped + lost),
        (Metric::VoiceWebhookEventsGivenUp, deliveries.given_up),
    ]
    .map(|(metric, value)| Sample { metric, label: None, value })
}
