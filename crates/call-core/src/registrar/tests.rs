//! The registrar, rule by rule.

use super::*;
use crate::{AccountId, NodeId};

const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };

fn now(secs: u64) -> Now {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(|| Now::read().mono);
    Now { mono: *START + Duration::from_secs(secs), unix: UnixTime::from_secs(1_000 + secs) }
}

fn connection(number: u64) -> ConnectionId {
    ConnectionId { node: NodeId(1), number }
}

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

fn registration(name: &str, number: u64, contact: &str) -> Registration {
    Registration {
        identity: identity(name),
        route: LegRoute { connection: connection(number), traits: TRAITS },
        contact: Arc::from(contact),
        lifetime: Duration::from_secs(600),
        is_ringable: true,
        grant: Arc::from(""),
    }
}

fn contacts(registrar: &Registrar, name: &str) -> Vec<String> {
    registrar.locate(&identity(name)).into_iter().map(|binding| binding.contact.to_string()).collect()
}

fn kinds(registrar: &mut Registrar) -> Vec<(PresenceKind, usize)> {
    std::iter::from_fn(|| registrar.poll_output()).map(|change| (change.kind, change.left)).collect()
}

#[test]
fn the_newest_binding_comes_first_and_a_refresh_keeps_its_place() {
    let mut registrar = Registrar::default();
    for (number, contact) in [(1, "a"), (2, "b"), (3, "c")] {
        registrar.handle_register(now(0), registration("bob", number, contact)).unwrap();
    }
    let again = registrar.handle_register(now(5), registration("bob", 1, "a")).unwrap();
    assert!(again.is_refresh);
    assert_eq!(contacts(&registrar, "bob"), ["c", "b", "a"]);
    let oldest = registrar.bindings_of(&identity("bob")).last().unwrap();
    assert_eq!((oldest.since, oldest.updated), (UnixTime::from_secs(1000), UnixTime::from_secs(1005)));
}

#[test]
fn a_binding_goes_with_its_connection_and_the_count_is_told() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    registrar.handle_register(now(0), registration("bob", 2, "b")).unwrap();
    registrar.handle_connection_lost(now(1), connection(2));
    assert_eq!(contacts(&registrar, "bob"), ["a"]);
    assert_eq!(
        kinds(&mut registrar),
        [(PresenceKind::Appeared, 1), (PresenceKind::Appeared, 2), (PresenceKind::ConnectionLost, 1)]
    );
}

#[test]
fn only_the_owning_connection_takes_a_binding_back() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    assert!(!registrar.handle_unregister(now(1), connection(2), &identity("bob"), "a"));
    assert!(!registrar.handle_unregister(now(1), connection(1), &identity("bob"), "other"));
    assert!(registrar.handle_unregister(now(1), connection(1), &identity("bob"), "a"));
    assert!(registrar.is_empty());
}

#[test]
fn a_binding_lives_to_its_deadline_and_not_beyond() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    registrar.handle_timeout(now(599));
    assert_eq!(registrar.len(), 1);
    assert_eq!(registrar.poll_timeout(), Some(now(600).mono));
    registrar.handle_timeout(now(600));
    assert!(registrar.is_empty());
    assert_eq!(kinds(&mut registrar).last(), Some(&(PresenceKind::Expired, 0)));
}

#[test]
fn a_contact_that_comes_over_another_connection_moves_there() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    registrar.handle_register(now(1), registration("bob", 2, "a")).unwrap();
    registrar.handle_connection_lost(now(2), connection(1));
    assert_eq!(registrar.locate(&identity("bob"))[0].route.connection, connection(2));
    registrar.handle_connection_lost(now(2), connection(2));
    assert!(registrar.is_empty());
}

#[test]
fn a_client_that_only_places_calls_does_not_ring() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), Registration { is_ringable: false, ..registration("bob", 1, "a") }).unwrap();
    assert_eq!(contacts(&registrar, "bob"), [""; 0]);
    assert_eq!(kinds(&mut registrar), [(PresenceKind::Appeared, 0)]);
}

#[test]
fn identities_of_two_accounts_never_meet() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    assert!(registrar.locate(&Identity::new(AccountId(2), "bob")).is_empty());
}

#[test]
fn a_resumed_connection_takes_its_bindings_along_in_their_places() {
    let mut registrar = Registrar::default();
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    registrar.handle_register(now(0), registration("bob", 2, "b")).unwrap();
    let route = LegRoute { connection: connection(9), traits: TRAITS };
    assert_eq!(registrar.handle_connection_resumed(connection(1), route), 1);
    assert_eq!(contacts(&registrar, "bob"), ["b", "a"]);
    registrar.handle_connection_lost(now(1), connection(1));
    assert_eq!(contacts(&registrar, "bob"), ["b", "a"], "the old connection has nothing left");
}

#[test]
fn a_revoked_binding_is_gone_at_once() {
    let mut registrar = Registrar::default();
    let registered = registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    assert!(registrar.handle_revoked(now(0), registered.binding));
    assert!(!registrar.handle_revoked(now(0), registered.binding));
    assert!(registrar.is_empty());
}

#[test]
fn every_limit_holds_at_itself_and_refuses_one_more() {
    let limits = RegistrarLimits {
        bindings_max: 4,
        bindings_per_identity_max: 3,
        bindings_per_connection_max: 2,
        bindings_per_grant_max: 9,
    };
    let mut registrar = Registrar::new(limits);
    registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap();
    registrar.handle_register(now(0), registration("bob", 1, "b")).unwrap();
    let refused = registrar.handle_register(now(0), registration("bob", 1, "c"));
    assert_eq!(refused.unwrap_err(), RegisterRefusal::TooManyOnConnection);
    registrar.handle_register(now(0), registration("bob", 2, "c")).unwrap();
    let refused = registrar.handle_register(now(0), registration("bob", 3, "d"));
    assert_eq!(refused.unwrap_err(), RegisterRefusal::TooManyOfIdentity);
    registrar.handle_register(now(0), registration("eve", 3, "d")).unwrap();
    let refused = registrar.handle_register(now(0), registration("kim", 4, "e"));
    assert_eq!(refused.unwrap_err(), RegisterRefusal::TooMany);
    assert!(
        registrar.handle_register(now(0), registration("bob", 1, "a")).unwrap().is_refresh,
        "a refresh is not one more"
    );
}

#[test]
fn a_grant_holds_so_many_bindings_and_moves_with_a_refresh() {
    let limits = RegistrarLimits { bindings_per_grant_max: 2, ..RegistrarLimits::default() };
    let mut registrar = Registrar::new(limits);
    let with =
        |name: &str, number, grant: &str| Registration { grant: Arc::from(grant), ..registration(name, number, "a") };
    registrar.handle_register(now(0), with("bob", 1, "t1")).unwrap();
    registrar.handle_register(now(0), with("eve", 2, "t1")).unwrap();
    assert_eq!(registrar.handle_register(now(0), with("zoe", 3, "t1")), Err(RegisterRefusal::TooManyOfGrant));
    registrar.handle_register(now(0), with("zoe", 3, "")).unwrap();
    registrar.handle_register(now(1), with("bob", 1, "t2")).unwrap();
    registrar.handle_register(now(1), with("ann", 4, "t1")).unwrap();
    for number in 1..=4 {
        registrar.handle_connection_lost(now(2), connection(number));
    }
    assert!(registrar.is_empty());
}
