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
    /// Whether it may be done once more; an empty name stands for the project.
    pub(crate) fn take(&self, project: ProjectId, action: ChannelAction, channel: &str, per_sec: u32) -> bool {
        let now = Instant::now();
        let mut paces = self.paces.lock();
        if paces.len() >= REMEMBERED_MAX {
            paces.retain(|_, pace| !pace.is_whole(now));
        }
        if paces.len() >= REMEMBERED_MAX {
            return false;
        }
        paces.entry((project, action, channel.to_owned())).or_default().take(now, per_sec)
    }
}
