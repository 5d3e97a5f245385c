//! Why a call went as it went, in one sentence: a pure function of the facts of its sides.
//!
//! The order of the checks is the explanation's logic: what works is not explained away by a refusal on the way (every
//! browser offers private addresses that the peer policy refuses); a side that was turned away explains why nothing
//! flowed before a missing permission does.

mod words;

use std::{net::IpAddr, time::Duration};

use causeway_types::UnixTime;

use self::words::{bytes, list, seconds};
use crate::model::FailureReason;

/// Payload below this mean rate is connectivity checks, not media: bytes per second of both ways.
const MEDIA_BYTES_PER_SEC: u64 = 500;
/// A session that is younger may only have begun.
const SETTLED: Duration = Duration::from_secs(20);

/// The sides of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFacts {
    /// Each side; two of a call between two.
    pub parties: Vec<PartyFacts>,
}

/// What is known of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartyFacts {
    /// Its client's name, or how else to call it.
    pub name: String,
    /// It stands for two clients that share a credential.
    pub is_shared: bool,
    /// When its latest credential was made; none when there is none.
    pub minted: Option<UnixTime>,
    /// Refusals, oldest first.
    pub refused: Vec<RefusedFacts>,
    /// Allocations, oldest first.
    pub sessions: Vec<SessionFacts>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFacts {
    /// When first.
    pub at: UnixTime,
    /// When last.
    pub last: UnixTime,
    /// Why.
    pub reason: FailureReason,
    /// How many equal ones.
    pub count: u64,
    /// How long the credential had expired then.
    pub expired_by: Option<Duration>,
    /// Which limit.
    pub limit: Option<String>,
    /// Which peer.
    pub peer: Option<String>,
    /// By which rule.
    pub rule: Option<String>,
}

/// An allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its name.
    pub id: String,
    /// When it began.
    pub started: UnixTime,
    /// How long it has lived.
    pub lasted: Duration,
    /// Why it ended; none while it lives.
    pub end_reason: Option<String>,
    /// `udp`, `tcp`, `tls`, `dtls`.
    pub transport: String,
    /// From start to the first payload to a peer.
    pub first_sent: Option<Duration>,
    /// From start to the first payload from a peer.
    pub first_heard: Option<Duration>,
    /// How long before its start UDP was tried in vain.
    pub udp_unanswered: Option<Duration>,
    /// Payload both ways.
    pub payload_bytes: u64,
    /// The peers it named: address, and the session whose relayed address that is.
    pub peers: Vec<(Option<IpAddr>, Option<String>)>,
    /// Where others reach it or its client: relayed and mapped addresses.
    pub own_addresses: Vec<IpAddr>,
}

/// What the sentence says, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictCode {
    /// Nobody has come so far.
    NothingYet,
    /// Media went through the relay both ways, and nothing was in the way.
    Relayed,
    /// Only checks went through the relay: media most likely goes directly.
    Direct,
    /// It worked over a stream, after UDP was tried and not answered.
    UdpUnanswered,
    /// It worked over a stream, and nothing came by UDP.
    UdpNeverSeen,
    /// It worked until a credential's bytes were used up.
    QuotaCut,
    /// A credential had expired.
    CredentialExpired,
    /// A password was wrong.
    WrongPassword,
    /// A credential had been taken back.
    CredentialRevoked,
    /// A quota was used up.
    Quota,
    /// A client was refused for another reason.
    Refused,
    /// The peer policy forbade every address that would have done.
    ForbiddenPeer,
    /// A side never came.
    NeverArrived,
    /// A side never permitted the other's address.
    NoPermission,
    /// Data went one way only.
    OneWay,
    /// Everything was ready, and nobody sent.
    NoData,
    /// It has only begun.
    Connecting,
}

