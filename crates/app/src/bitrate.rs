//! What a session carried over its life, in at most 60 points: enough for a small chart, whatever its length.

use std::time::Duration;

/// Points kept. When a session outlives them, neighbours are merged and each stands for twice the time.
pub const BITRATE_POINTS_MAX: usize = 60;

/// Bytes per interval from the session's start on: client to relay, relay to client, whole messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitrate {
    /// Width of a point.
    pub interval_secs: u32,
    /// From the start on; the time after the last point carried nothing.
    pub points: Vec<(u64, u64)>,
    told: (u64, u64),
}

impl Default for Bitrate {
    fn default() -> Self {
        Self { interval_secs: 1, points: Vec::new(), told: (0, 0) }
    }
}

impl Bitrate {
    /// Takes the totals as they are `after` the start.
    pub fn observe(&mut self, after: Duration, bytes_in: u64, bytes_out: u64) {
        let added = (bytes_in.saturating_sub(self.told.0), bytes_out.saturating_sub(self.told.1));
        self.told = (bytes_in, bytes_out);
        // An idle session keeps no points.
        if added == (0, 0) {
            return;
        }
        let mut index = self.index(after);
        while index >= BITRATE_POINTS_MAX {
            self.halve();
            index = self.index(after);
        }
        if self.points.len() <= index {
            self.points.resize(index + 1, (0, 0));
        }
        if let Some(point) = self.points.get_mut(index) {
            *point = (point.0.saturating_add(added.0), point.1.saturating_add(added.1));
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.points.is_empty() {
            return String::new();
        }
        let points: Vec<String> = self.points.iter().map(|(i, o)| format!("{i},{o}")).collect();
        format!("{};{}", self.interval_secs, points.join(" "))
    }

    /// What [`Bitrate::to_text`] wrote; anything else is an empty one.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let read = || {
            let (interval, points) = text.split_once(';')?;
            let point = |pair: &str| {
                let (bytes_in, bytes_out) = pair.split_once(',')?;
                Some((bytes_in.parse().ok()?, bytes_out.parse().ok()?))
            };
            let points: Option<Vec<(u64, u64)>> = points.split(' ').map(point).collect();
            Some(Self { interval_secs: interval.parse().ok()?, points: points?, told: (0, 0) })
        };
        read().unwrap_or_default()
    }

    fn index(&self, after: Duration) -> usize {
        usize::try_from(after.as_secs() / u64::from(self.interval_secs.max(1))).unwrap_or(usize::MAX)
    }

    fn halve(&mut self) {
        let merged = self.points.chunks(2).map(|pair| {
            pair.iter()
                .fold((0, 0), |sum: (u64, u64), point| (sum.0.saturating_add(point.0), sum.1.saturating_add(point.1)))
        });
        self.points = merged.collect();
        self.interval_secs = self.interval_secs.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_fits_into_sixty_points_and_no_byte_is_lost() {
        for length in [0, 1, 59, 60, 61, 119, 120, 3600, 100_000] {
            let mut bitrate = Bitrate::default();
            for secs in 0..=length {
                bitrate.observe(Duration::from_secs(secs), (secs + 1) * 10, (secs + 1) * 3);
            }
            assert!(bitrate.points.len() <= BITRATE_POINTS_MAX, "{length}");
            let sum = bitrate.points.iter().fold((0, 0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            assert_eq!(sum, ((length + 1) * 10, (length + 1) * 3), "{length}");
            let covered = u64::from(bitrate.interval_secs) * 60;
            assert!(length < covered && covered <= (2 * length).max(60), "{length}: {covered}");
            assert_eq!(Bitrate::from_text(&bitrate.to_text()).points, bitrate.points);
        }
    }

    #[test]
    fn an_idle_session_keeps_nothing_and_a_pause_is_zeros() {
        let mut bitrate = Bitrate::default();
        for secs in 0..1000 {
            bitrate.observe(Duration::from_secs(secs), 0, 0);
        }
        assert_eq!(bitrate.to_text(), "");
        bitrate.observe(Duration::from_secs(3), 5, 0);
        assert_eq!(bitrate.points, [(0, 0), (0, 0), (0, 0), (5, 0)]);
        assert_eq!(bitrate.to_text(), "1;0,0 0,0 0,0 5,0");
        assert_eq!(Bitrate::from_text("nonsense"), Bitrate::default());
    }
}
