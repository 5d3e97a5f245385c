use super::*;

const START: UnixTime = UnixTime::from_secs(1_790_000_000);
const ALICE_HOME: [u8; 4] = [203, 0, 113, 1];
const BOB_HOME: [u8; 4] = [203, 0, 113, 2];
const RELAY: [u8; 4] = [198, 51, 100, 1];

fn secs(secs: u64) -> UnixTime {
    START.saturating_add(Duration::from_secs(secs))
}

fn party(name: &str) -> PartyFacts {
    PartyFacts { name: name.to_owned(), minted: Some(START), ..PartyFacts::default() }
}

/// A session that named the relay's address, where every relayed address is.
fn session(id: &str, home: [u8; 4]) -> SessionFacts {
    SessionFacts {
        id: id.to_owned(),
        started: secs(1),
        lasted: Duration::from_secs(60),
        end_reason: None,
        transport: "udp".to_owned(),
        first_sent: None,
        first_heard: None,
        udp_unanswered: None,
        payload_bytes: 0,
        peers: vec![(Some(RELAY.into()), None)],
        own_addresses: vec![RELAY.into(), home.into()],
    }
}

fn flowing(id: &str, home: [u8; 4]) -> SessionFacts {
    SessionFacts {
        first_sent: Some(Duration::from_millis(200)),
        first_heard: Some(Duration::from_millis(300)),
        payload_bytes: 1_200_000,
        ..session(id, home)
    }
}

fn refused(reason: FailureReason) -> RefusedFacts {
    RefusedFacts { at: secs(4), last: secs(4), reason, count: 3, expired_by: None, limit: None, peer: None, rule: None }
}

fn alice() -> PartyFacts {
    PartyFacts { sessions: vec![session("a", ALICE_HOME)], ..party("alice") }
}

fn bob() -> PartyFacts {
    PartyFacts { sessions: vec![session("b", BOB_HOME)], ..party("bob") }
}

#[track_caller]
fn check(parties: impl IntoIterator<Item = PartyFacts>, code: VerdictCode, about: Option<&str>, sentence: &str) {
    let said = verdict(&CallFacts { parties: parties.into_iter().collect() });
    assert_eq!((said.code, said.about.as_deref(), said.sentence.as_str()), (code, about, sentence));
}

#[test]
fn an_expired_credential_is_named_with_how_long() {
    let expired = RefusedFacts { expired_by: Some(Duration::from_millis(4200)), ..refused(FailureReason::Expired) };
    let bob = PartyFacts { refused: vec![expired], ..party("bob") };
    check(
        [alice(), bob],
        VerdictCode::CredentialExpired,
        Some("bob"),
        "bob's credential had expired 4 s before the first attempt",
    );
}

#[test]
fn a_wrong_password_is_named_even_after_an_earlier_session() {
    let wrong = vec![refused(FailureReason::WrongKey)];
    for sessions in [Vec::new(), vec![session("b", BOB_HOME)]] {
        let bob = PartyFacts { refused: wrong.clone(), sessions, ..party("bob") };
        check(
            [alice(), bob],
            VerdictCode::WrongPassword,
            Some("bob"),
            "bob was refused 3 times: the password is wrong for the user name",
        );
    }
}

#[test]
fn a_used_up_quota_is_named_by_its_limit() {
    let quota =
        RefusedFacts { count: 1, limit: Some("allocations_per_user_max".to_owned()), ..refused(FailureReason::Quota) };
    let bob = PartyFacts { refused: vec![quota], ..bob() };
    check(
        [alice(), bob],
        VerdictCode::Quota,
        Some("bob"),
        "bob was refused once: the quota allocations_per_user_max was used up",
    );
}

#[test]
fn a_call_that_was_cut_by_a_byte_quota_says_so() {
    let cut = SessionFacts { end_reason: Some("quota_reached".to_owned()), ..flowing("b", BOB_HOME) };
    let bob = PartyFacts { sessions: vec![cut], ..party("bob") };
    let alice = PartyFacts { sessions: vec![flowing("a", ALICE_HOME)], ..party("alice") };
    check(
        [alice, bob],
        VerdictCode::QuotaCut,
        Some("bob"),
        "data flowed both ways until bob's credential had carried all its bytes (1.2 MB in 60 s)",
    );
}

