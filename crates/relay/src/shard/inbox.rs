//! What one wake-up reads from one UDP socket.

use std::io;

use causeway_net_io::{RECEIVES_MAX, Received, UdpSocket};

/// The most one receive brings.
const DATAGRAM_MAX: usize = 65_536;
/// From one receive's place to the next one's: some cache lines more than a receive takes, or the beginnings of all
/// would compete for the same few places of the cache.
const STRIDE: usize = DATAGRAM_MAX + 33 * 64;

/// Room for the receives of one wake-up. Only what datagrams are written to is ever touched.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    received: Vec<Received>,
    /// The first receive that [`Self::next_burst`] has not given yet.
    next: usize,
}

/// One datagram, or several of one source and length, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// The place of its first receive.
    first: usize,
    /// Bytes in all.
    len: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; RECEIVES_MAX * STRIDE], received: Vec::with_capacity(RECEIVES_MAX), next: 0 }
    }

    /// Whether somebody took it and left the default in its place.
    pub(super) const fn is_missing(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Receives up to `max` times; how many did.
    pub(super) fn read(&mut self, socket: &UdpSocket, max: u8) -> u8 {
        self.next = 0;
        self.received.clear();
        let result = if max == 1 {
            let room = self.buffer.get_mut(..DATAGRAM_MAX).unwrap_or_default();
            socket.receive(room).map(|received| self.received.push(received))
        } else {
            socket.receive_many(&mut self.buffer, STRIDE, usize::from(max), &mut self.received)
        };
        match result {
            Ok(()) => u8::try_from(self.received.len()).unwrap_or(u8::MAX),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            // An ICMP answer to something sent earlier: the next receive is a datagram again.
            Err(_) => 1,
        }
    }

    /// What was read, in order. Datagrams of one source and length that follow each other are joined as if the kernel
    /// had merged them, a last one may be shorter: what waits in a queue leaves as a burst, too.
    pub(super) fn next_burst(&mut self) -> Option<Burst> {
        let first = self.next;
        let received = self.received.get(first)?;
        let mut len = received.len;
        self.next += 1;
        if len != received.segment_len || len == 0 {
            return Some(Burst { first, len });
        }
        while let Some(next) = self.received.get(self.next).filter(|next| joins(received, len, next)) {
            let from = self.next * STRIDE;
            self.buffer.copy_within(from..from + next.len, first * STRIDE + len);
            len += next.len;
            self.next += 1;
        }
        Some(Burst { first, len })
    }

    /// Where a burst came from, the size of its datagrams, and all of its bytes.
    pub(super) fn content(&self, burst: Burst) -> Option<(&Received, &[u8])> {
        let start = burst.first * STRIDE;
        Some((self.received.get(burst.first)?, self.buffer.get(start..start + burst.len)?))
    }
}

/// Whether `next` is one datagram that can stand behind `len` bytes that begin with `first`.
fn joins(first: &Received, len: usize, next: &Received) -> bool {
    next.from == first.from
        && next.to == first.to
        && (1..=first.segment_len).contains(&next.len)
        && next.len == next.segment_len
        // A shorter one can only be the last.
        && len.is_multiple_of(first.segment_len)
        && len + next.len <= DATAGRAM_MAX
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn one(port: u16, len: usize) -> Received {
        Received { len, segment_len: len, from: SocketAddr::from(([127, 0, 0, 1], port)), to: None }
    }

    /// Length and segment length of the bursts that `received` become; each datagram's bytes are its place.
    fn bursts(received: &[Received]) -> Vec<(usize, usize)> {
        let mut inbox = Inbox::new();
        inbox.received = received.to_vec();
        for (place, (slot, received)) in (0..).zip(inbox.buffer.chunks_mut(STRIDE).zip(received)) {
            slot[..received.len].fill(place);
        }
        let mut places = Vec::new();
        let mut bursts = Vec::new();
        while let Some(burst) = inbox.next_burst() {
            let (received, bytes) = inbox.content(burst).unwrap();
            places.extend_from_slice(bytes);
            bursts.push((bytes.len(), received.segment_len));
        }
        let expected: Vec<u8> = (0..).zip(received).flat_map(|(place, r)| vec![place; r.len]).collect();
        assert!(places == expected, "bytes were lost or moved");
        bursts
    }

    #[test]
    fn datagrams_are_joined_while_source_and_length_stay_and_a_shorter_one_ends_it() {
        assert_eq!(bursts(&[]), []);
        assert_eq!(bursts(&[one(1, 100), one(1, 100), one(2, 100)]), [(200, 100), (100, 100)], "another source");
        assert_eq!(bursts(&[one(1, 100), one(1, 101)]), [(100, 100), (101, 101)], "longer");
        assert_eq!(bursts(&[one(1, 100), one(1, 40), one(1, 100)]), [(140, 100), (100, 100)], "a shorter last one");
        assert_eq!(bursts(&[one(1, 100), one(1, 0), one(1, 0)]), [(100, 100), (0, 0), (0, 0)], "empty ones");
        let merged = Received { segment_len: 50, ..one(1, 100) };
        assert_eq!(bursts(&[merged, one(1, 50)]), [(100, 50), (50, 50)], "merged already");
        assert_eq!(bursts(&[one(1, 50), merged]), [(50, 50), (100, 50)], "merged already");
        assert_eq!(bursts(&[one(1, 30_000); 3]), [(60_000, 30_000), (30_000, 30_000)], "no room for another one");
    }
}
