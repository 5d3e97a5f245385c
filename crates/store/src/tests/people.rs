//! People, sign-ins, links and settings, on both databases.

use std::time::Duration;

use causeway_app::{
    AuditEntry, AuditFilter, CredentialStore, LinkKind, NewUser, OneTimeLink, OrganizationId, PageRequest, PeopleStore,
    ProjectId, Redemption, Store, UserChange, UserId, UserRole,
};

use super::NOW;
use crate::SqlStore;

const ORGANIZATION: OrganizationId = OrganizationId(1);

on_both!(
    a_link_makes_the_first_owner_once,
    a_sign_in_finds_its_person_in_any_project_and_ends,
    the_last_owner_stays,
    somebody_who_is_kept_out_is_told_so,
    the_token_behind_a_person_is_nobodys,
    a_new_password_ends_every_sign_in,
    a_newer_link_replaces_the_older_one,
    only_the_newest_sign_ins_of_a_person_are_kept,
    a_person_is_tied_to_one_subject_of_an_issuer,
    settings_come_back_and_go,
    the_audit_log_names_the_person,
);

fn redemption(first: Option<&str>) -> Redemption {
    let first = first.map(|email| (email.to_owned(), "Ann".to_owned()));
    Redemption { password_hash: "$argon2id$ann".to_owned(), first, name: None }
}

fn link(kind: LinkKind, user: Option<UserId>) -> OneTimeLink {
    OneTimeLink { organization: ORGANIZATION, kind, user, expires_at: NOW.saturating_add(Duration::from_secs(60)) }
}

async fn owner(store: &SqlStore) -> UserId {
    store.insert_link([1; 32], &link(LinkKind::First, None), NOW).await.unwrap();
    store.redeem([1; 32], &redemption(Some("ann@example.net")), NOW).await.unwrap().expect("the link works")
}

async fn add(store: &SqlStore, email: &str, role: UserRole) -> UserId {
    let user = NewUser {
        email: email.to_owned(),
        name: email.to_owned(),
        role,
        password_hash: Some("$argon2id$bob".to_owned()),
        provider_id: None,
    };
    store.insert_user(ORGANIZATION, &user, NOW).await.unwrap()
}

async fn a_link_makes_the_first_owner_once(store: &SqlStore) {
    assert!(!store.has_owner(ORGANIZATION).await.unwrap());
    store.insert_link([1; 32], &link(LinkKind::First, None), NOW).await.unwrap();
    let expiry = NOW.saturating_add(Duration::from_secs(60));
    assert_eq!(store.link([1; 32], NOW).await.unwrap().unwrap(), link(LinkKind::First, None));
    assert_eq!(store.link([1; 32], expiry).await.unwrap(), None, "over");
    assert_eq!(store.redeem([1; 32], &redemption(Some("ann@example.net")), expiry).await.unwrap(), None, "over");
    assert_eq!(store.redeem([2; 32], &redemption(Some("ann@example.net")), NOW).await.unwrap(), None, "unknown");
    let id = store.redeem([1; 32], &redemption(Some("ann@example.net")), NOW).await.unwrap().unwrap();
    assert_eq!(store.redeem([1; 32], &redemption(Some("eve@example.net")), NOW).await.unwrap(), None, "used");
    assert!(store.has_owner(ORGANIZATION).await.unwrap());
    let (user, stored) = store.user_by_email("ann@example.net").await.unwrap().unwrap();
    assert_eq!((user.id, user.role, user.has_password, user.has_provider), (id, UserRole::Owner, true, false));
    assert_eq!(stored.as_deref(), Some("$argon2id$ann"));
    assert_eq!(store.users(ORGANIZATION).await.unwrap(), [user]);
}

