//! Attribute values: bytes to types and back.

mod address;
mod auth;
mod turn;

pub use address::{
    AlternateServer, ChangeRequest, ChangedAddress, MappedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort,
    SourceAddress, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
pub use auth::{
    AlternateDomain, ErrorCode, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Software, UnknownAttributes,
    UserHash, Username,
};
pub use turn::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, ConnectionId, Data, DontFragment, EvenPort, Icmp,
    Lifetime, MobilityTicket, RequestedAddressFamily, RequestedTransport, ReservationToken,
};

use crate::attribute_type::AttributeType;

/// Why an attribute's value is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed value of attribute {typ:?} ({len} bytes)")]
pub struct AttributeError {
    /// Which attribute.
    pub typ: AttributeType,
    /// How long its value is.
    pub len: usize,
}

/// A value that knows its attribute type and its bytes. `magic` is cookie and transaction id, for XOR addresses.
pub trait Attribute<'a>: Sized {
    /// The attribute's number.
    const TYPE: AttributeType;

    /// Reads the value.
    ///
    /// # Errors
    /// The value does not have the form its document asks for.
    fn decode(value: &'a [u8], magic: &[u8; 16]) -> Result<Self, AttributeError>;

    /// Appends the value, without padding.
    fn encode(&self, out: &mut Vec<u8>, magic: &[u8; 16]);
}

/// The error for a malformed value of `typ`.
const fn malformed(typ: AttributeType, value: &[u8]) -> AttributeError {
    AttributeError { typ, len: value.len() }
}
