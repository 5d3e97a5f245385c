//! Client tokens, what signs them, and accounts.

use std::time::Duration;

use causeway_app::{
    ClientTokenFilter, ClientTokenStore, NewClientToken, OrganizationId, PageRequest, RevokeClientTokens, SipUserStore,
    Store, StoreError, StoredSigningKey, StoredSipUser, TokenId,
};
use causeway_credentials::client_token::{AccessLabel, Callees, ClientId};
use causeway_types::{Secret, UnixTime};

use super::{NOW, ProjectId, SqlStore};

const MONTH: &str = "2026-11";

fn later(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("a good name")
}

fn token(id: &str, name: &str, secs: u64) -> NewClientToken {
    NewClientToken {
        id: id.to_owned(),
        client: client(name),
        token: TokenId(1),
        issued_at: later(secs),
        expires_at: later(secs + 600),
        allows_incoming: true,
        callees: Callees::new(["bob", "team-*"]).expect("good patterns"),
    }
}

async fn insert(store: &SqlStore, project: ProjectId, token: &NewClientToken) {
    assert!(store.insert_client_token(project, token, MONTH, 1000).await.expect("kept"));
}

pub(super) async fn client_tokens_come_back_and_are_revoked_by_id_client_and_project(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let other = store.insert_project(OrganizationId(1), "other", NOW).await.expect("made");
    for (id, name, secs) in [("a", "alice", 0), ("b", "bob", 1), ("c", "bob", 1), ("d", "carol", 2)] {
        insert(store, project, &token(id, name, secs)).await;
    }
    insert(store, other, &token("e", "bob", 1)).await;
    let clash = store.insert_client_token(project, &token("a", "alice", 0), MONTH, 1000).await;
    assert!(matches!(clash, Err(StoreError::Exists { .. })));

    let list = async |filter: ClientTokenFilter, now| {
        let page = store.client_tokens(project, &filter, &PageRequest::default(), now).await.expect("listed");
        page.items.into_iter().map(|token| token.id).collect::<Vec<_>>()
    };
    let all = ClientTokenFilter::default();
    assert_eq!(list(all.clone(), NOW).await, ["d", "c", "b", "a"], "the newest first");
    let of_bob = ClientTokenFilter { client: Some(client("bob")), active: None };
    assert_eq!(list(of_bob, NOW).await, ["c", "b"]);
    let active = ClientTokenFilter { client: None, active: Some(true) };
    assert_eq!(list(active.clone(), later(601)).await, ["d"], "at its last second it is over");

    let page = PageRequest { limit: 3, after: None };
    let first = store.client_tokens(project, &all, &page, NOW).await.expect("listed");
    let page = PageRequest { limit: 3, after: first.next };
    let rest = store.client_tokens(project, &all, &page, NOW).await.expect("listed");
    assert_eq!((rest.items[0].id.as_str(), rest.items.len(), rest.next), ("a", 1, None));
    assert_eq!(rest.items[0].callees, ["bob", "team-*"]);
    assert!(rest.items[0].allows_incoming && rest.items[0].revoked_at.is_none());
    let page = PageRequest { limit: 3, after: Some("x".to_owned()) };
    assert!(matches!(store.client_tokens(project, &all, &page, NOW).await, Err(StoreError::BadCursor)));

    let revoke = async |by| store.revoke_client_tokens(project, &by, NOW).await.expect("revoked");
    assert_eq!(revoke(RevokeClientTokens::Id("e".to_owned())).await, 0, "another project's");
    assert_eq!(revoke(RevokeClientTokens::Id("a".to_owned())).await, 1);
    assert_eq!(revoke(RevokeClientTokens::Id("a".to_owned())).await, 0);
    assert_eq!(revoke(RevokeClientTokens::Client(client("bob"))).await, 2);
    let mut revoked = store.revoked_client_tokens(NOW).await.expect("told");
    revoked.sort();
    assert_eq!(revoked, ["a", "b", "c"]);
    assert_eq!(store.revoked_client_tokens(later(600)).await.expect("told").len(), 2, "what expired needs no telling");
    assert_eq!(revoke(RevokeClientTokens::Project).await, 1);
    assert!(list(active, NOW).await.is_empty());

    assert_eq!(store.forget_client_tokens(later(600)).await.expect("forgotten"), 0);
    assert_eq!(store.forget_client_tokens(later(601)).await.expect("forgotten"), 1);
}

pub(super) async fn a_project_mints_its_quota_of_client_tokens_in_a_month_and_not_one_more(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    for id in ["a", "b"] {
        assert!(store.insert_client_token(project, &token(id, "bob", 0), MONTH, 2).await.expect("answers"));
    }
    assert!(!store.insert_client_token(project, &token("c", "bob", 0), MONTH, 2).await.expect("answers"));
    assert_eq!(store.client_tokens_minted(project, MONTH).await.expect("told"), 2);
    let kept = store.client_tokens(project, &ClientTokenFilter::default(), &PageRequest::default(), NOW).await;
    assert_eq!(kept.expect("listed").items.len(), 2, "what was refused is not kept");
    assert!(store.insert_client_token(project, &token("d", "bob", 0), "2026-12", 2).await.expect("answers"));
    assert!(store.insert_client_token(project, &token("e", "bob", 0), MONTH, 3).await.expect("answers"));
    assert!(!store.insert_client_token(project, &token("f", "bob", 0), "2027-01", 0).await.expect("answers"));
    assert_eq!(store.client_tokens_minted(project, "2027-01").await.expect("told"), 0);
}

