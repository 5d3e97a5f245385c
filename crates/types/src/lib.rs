//! The vocabulary every other causeway crate shares: clocks, addresses by role, identifiers, secrets and domain events.
//!
//! It holds no behaviour beyond what the words themselves mean, depends on no other crate of ours, and knows no vendor.
//!
//! Entry points: [`Now`], [`FiveTuple`], [`Secret`], [`RelayEvent`].

#![forbid(unsafe_code)]

pub mod address_class;
pub mod clock;
pub mod event;
pub mod ids;
pub mod net;
pub mod secret;
mod source;

pub use address_class::{CanonicalIp, SPECIAL_RANGES, SpecialRange, special_range};
pub use clock::{Now, UnixTime};
pub use event::{
    AllocationEndReason, AuthRefusal, ClientSecurity, CredentialKind, LimitName, MobilityMove, PayloadDirection,
    RelayEvent, TrafficCount, TrafficCounters,
};
pub use ids::{AllocationId, ScopeId, ShardIndex};
pub use net::{AddressFamily, ClientTransport, FiveTuple, RelayTransport};
pub use secret::Secret;
pub use source::source_network;
