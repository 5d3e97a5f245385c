//! Voice connections, credentials and signing keys.

use std::time::Duration;

use causeway_app::{
    NumberedPage, OrganizationId, UriCalls, VoiceConnection, VoiceConnectionFilter, VoiceConnectionId,
    VoiceConnectionKind, VoiceCredential, VoiceCredentialFilter, VoiceStore, VoiceWebhook,
};
use causeway_types::Secret;

use super::{NOW, ProjectId, SqlStore, StoreError};

const ALL: NumberedPage = NumberedPage { offset: 0, limit: 10, is_newest_first: false };

fn connection(user_name: &str) -> VoiceConnection {
    VoiceConnection {
        id: VoiceConnectionId(0),
        project: ProjectId::DEFAULT,
        kind: VoiceConnectionKind::Clients,
        name: format!("of {user_name}"),
        user_name: Some(user_name.to_owned()),
        password: Some(Secret::new("Password1".to_owned())),
        is_active: true,
        parks_calls: true,
        rings_all: false,
        is_dialled_by_number: true,
        uri_calls: UriCalls::Project,
        ring_for: Duration::from_secs(90),
        webhook: VoiceWebhook { url: Some("https://a".to_owned()), failover_url: None, timeout: None },
        document: "{}".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    }
}

fn credential(id: &str, connection: VoiceConnectionId) -> VoiceCredential {
    VoiceCredential {
        id: id.to_owned(),
        connection,
        project: ProjectId::DEFAULT,
        name: Some("phone".to_owned()),
        tag: Some(id.to_owned()),
        user_name: format!("gencred{id}"),
        password: Secret::new("p".to_owned()),
        token_secret: Secret::new("s".to_owned()),
        expires_at: (id == "b").then_some(NOW),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(super) async fn voice_connections_are_found_changed_and_removed_with_their_credentials(store: &SqlStore) {
    let project = ProjectId::DEFAULT;
    let id = store.insert_voice_connection(&connection("alice")).await.expect("inserted");
    let other = store.insert_voice_connection(&connection("bobby")).await.expect("inserted");
    let clash = store.insert_voice_connection(&connection("alice")).await;
    assert!(matches!(clash, Err(StoreError::Exists { .. })));

    let found = store.voice_connection(project, id).await.expect("answers").expect("there");
    assert_eq!(format!("{found:?}"), format!("{:?}", VoiceConnection { id, ..connection("alice") }));
    assert!(store.voice_connection(ProjectId(77), id).await.expect("answers").is_none());
    let changed = VoiceConnection { is_active: false, uri_calls: UriCalls::Anyone, name: "50% of".to_owned(), ..found };
    assert!(store.update_voice_connection(&changed).await.expect("answers"));
    let filter = |part: &str| VoiceConnectionFilter { kind: None, name_contains: Some(part.to_owned()) };
    for (part, expected) in [("50%", 1), ("OF", 2), ("of b", 1), ("nothing", 0)] {
        let (listed, total) = store.voice_connections(project, &filter(part), ALL).await.expect("answers");
        assert_eq!((listed.len(), total), (expected, expected as u64), "{part}");
    }

    for one in ["a", "b", "c"] {
        store.insert_voice_credential(&credential(one, if one == "c" { other } else { id })).await.expect("inserted");
    }
    let of = VoiceCredentialFilter { connection: Some(id), ..VoiceCredentialFilter::default() };
    let page = NumberedPage { offset: 1, limit: 1, is_newest_first: true };
    let (listed, total) = store.voice_credentials(project, &of, page, NOW).await.expect("answers");
    assert_eq!((listed[0].id.as_str(), total), ("a", 2));
    for (is_expired, expected) in [(true, 1), (false, 2)] {
        let filter = VoiceCredentialFilter { is_expired: Some(is_expired), ..VoiceCredentialFilter::default() };
        assert_eq!(store.voice_credentials(project, &filter, ALL, NOW).await.expect("answers").1, expected);
    }
    let mut first = store.voice_credential(project, "a").await.expect("answers").expect("there");
    first.token_secret = Secret::new("another".to_owned());
    assert!(store.update_voice_credential(&first).await.expect("answers"));

    let user = store.voice_user_by_name("gencreda").await.expect("answers").expect("there");
    assert_eq!(user.credential.expect("a credential's").token_secret.expose(), "another");
    assert_eq!((user.connection.id, user.is_project_disabled), (id, false));
    assert!(store.voice_user_by_name("alice").await.expect("answers").expect("there").credential.is_none());
    assert!(store.voice_user_by_credential("c").await.expect("answers").is_some());

    assert!(store.delete_voice_connection(project, id).await.expect("answers"));
    assert!(!store.delete_voice_connection(project, id).await.expect("answers"));
    assert!(store.voice_user_by_name("gencreda").await.expect("answers").is_none(), "gone with its connection");
    assert!(store.delete_voice_credential(project, "c").await.expect("answers"));
    assert!(!store.delete_voice_credential(project, "c").await.expect("answers"));
}

pub(super) async fn a_voice_key_is_made_once(store: &SqlStore) {
    let organization = OrganizationId(1);
    assert_eq!(store.voice_key(organization, b"one", NOW).await.expect("answers"), b"one");
    assert_eq!(store.voice_key(organization, b"two", NOW).await.expect("answers"), b"one");
}
