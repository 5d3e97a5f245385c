//! The control plane's use-cases and the ports they need: mint and revoke credentials, know callers, find a client's
//! keys, keep the book of sessions.
//!
//! It knows no HTTP, no SQL and no socket. Entry points: [`Minting`], [`CredentialDirectory`], [`SessionBook`],
//! [`Callers`], [`Revocation`], [`Management`], [`People`], [`Regions`], [`AccessKeys`],
//! [`ClientTokens`], [`SipUsers`]; ports: [`CredentialStore`], [`Store`], [`PeopleStore`], [`WebhookStore`],
//! [`AccessKeyStore`], [`SignalChannelStore`], [`SignInProvider`], [`EventSink`], [`RelayControl`],
//! [`ClientTokenStore`], [`Registrations`].

#![forbid(unsafe_code)]

mod access_key;
mod bitrate;
mod book;
mod call_book;
mod call_path;
mod call_record;
mod callers;
mod client_token;
mod client_tokens;
mod cluster;
mod directory;
mod doctor;
mod event;
mod failures;
mod feed;
mod identifier;
mod insight_store;
mod left_open;
mod live_calls;
mod management;
mod minting;
mod model;
mod people;
mod people_store;
mod privacy;
mod region;
mod region_desk;
mod registrations;
mod relay_control;
mod revocation;
mod rules;
mod settings;
mod sign_in_provider;
mod signal_channel;
mod sip_users;
mod store;
mod timeline;
mod verdict;
mod voice;
mod voice_calls;
mod voice_delivery;
mod voice_desk;
mod voice_records;
mod webhook;
mod webhook_desk;

