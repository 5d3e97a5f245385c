//! Requests that wait for an answer from outside: a key, an admission, relay sockets.
//!
//! ```text
//! request ─▶ NeedKey ─▶ (verified) ─▶ NeedAdmission ─▶ OpenRelay ×1–2 ─▶ success
//!               │             │              │               │
//!               └─ 401        └─ 4xx         └─ 486          └─ 440/508, admission and sockets given back
//! ```
//! A request that is given up — its client left, or no answer came — gives back everything on the way.

use std::{sync::Arc, time::Duration};

use causeway_stun_codec::{Message, Method, TransactionId};
use causeway_types::{AuthRefusal, FiveTuple, Now};

use crate::{
    TurnServer,
    allocate::Wanted,
    auth::{self, Claim},
    config::{Grant, OnExpiry},
    drop_reason::DropReason,
    io::{
        ClientLeg, KeyAnswer, KeyQuery, OpenRelayError, Output, PortChoice, QueryId, RelayOpened, TimerKind, UserRef,
    },
    reply::{Authenticated, Signature},
};

/// How long a question may stay unanswered before its request is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A waiting request.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) client: ClientLeg,
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Signature,
    pub(crate) user: UserRef,
    transaction: TransactionId,
    deadline: std::time::Instant,
    pub(crate) stage: Stage,
}

/// What a request waits for.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A key.
    Key,
    /// An admission.
    Admission { grant: Grant, wanted: Wanted },
    /// One relay socket, or two.
    Relays { grant: Grant, wanted: Wanted, results: [Option<Result<RelayOpened, OpenRelayError>>; 2] },
}

impl TurnServer {
    /// Parks the request and asks for its user's keys.
    pub(crate) fn ask_for_key(&mut self, now: Now, from: ClientLeg, message: &Message<'_>, claim: &Claim) {
        let request = (from.five_tuple, message.transaction_id());
        if self.pending_by_request.contains_key(&request) {
            return;
        }
        if self.pending.len() >= usize::try_from(self.config.limits.pending_requests_max).unwrap_or(usize::MAX) {
            self.drops.add(DropReason::PendingRequests, 1);
            return;
        }
        let id = self.next_pending;
        self.next_pending += 1;
        let deadline = now.mono + PATIENCE;
        self.deadlines.insert((deadline, TimerKind::Pending, id));
        self.pending_by_request.insert(request, id);
        self.pending.insert(
            id,
            Pending {
                client: from,
                bytes: message.as_bytes().to_vec(),
                signature: claim.signature,
                user: claim.user.clone(),
                transaction: message.transaction_id(),
                deadline,
                stage: Stage::Key,
            },
        );
        let query = KeyQuery { id: QueryId(id), user: claim.user.clone(), five_tuple: from.five_tuple };
        self.outputs.push_back(Output::NeedKey(query));
    }

    /// Takes the answer to [`Output::NeedKey`].
    pub fn handle_key(&mut self, now: Now, id: QueryId, answer: KeyAnswer) {
        self.debug_assert_drained();
        if !matches!(self.pending.get(&id.0), Some(Pending { stage: Stage::Key, .. })) {
            return;
        }
        let Some(pending) = self.take_pending(id.0) else { return };
        let Ok(message) = Message::parse(&pending.bytes) else { return };
        let claimed = match &pending.user {
            UserRef::Name(name) => Some(Arc::clone(name)),
            UserRef::Hash(_) => None,
        };
        let grants = match answer {
            KeyAnswer::Known(grants) => grants,
            KeyAnswer::Refused(refusal) => {
                if self.challenge(now, pending.client, &message, 401) {
                    self.auth_refused(pending.client, claimed, refusal);
                }
                return;
            }
        };
        let fits = |grant: &Grant| auth::verify(&message, pending.signature, &grant.keys);
        let Some(grant) = grants.into_iter().find(fits) else {
            if self.challenge(now, pending.client, &message, 401) {
                self.auth_refused(pending.client, claimed, AuthRefusal::WrongKey);
            }
            return;
        };
        if !grant.limits.admits(pending.client.five_tuple.client.ip()) {
            if self.challenge(now, pending.client, &message, 401) {
                self.auth_refused(pending.client, Some(grant.username), AuthRefusal::OtherAddress);
            }
            return;
        }
        let request = Authenticated { client: pending.client, message, signature: pending.signature };
        let unknown = self.unknown_attributes(&message);
        if !unknown.is_empty() {
            self.refuse_unknown(request, &grant.keys, &unknown);
            return;
        }
        if message.method() != Method::ALLOCATE {
            self.refuse(request, &grant.keys, self.code_without_allocation(&message));
            return;
        }
        // An allocation that would live for less than a second could be given no LIFETIME but 0.
        let needed = match grant.on_expiry {
            OnExpiry::GateNew => Duration::ZERO,
            OnExpiry::Terminate => Duration::from_secs(1),
        };
        if let Some(at) = grant.expires.filter(|at| *at < now.unix.saturating_add(needed)) {
            let ago = now.unix.saturating_since(at);
            if self.challenge(now, pending.client, &message, 401) {
                self.auth_refused(pending.client, Some(grant.username), AuthRefusal::Expired { ago });
            }
            return;
        }
        self.allocate(now, request, grant);
    }