impl VerdictCode {
    /// Every code.
    pub const ALL: [Self; 17] = [
        Self::NothingYet,
        Self::Relayed,
        Self::Direct,
        Self::UdpUnanswered,
        Self::UdpNeverSeen,
        Self::QuotaCut,
        Self::CredentialExpired,
        Self::WrongPassword,
        Self::CredentialRevoked,
        Self::Quota,
        Self::Refused,
        Self::ForbiddenPeer,
        Self::NeverArrived,
        Self::NoPermission,
        Self::OneWay,
        Self::NoData,
        Self::Connecting,
    ];

    /// Stable snake-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingYet => "nothing_yet",
            Self::Relayed => "relayed",
            Self::Direct => "direct",
            Self::UdpUnanswered => "udp_unanswered",
            Self::UdpNeverSeen => "udp_never_seen",
            Self::QuotaCut => "quota_cut",
            Self::CredentialExpired => "credential_expired",
            Self::WrongPassword => "wrong_password",
            Self::CredentialRevoked => "credential_revoked",
            Self::Quota => "quota",
            Self::Refused => "refused",
            Self::ForbiddenPeer => "forbidden_peer",
            Self::NeverArrived => "never_arrived",
            Self::NoPermission => "no_permission",
            Self::OneWay => "one_way",
            Self::NoData => "no_data",
            Self::Connecting => "connecting",
        }
    }

    /// Whether the call works, or worked.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Relayed | Self::Direct | Self::UdpUnanswered | Self::UdpNeverSeen)
    }
}

/// The explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it says, for programs.
    pub code: VerdictCode,
    /// What it says, in one English sentence without a full stop.
    pub sentence: String,
    /// Whom it is about, when it is about one side.
    pub about: Option<String>,
}

impl Verdict {
    fn new(code: VerdictCode, about: Option<&PartyFacts>, sentence: String) -> Self {
        Self { code, sentence, about: about.map(|party| party.name.clone()) }
    }
}

/// Explains a call.
#[must_use]
pub fn verdict(call: &CallFacts) -> Verdict {
    let parties = &call.parties;
    nothing_yet(parties)
        .or_else(|| data_both_ways(parties))
        .or_else(|| parties.iter().find_map(turned_away))
        .or_else(|| forbidden_peer(parties))
        .or_else(|| never_arrived(parties))
        .or_else(|| one_way(parties))
        .or_else(|| connecting(parties))
        .or_else(|| no_permission(parties))
        .unwrap_or_else(|| no_data(parties))
}

impl SessionFacts {
    /// From start until payload had gone both ways.
    fn both_ways(&self) -> Option<Duration> {
        Some(self.first_sent?.max(self.first_heard?))
    }

    fn is_datagram(&self) -> bool {
        matches!(self.transport.as_str(), "udp" | "dtls")
    }

    /// Whether one of its peers is an address of `other`, as far as addresses are kept.
    fn permits(&self, other: &Self) -> bool {
        self.peers.iter().any(|(ip, session)| {
            session.as_ref() == Some(&other.id) || ip.is_some_and(|ip| other.own_addresses.contains(&ip))
        })
    }

    /// A peer whose address was not kept, and that belongs to no session here.
    fn has_unknown_peer(&self) -> bool {
        self.peers.iter().any(|(ip, session)| ip.is_none() && session.is_none())
    }
}

impl PartyFacts {
    fn has_come(&self) -> bool {
        !self.sessions.is_empty() || !self.refused.is_empty()
    }

    /// The session that carried the most of those with data both ways.
    fn working(&self) -> Option<&SessionFacts> {
        self.sessions.iter().filter(|s| s.both_ways().is_some()).max_by_key(|s| s.payload_bytes)
    }

    fn forbidden_peers(&self) -> impl Iterator<Item = &RefusedFacts> {
        self.refused.iter().filter(|r| matches!(r.reason, FailureReason::ForbiddenPeer | FailureReason::PeerWithdrawn))
    }
}

