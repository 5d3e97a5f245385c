//! Messages out of a byte stream (RFC 8489 §6.2.2, RFC 8656 §12.5).

use causeway_stun_codec::framing::{self, Frame};

/// Bytes that have not made a whole message yet: at most one message and what came with its last part.
#[derive(Default)]
pub(crate) struct StreamBuffer {
    bytes: Vec<u8>,
    start: usize,
    broken: bool,
}

/// What [`StreamBuffer::next_frame`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextFrame {
    /// A message, without padding.
    Message(Vec<u8>),
    /// More bytes are needed.
    Incomplete,
    /// Said once: the stream cannot be followed. What comes later is thrown away.
    Broken,
}

impl StreamBuffer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(crate) fn next_frame(&mut self) -> NextFrame {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let (len, advance) = match framing::frame(rest) {
            Frame::Stun { len } => (len, len),
            Frame::ChannelData { len, padded_len } => (len, padded_len),
            Frame::Incomplete { .. } => {
                self.bytes.drain(..self.start);
                self.start = 0;
                return NextFrame::Incomplete;
            }
            Frame::Invalid => {
                self.broken = true;
                self.bytes.clear();
                self.start = 0;
                return NextFrame::Broken;
            }
        };
        let message = rest.get(..len).unwrap_or_default().to_vec();
        self.start += advance;
        NextFrame::Message(message)
    }
}
