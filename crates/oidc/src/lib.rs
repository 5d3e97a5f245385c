//! OpenID Connect, the relying party's half: people sign in at a provider, and what it says of them is proved.
//!
//! The authorization code flow with PKCE. Nothing is remembered between leaving and coming back: state, nonce and code
//! verifier follow from a secret that the browser keeps in a cookie, so any server of a cluster may finish what another one
//! began. The signature of an ID token is checked by `jsonwebtoken`; everything else is here.
//!
//! It is not an OAuth client for anything else: access tokens are used once, for the UserInfo endpoint, and thrown away.
//!
//! Entry points: [`Oidc`], [`OidcSettings`], [`Issuer`].
//! Sources: OpenID Connect Core 1.0; OpenID Connect Discovery 1.0; RFC 6749; RFC 7517; RFC 7636; RFC 9207; RFC 9700.

#![forbid(unsafe_code)]

mod claims;
mod discovery;
mod fetch;
mod flow;
mod id_token;
mod issuer;
mod keys;
mod provider;
mod token;

pub use flow::FLOW_LIFETIME;
pub use issuer::{BadIssuer, Issuer};
pub use provider::{Figures, Oidc, OidcSettings, REQUESTS_AT_ONCE_MAX};
