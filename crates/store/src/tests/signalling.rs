//! Access keys and signalling channels.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{
    AccessKey, AccessKeyStore, ChannelChange, KeyGrant, KeyPreset, NewAccessKey, Page, PageRequest, SignalChannel,
    SignalChannelId, SignalChannelStore, Store, StoreError, TokenId,
};
use causeway_types::{Secret, UnixTime};

use super::{NOW, ProjectId, SqlStore, token};

fn key(id: &str, token: Option<TokenId>) -> NewAccessKey {
    NewAccessKey {
        id: id.to_owned(),
        secret: Secret::new("secret".to_owned()),
        session_token: token.map(|_| Secret::new("session".to_owned())),
        grant: KeyGrant { preset: KeyPreset::Viewer, channel: Some("cam-*".to_owned()), client: Some("me".to_owned()) },
        name: "door".to_owned(),
        token,
        expires_at: token.map(|_| NOW.saturating_add(Duration::from_secs(60))),
    }
}

pub(super) async fn access_keys_come_back_and_end_with_their_token(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let minting = store.insert_token(project, &token(9, "minting"), NOW).await.expect("inserted");
    store.insert_access_key(project, &key("LASTING", None), NOW).await.expect("inserted");
    store.insert_access_key(project, &key("TEMPORARY", Some(minting)), NOW).await.expect("inserted");
    let clash = store.insert_access_key(project, &key("LASTING", None), NOW).await;
    assert!(matches!(clash, Err(StoreError::Exists { .. })));

    let found = store.access_key("LASTING").await.expect("answers").expect("there");
    assert_eq!((found.grant.clone(), found.name.as_str()), (key("LASTING", None).grant, "door"));
    assert_eq!((found.secret.expose().as_str(), found.created_at, found.revoked_at), ("secret", NOW, None));
    assert_ne!(found.token, minting);
    assert!(store.access_key("lasting").await.expect("answers").is_none());
    let listed: Vec<String> =
        store.access_keys(project).await.expect("answers").into_iter().map(|key| key.id).collect();
    assert_eq!(listed, ["LASTING"], "temporary ones are not listed");

    for (id, secs) in [("TEMP-B", 90), ("TEMP-A", 90)] {
        let expires_at = Some(NOW.saturating_add(Duration::from_secs(secs)));
        let key = NewAccessKey { expires_at, ..key(id, Some(minting)) };
        store.insert_access_key(project, &key, NOW).await.expect("inserted");
    }
    let ids = |page: &Page<AccessKey>| page.items.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
    let first = PageRequest { limit: 2, after: None };
    let page = store.temporary_keys(project, NOW, &first).await.expect("answers");
    assert_eq!(ids(&page), ["TEMP-A", "TEMP-B"], "those that end last first");
    let second = PageRequest { limit: 2, after: page.next };
    let page = store.temporary_keys(project, NOW, &second).await.expect("answers");
    assert_eq!((ids(&page), page.next), (vec!["TEMPORARY".to_owned()], None));
    let in_a_minute = NOW.saturating_add(Duration::from_secs(60));
    assert_eq!(ids(&store.temporary_keys(project, in_a_minute, &first).await.expect("answers")), ["TEMP-A", "TEMP-B"]);
    assert_eq!(store.temporary_key_count(project, NOW).await.expect("answers"), 3);
    assert_eq!(store.temporary_key_count(project, in_a_minute).await.expect("answers"), 2);
    assert_eq!(store.temporary_key_count(ProjectId(77), NOW).await.expect("answers"), 0);
    let nowhere = PageRequest { limit: 2, after: Some("here".to_owned()) };
    assert!(matches!(store.temporary_keys(project, NOW, &nowhere).await, Err(StoreError::BadCursor)));
    assert_eq!(store.forget_access_keys(NOW.saturating_add(Duration::from_secs(1))).await.expect("answers"), 0);

    let temporary = store.access_key("TEMPORARY").await.expect("answers").expect("there");
    assert_eq!((temporary.token, temporary.revoked_at), (minting, None));
    let caller = temporary.caller();
    assert!(store.revoke_token(caller, minting, NOW).await.expect("answers"));
    let ended = store.access_key("TEMPORARY").await.expect("answers").expect("there");
    assert_eq!(ended.revoked_at, Some(NOW), "a temporary key ends with the token that minted it");

    let later = NOW.saturating_add(Duration::from_secs(10));
    store.expire_access_key(project, "LASTING", later).await.expect("done");
    store.expire_access_key(project, "LASTING", later.saturating_add(Duration::from_secs(1))).await.expect("done");
    assert_eq!(store.access_key("LASTING").await.expect("answers").expect("there").expires_at, Some(later));
    assert!(!store.revoke_access_key(ProjectId(77), "LASTING", NOW).await.expect("answers"));
    assert!(store.revoke_access_key(project, "LASTING", NOW).await.expect("answers"));
    assert!(!store.revoke_access_key(project, "LASTING", NOW).await.expect("answers"));

    let end = NOW.saturating_add(Duration::from_secs(60));
    assert_eq!(store.forget_access_keys(end).await.expect("answers"), 0);
    assert_eq!(store.forget_access_keys(end.saturating_add(Duration::from_millis(1))).await.expect("answers"), 1);
    assert_eq!(store.forget_access_keys(end.saturating_add(Duration::from_secs(60))).await.expect("answers"), 2);

    let adopted = store.adopt_access_key("default", "CONFIGURED", NOW).await.expect("answers").expect("a project");
    let again = store.adopt_access_key("default", "CONFIGURED", later).await.expect("answers");
    assert_eq!(again, Some(adopted));
    assert!(!adopted.scopes.iter().any(|_| true), "its token opens nothing");
    assert_eq!(store.adopt_access_key("nowhere", "CONFIGURED", NOW).await.expect("answers"), None);
}

