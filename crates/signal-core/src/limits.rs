//! What a channel and a connection may do.

use std::time::Duration;

/// Limits of every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Viewers of a channel at once.
    pub viewers_max: usize,
    /// Longest payload.
    pub payload_bytes_max: usize,
    /// Offers and answers per second and connection.
    pub descriptions_per_sec: u32,
    /// Candidates per second and connection.
    pub candidates_per_sec: u32,
    /// How long a connection may be silent.
    pub idle_max: Option<Duration>,
    /// How long a connection may last, the grace included.
    pub lifetime_max: Option<Duration>,
    /// Between being told to go and being closed.
    pub go_away_grace: Duration,
    /// Messages of a channel that wait for someone.
    pub waiting_per_channel_max: usize,
    /// Their payloads.
    pub waiting_bytes_per_channel_max: usize,
    /// Of them, those of one sender for one recipient: one that sends a lot leaves room for the others.
    pub waiting_per_sender_max: usize,
    /// Their payloads.
    pub waiting_bytes_per_sender_max: usize,
    /// Payloads that wait in all channels.
    pub waiting_bytes_max: usize,
}

impl Limits {
    /// For production: long lives, and room for today's large offers.
    pub const ROOMY: Self = Self {
        viewers_max: 100,
        payload_bytes_max: 64 * 1024,
        descriptions_per_sec: 20,
        candidates_per_sec: 100,
        idle_max: None,
        lifetime_max: Some(Duration::from_secs(24 * 3600)),
        go_away_grace: Duration::from_secs(60),
        waiting_per_channel_max: 500,
        waiting_bytes_per_channel_max: 1024 * 1024,
        waiting_per_sender_max: 100,
        waiting_bytes_per_sender_max: 256 * 1024,
        waiting_bytes_max: 256 * 1024 * 1024,
    };

    /// Those AWS documents (`compat/aws-kvs.md#limits`); the payload's is what AWS lets through in fact.
    pub const AWS_STRICT: Self = Self {
        viewers_max: 10,
        descriptions_per_sec: 5,
        candidates_per_sec: 20,
        idle_max: Some(Duration::from_secs(600)),
        lifetime_max: Some(Duration::from_secs(3600)),
        ..Self::ROOMY
    };
}