    /// Parks an Allocate again, at a later stage.
    pub(crate) fn park(&mut self, now: Now, request: Authenticated<'_>, user: UserRef, stage: Stage) -> u64 {
        let id = self.next_pending;
        self.next_pending += 1;
        let deadline = now.mono + PATIENCE;
        self.deadlines.insert((deadline, TimerKind::Pending, id));
        self.pending_by_request.insert((request.client.five_tuple, request.message.transaction_id()), id);
        self.pending.insert(
            id,
            Pending {
                client: request.client,
                bytes: request.message.as_bytes().to_vec(),
                signature: request.signature,
                user,
                transaction: request.message.transaction_id(),
                deadline,
                stage,
            },
        );
        id
    }

    /// Takes a waiting request out of every index.
    pub(crate) fn take_pending(&mut self, id: u64) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.deadlines.remove(&(pending.deadline, TimerKind::Pending, id));
        self.pending_by_request.remove(&(pending.client.five_tuple, pending.transaction));
        Some(pending)
    }

    /// Gives a request up and gives back what it took.
    pub(crate) fn abandon_pending(&mut self, id: u64) {
        let Some(pending) = self.take_pending(id) else { return };
        match pending.stage {
            Stage::Key => {}
            Stage::Admission { grant, .. } => {
                self.late_admissions.insert(id, grant.username);
            }
            Stage::Relays { grant, wanted, results } => {
                // The port is set aside with the first socket, which may still come.
                if let (PortChoice::EvenAndReserveNext(token), [None, _]) = (wanted.ports, &results) {
                    self.late_reservations.insert(id, token);
                }
                self.release(&grant.username, wanted.ports, results.into_iter().flatten().flatten());
            }
        }
    }

    /// Closes sockets, forgets the port reserved beside them and returns the admission.
    pub(crate) fn release(
        &mut self,
        username: &Arc<str>,
        ports: PortChoice,
        opened: impl Iterator<Item = RelayOpened>,
    ) {
        if let PortChoice::EvenAndReserveNext(token) = ports {
            self.outputs.push_back(Output::DropReservation { token });
        }
        for relay in opened {
            self.outputs.push_back(Output::CloseRelay { relay: relay.relay });
        }
        self.outputs.push_back(Output::ReleaseAdmission { username: Arc::clone(username) });
    }

    pub(crate) fn pending_due(&mut self, id: u64) {
        self.drops.add(DropReason::PendingRequests, 1);
        self.abandon_pending(id);
    }

    pub(crate) fn forget_pending_of(&mut self, client: FiveTuple) {
        let first = (client, TransactionId([0; 12]));
        let last = (client, TransactionId([0xff; 12]));
        let ids: Vec<u64> = self.pending_by_request.range(first..=last).map(|(_, id)| *id).collect();
        for id in ids {
            self.abandon_pending(id);
        }
    }
}