fn nothing_yet(parties: &[PartyFacts]) -> Option<Verdict> {
    if parties.iter().any(PartyFacts::has_come) {
        return None;
    }
    let minted: Vec<&str> = parties.iter().filter(|p| p.minted.is_some()).map(|p| p.name.as_str()).collect();
    let sentence = if minted.is_empty() {
        "nobody has come to the relay yet".to_owned()
    } else {
        format!("a credential was made for {}; nobody has come to the relay with it yet", list(&minted))
    };
    Some(Verdict::new(VerdictCode::NothingYet, None, sentence))
}

fn data_both_ways(parties: &[PartyFacts]) -> Option<Verdict> {
    let working: Vec<(&PartyFacts, &SessionFacts)> =
        parties.iter().filter_map(|party| party.working().map(|session| (party, session))).collect();
    let (party, session) = working.iter().max_by_key(|(_, session)| session.payload_bytes).copied()?;
    let cut = |(_, s): &&(&PartyFacts, &SessionFacts)| s.end_reason.as_deref() == Some("quota_reached");
    if let Some((party, session)) = working.iter().find(cut) {
        let sentence = format!(
            "data flowed both ways until {}'s credential had carried all its bytes ({} in {})",
            party.name,
            bytes(session.payload_bytes),
            seconds(session.lasted)
        );
        return Some(Verdict::new(VerdictCode::QuotaCut, Some(party), sentence));
    }
    // What the relay carried is known at each allocation: the same bytes pass two when both sides have one.
    let carried = session.payload_bytes;
    let is_media = carried >= MEDIA_BYTES_PER_SEC.saturating_mul(session.lasted.as_secs());
    if !is_media && session.lasted >= SETTLED {
        let names: Vec<&str> = parties.iter().map(|party| party.name.as_str()).collect();
        let sentence = format!(
            "{} most likely {} directly: the relay carried connectivity checks only ({} in {})",
            list(&names),
            if names.len() == 1 { "talks" } else { "talk" },
            bytes(carried),
            seconds(session.lasted)
        );
        return Some(Verdict::new(VerdictCode::Direct, None, sentence));
    }
    let over_stream = |(party, session): &&(&PartyFacts, &SessionFacts)| {
        !session.is_datagram() && !party.sessions.iter().any(SessionFacts::is_datagram)
    };
    if let Some((party, session)) = working.iter().find(over_stream) {
        return Some(over_a_stream(party, session));
    }
    let after = session.both_ways()?;
    let sides = match working.len() {
        1 if parties.len() == 2 => format!("only {}'s side needed the relay", party.name),
        1 => format!("{} used the relay", party.name),
        _ => "both sides used the relay".to_owned(),
    };
    let sentence = format!(
        "all well: {sides}, over {}; data flowed both ways after {}, {} so far",
        session.transport.to_uppercase(),
        seconds(after),
        bytes(carried)
    );
    let sentence = if session.end_reason.is_some() { sentence.replace(" so far", " in all") } else { sentence };
    Some(Verdict::new(VerdictCode::Relayed, None, sentence))
}

fn over_a_stream(party: &PartyFacts, session: &SessionFacts) -> Verdict {
    let after = session.both_ways().unwrap_or_default();
    let transport = session.transport.to_uppercase();
    match session.udp_unanswered {
        Some(tried) => Verdict::new(
            VerdictCode::UdpUnanswered,
            Some(party),
            format!(
                "{} reached the relay by {transport} only after UDP went unanswered; data flowed both ways after {}",
                party.name,
                seconds(tried + after)
            ),
        ),
        None => Verdict::new(
            VerdictCode::UdpNeverSeen,
            Some(party),
            format!(
                "{} reached the relay by {transport} only, nothing came by UDP; data flowed both ways after {}",
                party.name,
                seconds(after)
            ),
        ),
    }
}

