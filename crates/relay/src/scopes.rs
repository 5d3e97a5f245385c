//! Who is in which peer scope, over all shards.
//!
//! Allocations come and go on their shards and the control plane may name members of its own; both are counted here, and
//! each address that becomes or ceases to be a member is left with every shard. What waits for a shard is a map of the
//! latest states, not a queue: it cannot overflow and nothing in it can be lost.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use causeway_turn_core::{SCOPE_MEMBERS_MAX, ScopeKind};
use causeway_types::ScopeId;
use parking_lot::Mutex;

/// Scopes known at a time; one more is not taken in.
const SCOPES_MAX: usize = 65_536;

/// An address in a scope; for [`ScopeKind::Mapped`] the port is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) scope: ScopeId,
    pub(crate) kind: ScopeKind,
    pub(crate) address: SocketAddr,
}

impl Member {
    /// The same for every way to write an address.
    pub(crate) fn new(scope: ScopeId, address: SocketAddr, kind: ScopeKind) -> Self {
        let port = match kind {
            ScopeKind::Relayed => address.port(),
            ScopeKind::Mapped => 0,
        };
        Self { scope, kind, address: SocketAddr::new(address.ip().to_canonical(), port) }
    }
}

/// Who says that an address is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// One allocation among others: counted.
    Allocation,
    /// The control plane: said or not.
    Control,
}

/// Why a member is in.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    allocations: u32,
    control: bool,
}

/// All members of all scopes. Locked when allocations with a scope come, move and go; never for a packet.
#[derive(Debug, Default)]
pub(crate) struct ScopeRegistry {
    scopes: Mutex<BTreeMap<ScopeId, BTreeMap<Member, Held>>>,
}

impl ScopeRegistry {
    /// Counts a statement about `member` and calls `changed` if it turned its membership; false when there is no room.
    pub(crate) fn set(&self, member: Member, source: Source, present: bool, changed: impl FnOnce()) -> bool {
        let mut scopes = self.scopes.lock();
        let scopes_full = scopes.len() >= SCOPES_MAX;
        let known = scopes.contains_key(&member.scope);
        if !known && (!present || scopes_full) {
            return !present;
        }
        let members = scopes.entry(member.scope).or_default();
        let members_full = members.len() >= SCOPE_MEMBERS_MAX;
        let before = members.get(&member).copied();
        if before.is_none() && (!present || members_full) {
            return !present;
        }
        let mut held = before.unwrap_or_default();
        match (source, present) {
            (Source::Allocation, true) => held.allocations += 1,
            (Source::Allocation, false) => held.allocations = held.allocations.saturating_sub(1),
            (Source::Control, _) => held.control = present,
        }
        let is_in = held.allocations > 0 || held.control;
        if is_in {
            members.insert(member, held);
        } else {
            members.remove(&member);
            if members.is_empty() {
                scopes.remove(&member.scope);
            }
        }
        if is_in != before.is_some() {
            // Still locked: shards hear of turns in the order they happened.
            changed();
        }
        true
    }
}

/// What one shard has still to hear of.
#[derive(Debug, Default)]
pub(crate) struct ScopeInbox {
    waiting: AtomicBool,
    changes: Mutex<BTreeMap<Member, bool>>,
}

impl ScopeInbox {
    /// Leaves the latest state of a member; whether the shard has to be woken.
    pub(crate) fn put(&self, member: Member, present: bool) -> bool {
        self.changes.lock().insert(member, present);
        !self.waiting.swap(true, Ordering::AcqRel)
    }

    /// Takes everything. One load when there is nothing.
    pub(crate) fn take(&self) -> BTreeMap<Member, bool> {
        if !self.waiting.load(Ordering::Acquire) {
            return BTreeMap::new();
        }
        let mut changes = self.changes.lock();
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut *changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(scope: u128, host: u16) -> Member {
        let [high, low] = host.to_be_bytes();
        Member::new(ScopeId(scope), SocketAddr::from(([10, 0, high, low], 9)), ScopeKind::Mapped)
    }

    /// What a statement turned, if anything; and whether there was room.
    fn set(registry: &ScopeRegistry, member: Member, source: Source, present: bool) -> (bool, bool) {
        let mut turned = false;
        let taken = registry.set(member, source, present, || turned = true);
        (turned, taken)
    }

    #[test]
    fn a_member_is_in_while_any_allocation_or_the_control_plane_says_so() {
        use Source::{Allocation, Control};
        let registry = ScopeRegistry::default();
        let one = member(1, 1);
        for (source, present, turned) in [
            (Allocation, false, false),
            (Allocation, true, true),
            (Allocation, true, false),
            (Control, true, false),
            (Control, true, false),
            (Allocation, false, false),
            (Allocation, false, false),
            (Allocation, false, false),
            (Control, false, true),
            (Control, true, true),
            (Control, false, true),
            (Control, false, false),
        ] {
            assert_eq!(set(&registry, one, source, present), (turned, true), "{source:?} {present}");
        }
        assert!(registry.scopes.lock().is_empty(), "nothing is kept of what is over");
    }

    #[test]
    fn a_scope_takes_1024_addresses_and_another_one_when_one_leaves() {
        let registry = ScopeRegistry::default();
        for host in 0..1024 {
            assert_eq!(set(&registry, member(1, host), Source::Allocation, true), (true, true));
        }
        assert_eq!(set(&registry, member(1, 5000), Source::Allocation, true), (false, false));
        assert_eq!(set(&registry, member(1, 5), Source::Allocation, true), (false, true), "known ones still count");
        assert_eq!(set(&registry, member(2, 5000), Source::Allocation, true), (true, true), "another scope");
        assert_eq!(set(&registry, member(1, 5000), Source::Allocation, false), (false, true));
        assert_eq!(set(&registry, member(1, 6), Source::Allocation, false), (true, true));
        assert_eq!(set(&registry, member(1, 5000), Source::Allocation, true), (true, true));
    }

    #[test]
    fn a_shard_hears_the_latest_state_only_and_is_woken_once() {
        let inbox = ScopeInbox::default();
        assert!(inbox.take().is_empty());
        assert!(inbox.put(member(1, 1), true));
        assert!(!inbox.put(member(1, 2), true));
        assert!(!inbox.put(member(1, 1), false));
        assert_eq!(inbox.take().into_iter().collect::<Vec<_>>(), [(member(1, 1), false), (member(1, 2), true)]);
        assert!(inbox.take().is_empty());
        assert!(inbox.put(member(1, 1), true));
    }

    #[test]
    fn a_mapped_address_counts_without_its_port_and_a_mapped_ipv6_form_as_ipv4() {
        let of = |text: &str, kind| Member::new(ScopeId(1), text.parse().expect("an address"), kind);
        assert_eq!(of("[::ffff:10.0.0.1]:5", ScopeKind::Mapped), of("10.0.0.1:6", ScopeKind::Mapped));
        assert_eq!(of("[::ffff:10.0.0.1]:5", ScopeKind::Relayed), of("10.0.0.1:5", ScopeKind::Relayed));
        assert_ne!(of("10.0.0.1:6", ScopeKind::Relayed), of("10.0.0.1:5", ScopeKind::Relayed));
    }
}
