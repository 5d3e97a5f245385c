//! A room's story: what credentials, sessions and refusals tell, in one order, and the verdict on its latest call.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use causeway_types::UnixTime;

use crate::{
    model::{CredentialView, FailureView, SessionView},
    verdict::{CallFacts, PartyFacts, RefusedFacts, SessionFacts, Verdict, verdict},
};

/// Entries shown; the newest are kept.
const ENTRIES_MAX: usize = 1000;
/// Two things that lie further apart belong to two calls.
const PAUSE: Duration = Duration::from_secs(600);

/// The story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Oldest first.
    pub entries: Vec<TimelineEntry>,
    /// Older ones are left out.
    pub is_cut: bool,
    /// When the latest call began and when it was last heard of; none when nothing happened.
    pub call: Option<(UnixTime, UnixTime)>,
    /// Why that call went as it went.
    pub verdict: Verdict,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: UnixTime,
    /// `credential_minted`, `credential_revoked`, `credential_expired`, `refused`, `allocated`, `peer_named`,
    /// `peer_refused`, `peer_withdrawn`, `first_data_sent`, `first_data_heard`, `refreshed`, `path_changed`, `ended`.
    pub kind: String,
    /// Whose: none, one, or two that share a credential.
    pub clients: Vec<String>,
    /// In which role.
    pub role: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// Which session.
    pub session: Option<String>,
    /// Over what the client came.
    pub transport: Option<String>,
    /// A reason, where something was refused or ended.
    pub reason: Option<String>,
    /// A peer, or the client's address.
    pub address: Option<String>,
    /// A rule or limit, or the address before.
    pub detail: Option<String>,
    /// How many equal ones.
    pub count: u64,
    /// How long the credential had expired; how long the session lasted; the lifetime granted.
    pub lasted: Option<Duration>,
    /// Of a session that ended: whole messages to and from the relay.
    pub bytes: Option<(u64, u64)>,
}

/// Tells the story of a room from what was recorded of it.
#[must_use]
pub fn timeline(
    credentials: &[CredentialView],
    sessions: &[SessionView],
    failures: &[FailureView],
    now: UnixTime,
) -> Timeline {
    let mut entries: Vec<TimelineEntry> = Vec::new();
    credentials.iter().for_each(|credential| of_credential(credential, now, &mut entries));
    sessions.iter().for_each(|session| of_session(session, &mut entries));
    failures.iter().for_each(|failure| entries.push(of_failure(failure)));
    entries.sort_by_key(|entry| (entry.at, order(&entry.kind)));
    let is_cut = entries.len() > ENTRIES_MAX;
    entries.drain(..entries.len().saturating_sub(ENTRIES_MAX));
    let call = latest_call(credentials, sessions, failures, now);
    let facts = call.map(|window| facts(credentials, sessions, failures, window, now)).unwrap_or_default();
    Timeline { entries, is_cut, call, verdict: verdict(&facts) }
}

