//! Mobility tickets (RFC 8016): a Refresh with the ticket moves the allocation to the five-tuple it came from.
//!
//! ```text
//! | shard, 1 byte | allocation slot, 4 bytes | random, 16 bytes |
//! ```
//! On the wire each six bits are one printable character, 28 in all: clients keep the ticket as text that ends at a zero
//! byte, in a buffer of 33 bytes.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use causeway_stun_codec::{Message, attributes::MobilityTicket};
use causeway_types::{MobilityMove, Now, RelayEvent, ShardIndex};

use crate::{
    TurnServer,
    io::{ClientLeg, HandOverReason, Output},
    scope::ScopeKind,
    server::Owner,
};

impl TurnServer {
    /// The ticket of an allocation that has one.
    pub(crate) fn ticket_of(&self, key: usize) -> Option<Vec<u8>> {
        let secret = self.allocations.get(key)?.ticket?;
        let slot = u32::try_from(key).ok()?;
        let mut ticket = Vec::with_capacity(TICKET_LEN);
        ticket.push(self.shard.0);
        ticket.extend_from_slice(&slot.to_be_bytes());
        ticket.extend_from_slice(&secret);
        Some(armour(&ticket))
    }

    /// Whose ticket a Refresh carries.
    pub(crate) fn owner_of_ticket(&mut self, _now: Now, from: ClientLeg, message: &Message<'_>) -> Owner {
        let Ok(Some(MobilityTicket(ticket))) = message.attribute::<MobilityTicket<'_>>() else { return Owner::None };
        let Some(ticket) = unarmour(ticket) else { return Owner::None };
        let Some((&[shard, s0, s1, s2, s3], secret)) = ticket.split_first_chunk::<5>() else { return Owner::None };
        if shard != self.shard.0 {
            self.outputs.push_back(Output::HandOver {
                client: from,
                to: ShardIndex(shard),
                message: message.as_bytes().to_vec(),
                reason: HandOverReason::Mobility,
            });
            return Owner::Elsewhere;
        }
        let key = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
        let genuine = self
            .allocations
            .get(key)
            .and_then(|allocation| allocation.ticket)
            .is_some_and(|expected| verify_slices_are_equal(&expected, secret).is_ok());
        if genuine { Owner::Local(key) } else { Owner::None }
    }

    /// Moves the allocation to `client` and gives it a new ticket; the integrity value has been verified.
    pub(crate) fn move_client(&mut self, now: Now, client: ClientLeg, key: usize, request_len: usize) {
        let ticket = self.random_bytes();
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if allocation.ticket.is_none() {
            return;
        }
        allocation.ticket = Some(ticket);
        if allocation.client == client && !allocation.detached {
            return;
        }
        let moved = MobilityMove { from: allocation.client.five_tuple, to: client.five_tuple };
        let (id, limits) = (allocation.id, allocation.grant.limits);
        // While it was detached, its old five-tuple may have got another allocation.
        if self.by_client.get(&moved.from) == Some(&key) {
            self.by_client.remove(&moved.from);
        }
        allocation.client = client;
        allocation.detached = false;
        self.by_client.insert(moved.to, key);
        // When it came, its five-tuple had no allocation yet.
        self.count_control_from(now, client, request_len);
        self.tell_member(&limits, moved.from.client, ScopeKind::Mapped, false);
        self.tell_member(&limits, moved.to.client, ScopeKind::Mapped, true);
        self.outputs.push_back(Output::Event(RelayEvent::AllocationMoved { allocation: id, moved }));
    }

    /// What an authenticated request other than Allocate is told when there is no allocation: 437, and 400 for a ticket
    /// that names none (RFC 8016 §3.2).
    pub(crate) fn code_without_allocation(&self, message: &Message<'_>) -> u16 {
        if message.method() == causeway_stun_codec::Method::CONNECTION_BIND { 400 } else { 437 }
    }
}

/// Shard, slot and random bytes.
const TICKET_LEN: usize = 21;
/// The first of 64 printable characters.
const ARMOUR_FIRST: u8 = b'0';

/// Three bytes to four characters.
fn armour(ticket: &[u8]) -> Vec<u8> {
    let chunk = |bytes: &[u8]| bytes.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    let six = |word: u32, shift: u32| ARMOUR_FIRST + u8::try_from(word >> shift & 0x3f).unwrap_or(0);
    ticket.chunks(3).map(chunk).flat_map(|word| [18, 12, 6, 0].map(|shift| six(word, shift))).collect()
}

/// The way back; `None` for anything `armour` does not make of a ticket.
fn unarmour(text: &[u8]) -> Option<[u8; TICKET_LEN]> {
    let mut ticket = [0; TICKET_LEN];
    if text.len() != TICKET_LEN / 3 * 4 {
        return None;
    }
    for (bytes, characters) in ticket.chunks_mut(3).zip(text.chunks(4)) {
        let mut word = 0_u32;
        for character in characters {
            word = word << 6 | u32::from(character.checked_sub(ARMOUR_FIRST).filter(|six| *six < 64)?);
        }
        let [_, rest @ ..] = word.to_be_bytes();
        bytes.copy_from_slice(&rest);
    }
    Some(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_text_that_fits_common_clients_and_survives_the_round_trip() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut ticket = [byte; TICKET_LEN];
            ticket[0] = 0;
            let text = armour(&ticket);
            assert!(text.len() <= 32 && text.iter().all(u8::is_ascii_graphic), "{text:?}");
            assert_eq!(unarmour(&text), Some(ticket));
        }
        for bad in [&b""[..], &[b'0'; 27], &[b'0'; 29], &[b'/'; 28], &[b'p'; 28]] {
            assert_eq!(unarmour(bad), None);
        }
    }
}
