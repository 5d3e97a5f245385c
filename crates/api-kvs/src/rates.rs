//! How often each thing may be done.

use std::{collections::HashMap, time::Instant};

use causeway_app::{ChannelAction, ProjectId};
use causeway_signal_core::Pace;
use parking_lot::Mutex;

/// Allowances remembered; one more and those that are whole again are forgotten.
const REMEMBERED_MAX: usize = 100_000;

/// Allowances by what is done to which channel.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    paces: Mutex<HashMap<(ProjectId, ChannelAction, String), Pace>>,
}

impl Rates {
    /// Whether it may be done once more; an empty name stands for the project. One client of a channel has half of the
    /// allowance at most: one that comes again and again leaves room for the others.
    pub(crate) fn take(
        &self,
        project: ProjectId,
        action: ChannelAction,
        channel: &str,
        client: Option<&str>,
        per_sec: u32,
    ) -> bool {
        // No name has a slash.
        client.is_none_or(|client| self.take_of(project, action, format!("{channel}/{client}"), per_sec.div_ceil(2)))
            && self.take_of(project, action, channel.to_owned(), per_sec)
    }

    fn take_of(&self, project: ProjectId, action: ChannelAction, whose: String, per_sec: u32) -> bool {
        let now = Instant::now();
        let mut paces = self.paces.lock();
        if paces.len() >= REMEMBERED_MAX {
            paces.retain(|_, pace| !pace.is_whole(now));
        }
        if paces.len() >= REMEMBERED_MAX {
            return false;
        }
        paces.entry((project, action, whose)).or_default().take(now, per_sec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_takes_half_of_a_channels_allowance_and_leaves_the_rest() {
        let rates = Rates::default();
        let action = ChannelAction::ConnectAsViewer;
        let take = |channel: &str, client: Option<&str>, n: usize| {
            (0..n).filter(|_| rates.take(ProjectId(1), action, channel, client, 20)).count()
        };
        // Allowances come back while this runs, but not twice as many.
        assert!((10..15).contains(&take("cam", Some("mallory"), 100)));
        assert!((5..12).contains(&take("cam", Some("alice"), 10)), "there is room for another client");
        assert!(take("cam", None, 100) < 10, "the channel's own allowance is nearly used");
        assert!((20..30).contains(&take("door", None, 100)), "another channel has its own");
        assert!(rates.take(ProjectId(2), action, "cam", Some("mallory"), 20), "another project too");
        assert!(rates.take(ProjectId(1), ChannelAction::Describe, "cam", None, 20), "and another action");
    }
}
