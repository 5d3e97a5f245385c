//! How SQLite answers the lists: from an index that has the list's order, whatever is filtered by.

use super::*;

/// The steps by which a list is answered, and whether each is part of another.
async fn plan(store: &SqlStore, sql: Sql) -> Vec<(bool, String)> {
    let rows: Vec<(i64, i64, i64, String)> = sql.explain().rows().fetch_all(&store.pool).await.expect("a plan");
    rows.into_iter().map(|(_, parent, _, step)| (parent != 0, step)).collect()
}

/// No table is gone through from end to end, and no more rows are sorted than a page has.
async fn check(store: &SqlStore, what: &str, sql: Sql) {
    // The names of a page, from one side or both, before its rows are taken.
    const PARTS: [&str; 3] = ["SCAN page", "SCAN a", "SCAN b"];
    let steps = plan(store, sql).await;
    assert!(!steps.is_empty(), "{what}");
    for (is_inside, step) in &steps {
        assert!(!step.starts_with("SCAN") || PARTS.contains(&step.as_str()), "{what}: {steps:#?}");
        let sorts_all = step.contains("TEMP B-TREE FOR") && (*is_inside || !steps.iter().any(|(_, s)| s == PARTS[0]));
        assert!(!sorts_all, "{what}: {steps:#?}");
    }
}

fn pages() -> [PageRequest; 2] {
    [PageRequest::default(), PageRequest { limit: 200, after: Some("1790000000000-x".to_owned()) }]
}

/// Every choice of values for a number of filters.
fn choices(count: u32) -> impl Iterator<Item = Vec<bool>> {
    (0..1_u32 << count).map(move |bits| (0..count).map(|bit| bits >> bit & 1 == 1).collect())
}

async fn opened() -> (tempfile::TempDir, SqlStore) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.expect("opens");
    (directory, store)
}

#[tokio::test]
async fn sessions_are_listed_from_an_index_in_their_order() {
    let (_directory, store) = opened().await;
    for choice in choices(5) {
        let [room, client, username, from, to] = choice.try_into().unwrap();
        for active in [None, Some(true), Some(false)] {
            let filter = SessionFilter {
                id: None,
                room: room.then(|| identifier("red")),
                client: client.then(|| identifier("alice")),
                username: username.then(|| "user".to_owned()),
                active,
                from: from.then_some(NOW),
                to: to.then_some(NOW),
                search: None,
                order: Order { by: SessionKey::Started, is_descending: from },
            };
            for page in pages() {
                let sql = listing::sessions_sql(ProjectId::DEFAULT, &filter, &page).unwrap();
                check(&store, &format!("{filter:?}"), sql).await;
            }
        }
    }
}

#[tokio::test]
async fn rooms_and_clients_are_listed_from_an_index_in_their_order() {
    let (_directory, store) = opened().await;
    for choice in choices(3) {
        let [name, prefix, room] = choice.try_into().unwrap();
        for active in [None, Some(true), Some(false)] {
            let filter = NameFilter {
                name: name.then(|| identifier("red")),
                prefix: prefix.then(|| "re".to_owned()),
                active,
                room: room.then(|| identifier("red")),
                order: Order { by: NameKey::Name, is_descending: prefix },
            };
            for page in pages() {
                let sql = listing::clients_sql(ProjectId::DEFAULT, &filter, &page).unwrap();
                check(&store, &format!("clients {filter:?}"), sql).await;
                let sql = listing::rooms_sql(ProjectId::DEFAULT, &NameFilter { room: None, ..filter.clone() }, &page)
                    .unwrap();
                check(&store, &format!("rooms {filter:?}"), sql).await;
            }
        }
    }
}

#[tokio::test]
async fn credentials_are_listed_from_an_index_in_their_order() {
    let (_directory, store) = opened().await;
    let states = [None, Some(CredentialState::Active), Some(CredentialState::Expired), Some(CredentialState::Revoked)];
    for choice in choices(4) {
        let [room, client, username, token] = choice.try_into().unwrap();
        for state in states {
            let filter = CredentialFilter {
                username: username.then(|| "user".to_owned()),
                room: room.then(|| identifier("red")),
                client: client.then(|| identifier("alice")),
                token: token.then_some(TokenId(1)),
                state,
                search: None,
                order: Order { by: CredentialKey::Issued, is_descending: room },
            };
            for page in pages() {
                let sql = credentials::list_sql(ProjectId::DEFAULT, &filter, &page, NOW).unwrap();
                check(&store, &format!("{filter:?}"), sql).await;
            }
        }
    }
}

#[tokio::test]
async fn a_list_without_its_index_would_be_noticed_and_live_sessions_have_their_own() {
    let (_directory, store) = opened().await;
    let filter = SessionFilter { active: Some(true), ..SessionFilter::default() };
    let live = listing::sessions_sql(ProjectId::DEFAULT, &filter, &PageRequest::default()).unwrap();
    assert!(plan(&store, live).await.iter().any(|(_, step)| step.contains("sessions_live_by_start")));
    let filter = CredentialFilter { state: Some(CredentialState::Revoked), ..CredentialFilter::default() };
    let revoked = credentials::list_sql(ProjectId::DEFAULT, &filter, &PageRequest::default(), NOW).unwrap();
    let steps = plan(&store, revoked).await;
    assert!(steps.iter().any(|(_, step)| step.contains("credentials_revoked")), "{steps:#?}");
    let filter = NameFilter { active: Some(true), ..NameFilter::default() };
    let live = listing::rooms_sql(ProjectId::DEFAULT, &filter, &PageRequest::default()).unwrap();
    assert!(plan(&store, live).await.iter().any(|(_, step)| step.contains("rooms_active")));
    let scan = Sql::new("SELECT * FROM sessions s WHERE s.region = ").bind("local");
    assert!(plan(&store, scan).await.iter().any(|(_, step)| step.starts_with("SCAN")));
}
