//! The relay's counters as metric samples.

use causeway_api_causeway::{Metric, Sample};
use causeway_fast_path::FastPath;
use causeway_relay::RelayHandle;
use causeway_turn_core::DropReason;
use causeway_webhooks::Figures;

/// Every counter, summed over the shards.
pub(crate) fn samples(relay: &RelayHandle) -> Vec<Sample> {
    let stats = relay.stats();
    let plain = |metric, value| Sample { metric, label: None, value };
    let mut samples = vec![
        plain(Metric::Allocations, stats.allocations),
        plain(Metric::EventsDropped, stats.events_dropped),
        plain(Metric::Panics, stats.shards.iter().map(|s| s.panics).sum()),
        plain(Metric::RelaySenders, stats.shards.iter().map(|s| s.senders).sum()),
        plain(Metric::RelaySendersRefused, stats.shards.iter().map(|s| s.senders_refused).sum()),
        plain(Metric::AllocationsCreated, stats.shards.iter().map(|s| s.turn.allocations_created).sum()),
        plain(Metric::AllocationsEnded, stats.shards.iter().map(|s| s.turn.allocations_ended).sum()),
        plain(Metric::PeersWithdrawn, stats.shards.iter().map(|s| s.turn.peers_withdrawn).sum()),
    ];
    let mut add = |metric, name: &'static str, label: &str, value: u64| {
        let known =
            samples.iter_mut().find(|s| s.metric == metric && s.label.as_ref().is_some_and(|(_, l)| l == label));
        match known {
            Some(sample) => sample.value += value,
            None => samples.push(Sample { metric, label: Some((name, label.to_owned())), value }),
        }
    };
    for shard in &stats.shards {
        add(Metric::RelayedPackets, "direction", "from_client", shard.turn.from_client.packets);
        add(Metric::RelayedPackets, "direction", "to_client", shard.turn.to_client.packets);
        add(Metric::RelayedBytes, "direction", "from_client", shard.turn.from_client.bytes);
        add(Metric::RelayedBytes, "direction", "to_client", shard.turn.to_client.bytes);
        shard.turn.requests().for_each(|(method, n)| add(Metric::TurnRequests, "method", method, n));
        shard.turn.refusals().for_each(|(code, n)| add(Metric::TurnRefusals, "code", &code.to_string(), n));
        DropReason::ALL.iter().for_each(|r| add(Metric::Drops, "reason", r.as_str(), shard.drops.count(*r)));
        add(Metric::ClientConnections, "transport", "stream", shard.connections);
        add(Metric::ClientConnections, "transport", "dtls", shard.dtls_associations);
    }
    let status = relay.fast_path().map(FastPath::status).unwrap_or_default();
    for (outcome, n) in &status.outcomes {
        add(Metric::FastPathPackets, "outcome", outcome, *n);
    }
    for site in &status.sites {
        let at = format!("{}/{}", site.interface, site.entry.name());
        add(Metric::FastPathAttached, "at", &at, u64::from(site.is_attached));
    }
    samples.push(plain(Metric::FastPathByXdp, status.by_xdp));
    samples.push(plain(Metric::FastPathFlows, u64::from(status.flows)));
    samples.push(plain(Metric::FastPathFlowsMax, u64::from(status.flows_max)));
    samples.push(plain(Metric::FastPathFlowsRefused, status.flows_refused));
    samples
}

/// What webhooks were posted.
pub(crate) fn webhook_samples(figures: Figures) -> Vec<Sample> {
    let Figures { taken, failed, given_up, lost, pending, is_posting } = figures;
    let posts = |outcome: &str, value| Sample {
        metric: Metric::WebhookPosts,
        label: Some(("outcome", outcome.to_owned())),
        value,
    };
    let plain = |metric, value| Sample { metric, label: None, value };
    vec![
        posts("taken", taken),
        posts("failed", failed),
        plain(Metric::WebhookEventsGivenUp, given_up),
        plain(Metric::WebhookGaps, lost),
        plain(Metric::WebhookEventsWaiting, pending),
        plain(Metric::WebhookPosting, u64::from(is_posting)),
    ]
}
