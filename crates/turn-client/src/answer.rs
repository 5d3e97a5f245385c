//! Answers of the server (RFC 8489 §6.3.3, §6.3.4, §9.2.5; RFC 8656 §7.3, §8.3, §10.3, §12.3).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_stun_codec::{
    Attribute, AttributeType, Class, Message,
    attributes::{
        AddressErrorCode, AlternateServer, ErrorCode, Lifetime, MappedAddress, ReservationToken, XorMappedAddress,
        XorRelayedAddress,
    },
};
use causeway_types::Now;

use crate::{
    TurnClient,
    io::{Ignored, Output, Received},
    request::{AllocateOptions, Allocation, Outcome, Refusal, Request},
    session::{ChallengeError, Session},
    transaction::Transaction,
};

/// Challenges answered for one request: the first one, a nonce that went stale meanwhile, and two more.
const CHALLENGES_MAX: u32 = 4;

/// What an answer may carry that must be understood.
const KNOWN: &[AttributeType] = &[
    AttributeType::MAPPED_ADDRESS,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::XOR_RELAYED_ADDRESS,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::CHANNEL_NUMBER,
    AttributeType::LIFETIME,
    AttributeType::RESERVATION_TOKEN,
    AttributeType::ERROR_CODE,
    AttributeType::UNKNOWN_ATTRIBUTES,
    AttributeType::USERNAME,
    AttributeType::USERHASH,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::PASSWORD_ALGORITHM,
    AttributeType::MESSAGE_INTEGRITY,
    AttributeType::MESSAGE_INTEGRITY_SHA256,
    AttributeType::SOURCE_ADDRESS,
    AttributeType::CHANGED_ADDRESS,
];

