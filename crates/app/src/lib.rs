//! The control plane's use-cases and the ports they need: mint credentials, know callers, find a client's keys.
//!
//! It knows no HTTP, no SQL and no socket. Entry points: [`Minting`], [`CredentialDirectory`], [`Store`].

#![forbid(unsafe_code)]

mod directory;
mod identifier;
mod minting;
mod model;
mod store;

pub use directory::{CredentialDirectory, DirectoryConfig, KnownUser, Lookup, StaticUser, UserQuery};
pub use identifier::{Identifier, IdentifierError};
pub use minting::{MintError, MintPolicy, MintRequest, Minted, Minting, RestMinted, RestRequest};
pub use model::{ApiCaller, ClientRole, CredentialRecord, NewToken, ProjectId, TokenId};
pub use store::{Store, StoreError};
