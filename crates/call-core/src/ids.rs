//! Names of things.

use std::{fmt, sync::Arc};

/// Whose: identities of different accounts never meet. The shell maps projects to accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// One server of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A client's signalling connection; `number` is never used again by its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Where it ends.
    pub node: NodeId,
    /// Which of that node's.
    pub number: u64,
}

/// Who can be called: a name within an account, compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Whose.
    pub account: AccountId,
    /// Name.
    pub name: Arc<str>,
}

impl Identity {
    /// An identity of this account.
    #[must_use]
    pub fn new(account: AccountId, name: &str) -> Self {
        Self { account, name: Arc::from(name) }
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// Reads the id as it is shown; none if it is not one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let is_shape = text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4;
                let digits = text.replace('-', "");
                u128::from_str_radix(&digits, 16).ok().map(Self).filter(|id| is_shape && id.to_string() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let n = self.0;
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    n >> 96, (n >> 80) & 0xffff, (n >> 64) & 0xffff, (n >> 48) & 0xffff, n & 0xffff_ffff_ffff
                )
            }
        }
    };
}

random_id!(
    /// Names a call, over all nodes and restarts. Shown as a UUID (RFC 9562 §5.4).
    CallId
);
random_id!(
    /// Names a leg of a call. Shown as a UUID (RFC 9562 §5.4).
    LegId
);

/// Names a binding within its registrar; higher ones are newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u64);

/// The 128 bits with the version and variant of a random UUID.
pub(crate) fn as_uuid(random: u128) -> u128 {
    (random & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48)
}
