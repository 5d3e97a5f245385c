//! Telling messages apart, in datagrams and in byte streams (RFC 8656 §12.5, RFC 8489 §6.2.2, RFC 7983).

use crate::header::HEADER_LEN;

/// What the first byte of a datagram says it is (RFC 7983 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0–3.
    Stun,
    /// 64–127. RFC 7983 gives TURN channels 64–79; older channel numbers reach 127.
    ChannelData,
    /// 20–63.
    Dtls,
    /// Anything else, or nothing.
    Other,
}

/// Classifies a datagram by its first byte.
#[must_use]
pub const fn classify(bytes: &[u8]) -> Kind {
    match bytes.first() {
        Some(0..=3) => Kind::Stun,
        Some(20..=63) => Kind::Dtls,
        Some(64..=127) => Kind::ChannelData,
        _ => Kind::Other,
    }
}

/// The next frame of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not all there: at least `need` bytes in all make the next decision possible.
    Incomplete {
        /// Bytes needed, counted from the start of the frame.
        need: usize,
    },
    /// A STUN message of `len` bytes.
    Stun {
        /// Its length.
        len: usize,
    },
    /// A ChannelData message.
    ChannelData {
        /// Header and data.
        len: usize,
        /// The same with padding to a multiple of four: how far to advance.
        padded_len: usize,
    },
    /// Neither; the stream cannot be followed any further.
    Invalid,
}

/// Looks at the start of a stream buffer.
#[must_use]
pub fn frame(buffer: &[u8]) -> Frame {
    let Some(&[b0, _, l0, l1]) = buffer.first_chunk::<4>() else {
        return match classify(buffer) {
            Kind::Stun | Kind::ChannelData => Frame::Incomplete { need: 4 },
            Kind::Dtls | Kind::Other if buffer.is_empty() => Frame::Incomplete { need: 4 },
            Kind::Dtls | Kind::Other => Frame::Invalid,
        };
    };
    let body = usize::from(u16::from_be_bytes([l0, l1]));
    match b0 {
        0..=3 if body % 4 != 0 => Frame::Invalid,
        0..=3 if buffer.len() < HEADER_LEN + body => Frame::Incomplete { need: HEADER_LEN + body },
        0..=3 => Frame::Stun { len: HEADER_LEN + body },
        64..=127 => {
            let len = 4 + body;
            let padded_len = len.next_multiple_of(4);
            if buffer.len() < padded_len {
                Frame::Incomplete { need: padded_len }
            } else {
                Frame::ChannelData { len, padded_len }
            }
        }
        _ => Frame::Invalid,
    }
}
