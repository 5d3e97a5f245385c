//! [`Registrar`]: which connections an identity can be reached at. Presence is what the bindings say.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_types::{Now, UnixTime};

use crate::{BindingId, BindingRef, ConnectionId, Identity, LegRoute, LegTraits};

/// Limits of registrations. Reaching one refuses the registration.
#[derive(Clone, Copy, Debug)]
pub struct RegistrarLimits {
    /// Bindings in all.
    pub bindings_max: usize,
    /// Bindings of one identity.
    pub bindings_per_identity_max: usize,
    /// Bindings on one connection.
    pub bindings_per_connection_max: usize,
    /// Bindings with one grant: a token, a password.
    pub bindings_per_grant_max: usize,
}

impl Default for RegistrarLimits {
    fn default() -> Self {
        Self {
            bindings_max: 100_000,
            bindings_per_identity_max: 16,
            bindings_per_connection_max: 4,
            bindings_per_grant_max: 16,
        }
    }
}

/// Why a registration was refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefusal {
    /// Limit `bindings_max`.
    #[error("too many registrations on this server")]
    TooMany,
    /// Limit `bindings_per_identity_max`.
    #[error("too many registrations of this identity")]
    TooManyOfIdentity,
    /// Limit `bindings_per_connection_max`.
    #[error("too many registrations on this connection")]
    TooManyOnConnection,
    /// Limit `bindings_per_grant_max`.
    #[error("too many registrations with this grant")]
    TooManyOfGrant,
}

/// A client says where it is.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Verified by the shell.
    pub identity: Identity,
    /// Over which connection.
    pub route: LegRoute,
    /// What the dialect calls this binding; one identity's bindings are told apart by it.
    pub contact: Arc<str>,
    /// How long it is good for.
    pub lifetime: Duration,
    /// Whether calls may come to it: a client that only places calls is not listed.
    pub is_ringable: bool,
    /// What allows it, as the shell names it: a token's id. Empty for nothing that is told apart.
    pub grant: Arc<str>,
}

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Which binding it is.
    pub binding: BindingId,
    /// Whether it was there before. Its place among the identity's bindings is kept then.
    pub is_refresh: bool,
}

/// One place where an identity can be reached.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Newer ones are higher.
    pub id: BindingId,
    /// Who.
    pub identity: Identity,
    /// Where.
    pub connection: ConnectionId,
    /// What is spoken there.
    pub traits: LegTraits,
    /// The dialect's name for it.
    pub contact: Arc<str>,
    /// Whether calls may come to it.
    pub is_ringable: bool,
    /// What allows it; empty for nothing that is told apart.
    pub grant: Arc<str>,
    /// First registered.
    pub since: UnixTime,
    /// Last registered.
    pub updated: UnixTime,
    /// Ends unless registered again.
    pub expires_at: UnixTime,
    expires: Instant,
}

/// What happened to a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceKind {
    /// It is new.
    Appeared,
    /// It was registered again, perhaps over another connection.
    Refreshed,
    /// The client took it back.
    Unregistered,
    /// Its connection is gone.
    ConnectionLost,
    /// It was not registered again in time.
    Expired,
    /// Its token or user was revoked.
    Revoked,
}

/// A change others want to know of.
#[derive(Clone, Debug)]
pub struct PresenceChange {
    /// When.
    pub at: UnixTime,
    /// What.
    pub kind: PresenceKind,
    /// The binding as it is, or was.
    pub binding: Binding,
    /// How many ringable bindings the identity has now.
    pub left: usize,
}

/// Bindings of every identity at this node.
#[derive(Debug, Default)]
pub struct Registrar {
    limits: RegistrarLimits,
    bindings: BTreeMap<BindingId, Binding>,
    by_identity: BTreeMap<Identity, BTreeSet<BindingId>>,
    by_connection: BTreeSet<(ConnectionId, BindingId)>,
    /// How many bindings each named grant has.
    by_grant: BTreeMap<Arc<str>, usize>,
    expiries: BTreeSet<(Instant, BindingId)>,
    next: u64,
    outputs: VecDeque<PresenceChange>,
}