#[test]
fn a_forbidden_peer_is_named_with_its_rule_when_no_other_would_do() {
    let forbidden = RefusedFacts {
        peer: Some("10.0.0.5:5000".to_owned()),
        rule: Some("default: private 10.0.0.0/8".to_owned()),
        ..refused(FailureReason::ForbiddenPeer)
    };
    let lost = SessionFacts { peers: Vec::new(), ..session("a", ALICE_HOME) };
    let alice = PartyFacts { refused: vec![forbidden], sessions: vec![lost], ..party("alice") };
    let sentence = "alice asked for the peer 10.0.0.5:5000, which the peer policy forbids (default: private 10.0.0.0/8), \
                    and for no other that works";
    check([alice.clone(), bob()], VerdictCode::ForbiddenPeer, Some("alice"), sentence);
    check([alice.clone(), party("bob")], VerdictCode::ForbiddenPeer, Some("alice"), sentence);
    // With the other's address permitted as well, the forbidden one was a candidate among others.
    let alice = PartyFacts { sessions: vec![session("a", ALICE_HOME)], ..alice };
    let sentence = "alice and bob came to the relay and sent no data through it; they may talk directly";
    check([alice, bob()], VerdictCode::NoData, None, sentence);
}

#[test]
fn forbidden_candidates_do_not_spoil_a_call_that_works() {
    let refusals = vec![refused(FailureReason::ForbiddenPeer)];
    let alice = PartyFacts { refused: refusals, sessions: vec![flowing("a", ALICE_HOME)], ..party("alice") };
    let bob = PartyFacts { sessions: vec![flowing("b", BOB_HOME)], ..party("bob") };
    check(
        [alice, bob],
        VerdictCode::Relayed,
        None,
        "all well: both sides used the relay, over UDP; data flowed both ways after 0.3 s, 1.2 MB so far",
    );
}

#[test]
fn tls_after_udp_went_unanswered_counts_from_the_first_try() {
    let tls = SessionFacts {
        transport: "tls".to_owned(),
        udp_unanswered: Some(Duration::from_secs(1)),
        ..flowing("a", ALICE_HOME)
    };
    let alice = PartyFacts { sessions: vec![tls], ..party("alice") };
    let bob = PartyFacts { sessions: vec![flowing("b", BOB_HOME)], ..party("bob") };
    check(
        [alice.clone(), bob.clone()],
        VerdictCode::UdpUnanswered,
        Some("alice"),
        "alice reached the relay by TLS only after UDP went unanswered; data flowed both ways after 1.3 s",
    );
    let mut unseen = alice.clone();
    unseen.sessions[0].udp_unanswered = None;
    check(
        [unseen, bob.clone()],
        VerdictCode::UdpNeverSeen,
        Some("alice"),
        "alice reached the relay by TLS only, nothing came by UDP; data flowed both ways after 0.3 s",
    );
    // A client that came by UDP as well had a choice.
    let mut both = alice;
    both.sessions.push(session("a2", ALICE_HOME));
    let said = verdict(&CallFacts { parties: vec![both, bob] });
    assert_eq!(said.code, VerdictCode::Relayed);
}

#[test]
fn a_side_that_never_came_is_named_with_or_without_a_credential() {
    check(
        [alice(), party("bob")],
        VerdictCode::NeverArrived,
        Some("bob"),
        "bob never came to the relay: nothing arrived with that credential",
    );
    let unminted = PartyFacts { minted: None, ..party("bob") };
    check(
        [alice(), unminted],
        VerdictCode::NeverArrived,
        Some("bob"),
        "bob never came to the relay: no credential was made for that side",
    );
    let both = PartyFacts { is_shared: true, sessions: vec![session("a", ALICE_HOME)], ..party("alice and bob") };
    check([both], VerdictCode::NeverArrived, Some("alice and bob"), "only one of alice and bob came to the relay");
}

