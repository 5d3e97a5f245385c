//! More credentials than the database takes.

use tokio::task::JoinSet;

use super::*;
use crate::{MINTS_PER_COMMIT_MAX, MINTS_WAITING_MAX};

#[tokio::test]
async fn a_full_queue_refuses_and_what_waits_is_written_when_the_database_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.unwrap());
    prepare(&store).await;
    let mut other = store.pool.acquire().await.unwrap();
    Sql::new("BEGIN IMMEDIATE").query().execute(&mut *other).await.unwrap();
    let mut inserts = JoinSet::new();
    let all = MINTS_WAITING_MAX + 2 * MINTS_PER_COMMIT_MAX;
    for number in 0..all {
        let store = Arc::clone(&store);
        inserts.spawn(async move { store.insert_credential(credential(&format!("user-{number}"), "room")).await });
    }
    let refused = inserts.join_next().await.unwrap().unwrap();
    assert!(matches!(&refused, Err(StoreError::Unavailable { reason }) if reason.contains("wait")), "{refused:?}");
    Sql::new("COMMIT").query().execute(&mut *other).await.unwrap();
    let mut written = 0;
    for outcome in inserts.join_all().await {
        match outcome {
            Ok(()) => written += 1,
            Err(StoreError::Unavailable { reason }) => assert!(reason.contains("too many"), "{reason}"),
            Err(other) => panic!("{other}"),
        }
    }
    assert!((MINTS_WAITING_MAX..=MINTS_WAITING_MAX + MINTS_PER_COMMIT_MAX).contains(&written), "{written} of {all}");
    let (stored,): (i64,) = Sql::new("SELECT COUNT(*) FROM credentials").rows().fetch_one(&store.pool).await.unwrap();
    assert_eq!(stored, i64::try_from(written).unwrap());
    store.insert_credential(credential("after", "room")).await.unwrap();
}
