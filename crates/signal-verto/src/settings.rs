//! How connections are limited.

use std::time::Duration;

/// Limits of the dialect's connections.
#[derive(Clone, Copy, Debug)]
pub struct VertoSettings {
    /// Connections at once.
    pub connections_max: usize,
    /// From one address.
    pub connections_per_address_max: usize,
    /// Frames per second and connection; one that sends more is read no faster.
    pub frames_per_sec: u32,
    /// Bytes of one frame.
    pub frame_bytes_max: usize,
    /// Logins that failed, per address and second.
    pub failed_logins_per_sec: u32,
    /// How long a connection may take to log in.
    pub login_within: Duration,
    /// How long a lost client's session and calls wait for it.
    pub resumable_for: Duration,
}

impl Default for VertoSettings {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 2_000,
            frames_per_sec: 50,
            frame_bytes_max: 256 * 1024,
            failed_logins_per_sec: 5,
            login_within: Duration::from_secs(30),
            resumable_for: Duration::from_secs(90),
        }
    }
}