/// Of things that happened at the same moment, in which order they are told.
fn order(kind: &str) -> u8 {
    const ORDER: [&str; 13] = [
        "credential_minted",
        "refused",
        "allocated",
        "peer_named",
        "peer_refused",
        "first_data_sent",
        "first_data_heard",
        "refreshed",
        "path_changed",
        "peer_withdrawn",
        "credential_revoked",
        "credential_expired",
        "ended",
    ];
    ORDER.iter().position(|known| *known == kind).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

fn entry(at: UnixTime, kind: &str) -> TimelineEntry {
    TimelineEntry {
        at,
        kind: kind.to_owned(),
        clients: Vec::new(),
        role: None,
        username: None,
        session: None,
        transport: None,
        reason: None,
        address: None,
        detail: None,
        count: 1,
        lasted: None,
        bytes: None,
    }
}

fn of_credential(view: &CredentialView, now: UnixTime, entries: &mut Vec<TimelineEntry>) {
    let record = &view.record;
    let held = record.attribution().clients;
    let whose = |at, kind| TimelineEntry {
        clients: held.iter().map(|(client, _)| client.to_string()).collect(),
        role: held.first().map(|(_, role)| role.as_str().to_owned()),
        username: Some(record.username.clone()),
        ..entry(at, kind)
    };
    let lifetime = record.expires_at.saturating_since(record.issued_at);
    entries.push(TimelineEntry { lasted: Some(lifetime), ..whose(record.issued_at, "credential_minted") });
    if let Some(at) = record.revoked_at {
        entries.push(whose(at, "credential_revoked"));
    } else if record.expires_at <= now {
        entries.push(whose(record.expires_at, "credential_expired"));
    }
}

fn of_session(view: &SessionView, entries: &mut Vec<TimelineEntry>) {
    let whose = |at, kind: &str| TimelineEntry {
        clients: view.clients.iter().map(|(client, _)| client.clone()).collect(),
        role: view.clients.first().map(|(_, role)| role.clone()),
        username: Some(view.username.clone()),
        session: Some(view.id.clone()),
        transport: Some(view.transport.clone()),
        ..entry(at, kind)
    };
    let at = |after: Duration| view.started_at.saturating_add(after);
    let started = TimelineEntry {
        address: Some(view.client_address.clone()).filter(|address| !address.is_empty()),
        detail: view.insight.udp_unanswered.map(|_| "udp_unanswered".to_owned()),
        lasted: view.insight.udp_unanswered,
        ..whose(view.started_at, "allocated")
    };
    entries.push(started);
    for (after, kind) in [(view.insight.first_sent, "first_data_sent"), (view.insight.first_heard, "first_data_heard")]
    {
        entries.extend(after.map(|after| TimelineEntry { lasted: Some(after), ..whose(at(after), kind) }));
    }
    for mark in &view.insight.marks {
        let told = whose(at(mark.after), &mark.kind);
        entries.push(if mark.kind == "refreshed" {
            TimelineEntry { lasted: mark.subject.parse().ok().map(Duration::from_secs), ..told }
        } else {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            TimelineEntry { address: text(&mark.subject), detail: text(&mark.detail), ..told }
        });
    }
    if let Some(ended) = view.ended_at {
        entries.push(TimelineEntry {
            reason: view.end_reason.clone(),
            lasted: Some(ended.saturating_since(view.started_at)),
            bytes: Some((view.bytes_in, view.bytes_out)),
            ..whose(ended, "ended")
        });
    }
}

fn of_failure(view: &FailureView) -> TimelineEntry {
    TimelineEntry {
        clients: view.clients.clone(),
        role: view.role.clone(),
        username: view.username.clone(),
        session: view.session.clone(),
        transport: view.transport.clone(),
        reason: Some(view.reason.as_str().to_owned()),
        address: view.peer.clone().or_else(|| view.client_address.clone()),
        detail: view.rule.clone().or_else(|| view.limit.clone()),
        count: view.count.saturating_add(view.folded),
        lasted: view.expired_by,
        ..entry(view.first_at, "refused")
    }
}

/// From when to when the latest call was: what happened without a longer pause.
fn latest_call(
    credentials: &[CredentialView],
    sessions: &[SessionView],
    failures: &[FailureView],
    now: UnixTime,
) -> Option<(UnixTime, UnixTime)> {
    let mut spans: Vec<(UnixTime, UnixTime)> = Vec::new();
    spans.extend(credentials.iter().map(|view| (view.record.issued_at, view.record.issued_at)));
    spans.extend(sessions.iter().map(|view| (view.started_at, view.ended_at.unwrap_or(now))));
    spans.extend(failures.iter().map(|view| (view.first_at, view.last_at)));
    spans.sort();
    let mut call: Option<(UnixTime, UnixTime)> = None;
    for (from, to) in spans {
        call = match call {
            Some((began, last)) if from <= last.saturating_add(PAUSE) => Some((began, last.max(to))),
            Some(_) | None => Some((from, to)),
        };
    }
    call
}

/// What each side did in a call.
fn facts(
    credentials: &[CredentialView],
    sessions: &[SessionView],
    failures: &[FailureView],
    (from, to): (UnixTime, UnixTime),
    now: UnixTime,
) -> CallFacts {
    let mut parties: BTreeMap<String, PartyFacts> = BTreeMap::new();
    for view in sessions.iter().filter(|view| view.started_at >= from && view.started_at <= to) {
        let names: Vec<&str> = view.clients.iter().map(|(client, _)| client.as_str()).collect();
        party(&mut parties, &names, &view.username).sessions.push(of_call(view, now));
    }
    for view in failures.iter().filter(|view| view.first_at >= from && view.first_at <= to) {
        let names: Vec<&str> = view.clients.iter().map(String::as_str).collect();
        let username = view.username.as_deref().unwrap_or("an unknown user");
        party(&mut parties, &names, username).refused.push(RefusedFacts {
            at: view.first_at,
            last: view.last_at,
            reason: view.reason,
            count: view.count,
            expired_by: view.expired_by,
            limit: view.limit.clone(),
            peer: view.peer.clone(),
            rule: view.rule.clone(),
        });
    }
    let concerns = |view: &&CredentialView| view.record.issued_at <= to && view.record.expires_at >= from;
    for view in credentials.iter().filter(concerns) {
        let held = view.record.attribution().clients;
        let names: Vec<&str> = held.iter().map(|(client, _)| client.as_str()).collect();
        let holder = party(&mut parties, &names, &view.record.username);
        holder.minted = holder.minted.max(Some(view.record.issued_at));
    }
    // Who is named by a credential of the other side is expected, too.
    for view in credentials.iter().filter(concerns) {
        let is_shared = parties.values().any(|party| party.is_shared);
        for name in [&view.record.initiator_client, &view.record.receiver_client].into_iter().flatten() {
            if !is_shared {
                party(&mut parties, &[name.as_str()], "");
            }
        }
    }
    let mut parties: Vec<PartyFacts> = parties.into_values().collect();
    for party in &mut parties {
        party.sessions.sort_by_key(|session| session.started);
        party.refused.sort_by_key(|refused| refused.at);
    }
    CallFacts { parties }
}

fn party<'a>(parties: &'a mut BTreeMap<String, PartyFacts>, clients: &[&str], username: &str) -> &'a mut PartyFacts {
    let name = match clients {
        [] => {
            let start: String = username.chars().take(8).collect();
            format!("the client with user name {start}…")
        }
        names => names.join(" and "),
    };
    let is_shared = clients.len() > 1;
    parties.entry(name.clone()).or_insert_with(|| PartyFacts { name, is_shared, ..PartyFacts::default() })
}

fn of_call(view: &SessionView, now: UnixTime) -> SessionFacts {
    let ip = |address: &str| -> Option<IpAddr> {
        address.parse::<std::net::SocketAddr>().map(|address| address.ip()).or_else(|_| address.parse()).ok()
    };
    let own = view.relayed_addresses.iter().chain(std::iter::once(&view.client_address));
    SessionFacts {
        id: view.id.clone(),
        started: view.started_at,
        lasted: view.ended_at.unwrap_or(now).saturating_since(view.started_at),
        end_reason: view.end_reason.clone(),
        transport: view.transport.clone(),
        first_sent: view.insight.first_sent,
        first_heard: view.insight.first_heard,
        udp_unanswered: view.insight.udp_unanswered,
        payload_bytes: view.peer_bytes_in.saturating_add(view.peer_bytes_out),
        peers: view.peers.iter().map(|(address, session)| (ip(address), session.clone())).collect(),
        own_addresses: own.filter_map(|address| ip(address)).collect(),
    }
}

#[cfg(test)]
mod tests;
