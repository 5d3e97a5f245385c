//! A call as it is kept, and the port to whatever keeps it.

use std::{future::Future, sync::Arc, time::Duration};

use causeway_call_core::{CallId, EndedBy, HangupCause};
use causeway_sip_core::status::status_of;
use causeway_types::UnixTime;

use crate::{ClientPlace, Page, PageRequest, ProjectId, StoreResult, TokenId};

/// What is known of a call from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallStart {
    /// Names it.
    pub id: CallId,
    /// Whose.
    pub project: ProjectId,
    /// Who placed it.
    pub from: Arc<str>,
    /// Whom it was placed to; none while nobody knows.
    pub to: Vec<Arc<str>>,
    /// The service that was called, when it was none of the clients by name.
    pub service: Option<Arc<str>>,
    /// Where its caller is.
    pub place: ClientPlace,
    /// When.
    pub at: UnixTime,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Its beginning.
    pub start: Arc<CallStart>,
    /// When the first device rang.
    pub ringing_at: Option<UnixTime>,
    /// When it was answered.
    pub answered_at: Option<UnixTime>,
    /// By whom.
    pub answered_by: Option<Arc<str>>,
    /// Where that is.
    pub answered_place: Option<ClientPlace>,
    /// When it ended.
    pub ended_at: UnixTime,
    /// Why.
    pub cause: HangupCause,
    /// By whom.
    pub ended_by: EndedBy,
}

impl CallRecord {
    /// The cause as a SIP status.
    #[must_use]
    pub const fn sip_code(&self) -> u16 {
        status_of(self.cause)
    }

    /// Who ended it, as in events and answers.
    #[must_use]
    pub const fn ended_by_name(&self) -> &'static str {
        match self.ended_by {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::Server => "server",
        }
    }

    /// From the start to the end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ended_at.saturating_since(self.start.at)
    }

    /// From the answer to the end.
    #[must_use]
    pub fn talk(&self) -> Duration {
        self.answered_at.map_or(Duration::ZERO, |at| self.ended_at.saturating_since(at))
    }
}

/// Which calls to list.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// In which this client took part, or was called.
    pub client: Option<String>,
    /// That began at or after.
    pub from: Option<UnixTime>,
    /// That began before.
    pub to: Option<UnixTime>,
    /// That ended so.
    pub cause: Option<HangupCause>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The callee is looked for, or asked about.
    Calling,
    /// A device rings.
    Ringing,
    /// The parties talk.
    Active,
    /// It is over.
    Ended,
}

impl CallState {
    /// As in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Ringing => "ringing",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

/// A call as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// Names it.
    pub id: String,
    /// How far it has come.
    pub state: CallState,
    /// Who placed it.
    pub from: String,
    /// Whom it was placed to.
    pub to: Vec<String>,
    /// The service that was called, when it was none of the clients by name.
    pub service: Option<String>,
    /// What the caller speaks: `sip`.
    pub dialect: String,
    /// Where the caller was.
    pub client_address: Option<String>,
    /// When.
    pub started_at: UnixTime,
    /// When the first device rang.
    pub ringing_at: Option<UnixTime>,
    /// When it was answered.
    pub answered_at: Option<UnixTime>,
    /// By whom.
    pub answered_by: Option<String>,
    /// Where that client was.
    pub answered_address: Option<String>,
    /// When it ended.
    pub ended_at: Option<UnixTime>,
    /// Why.
    pub cause: Option<String>,
    /// As a SIP status.
    pub sip_code: Option<u16>,
    /// By whom: `caller`, `callee`, `server`.
    pub ended_by: Option<String>,
}

impl CallView {
    /// Whether this client placed it, was called or answered.
    #[must_use]
    pub fn concerns(&self, client: &str) -> bool {
        self.from == client || self.to.iter().any(|to| to == client) || self.answered_by.as_deref() == Some(client)
    }
}

/// What a client used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallUsage {
    /// Who.
    pub client: String,
    /// Answered calls it took part in.
    pub calls: u64,
    /// Seconds that it talked.
    pub seconds: u64,
    /// Minutes, each call's last one begun counted whole.
    pub minutes: u64,
}

/// What an erasure took out of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedCalls {
    /// Calls.
    pub calls: u64,
    /// Events of these calls that waited to be delivered.
    pub events: u64,
}

/// Keeps calls; the same promise as [`Store`](crate::Store).
pub trait CallStore: Send + Sync + 'static {
    /// The row among API tokens that relay credentials of this project's clients are minted with.
    fn client_minting_token(
        &self,
        project: ProjectId,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<TokenId>> + Send;

    /// Keeps calls that are over, all or none. One that is kept already is left as it is.
    fn insert_calls(&self, node: &str, calls: &[Arc<CallRecord>]) -> impl Future<Output = StoreResult<()>> + Send;

    /// A project's calls, the newest first.
    fn calls(
        &self,
        project: ProjectId,
        filter: &CallFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<CallView>>> + Send;

    /// One of a project's calls.
    fn call(&self, project: ProjectId, id: &str) -> impl Future<Output = StoreResult<Option<CallView>>> + Send;

    /// What each client used of calls that ended in a time, by name.
    fn call_usage(
        &self,
        project: ProjectId,
        from: UnixTime,
        to: UnixTime,
    ) -> impl Future<Output = StoreResult<Vec<CallUsage>>> + Send;

    /// Takes a client's name, address and program out of its calls, which stay for what they add up to. What backends were still
    /// to be told of them is forgotten.
    fn erase_from_calls(
        &self,
        project: ProjectId,
        client: &str,
    ) -> impl Future<Output = StoreResult<ErasedCalls>> + Send;

    /// Removes calls that ended before; how many.
    fn forget_calls(&self, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;
}