#[test]
fn a_missing_permission_is_the_fault_of_the_side_that_did_not_ask() {
    let deaf = SessionFacts { peers: vec![(Some([192, 0, 2, 77].into()), None)], ..session("b", BOB_HOME) };
    let bob = PartyFacts { sessions: vec![deaf], ..party("bob") };
    let sending = SessionFacts { first_sent: Some(Duration::from_millis(100)), ..session("a", ALICE_HOME) };
    for alice in [alice(), PartyFacts { sessions: vec![sending], ..party("alice") }] {
        check(
            [alice, bob.clone()],
            VerdictCode::NoPermission,
            Some("bob"),
            "bob never sent a permission for alice's address",
        );
    }
    let none = |name: &str| PartyFacts {
        sessions: vec![SessionFacts { peers: Vec::new(), ..session(name, ALICE_HOME) }],
        ..party(name)
    };
    check(
        [none("alice"), none("bob")],
        VerdictCode::NoPermission,
        None,
        "neither alice nor bob sent a permission for the other's address",
    );
    // The privacy setting drops addresses: what is not known is not said.
    let dropped = SessionFacts { peers: vec![(None, None)], ..session("b", BOB_HOME) };
    let bob = PartyFacts { sessions: vec![dropped], ..party("bob") };
    assert_eq!(verdict(&CallFacts { parties: vec![alice(), bob] }).code, VerdictCode::NoData);
}

#[test]
fn data_one_way_only_says_which() {
    let sending = SessionFacts { first_sent: Some(Duration::from_millis(100)), ..session("a", ALICE_HOME) };
    let talking = PartyFacts { sessions: vec![sending], ..party("alice") };
    check([talking, bob()], VerdictCode::OneWay, Some("alice"), "alice sent data and nothing came back from bob");
    let hearing = SessionFacts { first_heard: Some(Duration::from_millis(100)), ..session("b", BOB_HOME) };
    let bob = PartyFacts { sessions: vec![hearing], ..party("bob") };
    check([alice(), bob], VerdictCode::OneWay, Some("bob"), "bob heard data and sent none back to alice");
}

#[test]
fn all_well_says_who_needed_the_relay_and_checks_only_mean_a_direct_call() {
    let alice = PartyFacts { sessions: vec![flowing("a", ALICE_HOME)], ..party("alice") };
    let ended = SessionFacts { end_reason: Some("client_deleted".to_owned()), ..flowing("a", ALICE_HOME) };
    let past = PartyFacts { sessions: vec![ended], ..party("alice") };
    check(
        [past, bob()],
        VerdictCode::Relayed,
        None,
        "all well: only alice's side needed the relay, over UDP; data flowed both ways after 0.3 s, 1.2 MB in all",
    );
    let checks = SessionFacts { payload_bytes: 2100, lasted: Duration::from_secs(600), ..flowing("a", ALICE_HOME) };
    let alice = PartyFacts { sessions: vec![checks], ..alice };
    check(
        [alice, bob()],
        VerdictCode::Direct,
        None,
        "alice and bob most likely talk directly: the relay carried connectivity checks only (2.1 kB in 10 min)",
    );
}

#[test]
fn before_anything_happened_that_is_what_is_said() {
    check([], VerdictCode::NothingYet, None, "nobody has come to the relay yet");
    check(
        [party("alice"), party("bob")],
        VerdictCode::NothingYet,
        None,
        "a credential was made for alice and bob; nobody has come to the relay with it yet",
    );
    let young =
        |id: &str, home| SessionFacts { lasted: Duration::from_secs(1), peers: Vec::new(), ..session(id, home) };
    let alice = PartyFacts { sessions: vec![young("a", ALICE_HOME)], ..party("alice") };
    let bob = PartyFacts { sessions: vec![young("b", BOB_HOME)], ..party("bob") };
    check([alice, bob], VerdictCode::Connecting, None, "the call has only begun; no data so far");
}

#[test]
fn other_refusals_have_a_sentence_each() {
    for (reason, code, sentence) in [
        (
            FailureReason::Revoked,
            VerdictCode::CredentialRevoked,
            "bob was refused 3 times: the credential had been revoked",
        ),
        (
            FailureReason::OtherAddress,
            VerdictCode::Refused,
            "bob was refused 3 times: the credential is bound to another client address",
        ),
        (
            FailureReason::Unavailable,
            VerdictCode::Refused,
            "bob was refused 3 times: the server could not look the credential up",
        ),
        (FailureReason::BidDown, VerdictCode::Refused, "bob was refused 3 times: bid down"),
    ] {
        let bob = PartyFacts { refused: vec![refused(reason)], ..party("bob") };
        check([alice(), bob], code, Some("bob"), sentence);
    }
}