fn channel(name: &str) -> SignalChannel {
    SignalChannel {
        id: SignalChannelId(0),
        project: ProjectId::DEFAULT,
        name: name.to_owned(),
        created_at: UnixTime::from_millis(NOW.as_millis() + 123),
        version: "v1".to_owned(),
        message_ttl: Duration::from_secs(60),
    }
}

pub(super) async fn signalling_channels_are_found_changed_and_removed_with_their_tags(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let tags: BTreeMap<String, String> = [("a".to_owned(), "1".to_owned())].into();
    let mut ids = Vec::new();
    for name in ["cam_1", "cam-2", "cam.3", "door"] {
        ids.push(store.insert_signal_channel(&channel(name), &tags).await.expect("inserted"));
    }
    assert!(matches!(store.insert_signal_channel(&channel("door"), &tags).await, Err(StoreError::Exists { .. })));
    assert_eq!(store.signal_channel_count(project).await.expect("answers"), 4);
    let found = store.signal_channel(project, "cam_1").await.expect("answers").expect("there");
    assert_eq!(found, SignalChannel { id: found.id, ..channel("cam_1") });
    assert!(store.signal_channel(ProjectId(77), "cam_1").await.expect("answers").is_none());

    let all = store.signal_channels(project, "cam", None, 10).await.expect("answers");
    let names: Vec<&str> = all.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names.len(), 3);
    let rest = store.signal_channels(project, "cam", names.first().copied(), 1).await.expect("answers");
    assert_eq!(rest.first().map(|channel| channel.name.as_str()), names.get(1).copied());
    assert!(store.signal_channels(project, "cam_", None, 10).await.expect("answers").len() == 1, "no wildcard");

    let ttl = Duration::from_secs(5);
    assert_eq!(store.update_signal_channel(found.id, "v0", "v2", ttl).await.expect("answers"), ChannelChange::Stale);
    assert_eq!(store.update_signal_channel(found.id, "v1", "v2", ttl).await.expect("answers"), ChannelChange::Done);
    let changed = store.signal_channel(project, "cam_1").await.expect("answers").expect("there");
    assert_eq!((changed.version.as_str(), changed.message_ttl), ("v2", ttl));

    let more: BTreeMap<String, String> = [("a".to_owned(), "2".to_owned()), ("b".to_owned(), String::new())].into();
    assert!(!store.tag_signal_channel(found.id, &more, 1).await.expect("answers"));
    assert_eq!(store.signal_channel_tags(found.id).await.expect("answers"), tags);
    assert!(store.tag_signal_channel(found.id, &more, 2).await.expect("answers"));
    assert_eq!(store.signal_channel_tags(found.id).await.expect("answers"), more);
    store.untag_signal_channel(found.id, &["b".to_owned(), "zzz".to_owned()]).await.expect("done");
    assert_eq!(store.signal_channel_tags(found.id).await.expect("answers").len(), 1);

    assert_eq!(store.delete_signal_channel(found.id, Some("v1")).await.expect("answers"), ChannelChange::Stale);
    assert_eq!(store.delete_signal_channel(found.id, Some("v2")).await.expect("answers"), ChannelChange::Done);
    assert_eq!(store.delete_signal_channel(found.id, None).await.expect("answers"), ChannelChange::Stale);
    assert!(store.signal_channel_tags(found.id).await.expect("answers").is_empty());
    let again = store.insert_signal_channel(&channel("cam_1"), &tags).await.expect("inserted");
    assert!(!ids.contains(&again), "numbers are not used twice");
}