async fn a_sign_in_finds_its_person_in_any_project_and_ends(store: &SqlStore) {
    let ann = owner(store).await;
    store.insert_project(ORGANIZATION, "second", NOW).await.unwrap();
    store.insert_sign_in([5; 32], ann, NOW, NOW).await.unwrap();
    let holder = store.sign_in_holder([5; 32], None).await.unwrap().unwrap();
    assert_eq!(holder.caller.project, ProjectId::DEFAULT);
    assert_eq!(holder.caller.person.unwrap().id, ann);
    assert!(holder.caller.organization_wide);
    let elsewhere = store.sign_in_holder([5; 32], Some("second")).await.unwrap().unwrap();
    assert_ne!(elsewhere.caller.project, ProjectId::DEFAULT);
    assert_eq!(store.sign_in_holder([5; 32], Some("third")).await.unwrap(), None);
    let later = NOW.saturating_add(Duration::from_secs(9));
    store.touch_sign_ins(&[([5; 32], later)]).await.unwrap();
    assert_eq!(store.sign_in_holder([5; 32], None).await.unwrap().unwrap().last_used_at, later);
    assert_eq!(store.user(ORGANIZATION, ann).await.unwrap().unwrap().last_seen_at, Some(later));
    store.end_sign_in([5; 32]).await.unwrap();
    assert_eq!(store.sign_in_holder([5; 32], None).await.unwrap(), None);
}

async fn the_last_owner_stays(store: &SqlStore) {
    let ann = owner(store).await;
    let demotion = UserChange { role: Some(UserRole::Viewer), ..UserChange::default() };
    let removal = UserChange { is_disabled: Some(true), ..UserChange::default() };
    assert!(!store.change_user(ORGANIZATION, ann, &demotion).await.unwrap());
    assert!(!store.change_user(ORGANIZATION, ann, &removal).await.unwrap());
    let bob = add(store, "bob@example.net", UserRole::Owner).await;
    assert!(store.change_user(ORGANIZATION, ann, &demotion).await.unwrap());
    assert!(!store.change_user(ORGANIZATION, bob, &removal).await.unwrap());
    assert_eq!(store.user(ORGANIZATION, ann).await.unwrap().unwrap().role, UserRole::Viewer);
    let elsewhere = store.change_user(OrganizationId(2), ann, &demotion).await.unwrap();
    assert!(!elsewhere, "another organization has no owner, and nobody of it is changed");
}

async fn somebody_who_is_kept_out_is_told_so(store: &SqlStore) {
    owner(store).await;
    let bob = add(store, "bob@example.net", UserRole::Operator).await;
    store.insert_sign_in([6; 32], bob, NOW, NOW).await.unwrap();
    let removal = UserChange { is_disabled: Some(true), ..UserChange::default() };
    assert!(store.change_user(ORGANIZATION, bob, &removal).await.unwrap());
    assert!(store.sign_in_holder([6; 32], None).await.unwrap().unwrap().is_disabled);
    store.insert_link([7; 32], &link(LinkKind::Password, Some(bob)), NOW).await.unwrap();
    assert_eq!(store.redeem([7; 32], &redemption(None), NOW).await.unwrap(), None);
}

async fn the_token_behind_a_person_is_nobodys(store: &SqlStore) {
    let ann = owner(store).await;
    store.insert_sign_in([5; 32], ann, NOW, NOW).await.unwrap();
    let caller = store.sign_in_holder([5; 32], None).await.unwrap().unwrap().caller;
    let mut hash = [0; 32];
    hash[..6].copy_from_slice(b"user 1");
    assert_eq!(store.token_holder(hash, None).await.unwrap(), None);
    let listed = store.tokens(caller).await.unwrap();
    assert!(listed.iter().all(|token| token.id != caller.token), "{listed:?}");
    assert!(!store.revoke_token(caller, caller.token, NOW).await.unwrap());
}

async fn a_new_password_ends_every_sign_in(store: &SqlStore) {
    let ann = owner(store).await;
    for number in [5, 6] {
        store.insert_sign_in([number; 32], ann, NOW, NOW).await.unwrap();
    }
    store.insert_link([7; 32], &link(LinkKind::Password, Some(ann)), NOW).await.unwrap();
    assert_eq!(store.redeem([7; 32], &redemption(None), NOW).await.unwrap(), Some(ann));
    for number in [5, 6] {
        assert_eq!(store.sign_in_holder([number; 32], None).await.unwrap(), None);
    }
}

