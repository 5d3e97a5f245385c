//! Attribute numbers.

/// The 16-bit type of an attribute; below 0x8000 it must be understood (RFC 8489 §14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(pub u16);

macro_rules! attribute_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl AttributeType {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Every type this crate has a name for.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

attribute_types! {
    /// MAPPED-ADDRESS (RFC 8489 §14.1).
    MAPPED_ADDRESS = 0x0001;
    /// RESPONSE-ADDRESS (RFC 3489 §11.2.2, removed since).
    RESPONSE_ADDRESS = 0x0002;
    /// CHANGE-REQUEST (RFC 5780 §7.2).
    CHANGE_REQUEST = 0x0003;
    /// SOURCE-ADDRESS (RFC 3489 §11.2.5).
    SOURCE_ADDRESS = 0x0004;
    /// CHANGED-ADDRESS (RFC 3489 §11.2.3).
    CHANGED_ADDRESS = 0x0005;
    /// USERNAME (RFC 8489 §14.3).
    USERNAME = 0x0006;
    /// MESSAGE-INTEGRITY (RFC 8489 §14.5).
    MESSAGE_INTEGRITY = 0x0008;
    /// ERROR-CODE (RFC 8489 §14.8).
    ERROR_CODE = 0x0009;
    /// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    UNKNOWN_ATTRIBUTES = 0x000A;
    /// CHANNEL-NUMBER (RFC 8656 §18.1).
    CHANNEL_NUMBER = 0x000C;
    /// LIFETIME (RFC 8656 §18.2).
    LIFETIME = 0x000D;
    /// XOR-PEER-ADDRESS (RFC 8656 §18.3).
    XOR_PEER_ADDRESS = 0x0012;
    /// DATA (RFC 8656 §18.4).
    DATA = 0x0013;
    /// REALM (RFC 8489 §14.9).
    REALM = 0x0014;
    /// NONCE (RFC 8489 §14.10).
    NONCE = 0x0015;
    /// XOR-RELAYED-ADDRESS (RFC 8656 §18.5).
    XOR_RELAYED_ADDRESS = 0x0016;
    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6).
    REQUESTED_ADDRESS_FAMILY = 0x0017;
    /// EVEN-PORT (RFC 8656 §18.7).
    EVEN_PORT = 0x0018;
    /// REQUESTED-TRANSPORT (RFC 8656 §18.8).
    REQUESTED_TRANSPORT = 0x0019;
    /// DONT-FRAGMENT (RFC 8656 §18.9).
    DONT_FRAGMENT = 0x001A;
    /// MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
    MESSAGE_INTEGRITY_SHA256 = 0x001C;
    /// PASSWORD-ALGORITHM (RFC 8489 §14.12).
    PASSWORD_ALGORITHM = 0x001D;
    /// USERHASH (RFC 8489 §14.4).
    USERHASH = 0x001E;
    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    XOR_MAPPED_ADDRESS = 0x0020;
    /// RESERVATION-TOKEN (RFC 8656 §18.10).
    RESERVATION_TOKEN = 0x0022;
    /// PRIORITY (RFC 8445 §16.1).
    PRIORITY = 0x0024;
    /// USE-CANDIDATE (RFC 8445 §16.1).
    USE_CANDIDATE = 0x0025;
    /// PADDING (RFC 5780 §7.6).
    PADDING = 0x0026;
    /// RESPONSE-PORT (RFC 5780 §7.5).
    RESPONSE_PORT = 0x0027;
    /// CONNECTION-ID (RFC 6062 §6.2.1).
    CONNECTION_ID = 0x002A;
    /// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11).
    ADDITIONAL_ADDRESS_FAMILY = 0x8000;
    /// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
    ADDRESS_ERROR_CODE = 0x8001;
    /// PASSWORD-ALGORITHMS (RFC 8489 §14.11).
    PASSWORD_ALGORITHMS = 0x8002;
    /// ALTERNATE-DOMAIN (RFC 8489 §14.16).
    ALTERNATE_DOMAIN = 0x8003;
    /// ICMP (RFC 8656 §18.13).
    ICMP = 0x8004;
    /// SOFTWARE (RFC 8489 §14.14).
    SOFTWARE = 0x8022;
    /// ALTERNATE-SERVER (RFC 8489 §14.15).
    ALTERNATE_SERVER = 0x8023;
    /// FINGERPRINT (RFC 8489 §14.7).
    FINGERPRINT = 0x8028;
    /// ICE-CONTROLLED (RFC 8445 §16.1).
    ICE_CONTROLLED = 0x8029;
    /// ICE-CONTROLLING (RFC 8445 §16.1).
    ICE_CONTROLLING = 0x802A;
    /// RESPONSE-ORIGIN (RFC 5780 §7.3).
    RESPONSE_ORIGIN = 0x802B;
    /// OTHER-ADDRESS (RFC 5780 §7.4).
    OTHER_ADDRESS = 0x802C;
    /// ADDITIONAL-ADDRESS-FAMILY under its number in the drafts of RFC 8656, which coturn's client still sends.
    DRAFT_ADDITIONAL_ADDRESS_FAMILY = 0x8032;
    /// ADDRESS-ERROR-CODE under its number in the drafts of RFC 8656.
    DRAFT_ADDRESS_ERROR_CODE = 0x8033;
    /// MOBILITY-TICKET (RFC 8016 §3.4).
    MOBILITY_TICKET = 0x8030;
}

impl AttributeType {
    /// Whether a receiver that does not know the type must refuse the message.
    #[must_use]
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}