pub use access_key::{
    ACCESS_KEYS_PER_PROJECT_MAX, AccessKey, AccessKeyError, AccessKeyStore, AccessKeys, ChannelAction, KeyGrant,
    KeyPreset, NewAccessKey, TEMPORARY_KEYS_PER_PROJECT_MAX,
};
pub use bitrate::{BITRATE_POINTS_MAX, Bitrate};
pub use book::{BookSettings, Figures, LiveFigures, SessionBook};
pub use call_book::{CallBook, ClientPlace, ClientPlaces, admission, registration};
pub use call_path::{CallPath, SessionSpan};
pub use call_record::{CallFilter, CallRecord, CallStart, CallState, CallStore, CallUsage, CallView, ErasedCalls};
pub use callers::{CallerError, Callers, SignInLimits};
pub use client_token::{
    ClientAccount, ClientTokenFilter, ClientTokenStore, ClientTokenView, NewClientToken, RevokeClientTokens,
    StoredSigningKey,
};
pub use client_tokens::{
    CLIENT_TOKEN_TTL_DEFAULT, CLIENT_TOKEN_TTL_MAX, CLIENT_TOKEN_TTL_MIN, ClientIdentity, ClientTokenError,
    ClientTokenRequest, ClientTokenSettings, ClientTokens, MintTokenError, MintedClientToken,
};
pub use cluster::{
    Claiming, Cluster, ClusterListener, ClusterUnavailable, Finding, NodeAddress, Owner, Posted, Reading,
};
pub use directory::{CredentialDirectory, DirectoryConfig, KnownUser, Lookup, StaticUser, UserQuery};
pub use doctor::{
    DOCTOR_LINKS_MAX, DOCTOR_OPENS_DEFAULT, DOCTOR_OPENS_MAX, DOCTOR_RESULT_BYTES_MAX, DOCTOR_RESULTS_MAX,
    DOCTOR_TTL_DEFAULT, DOCTOR_TTL_MAX, DoctorDesk, DoctorError, DoctorLinkView, DoctorResult, NewDoctorLink,
    OpenedLink,
};
pub use event::{Cursor, DomainEvent, EventRecord, EventSink};
pub use failures::{
    FAILURES_KEPT_MAX, FAILURES_PER_MINUTE_MAX, FAILURES_PER_USER_MINUTE_MAX, FAILURES_UNKNOWN_PER_MINUTE_MAX,
    FailureBook,
};
pub use feed::{EventFeed, FeedBatch, FeedReader, NextBatch, WantedProjects};
pub use identifier::{Identifier, IdentifierError};
pub use insight_store::InsightStore;
pub use left_open::{LeftOpen, tell_left_open};
pub use live_calls::LiveCalls;
pub use management::{MadeToken, Management, ManagementError, ProjectChange, TokenRequest};
pub use minting::{MintError, MintPolicy, MintRequest, Minted, Minting, OverMax, RestMinted, RestRequest, TtlLimit};
pub use model::{
    ApiCaller, Attribution, ClientRole, ClientView, CredentialFilter, CredentialKey, CredentialLimits,
    CredentialRecord, CredentialState, CredentialView, DayCounts, Erased, ErasureSubject, Failure, FailureFilter,
    FailureGroup, FailureGroupBy, FailureKey, FailureReason, FailureView, InsightView, LinkKind, LiveCounts, MARKS_MAX,
    Mark, MarkKind, MarkView, NameFilter, NameKey, NewToken, NewUser, OneTimeLink, Order, OrganizationId, Page,
    PageRequest, PeerScope, PeerSeen, Person, ProjectId, ProjectView, Refusal, RevokeBy, Role, RoomView, Scope, Scopes,
    SessionEnd, SessionEndReason, SessionFilter, SessionInsight, SessionKey, SessionRecord, SessionStart, SessionView,
    SignInHolder, TokenId, TokenView, UsageGroup, UsageInterval, UsageQuery, UsageRow, UserChange, UserId, UserRole,
    UserView,
};
pub use people::{
    EMAIL_BYTES_MAX, MadeLink, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, People, PeopleError, ProviderPolicy,
    SIGN_IN_OUTCOMES, SignInOutcome, SignedIn, normal_email,
};
pub use people_store::{PeopleStore, Redemption};
pub use privacy::AddressPrivacy;
pub use region::{
    BoardSettings, ChosenRegion, Drain, IceUrls, Locator, LostNodes, NodeReport, NodeState, NodeView, Place,
    RegionBoard, RegionRefusal, RegionSite, RegionSnapshot, RegionView, RegionWish, Regions,
};
pub use region_desk::RegionDesk;
pub use registrations::{Admission, NoRegistrations, Registration, RegistrationEnd, Registrations};
pub use relay_control::RelayControl;
pub use revocation::{LiveSessions, Revocation, Revoked};
pub use rules::{ProjectRules, ProjectUse, QuotaExceeded, RuleBook, Rules, month_of};
pub use settings::OrganizationSettings;
pub use sign_in_provider::{Departure, ProviderAnswer, ProviderClaims, ProviderError, ProviderFuture, SignInProvider};
pub use signal_channel::{ChannelChange, SignalChannel, SignalChannelId, SignalChannelStore};
pub use sip_users::{
    SIP_PASSWORD_BYTES, SIP_USERS_PER_PROJECT_MAX, SipUserError, SipUserStore, SipUsers, StoredSipUser,
    end_registrations_of,
};
pub use store::{
    AuditEntry, AuditFilter, AuditView, CredentialStore, EVENT_IDS_AT_ONCE, EXPIRED_MAX, Notice, Store, StoreError,
    StoreResult, TokenHolder,
};
pub use timeline::{Timeline, TimelineEntry, timeline};
pub use verdict::{CallFacts, PartyFacts, RefusedFacts, SessionFacts, Verdict, VerdictCode, verdict};
pub use voice::{
    NumberedPage, UriCalls, VOICE_CONNECTIONS_PER_PROJECT_MAX, VOICE_CREDENTIALS_PER_PROJECT_MAX, VoiceConnection,
    VoiceConnectionFilter, VoiceConnectionId, VoiceConnectionKind, VoiceCredential, VoiceCredentialFilter, VoiceStore,
    VoiceUser, VoiceWebhook,
};
pub use voice_calls::{
    LegNews, LegWatch, VOICE_EVENTS_MAX, VoiceCalls, VoiceDialNote, VoiceEvent, VoiceEventKind, VoiceLeg,
};
pub use voice_delivery::{
    VOICE_ATTEMPTS_MAX, VOICE_DELIVERIES_MAX, VoiceAttempt, VoiceDelivery, VoiceDeliveryPlace, VoiceDeliveryStore,
    VoiceProgress, VoiceTry,
};
pub use voice_desk::{VoiceDesk, VoiceLogin, VoiceLoginRefusal, VoiceProof, VoiceRoute};
pub use voice_records::{VoiceClients, VoiceRecords, VoiceRegistered, VoiceRevokeError};
pub use webhook::{
    DeliveryAttempt, EventPlace, KeptEvent, Lease, StoredEvent, Tried, Webhook, WebhookId, WebhookStore,
};
pub use webhook_desk::{WEBHOOKS_PER_PROJECT_MAX, WebhookChange, WebhookControl, WebhookDesk, WebhookDeskError};
