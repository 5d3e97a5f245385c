//! The 20 bytes every STUN message begins with (RFC 8489 §5).
//!
//! ```text
//!  0                   1                   2                   3
//! |0 0|  message type (14 bits)   |        message length         |
//! |                     magic cookie 0x2112A442                   |
//! |                 transaction id (96 bits)                      |
//! ```

use std::fmt;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 20;

/// The magic cookie (RFC 8489 §5). A message without it is a classic one (RFC 3489).
pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// A 96-bit transaction id (RFC 8489 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// The class bits of a message type (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Expects an answer.
    Request,
    /// Expects none.
    Indication,
    /// Answer: done.
    Success,
    /// Answer: refused.
    Error,
}

/// The 12 method bits of a message type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(u16);

impl Method {
    /// Binding (RFC 8489 §18.2).
    pub const BINDING: Self = Self(0x001);
    /// Allocate (RFC 8656 §17).
    pub const ALLOCATE: Self = Self(0x003);
    /// Refresh (RFC 8656 §17).
    pub const REFRESH: Self = Self(0x004);
    /// Send indication (RFC 8656 §17).
    pub const SEND: Self = Self(0x006);
    /// Data indication (RFC 8656 §17).
    pub const DATA: Self = Self(0x007);
    /// CreatePermission (RFC 8656 §17).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// ChannelBind (RFC 8656 §17).
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// Connect (RFC 6062 §6.1).
    pub const CONNECT: Self = Self(0x00a);
    /// ConnectionBind (RFC 6062 §6.1).
    pub const CONNECTION_BIND: Self = Self(0x00b);
    /// ConnectionAttempt indication (RFC 6062 §6.1).
    pub const CONNECTION_ATTEMPT: Self = Self(0x00c);

    /// A method from its number; only the low 12 bits count.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number & 0xfff)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::BINDING => "Binding",
            Self::ALLOCATE => "Allocate",
            Self::REFRESH => "Refresh",
            Self::SEND => "Send",
            Self::DATA => "Data",
            Self::CREATE_PERMISSION => "CreatePermission",
            Self::CHANNEL_BIND => "ChannelBind",
            Self::CONNECT => "Connect",
            Self::CONNECTION_BIND => "ConnectionBind",
            Self::CONNECTION_ATTEMPT => "ConnectionAttempt",
            Self(number) => return write!(f, "Method({number:#05x})"),
        };
        f.write_str(name)
    }
}

/// Joins method and class into the 14 type bits: `M11..M7 C1 M6..M4 C0 M3..M0`.
pub(crate) const fn message_type(method: Method, class: Class) -> u16 {
    let m = method.0;
    let c = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    ((m & 0xf80) << 2) | ((m & 0x070) << 1) | (m & 0x00f) | c
}

/// Splits the 14 type bits.
pub(crate) const fn split_message_type(bits: u16) -> (Method, Class) {
    let method = ((bits >> 2) & 0xf80) | ((bits >> 1) & 0x070) | (bits & 0x00f);
    let class = match bits & 0x110 {
        0x000 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::Success,
        _ => Class::Error,
    };
    (Method(method), class)
}
