//! How the core's opaque [`LegId`] and epoll's tokens name this shard's sockets.

use causeway_turn_core::LegId;
use causeway_types::ShardIndex;

/// A way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// UDP listener at this index.
    Udp(usize),
    /// TCP or TLS connection in this slot.
    Stream(usize),
    /// DTLS association in this slot.
    Dtls(usize),
    /// A client whose socket belongs to another shard, by that shard's name for it.
    Remote(ShardIndex, LegId),
}

/// ```text
/// | 1 bit: remote | 8 bits: shard of a remote one | 2 bits: kind | 21 bits: index |
/// ```
/// So there is no table of remote clients to keep. Whoever sends by a leg compares five-tuples, so that an index that
/// does not fit, or means another client by now, reaches nobody.
const KIND_SHIFT: u32 = 21;
const INDEX_MASK: u32 = (1 << KIND_SHIFT) - 1;
const SHARD_SHIFT: u32 = 23;
const LOCAL_MASK: u32 = (1 << SHARD_SHIFT) - 1;
const REMOTE: u32 = 1 << 31;

impl Leg {
    pub(crate) fn id(self) -> LegId {
        let (kind, index) = match self {
            Self::Udp(index) => (0, index),
            Self::Stream(index) => (1, index),
            Self::Dtls(index) => (2, index),
            Self::Remote(shard, leg) => {
                return LegId(REMOTE | u32::from(shard.0) << SHARD_SHIFT | leg.0 & LOCAL_MASK);
            }
        };
        LegId(kind << KIND_SHIFT | u32::try_from(index).unwrap_or(INDEX_MASK) & INDEX_MASK)
    }

    pub(crate) fn of(id: LegId) -> Self {
        if id.0 & REMOTE != 0 {
            let shard = ShardIndex(u8::try_from(id.0 >> SHARD_SHIFT & 0xff).unwrap_or(0));
            return Self::Remote(shard, LegId(id.0 & LOCAL_MASK));
        }
        let index = usize::try_from(id.0 & INDEX_MASK).unwrap_or(0);
        match id.0 >> KIND_SHIFT {
            0 => Self::Udp(index),
            1 => Self::Stream(index),
            _ => Self::Dtls(index),
        }
    }
}

/// What an epoll report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The command queue.
    Waker,
    /// UDP listener.
    Udp(usize),
    /// TCP listener.
    Tcp(usize),
    /// Client connection.
    Stream(usize),
    /// Relay socket.
    Relay(usize),
    /// Listener of a TCP relay.
    RelayListener(usize),
    /// Connection to a peer.
    Peer(u32),
}

impl Token {
    pub(crate) fn bits(self) -> u64 {
        let (kind, index) = match self {
            Self::Waker => (0_u64, 0),
            Self::Udp(index) => (1, index as u64),
            Self::Tcp(index) => (2, index as u64),
            Self::Stream(index) => (3, index as u64),
            Self::Relay(index) => (4, index as u64),
            Self::RelayListener(index) => (5, index as u64),
            Self::Peer(id) => (6, u64::from(id)),
        };
        kind << 32 | index & 0xffff_ffff
    }

    pub(crate) fn of(bits: u64) -> Self {
        let low = u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
        let index = usize::try_from(low).unwrap_or(0);
        match bits >> 32 {
            0 => Self::Waker,
            1 => Self::Udp(index),
            2 => Self::Tcp(index),
            3 => Self::Stream(index),
            4 => Self::Relay(index),
            5 => Self::RelayListener(index),
            _ => Self::Peer(low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_and_tokens_survive_the_round_trip() {
        for leg in [Leg::Udp(0), Leg::Stream(7), Leg::Dtls(123_456), Leg::Stream(2_097_151)] {
            assert_eq!(Leg::of(leg.id()), leg);
            for shard in [0, 1, 255] {
                let remote = Leg::Remote(ShardIndex(shard), leg.id());
                assert_eq!(Leg::of(remote.id()), remote);
            }
        }
        for token in [
            Token::Waker,
            Token::Udp(3),
            Token::Tcp(1),
            Token::Stream(9),
            Token::Relay(70_000),
            Token::RelayListener(2),
            Token::Peer(u32::MAX),
        ] {
            assert_eq!(Token::of(token.bits()), token);
        }
    }
}
