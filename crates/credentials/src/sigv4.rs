//! AWS Signature Version 4: reads and verifies the header form and the presigned query form.
//!
//! The verifier signs the request once more as the client must have done and compares in constant time. Clients disagree
//! about which characters of a query are escaped, and about the port in `Host`, so a few canonical forms are tried; each of
//! them determines the same decoded values.
//!
//! Entry points: [`read`], [`Presented::verify`]; for tests and benches, what a client does: [`sign`].
//!
//! Source: `compat/aws-kvs.md#signatures`.

mod canonical;
mod date;
mod presented;
pub mod sign;
#[cfg(test)]
mod tests;

pub use canonical::{HttpRequest, query_value};
pub use date::{amz_date, read_amz_date};
pub use presented::{Form, Presented, read};

use causeway_types::UnixTime;

/// How far clocks may differ, and how old a signature in a header may be, in seconds.
pub const SKEW_SECS: u64 = 300;
/// Longest life of a presigned URL, in seconds.
pub const EXPIRES_SECS_MAX: u64 = 604_800;
/// Longest query that is looked at.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Most headers a request may sign.
pub const SIGNED_HEADERS_MAX: usize = 64;
/// Longest access key id.
pub const ACCESS_KEY_BYTES_MAX: usize = 128;
/// Longest session token.
pub const SESSION_TOKEN_BYTES_MAX: usize = 2048;

/// Why a request is not let in. In the order they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither an `Authorization` header nor a signature in the query.
    #[error("no signature")]
    Missing,
    /// A part is missing, cannot be read, or is longer than its limit.
    #[error("incomplete signature: {0}")]
    Incomplete(&'static str),
    /// Date, region, service or terminator of the credential scope.
    #[error("wrong credential scope: {0}")]
    WrongScope(&'static str),
    /// Signed too long ago.
    #[error("the signature expired")]
    Expired {
        /// When it was signed, or until when it was good.
        signed: UnixTime,
    },
    /// Signed in the future.
    #[error("the signature is not yet current")]
    NotYetCurrent {
        /// When it says it was signed.
        signed: UnixTime,
    },
    /// The signature is not the one of this request and secret.
    #[error("the signature does not match")]
    Mismatch,
}