pub(super) async fn the_newest_signing_key_signs_and_others_end_after_the_overlap(store: &SqlStore) {
    let key = |kid: &str, secs| StoredSigningKey {
        kid: kid.to_owned(),
        pkcs8: Secret::new(vec![1, 2, 3]),
        created_at: later(secs),
        verifies_until: None,
    };
    let told = async |now| {
        let keys = store.signing_keys(now).await.expect("told");
        keys.into_iter().map(|key| (key.kid, key.verifies_until)).collect::<Vec<_>>()
    };
    assert!(told(NOW).await.is_empty());
    store.insert_signing_key(&key("first", 0), later(100)).await.expect("kept");
    store.insert_signing_key(&key("second", 10), later(110)).await.expect("kept");
    store.insert_signing_key(&key("third", 20), later(120)).await.expect("kept");
    let expected = [("third", None), ("second", Some(later(120))), ("first", Some(later(110)))];
    let named = |keys: &[(&str, Option<UnixTime>)]| -> Vec<(String, Option<UnixTime>)> {
        keys.iter().map(|(kid, until)| ((*kid).to_owned(), *until)).collect()
    };
    assert_eq!(told(NOW).await, named(&expected));
    assert_eq!(told(later(110)).await, named(&expected[..2]));
    assert_eq!(store.signing_keys(NOW).await.expect("told")[0].pkcs8.expose(), &[1, 2, 3]);
    store.forget_client_tokens(later(115)).await.expect("forgotten");
    assert_eq!(told(NOW).await, named(&expected[..2]));
}

pub(super) async fn an_account_is_found_by_its_project_and_its_label(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let other = store.insert_project(OrganizationId(1), "other", NOW).await.expect("made");
    let label = |text: &str| AccessLabel::new(text).expect("a good label");
    assert!(store.client_account(project).await.expect("asked").is_none());
    store.set_client_access(project, &label("first")).await.expect("set");
    assert!(matches!(store.set_client_access(other, &label("first")).await, Err(StoreError::Exists { .. })));
    store.set_client_access(project, &label("second")).await.expect("set");
    store.set_client_access(other, &label("first")).await.expect("it is free again");
    let found = store.client_account_of(&label("first")).await.expect("asked").expect("there");
    assert_eq!((found.project, found.organization, found.is_project_disabled), (other, OrganizationId(1), false));
    assert_eq!(store.client_account(project).await.expect("asked").expect("there").access, label("second"));
    assert!(store.disable_project(OrganizationId(1), "other", true).await.expect("done"));
    assert!(store.client_account_of(&label("first")).await.expect("asked").expect("there").is_project_disabled);
    assert!(store.client_account_of(&label("third")).await.expect("asked").is_none());
}

pub(super) async fn sip_users_are_told_apart_by_project_and_end_with_it(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let other = store.insert_project(OrganizationId(1), "other", NOW).await.expect("made");
    let user = |project, name: &str| StoredSipUser {
        project,
        name: name.to_owned(),
        realm: "causeway".to_owned(),
        md5: Secret::new(format!("md5 of {name}")),
        sha256: Secret::new(format!("sha256 of {name}")),
        created_at: NOW,
    };
    for (project, name) in [(project, "bob"), (project, "alice"), (other, "bob")] {
        store.insert_sip_user(&user(project, name)).await.expect("kept");
    }
    assert!(matches!(store.insert_sip_user(&user(other, "bob")).await, Err(StoreError::Exists { .. })));
    let found = store.sip_user(other, "bob").await.expect("asked").expect("there");
    assert_eq!((found.project, found.md5.expose().as_str(), found.created_at), (other, "md5 of bob", NOW));
    assert!(store.sip_user(other, "alice").await.expect("asked").is_none());
    let names = async |after: Option<&str>| {
        let users = store.sip_users(project, after, 5).await.expect("listed");
        users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(None).await, names(Some("alice")).await),
        (vec!["alice".into(), "bob".into()], vec!["bob".into()])
    );
    assert_eq!(store.sip_user_count(project).await.expect("counted"), 2);
    assert!(store.disable_project(OrganizationId(1), "other", true).await.expect("done"));
    assert!(store.sip_user(other, "bob").await.expect("asked").is_none(), "its project is disabled");
    assert!(store.delete_sip_user(project, "bob").await.expect("done"));
    assert!(!store.delete_sip_user(project, "bob").await.expect("done"));
    assert_eq!(store.sip_user_count(project).await.expect("counted"), 1);
}