/// A side that was refused and did not get in after that.
fn turned_away(party: &PartyFacts) -> Option<Verdict> {
    let came_in = party.sessions.last().map(|session| session.started);
    let is_at_the_door = |r: &&RefusedFacts| {
        !matches!(r.reason, FailureReason::ForbiddenPeer | FailureReason::PeerWithdrawn)
            && came_in.is_none_or(|came_in| r.last >= came_in)
    };
    let first = party.refused.iter().find(is_at_the_door)?;
    let equal = party.refused.iter().filter(|r| r.reason == first.reason);
    let count: u64 = equal.map(|r| r.count).sum();
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let name = &party.name;
    let (code, sentence) = match first.reason {
        FailureReason::Expired => {
            // Over a second, fractions tell nothing.
            let ago = first.expired_by.unwrap_or_default();
            let ago = if ago.as_secs() > 0 { Duration::from_secs(ago.as_secs()) } else { ago };
            let sentence = format!("{name}'s credential had expired {} before the first attempt", seconds(ago));
            (VerdictCode::CredentialExpired, sentence)
        }
        FailureReason::WrongKey => {
            (VerdictCode::WrongPassword, format!("{name} was refused {times}: the password is wrong for the user name"))
        }
        FailureReason::Revoked => {
            (VerdictCode::CredentialRevoked, format!("{name} was refused {times}: the credential had been revoked"))
        }
        FailureReason::Quota | FailureReason::Limit => {
            let limit = first.limit.as_deref().unwrap_or("a limit");
            (VerdictCode::Quota, format!("{name} was refused {times}: the quota {limit} was used up"))
        }
        FailureReason::OtherAddress => {
            let sentence = format!("{name} was refused {times}: the credential is bound to another client address");
            (VerdictCode::Refused, sentence)
        }
        FailureReason::Unavailable => {
            (VerdictCode::Refused, format!("{name} was refused {times}: the server could not look the credential up"))
        }
        FailureReason::UnknownUser
        | FailureReason::TooFarAhead
        | FailureReason::OtherUser
        | FailureReason::BidDown
        | FailureReason::ForbiddenPeer
        | FailureReason::PeerWithdrawn
        | FailureReason::Other => {
            (VerdictCode::Refused, format!("{name} was refused {times}: {}", first.reason.as_str().replace('_', " ")))
        }
    };
    Some(Verdict::new(code, Some(party), sentence))
}

/// A side whose every useful peer was forbidden.
fn forbidden_peer(parties: &[PartyFacts]) -> Option<Verdict> {
    for party in parties {
        let Some(refused) = party.forbidden_peers().next() else { continue };
        let others: Vec<&SessionFacts> = others(parties, party).flat_map(|other| &other.sessions).collect();
        let reaches = |session: &SessionFacts| {
            session.has_unknown_peer()
                || if others.is_empty() {
                    !session.peers.is_empty()
                } else {
                    others.iter().any(|other| session.permits(other))
                }
        };
        if party.sessions.iter().any(reaches) {
            continue;
        }
        let peer = refused.peer.as_deref().unwrap_or("a peer");
        let rule = refused.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        let sentence = format!(
            "{} asked for the peer {peer}, which the peer policy forbids{rule}, and for no other that works",
            party.name
        );
        return Some(Verdict::new(VerdictCode::ForbiddenPeer, Some(party), sentence));
    }
    None
}

fn never_arrived(parties: &[PartyFacts]) -> Option<Verdict> {
    if let [party] = parties
        && party.is_shared
    {
        let mut homes: Vec<&IpAddr> = party.sessions.iter().filter_map(|s| s.own_addresses.last()).collect();
        homes.dedup();
        if party.sessions.len() == 1 || homes.len() == 1 && party.sessions.iter().all(|s| s.peers.is_empty()) {
            let sentence = format!("only one of {} came to the relay", party.name);
            return Some(Verdict::new(VerdictCode::NeverArrived, Some(party), sentence));
        }
    }
    let absent = parties.iter().find(|party| !party.has_come())?;
    let sentence = match absent.minted {
        Some(_) => format!("{} never came to the relay: nothing arrived with that credential", absent.name),
        None => format!("{} never came to the relay: no credential was made for that side", absent.name),
    };
    Some(Verdict::new(VerdictCode::NeverArrived, Some(absent), sentence))
}