impl Registrar {
    /// A registrar without bindings.
    #[must_use]
    pub fn new(limits: RegistrarLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What others are to be told; none when everything was taken.
    pub fn poll_output(&mut self) -> Option<PresenceChange> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Registers, or registers again. A binding with the same identity and contact is refreshed and keeps its place, also
    /// when it comes over another connection.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn handle_register(&mut self, now: Now, registration: Registration) -> Result<Registered, RegisterRefusal> {
        let expires = now.mono + registration.lifetime;
        let expires_at = now.unix.saturating_add(registration.lifetime);
        if let Some(id) = self.find(&registration.identity, &registration.contact) {
            return Ok(self.refresh(now, id, registration, expires, expires_at));
        }
        self.check_limits(&registration)?;
        let id = BindingId(self.next);
        self.next += 1;
        let binding = Binding {
            id,
            identity: registration.identity,
            connection: registration.route.connection,
            traits: registration.route.traits,
            contact: registration.contact,
            is_ringable: registration.is_ringable,
            grant: registration.grant,
            since: now.unix,
            updated: now.unix,
            expires_at,
            expires,
        };
        self.expiries.insert((expires, id));
        self.by_connection.insert((binding.connection, id));
        self.by_identity.entry(binding.identity.clone()).or_default().insert(id);
        self.count_grant(&binding.grant);
        self.bindings.insert(id, binding.clone());
        self.tell(now, PresenceKind::Appeared, binding);
        Ok(Registered { binding: id, is_refresh: false })
    }

    fn find(&self, identity: &Identity, contact: &str) -> Option<BindingId> {
        let ids = self.by_identity.get(identity)?;
        ids.iter().copied().find(|id| self.bindings.get(id).is_some_and(|binding| &*binding.contact == contact))
    }

    fn check_limits(&self, registration: &Registration) -> Result<(), RegisterRefusal> {
        let of_identity = self.by_identity.get(&registration.identity).map_or(0, BTreeSet::len);
        if self.bindings.len() >= self.limits.bindings_max {
            Err(RegisterRefusal::TooMany)
        } else if of_identity >= self.limits.bindings_per_identity_max {
            Err(RegisterRefusal::TooManyOfIdentity)
        } else if self.on(registration.route.connection).len() >= self.limits.bindings_per_connection_max {
            Err(RegisterRefusal::TooManyOnConnection)
        } else if self.by_grant.get(&registration.grant).is_some_and(|n| *n >= self.limits.bindings_per_grant_max) {
            Err(RegisterRefusal::TooManyOfGrant)
        } else {
            Ok(())
        }
    }

    fn count_grant(&mut self, grant: &Arc<str>) {
        if !grant.is_empty() {
            *self.by_grant.entry(Arc::clone(grant)).or_default() += 1;
        }
    }

    fn uncount_grant(&mut self, grant: &Arc<str>) {
        if let Some(n) = self.by_grant.get_mut(grant) {
            *n -= 1;
            if *n == 0 {
                self.by_grant.remove(grant);
            }
        }
    }

    fn refresh(
        &mut self,
        now: Now,
        id: BindingId,
        registration: Registration,
        expires: Instant,
        expires_at: UnixTime,
    ) -> Registered {
        if let Some(binding) = self.bindings.get_mut(&id) {
            self.expiries.remove(&(binding.expires, id));
            self.expiries.insert((expires, id));
            self.by_connection.remove(&(binding.connection, id));
            self.by_connection.insert((registration.route.connection, id));
            binding.connection = registration.route.connection;
            binding.traits = registration.route.traits;
            binding.is_ringable = registration.is_ringable;
            binding.updated = now.unix;
            binding.expires = expires;
            binding.expires_at = expires_at;
            let before = std::mem::replace(&mut binding.grant, registration.grant);
            let binding = binding.clone();
            self.uncount_grant(&before);
            self.count_grant(&binding.grant);
            self.tell(now, PresenceKind::Refreshed, binding);
        }
        Registered { binding: id, is_refresh: true }
    }

    /// A client takes a binding back: only over the connection that owns it. Whether there was one.
    pub fn handle_unregister(
        &mut self,
        now: Now,
        connection: ConnectionId,
        identity: &Identity,
        contact: &str,
    ) -> bool {
        let found = self.find(identity, contact);
        let owned = found.filter(|id| self.by_connection.contains(&(connection, *id)));
        owned.is_some_and(|id| self.remove(now, id, PresenceKind::Unregistered))
    }

