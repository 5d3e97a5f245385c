//! Counters of Telnyx's clients.

use causeway_api_causeway::{Metric, Sample};
use causeway_signal_verto::VertoFigures;

/// The counters as samples.
pub(crate) fn verto_samples(figures: VertoFigures) -> [Sample; 6] {
    let VertoFigures { connections, frames, dropped, refused_logins, resumed, limited } = figures;
    [
        (Metric::VertoConnections, connections),
        (Metric::VertoFrames, frames),
        (Metric::VertoFramesDropped, dropped),
        (Metric::VertoLoginsRefused, refused_logins),
        (Metric::VertoResumed, resumed),
        (Metric::VertoLimits, limited),
    ]
    .map(|(metric, value)| Sample { metric, label: None, value })
}