fn one_way(parties: &[PartyFacts]) -> Option<Verdict> {
    for party in parties {
        let other = others(parties, party).next().map_or("the peer", |other| other.name.as_str());
        let (sent, heard) = (|s: &SessionFacts| s.first_sent.is_some(), |s: &SessionFacts| s.first_heard.is_some());
        let silent_both = party.sessions.iter().all(|s| s.first_sent.is_none() && s.first_heard.is_none());
        if silent_both {
            continue;
        }
        let sentence = if party.sessions.iter().any(sent) && !party.sessions.iter().any(heard) {
            let none = others(parties, party)
                .flat_map(|o| &o.sessions)
                .find(|s| !party.sessions.iter().any(|own| s.permits(own)));
            match none {
                Some(session) if !session.has_unknown_peer() => {
                    return Some(missing_permission(parties, party, other));
                }
                Some(_) | None => format!("{} sent data and nothing came back from {other}", party.name),
            }
        } else {
            format!("{} heard data and sent none back to {other}", party.name)
        };
        return Some(Verdict::new(VerdictCode::OneWay, Some(party), sentence));
    }
    None
}

/// `other` never permitted the address of `party`.
fn missing_permission(parties: &[PartyFacts], party: &PartyFacts, other: &str) -> Verdict {
    let about = parties.iter().find(|candidate| candidate.name == other);
    Verdict::new(
        VerdictCode::NoPermission,
        about,
        format!("{other} never sent a permission for {}'s address", party.name),
    )
}

fn connecting(parties: &[PartyFacts]) -> Option<Verdict> {
    let mut sessions = parties.iter().flat_map(|party| &party.sessions).peekable();
    sessions.peek()?;
    let young = sessions.all(|session| session.end_reason.is_none() && session.lasted < Duration::from_secs(5));
    young.then(|| Verdict::new(VerdictCode::Connecting, None, "the call has only begun; no data so far".to_owned()))
}

fn no_permission(parties: &[PartyFacts]) -> Option<Verdict> {
    let lacks = |party: &PartyFacts| {
        let mut targets = others(parties, party).flat_map(|other| &other.sessions).peekable();
        targets.peek().is_some()
            && !party.sessions.is_empty()
            && !party.sessions.iter().any(SessionFacts::has_unknown_peer)
            && !targets.any(|target| party.sessions.iter().any(|own| own.permits(target)))
    };
    let lacking: Vec<&PartyFacts> = parties.iter().filter(|party| lacks(party)).collect();
    match lacking[..] {
        [] => None,
        [party] => {
            let other = others(parties, party).next()?;
            Some(missing_permission(parties, other, &party.name))
        }
        _ => {
            let names: Vec<&str> = lacking.iter().map(|party| party.name.as_str()).collect();
            let sentence = format!("neither {} sent a permission for the other's address", names.join(" nor "));
            Some(Verdict::new(VerdictCode::NoPermission, None, sentence))
        }
    }
}

fn no_data(parties: &[PartyFacts]) -> Verdict {
    let here: Vec<&str> = parties.iter().filter(|p| !p.sessions.is_empty()).map(|p| p.name.as_str()).collect();
    let sentence = if let [only] = here[..] {
        format!("{only} came to the relay and sent no data through it")
    } else {
        format!("{} came to the relay and sent no data through it; they may talk directly", list(&here))
    };
    Verdict::new(VerdictCode::NoData, None, sentence)
}

fn others<'a>(parties: &'a [PartyFacts], party: &'a PartyFacts) -> impl Iterator<Item = &'a PartyFacts> {
    parties.iter().filter(move |other| other.name != party.name)
}

#[cfg(test)]
mod tests;