    /// A connection is gone, and its bindings with it.
    pub fn handle_connection_lost(&mut self, now: Now, connection: ConnectionId) {
        for id in self.on(connection) {
            self.remove(now, id, PresenceKind::ConnectionLost);
        }
    }

    /// A connection is gone, and its client may come back: its bindings keep their places for so long, and nobody rings there.
    pub fn handle_connection_detached(&mut self, now: Now, connection: ConnectionId, grace: Duration) {
        for id in self.on(connection) {
            let Some(binding) = self.bindings.get_mut(&id) else { continue };
            self.expiries.remove(&(binding.expires, id));
            binding.is_ringable = false;
            binding.expires = now.mono + grace;
            binding.expires_at = now.unix.saturating_add(grace);
            self.expiries.insert((binding.expires, id));
            let binding = binding.clone();
            self.tell(now, PresenceKind::ConnectionLost, binding);
        }
    }

    /// A client is back on another connection, and its bindings with it. How many.
    pub fn handle_connection_resumed(&mut self, old: ConnectionId, route: LegRoute) -> usize {
        let ids = self.on(old);
        for id in &ids {
            if let Some(binding) = self.bindings.get_mut(id) {
                binding.connection = route.connection;
                binding.traits = route.traits;
            }
            self.by_connection.remove(&(old, *id));
            self.by_connection.insert((route.connection, *id));
        }
        ids.len()
    }

    /// Removes a binding whose token or user was revoked. Whether there was one.
    pub fn handle_revoked(&mut self, now: Now, id: BindingId) -> bool {
        self.remove(now, id, PresenceKind::Revoked)
    }

    /// Removes what was not registered again in time.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, id)) = self.expiries.first().copied() {
            if at > now.mono {
                return;
            }
            self.remove(now, id, PresenceKind::Expired);
        }
    }

    /// Where this identity rings, newest first.
    #[must_use]
    pub fn locate(&self, identity: &Identity) -> Vec<BindingRef> {
        let ids = self.by_identity.get(identity);
        let newest_first = ids.into_iter().flat_map(|ids| ids.iter().rev());
        newest_first
            .filter_map(|id| self.bindings.get(id))
            .filter(|binding| binding.is_ringable)
            .map(|binding| BindingRef {
                identity: binding.identity.clone(),
                route: LegRoute { connection: binding.connection, traits: binding.traits },
                contact: Arc::clone(&binding.contact),
                note: None,
            })
            .collect()
    }

    /// Every binding, oldest first.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    /// One binding, while it is there.
    #[must_use]
    pub fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.bindings.get(&id)
    }

    /// The bindings of one identity, newest first.
    pub fn bindings_of(&self, identity: &Identity) -> impl Iterator<Item = &Binding> {
        let ids = self.by_identity.get(identity);
        ids.into_iter().flat_map(|ids| ids.iter().rev()).filter_map(|id| self.bindings.get(id))
    }

    /// How many bindings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
            && self.by_identity.is_empty()
            && self.by_connection.is_empty()
            && self.by_grant.is_empty()
            && self.expiries.is_empty()
    }

    fn on(&self, connection: ConnectionId) -> Vec<BindingId> {
        let range = (connection, BindingId(0))..=(connection, BindingId(u64::MAX));
        self.by_connection.range(range).map(|(_, id)| *id).collect()
    }

    fn remove(&mut self, now: Now, id: BindingId, kind: PresenceKind) -> bool {
        let Some(binding) = self.bindings.remove(&id) else { return false };
        self.expiries.remove(&(binding.expires, id));
        self.by_connection.remove(&(binding.connection, id));
        self.uncount_grant(&binding.grant);
        if let Some(ids) = self.by_identity.get_mut(&binding.identity) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_identity.remove(&binding.identity);
            }
        }
        self.tell(now, kind, binding);
        true
    }

    fn tell(&mut self, now: Now, kind: PresenceKind, binding: Binding) {
        let left = self.bindings_of(&binding.identity).filter(|binding| binding.is_ringable).count();
        self.outputs.push_back(PresenceChange { at: now.unix, kind, binding, left });
    }
}

#[cfg(test)]
mod tests;
