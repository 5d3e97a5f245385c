//! A conversation with the kernel over netlink, one question at a time.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

const AF_NETLINK: i32 = 16;
const NLM_F_REQUEST: u16 = 1;
const HEADER: usize = 16;
/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// One of Linux's netlink families.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    Route = 0,
    Generic = 16,
}

#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let protocol = Protocol::from(family as i32);
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW.cloexec(), Some(protocol))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The body of the answer; `None` when the kernel refuses.
    pub(crate) fn ask(&mut self, request: u16, answer: u16, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let len = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(&request.to_ne_bytes());
        message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(body);
        (&self.socket).write_all(&message)?;
        let mut buffer = vec![0; 16_384];
        // An answer that came too late for its question may still be there.
        for _ in 0..4 {
            let received = (&self.socket).read(&mut buffer)?;
            let bytes = buffer.get(..received).unwrap_or_default();
            let field = |at: usize| bytes.get(at..at + 4).and_then(word);
            let kind = bytes.get(4..6).and_then(half);
            if field(8) != Some(self.sequence) {
                continue;
            }
            let end = field(0).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
            let found = kind == Some(answer);
            return Ok(bytes.get(HEADER..end).filter(|_| found).map(<[u8]>::to_vec));
        }
        Ok(None)
    }
}

/// Adds an attribute, padded.
pub(crate) fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&len.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The value of the first attribute of this kind.
pub(crate) fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(attributes.get(..2).and_then(half)?);
        let kind = attributes.get(2..4).and_then(half)?;
        if len < 4 {
            return None;
        }
        if kind & 0x3fff == wanted {
            return attributes.get(4..len);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

pub(crate) fn half(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

pub(crate) fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}
