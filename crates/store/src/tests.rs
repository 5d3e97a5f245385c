use causeway_app::{ClientRole, Identifier, ProjectId, TokenId};
use causeway_types::Secret;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn record(username: &str) -> CredentialRecord {
    CredentialRecord {
        username: username.to_owned(),
        secret: Secret::new("s3cret".to_owned()),
        user_hash: [7; 32],
        project: ProjectId(1),
        token: TokenId(1),
        room: Some(Identifier::new("room").expect("good")),
        initiator_client: None,
        receiver_client: Some(Identifier::new("bob").expect("good")),
        client_type: Some(ClientRole::Receiver),
        region: "local".to_owned(),
        issued_at: NOW,
        expires_at: NOW.saturating_add(Duration::from_secs(30)),
    }
}

async fn open(directory: &tempfile::TempDir) -> SqliteStore {
    let store = SqliteStore::open(&directory.path().join("causeway.db")).await.expect("opens");
    let token = NewToken { hash: [1; 32], name: "first".to_owned() };
    store.make_first_token(&token, NOW).await.expect("made");
    store
}

#[tokio::test]
async fn a_credential_survives_reopening_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.insert_credential(record("alice")).await.unwrap();
    store.close().await;
    let store = open(&directory).await;
    let found = store.credential("alice").await.unwrap().unwrap();
    assert_eq!(found.secret.expose(), "s3cret");
    assert_eq!(found.expires_at, NOW.saturating_add(Duration::from_secs(30)));
    assert_eq!(found.client_type, Some(ClientRole::Receiver));
    assert_eq!(found.room, Some(Identifier::new("room").unwrap()));
    assert!(store.credential("bob").await.unwrap().is_none());
    assert_eq!(store.credential_by_hash([7; 32]).await.unwrap().unwrap().username, "alice");
}

#[tokio::test]
async fn the_first_token_is_made_once_and_found_by_its_hash() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let other = NewToken { hash: [2; 32], name: "second".to_owned() };
    assert!(!store.make_first_token(&other, NOW).await.unwrap());
    assert!(store.caller_by_token([2; 32]).await.unwrap().is_none());
    assert_eq!(store.caller_by_token([1; 32]).await.unwrap().unwrap().project, ProjectId(1));
}

#[tokio::test]
async fn concurrent_inserts_all_arrive_and_a_clash_fails_its_batch_loudly() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(&directory).await);
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move { store.insert_credential(record(&format!("user-{n}"))).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(store.credential("user-199").await.unwrap().is_some());
    assert!(store.insert_credential(record("user-5")).await.is_err());
    assert!(store.is_healthy().await);
}

#[tokio::test]
async fn only_the_owner_reads_the_file_and_its_side_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("causeway.db");
    // Left over from before, too open.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let store = open(&directory).await;
    store.insert_credential(record("alice")).await.unwrap();
    let modes: Vec<(String, u32)> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect();
    assert!(modes.len() >= 2 && modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}