async fn a_newer_link_replaces_the_older_one(store: &SqlStore) {
    store.insert_link([1; 32], &link(LinkKind::First, None), NOW).await.unwrap();
    store.insert_link([2; 32], &link(LinkKind::First, None), NOW).await.unwrap();
    assert_eq!(store.link([1; 32], NOW).await.unwrap(), None);
    assert!(store.link([2; 32], NOW).await.unwrap().is_some());
    let bob = add(store, "bob@example.net", UserRole::Viewer).await;
    store.insert_link([3; 32], &link(LinkKind::Invitation, Some(bob)), NOW).await.unwrap();
    assert!(store.link([2; 32], NOW).await.unwrap().is_some(), "another person's stays");
}

async fn only_the_newest_sign_ins_of_a_person_are_kept(store: &SqlStore) {
    let ann = owner(store).await;
    for number in 0..51_u8 {
        let at = NOW.saturating_add(Duration::from_secs(number.into()));
        store.insert_sign_in([number; 32], ann, at, NOW).await.unwrap();
    }
    assert_eq!(store.sign_in_holder([0; 32], None).await.unwrap(), None);
    assert!(store.sign_in_holder([1; 32], None).await.unwrap().is_some());
    let later = NOW.saturating_add(Duration::from_secs(50));
    store.insert_sign_in([99; 32], ann, later, later).await.unwrap();
    assert_eq!(store.sign_in_holder([49; 32], None).await.unwrap(), None, "older than is remembered");
}

async fn a_person_is_tied_to_one_subject_of_an_issuer(store: &SqlStore) {
    let (first, second) = ("https://one.example ", "https://two.example/_% ");
    let bob = add(store, "bob@example.net", UserRole::Viewer).await;
    let eve = add(store, "eve@example.net", UserRole::Viewer).await;
    store.insert_link([3; 32], &link(LinkKind::Invitation, Some(bob)), NOW).await.unwrap();
    store.insert_link([4; 32], &link(LinkKind::Password, Some(bob)), NOW).await.unwrap();
    store.insert_link([5; 32], &link(LinkKind::Invitation, Some(eve)), NOW).await.unwrap();
    assert!(store.tie_user(bob, &format!("{first}7"), first).await.unwrap());
    assert_eq!(store.link([3; 32], NOW).await.unwrap(), None, "an invitation is over");
    assert!(store.link([4; 32], NOW).await.unwrap().is_some(), "a new password stays possible");
    assert!(store.link([5; 32], NOW).await.unwrap().is_some(), "another person's stays");
    assert!(!store.tie_user(bob, &format!("{first}8"), first).await.unwrap(), "another subject of the same issuer");
    assert_eq!(store.user_by_provider(&format!("{first}7")).await.unwrap().unwrap().id, bob);
    assert!(store.tie_user(bob, &format!("{second}7"), second).await.unwrap(), "another issuer");
    assert!(!store.tie_user(bob, &format!("{second}8"), second).await.unwrap());
    assert_eq!(store.user_by_provider(&format!("{first}7")).await.unwrap(), None);
    assert!(store.user_by_provider(&format!("{second}7")).await.unwrap().unwrap().has_provider);
    assert!(store.tie_user(eve, &format!("{second}7"), second).await.is_err(), "a subject is one person");
}

async fn settings_come_back_and_go(store: &SqlStore) {
    let price = || Some("0.05".to_owned());
    store.put_settings(ORGANIZATION, &[("price_per_gb", price()), ("currency", Some("EUR".to_owned()))]).await.unwrap();
    store.put_settings(ORGANIZATION, &[("price_per_gb", Some("0.06".to_owned())), ("currency", None)]).await.unwrap();
    assert_eq!(store.settings(ORGANIZATION).await.unwrap(), [("price_per_gb".to_owned(), "0.06".to_owned())]);
}

async fn the_audit_log_names_the_person(store: &SqlStore) {
    let ann = owner(store).await;
    store.insert_sign_in([5; 32], ann, NOW, NOW).await.unwrap();
    let caller = store.sign_in_holder([5; 32], None).await.unwrap().unwrap().caller;
    let entry = AuditEntry::by(caller, "user.invite", "7".to_owned(), "{}".to_owned(), NOW);
    store.audit(&entry).await.unwrap();
    let read =
        store.audit_log(ProjectId::DEFAULT, &AuditFilter::default(), &PageRequest::default()).await.unwrap().items;
    assert_eq!(read[0].email.as_deref(), Some("ann@example.net"));
    assert_eq!(read[0].entry, entry);
}
