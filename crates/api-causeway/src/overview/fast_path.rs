//! The kernel fast path at a glance, as the metrics tell it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics::{Metric, Sample};

/// What the kernel relays without this server's process, since its start; of the server that was asked.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverviewFastPath)]
pub(crate) struct FastPath {
    /// Packets relayed, in the kernel and in user space; one between two allocations counts at both.
    packets: u64,
    /// Those of them that the kernel relayed.
    packets_in_kernel: u64,
    /// Packets that XDP sent on, before the kernel's own stack saw them.
    packets_by_xdp: u64,
    /// Channels in the kernel now.
    channels: u64,
    /// Channels there is room for.
    channels_max: u64,
    /// Channels that found no room.
    channels_refused: u64,
    /// What became of the packets that the programs looked at, the most frequent outcome first; without those that never happened.
    outcomes: Vec<OutcomeCount>,
    /// The programs.
    programs: Vec<FastPathProgram>,
}

/// Packets that met one outcome.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OutcomeCount {
    /// As in `causeway_fast_path_packets_total`.
    outcome: String,
    /// How many.
    count: u64,
}

/// A program at an interface.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FastPathProgram {
    /// Interface, a slash, and `tc`, `xdp` or `xdp_generic`.
    at: String,
    /// Whether it is still there.
    is_attached: bool,
}

impl FastPath {
    /// Of all samples; none where everything is relayed in user space.
    pub(crate) fn of(samples: &[Sample]) -> Option<Self> {
        let sum = |metric| samples.iter().filter(|s| s.metric == metric).map(|s| s.value).sum::<u64>();
        let labelled = |metric| {
            let label = |sample: &Sample| Some((sample.label.as_ref()?.1.clone(), sample.value));
            samples.iter().filter(move |s| s.metric == metric).filter_map(label)
        };
        let channels_max = sum(Metric::FastPathFlowsMax);
        if channels_max == 0 {
            return None;
        }
        let outcomes = labelled(Metric::FastPathPackets).filter(|(_, count)| *count > 0);
        let mut outcomes: Vec<_> = outcomes.map(|(outcome, count)| OutcomeCount { outcome, count }).collect();
        outcomes.sort_by_key(|row| std::cmp::Reverse(row.count));
        let in_kernel = |row: &OutcomeCount| match row.outcome.as_str() {
            "forwarded_up" | "forwarded_down" => row.count,
            "forwarded_between" => row.count.saturating_mul(2),
            _ => 0,
        };
        let programs = labelled(Metric::FastPathAttached);
        let packets = sum(Metric::RelayedPackets);
        Some(Self {
            packets,
            // The other figure comes a few times a second.
            packets_in_kernel: outcomes.iter().map(in_kernel).sum::<u64>().min(packets),
            packets_by_xdp: sum(Metric::FastPathByXdp),
            channels: sum(Metric::FastPathFlows),
            channels_max,
            channels_refused: sum(Metric::FastPathFlowsRefused),
            outcomes,
            programs: programs.map(|(at, value)| FastPathProgram { at, is_attached: value > 0 }).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(metric: Metric, label: Option<&str>, value: u64) -> Sample {
        Sample { metric, label: label.map(|label| ("label", label.to_owned())), value }
    }

    #[test]
    fn a_packet_between_two_allocations_counts_at_both_and_no_room_is_no_fast_path() {
        let samples = [
            sample(Metric::RelayedPackets, Some("from_client"), 60),
            sample(Metric::RelayedPackets, Some("to_client"), 40),
            sample(Metric::FastPathPackets, Some("forwarded_between"), 30),
            sample(Metric::FastPathPackets, Some("forwarded_up"), 35),
            sample(Metric::FastPathPackets, Some("passed_form"), 0),
            sample(Metric::FastPathAttached, Some("lo/tc"), 0),
            sample(Metric::FastPathFlows, None, 3),
            sample(Metric::FastPathFlowsMax, None, 64),
        ];
        let told = FastPath::of(&samples).expect("there is room");
        assert_eq!((told.packets, told.packets_in_kernel, told.channels, told.channels_max), (100, 95, 3, 64));
        assert_eq!(
            told.outcomes.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(),
            ["forwarded_up", "forwarded_between"]
        );
        assert_eq!(told.programs, [FastPathProgram { at: "lo/tc".to_owned(), is_attached: false }]);
        assert_eq!(FastPath::of(&samples[..6]), None);
    }
}
