//! What the control plane remembers.

mod caller;
mod credential;
mod failure;
mod insight;
mod listing;
mod overview;
mod person;
mod session;

pub use caller::{ApiCaller, NewToken, OrganizationId, ProjectId, ProjectView, Scope, Scopes, TokenId, TokenView};
pub use credential::{
    Attribution, ClientRole, CredentialFilter, CredentialKey, CredentialLimits, CredentialRecord, CredentialState,
    CredentialView, PeerScope, RevokeBy, Role,
};
pub use failure::{
    Failure, FailureFilter, FailureGroup, FailureGroupBy, FailureKey, FailureReason, FailureView, Refusal,
};
pub use insight::{InsightView, MARKS_MAX, Mark, MarkKind, MarkView, SessionInsight};
pub use listing::{
    ClientView, NameFilter, NameKey, Order, Page, PageRequest, RoomView, UsageGroup, UsageInterval, UsageQuery,
    UsageRow,
};
pub use overview::{DayCounts, Erased, ErasureSubject, LiveCounts};
pub use person::{LinkKind, NewUser, OneTimeLink, Person, SignInHolder, UserChange, UserId, UserRole, UserView};
pub use session::{
    PeerSeen, SessionEnd, SessionEndReason, SessionFilter, SessionKey, SessionRecord, SessionStart, SessionView,
};
