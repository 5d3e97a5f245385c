//! What backends of voice connections are still to be told, kept so that no restart loses it, and what became of the attempts.

use std::{future::Future, time::Duration};

use causeway_types::UnixTime;

use crate::{NumberedPage, OrganizationId, ProjectId, StoreResult};

/// Events that wait to be delivered, of one server; one more is counted and lost.
pub const VOICE_DELIVERIES_MAX: usize = 50_000;
/// Attempts that can be looked at, of one project.
pub const VOICE_ATTEMPTS_MAX: u64 = 1000;

/// An event on its way to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceDelivery {
    /// Its id, a UUID.
    pub event: String,
    /// Whose.
    pub project: ProjectId,
    /// With whose key it is signed.
    pub organization: OrganizationId,
    /// Events of one call go out in order.
    pub call: String,
    /// What it is about.
    pub event_type: String,
    /// What is told, as JSON.
    pub body: String,
    /// Where to.
    pub url: String,
    /// Where to, when the first does not take it.
    pub failover_url: Option<String>,
    /// For one attempt.
    pub timeout: Option<Duration>,
    /// How often it was tried.
    pub attempts: u32,
    /// How far it is through the attempts that may be made.
    pub step: u32,
    /// Not tried before.
    pub next_at: UnixTime,
    /// When it happened.
    pub created_at: UnixTime,
}

/// One attempt, as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceAttempt {
    /// Whose.
    pub project: ProjectId,
    /// Of which event.
    pub event: String,
    /// What that is about.
    pub event_type: String,
    /// Where to.
    pub url: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: UnixTime,
    /// Status of the answer, or why there was none.
    pub outcome: Result<u16, String>,
}

/// A delivery that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceTry {
    /// Of which event.
    pub event: String,
    /// How often it was tried.
    pub attempts: u32,
    /// How far it is.
    pub step: u32,
    /// When it is tried again.
    pub next_at: UnixTime,
}

/// What became of deliveries since the last time it was kept.
#[derive(Clone, Debug, Default)]
pub struct VoiceProgress {
    /// They are over: taken, or given up.
    pub over: Vec<String>,
    /// Tried in vain, and to be tried again.
    pub tried: Vec<VoiceTry>,
    /// For the log.
    pub attempts: Vec<VoiceAttempt>,
}

impl VoiceProgress {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.over.is_empty() && self.tried.is_empty() && self.attempts.is_empty()
    }
}

/// What became of a delivery that this server kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceDeliveryPlace {
    /// It is this server's.
    Here,
    /// Another server took it over.
    Elsewhere,
    /// It is over, or forgotten.
    Gone,
}

/// Keeps deliveries. Each is held by one server, which holds it anew before that time is over.
pub trait VoiceDeliveryStore: Send + Sync + 'static {
    /// Keeps what is to be delivered by this server; what is kept already stays as it is.
    fn insert_voice_deliveries(
        &self,
        deliveries: &[VoiceDelivery],
        held_until: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Keeps what became of them.
    fn note_voice_progress(&self, progress: &VoiceProgress) -> impl Future<Output = StoreResult<()>> + Send;

    /// Takes over what nobody holds any more, the oldest first, no call in part and none that another server is at; at a start
    /// also what this server held before it. Servers do so one after the other.
    fn claim_voice_deliveries(
        &self,
        is_start: bool,
        now: UnixTime,
        held_until: UnixTime,
    ) -> impl Future<Output = StoreResult<Vec<VoiceDelivery>>> + Send;

    /// Holds what this server holds for longer.
    fn hold_voice_deliveries(&self, held_until: UnixTime) -> impl Future<Output = StoreResult<()>> + Send;

    /// What became of one.
    fn voice_delivery_place(&self, event: &str) -> impl Future<Output = StoreResult<VoiceDeliveryPlace>> + Send;

    /// This server does not hold one any more, if it did: another one is at its call.
    fn yield_voice_delivery(&self, event: &str) -> impl Future<Output = StoreResult<()>> + Send;

    /// Forgets deliveries and attempts that are older, and attempts beyond [`VOICE_ATTEMPTS_MAX`]. How many deliveries.
    fn forget_voice_deliveries(
        &self,
        deliveries_before: UnixTime,
        attempts_before: UnixTime,
    ) -> impl Future<Output = StoreResult<u64>> + Send;

    /// A project's attempts, and how many there are in all.
    fn voice_attempts(
        &self,
        project: ProjectId,
        page: NumberedPage,
    ) -> impl Future<Output = StoreResult<(Vec<VoiceAttempt>, u64)>> + Send;
}