impl TurnClient {
    /// A success or an error.
    pub(crate) fn answer(&mut self, now: Now, message: &Message<'_>) -> Received<'static> {
        let id = message.transaction_id();
        let Some(transaction) = self.transactions.get_mut(&id).filter(|t| t.request.method() == message.method())
        else {
            return Received::Ignored(Ignored::UnknownTransaction);
        };
        let code = match (message.class(), message.attribute::<ErrorCode<'_>>()) {
            (Class::Error, Ok(Some(error))) => Some(error.code),
            (Class::Error, _) => return Received::Ignored(Ignored::Malformed),
            (Class::Success | Class::Request | Class::Indication, _) => None,
        };
        // A challenge cannot be signed: server and client may not share a key yet.
        let is_challenge = matches!(code, Some(401 | 438));
        if let Some(session) = transaction.signed.as_ref().filter(|_| !is_challenge)
            && !session.verifies(message)
        {
            transaction.unauthentic_answers += 1;
            transaction.unproven_code = code;
            return Received::Ignored(Ignored::Unauthentic);
        }
        let Some(transaction) = self.take_transaction(id) else {
            return Received::Ignored(Ignored::UnknownTransaction);
        };
        match code {
            Some(code) if is_challenge => self.challenged(now, message, transaction, code),
            Some(code) => self.refused(message, transaction, code),
            None => self.granted(now, message, transaction),
        }
        Received::Answer
    }

    /// 401 or 438: once more with what the challenge says, unless that was just tried (RFC 8489 §9.2.5).
    fn challenged(&mut self, now: Now, message: &Message<'_>, transaction: Transaction, code: u16) {
        let Some(credentials) = &self.config.credentials else { return self.refused(message, transaction, code) };
        let session = match Session::from_challenge(message, credentials, self.config.auth_features) {
            Ok(session) => session,
            Err(ChallengeError::Incomplete) => return self.refused(message, transaction, code),
            Err(ChallengeError::BidDown) => {
                return self.finish(transaction.id, transaction.request, Outcome::BidDown);
            }
            Err(ChallengeError::NoCommonAlgorithm) => {
                return self.finish(transaction.id, transaction.request, Outcome::NoCommonAlgorithm);
            }
        };
        let worth_it = match &transaction.signed {
            Some(used) if code == 401 => used.differs_in_key(&session),
            Some(_) | None => true,
        };
        if !worth_it || transaction.challenges >= CHALLENGES_MAX {
            return self.refused(message, transaction, code);
        }
        self.session = Some(Arc::new(session));
        self.send_request(now, transaction.id, transaction.request, transaction.challenges + 1);
    }

    fn refused(&mut self, message: &Message<'_>, transaction: Transaction, code: u16) {
        let reason = message.attribute::<ErrorCode<'_>>().ok().flatten().map_or("", |error| error.reason).to_owned();
        let alternate_server = message.attribute::<AlternateServer>().ok().flatten().map(|a| a.0);
        let was_signed = transaction.signed.is_some();
        let is_allocate = matches!(transaction.request, Request::Allocate(_));
        let outcome = Outcome::Refused(Refusal { code, reason, alternate_server, was_signed });
        self.finish(transaction.id, transaction.request, outcome);
        // 437 says that there is no allocation for this five-tuple; to an Allocate it says the opposite.
        if code == 437 && !is_allocate && self.allocation.is_some() {
            self.forget_allocation();
            self.outputs.push_back(Output::AllocationLost);
        }
    }

    fn granted(&mut self, now: Now, message: &Message<'_>, transaction: Transaction) {
        let outcome = if message.unknown_comprehension_required(KNOWN).is_empty() {
            self.apply(now, message, &transaction.request)
        } else {
            None
        };
        self.finish(transaction.id, transaction.request, outcome.unwrap_or(Outcome::Unusable));
    }

    /// Takes over what was granted; `None` when the answer lacks what it must carry.
    fn apply(&mut self, now: Now, message: &Message<'_>, request: &Request) -> Option<Outcome> {
        Some(match request {
            Request::Binding => Outcome::Mapped(mapped_address(message)?),
            Request::Allocate(options) => {
                let allocation = read_allocation(message)?;
                self.allocated(now, options, allocation.clone());
                Outcome::Allocated(allocation)
            }
            Request::Refresh { .. } => {
                let lifetime = lifetime(message)?;
                self.refreshed(now, lifetime);
                Outcome::Refreshed { lifetime }
            }
            Request::CreatePermission { peers } => {
                self.permitted.extend(peers);
                self.peers_live(now);
                Outcome::Permitted
            }
            Request::ChannelBind { number, peer } => {
                self.channel_bound(*number, *peer);
                self.peers_live(now);
                Outcome::ChannelBound
            }
        })
    }

    /// The number leads to this peer only, and this peer has this number only: an older binding of either has expired.
    fn channel_bound(&mut self, number: u16, peer: SocketAddr) {
        if let Some(before) = self.peer_by_channel.insert(number, peer) {
            self.channel_by_peer.remove(&before);
        }
        if let Some(before) = self.channel_by_peer.insert(peer, number)
            && before != number
        {
            self.peer_by_channel.remove(&before);
        }
    }

    fn allocated(&mut self, now: Now, options: &AllocateOptions, allocation: Allocation) {
        let lifetime = allocation.lifetime;
        self.allocation = Some(allocation);
        self.dont_fragment = options.dont_fragment;
        self.allocation_lives(now, lifetime);
    }

    fn refreshed(&mut self, now: Now, lifetime: Duration) {
        if lifetime.is_zero() {
            return self.forget_allocation();
        }
        if let Some(allocation) = &mut self.allocation {
            allocation.lifetime = lifetime;
            self.allocation_lives(now, lifetime);
        }
    }
}

fn read_allocation(message: &Message<'_>) -> Option<Allocation> {
    let relayed: Vec<SocketAddr> = message
        .attributes()
        .filter(|raw| raw.typ == AttributeType::XOR_RELAYED_ADDRESS)
        .map(|raw| XorRelayedAddress::decode(raw.value, message.cookie_and_id()).ok().map(|address| address.0))
        .collect::<Option<_>>()?;
    if relayed.is_empty() {
        return None;
    }
    let token = message.attribute::<ReservationToken>().ok()?;
    let not_granted = message.attribute::<AddressErrorCode<'_>>().ok()?;
    Some(Allocation {
        relayed,
        mapped: mapped_address(message)?,
        lifetime: lifetime(message)?,
        reservation_token: token.map(|token| token.0),
        not_granted: not_granted.map(|error| (error.family, error.code)),
    })
}

/// XOR-MAPPED-ADDRESS, or the MAPPED-ADDRESS of a classic server.
fn mapped_address(message: &Message<'_>) -> Option<SocketAddr> {
    match message.attribute::<XorMappedAddress>().ok()? {
        Some(XorMappedAddress(address)) => Some(address),
        None => message.attribute::<MappedAddress>().ok()?.map(|address| address.0),
    }
}

fn lifetime(message: &Message<'_>) -> Option<Duration> {
    let Lifetime(secs) = message.attribute().ok()??;
    Some(Duration::from_secs(u64::from(secs)))
}
