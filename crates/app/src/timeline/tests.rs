use causeway_types::Secret;

use super::*;
use crate::{
    Identifier,
    model::{ClientRole, CredentialLimits, CredentialRecord, FailureReason, InsightView, MarkView, ProjectId, TokenId},
    verdict::VerdictCode,
};

const START: UnixTime = UnixTime::from_secs(1_790_000_000);

fn secs(secs: u64) -> UnixTime {
    START.saturating_add(Duration::from_secs(secs))
}

fn name(text: &str) -> Identifier {
    Identifier::new(text).expect("a good name")
}

fn credential(at: u64, holder: ClientRole) -> CredentialView {
    let record = CredentialRecord {
        username: format!("{}-{at}", holder.as_str()),
        secret: Secret::new(String::new()),
        user_hash: [0; 32],
        project: ProjectId::DEFAULT,
        token: TokenId(1),
        room: Some(name("room")),
        initiator_client: Some(name("alice")),
        receiver_client: Some(name("bob")),
        client_type: Some(holder),
        region: "local".to_owned(),
        issued_at: secs(at),
        expires_at: secs(at + 30),
        revoked_at: None,
        limits: CredentialLimits::default(),
        metadata: None,
    };
    CredentialView { record, active_sessions: 0 }
}

fn session(client: &str, at: u64) -> SessionView {
    SessionView {
        id: format!("{at:016x}"),
        username: format!("{client}-user"),
        credential_kind: "issued".to_owned(),
        room: Some("room".to_owned()),
        clients: vec![(client.to_owned(), "initiator".to_owned())],
        region: "local".to_owned(),
        node: "node-1".to_owned(),
        transport: "udp".to_owned(),
        relay_transport: "udp".to_owned(),
        listener: "198.51.100.1:3478".to_owned(),
        client_address: "203.0.113.1:4000".to_owned(),
        relayed_addresses: vec!["198.51.100.1:50000".to_owned()],
        tls: None,
        started_at: secs(at),
        last_seen_at: secs(at + 10),
        ended_at: Some(secs(at + 10)),
        end_reason: Some("client_deleted".to_owned()),
        bytes_in: 1000,
        bytes_out: 2000,
        packets_in: 1,
        packets_out: 2,
        peer_bytes_out: 20_000,
        peer_bytes_in: 20_000,
        peer_packets_out: 1,
        peer_packets_in: 1,
        first_data: Some(Duration::from_secs(1)),
        peers: vec![("198.51.100.1:50001".to_owned(), None)],
        refusals: 0,
        moves: 0,
        insight: InsightView {
            first_sent: Some(Duration::from_secs(1)),
            first_heard: Some(Duration::from_secs(2)),
            marks: vec![MarkView {
                after: Duration::from_millis(500),
                kind: "peer_named".to_owned(),
                subject: "198.51.100.1:50001".to_owned(),
                detail: String::new(),
            }],
            ..InsightView::default()
        },
    }
}

fn expired(client: &str, at: u64) -> FailureView {
    FailureView {
        id: "f".to_owned(),
        first_at: secs(at),
        last_at: secs(at),
        count: 1,
        folded: 0,
        reason: FailureReason::Expired,
        username: Some(format!("{client}-user")),
        room: Some("room".to_owned()),
        clients: vec![client.to_owned()],
        role: Some("receiver".to_owned()),
        transport: Some("udp".to_owned()),
        listener: None,
        client_address: Some("203.0.113.2:4000".to_owned()),
        session: None,
        expired_by: Some(Duration::from_secs(4)),
        limit: None,
        peer: None,
        rule: None,
    }
}

#[test]
fn both_sides_are_told_in_one_order() {
    let credentials = [credential(0, ClientRole::Initiator), credential(0, ClientRole::Receiver)];
    let told = timeline(&credentials, &[session("alice", 1)], &[expired("bob", 34)], secs(100));
    let kinds: Vec<(&str, Vec<&str>)> = told
        .entries
        .iter()
        .map(|entry| (entry.kind.as_str(), entry.clients.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("credential_minted", vec!["alice"]),
            ("credential_minted", vec!["bob"]),
            ("allocated", vec!["alice"]),
            ("peer_named", vec!["alice"]),
            ("first_data_sent", vec!["alice"]),
            ("first_data_heard", vec!["alice"]),
            ("ended", vec!["alice"]),
            ("credential_expired", vec!["alice"]),
            ("credential_expired", vec!["bob"]),
            ("refused", vec!["bob"]),
        ]
    );
    assert_eq!(told.call, Some((secs(0), secs(34))));
    assert!(!told.is_cut);
}

#[test]
fn the_verdict_is_about_the_latest_call_only() {
    let mut quiet = session("alice", 1001);
    (quiet.insight.first_sent, quiet.insight.first_heard) = (None, None);
    let told = timeline(
        &[credential(1000, ClientRole::Initiator), credential(1000, ClientRole::Receiver)],
        &[session("alice", 1), session("bob", 1), quiet],
        &[expired("bob", 1034)],
        secs(1100),
    );
    assert_eq!((told.verdict.code, told.verdict.about.as_deref()), (VerdictCode::CredentialExpired, Some("bob")));
    assert_eq!(told.call, Some((secs(1000), secs(1034))));
}

#[test]
fn who_is_named_by_the_others_credential_is_missed() {
    let mut quiet = session("alice", 1);
    (quiet.insight.first_sent, quiet.insight.first_heard) = (None, None);
    let told = timeline(&[credential(0, ClientRole::Initiator)], &[quiet], &[], secs(50));
    assert_eq!(told.verdict.sentence, "bob never came to the relay: no credential was made for that side");
}

#[test]
fn a_long_story_keeps_its_newest_entries() {
    let sessions: Vec<SessionView> = (0..400).map(|n| session("alice", n)).collect();
    let told = timeline(&[], &sessions, &[], secs(1000));
    assert_eq!((told.entries.len(), told.is_cut), (ENTRIES_MAX, true));
    assert_eq!(told.entries.last().map(|entry| entry.at), Some(secs(409)));
}

#[test]
fn nothing_is_told_of_an_empty_room() {
    let told = timeline(&[], &[], &[], secs(0));
    assert_eq!((told.entries.len(), told.call, told.verdict.code), (0, None, VerdictCode::NothingYet));
}
