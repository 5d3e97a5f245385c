//! Every test runs on SQLite, and on a real PostgreSQL where one is installed (the test tools install it).

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use causeway_app::{
    ApiCaller, Attribution, AuditEntry, AuditFilter, ClientRole, CredentialFilter, CredentialKey, CredentialLimits,
    CredentialRecord, CredentialState, CredentialStore, Cursor, DeliveryAttempt, Drain, EventPlace, IceUrls,
    Identifier, NameFilter, NameKey, NewToken, NodeReport, NodeState, Notice, Order, PageRequest, PeerScope, PeerSeen,
    ProjectId, ProjectRules, ProjectUse, RevokeBy, Role, Scope, Scopes, SessionEnd, SessionEndReason, SessionFilter,
    SessionInsight, SessionKey, SessionRecord, SessionStart, Store, StoreError, StoredEvent, TokenId, UsageGroup,
    UsageInterval, UsageQuery, UsageRow, Webhook, WebhookId, WebhookStore,
};
use causeway_types::{
    AllocationEndReason, AllocationId, ClientTransport, CredentialKind, FiveTuple, RelayTransport, Secret,
    TrafficCount, TrafficCounters, UnixTime,
};

use super::*;

use calls::{
    a_call_is_kept_once_and_read_as_it_was, a_client_that_is_erased_leaves_calls_without_its_name_or_address,
    calls_are_listed_newest_first_by_client_and_cause_in_pages_and_forgotten,
    credentials_of_clients_are_minted_with_one_row,
};
use client_tokens::*;
use servers::*;
use signalling::{
    access_keys_come_back_and_end_with_their_token, signalling_channels_are_found_changed_and_removed_with_their_tags,
};

use voice::{a_voice_key_is_made_once, voice_connections_are_found_changed_and_removed_with_their_credentials};
use voice_deliveries::voice_deliveries_are_held_taken_over_and_forgotten;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

/// Runs one test body on each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().expect("temporary directory");
                let store = crate::SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.expect("opens");
                crate::tests::prepare(&store).await;
                super::$name(&store).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                let url = crate::tests::postgres::fresh_database();
                let store = crate::SqlStore::connect(&url, "node-1").await.expect("connects");
                crate::tests::prepare(&store).await;
                super::$name(&store).await;
            })*
        }
    };
}

mod calls;
mod client_tokens;
mod full;
mod insight;
mod people;
mod plans;
mod postgres;
mod servers;
mod signalling;
mod voice;
mod voice_deliveries;

on_both!(
    a_credential_comes_back_as_it_was_stored,
    the_first_token_is_made_once_and_found_by_its_hash,
    an_organization_wide_token_may_name_another_project_and_a_projects_own_may_not,
    concurrent_inserts_all_arrive_and_a_clash_is_told,
    revoking_a_room_names_each_credential_once_and_leaves_other_projects_alone,
    a_session_written_twice_counts_once,
    usage_equals_the_sum_of_the_sessions,
    sessions_left_open_are_closed_at_their_last_sign_of_life,
    what_a_lost_server_left_open_is_closed_once_and_comes_back_with_it,
    live_sessions_are_counted_however_they_end,
    a_list_is_paged_without_gap_or_repetition,
    lists_are_searched_and_sorted,
    rooms_and_clients_are_listed_with_their_figures,
    webhooks_events_and_attempts_come_back,
    the_log_says_what_was_tried_and_a_replay_begins_anew,
    event_ids_are_claimed_once_and_rise,
    an_expired_credential_is_claimed_once,
    sessions_elsewhere_are_those_that_other_servers_show_as_live,
    a_cursor_of_another_list_is_refused,
    notices_reach_whoever_reads_on_from_before_them,
    nodes_and_drains_come_back_as_they_were_told,
    rules_come_back_and_what_was_used_is_counted_from_a_moment,
    access_keys_come_back_and_end_with_their_token,
    signalling_channels_are_found_changed_and_removed_with_their_tags,
    client_tokens_come_back_and_are_revoked_by_id_client_and_project,
    a_project_mints_its_quota_of_client_tokens_in_a_month_and_not_one_more,
    the_newest_signing_key_signs_and_others_end_after_the_overlap,
    an_account_is_found_by_its_project_and_its_label,
    voice_connections_are_found_changed_and_removed_with_their_credentials,
    voice_deliveries_are_held_taken_over_and_forgotten,
    a_voice_key_is_made_once,
    sip_users_are_told_apart_by_project_and_end_with_it,
    a_call_is_kept_once_and_read_as_it_was,
    a_client_that_is_erased_leaves_calls_without_its_name_or_address,
    calls_are_listed_newest_first_by_client_and_cause_in_pages_and_forgotten,
    credentials_of_clients_are_minted_with_one_row,
);

fn identifier(text: &str) -> Identifier {
    Identifier::new(text).expect("a good name")
}

fn token(hash: u8, name: &str) -> NewToken {
    NewToken {
        hash: [hash; 32],
        name: name.to_owned(),
        prefix: "cwp_abcd".to_owned(),
        scopes: Scopes::ALL,
        organization_wide: false,
        expires_at: None,
        regions: BTreeSet::new(),
    }
}

async fn prepare(store: &SqlStore) {
    store.make_first_token(&token(1, "first"), NOW).await.expect("made");
}

fn credential(username: &str, room: &str) -> CredentialRecord {
    CredentialRecord {
        username: username.to_owned(),
        secret: Secret::new("s3cret".to_owned()),
        user_hash: [7; 32],
        project: ProjectId::DEFAULT,
        token: TokenId(1),
        room: Some(identifier(room)),
        initiator_client: Some(identifier("alice")),
        receiver_client: Some(identifier("bob")),
        client_type: Some(ClientRole::Receiver),
        region: "local".to_owned(),
        issued_at: NOW,
        expires_at: NOW.saturating_add(Duration::from_secs(30)),
        revoked_at: None,
        limits: CredentialLimits {
            bytes_max: Some(1_000_000),
            allocations_max: Some(2),
            bandwidth: None,
            client_ip: Some([192, 0, 2, 1].into()),
            peer_scope: PeerScope::Room,
        },
        metadata: Some(r#"{"call":7}"#.to_owned()),
    }
}

fn session(id: u64, room: &str, bytes: u64) -> SessionRecord {
    let started = NOW.saturating_add(Duration::from_secs(id));
    let five_tuple = FiveTuple {
        transport: ClientTransport::Udp,
        client: ([192, 0, 2, 1], 40_000).into(),
        server: ([198, 51, 100, 1], 3478).into(),
    };
    let start = SessionStart {
        id: AllocationId(id),
        number: id,
        attribution: Arc::new(Attribution {
            project: ProjectId::DEFAULT,
            token: Some(TokenId(1)),
            room: Some(identifier(room)),
            clients: vec![(identifier("alice"), Role::Initiator)],
            region: "local".to_owned(),
        }),
        username: Arc::from("user"),
        credential: CredentialKind::Issued,
        realm: Arc::from("causeway"),
        at: started,
        five_tuple,
        security: None,
        relayed: [Some(([198, 51, 100, 1], 50_000).into()), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
    };
    let counts = |bytes| TrafficCounters {
        from_client: TrafficCount { packets: bytes / 100, bytes },
        to_client: TrafficCount { packets: bytes / 50, bytes: bytes * 2 },
    };
    SessionRecord {
        start: Arc::new(start),
        five_tuple,
        last_seen: started.saturating_add(Duration::from_secs(10)),
        end: None,
        traffic: counts(bytes),
        messages: counts(bytes + 4),
        first_data: Some(Duration::from_millis(12)),
        peers: vec![PeerSeen { address: ([203, 0, 113, 9], 9).into(), session: Some(AllocationId(3)) }],
        refusals: 1,
        moves: 0,
        insight: SessionInsight::default(),
    }
}

async fn a_credential_comes_back_as_it_was_stored(store: &SqlStore) {
    store.insert_credential(credential("alice", "room")).await.unwrap();
    let found = store.credential("alice").await.unwrap().unwrap();
    assert_eq!(found.secret.expose(), "s3cret");
    assert_eq!(found.limits, credential("", "room").limits);
    assert_eq!(found.metadata.as_deref(), Some(r#"{"call":7}"#));
    assert_eq!((found.client_type, found.room), (Some(ClientRole::Receiver), Some(identifier("room"))));
    assert_eq!(found.expires_at, NOW.saturating_add(Duration::from_secs(30)));
    assert!(store.credential("bob").await.unwrap().is_none());
    assert_eq!(store.credential_by_hash([7; 32]).await.unwrap().unwrap().username, "alice");
    let listed = store
        .credentials(ProjectId::DEFAULT, &CredentialFilter::default(), &PageRequest::default(), NOW)
        .await
        .unwrap();
    assert_eq!(listed.items[0].record.secret.expose(), "", "a list never holds the secret part");
}

async fn the_first_token_is_made_once_and_found_by_its_hash(store: &SqlStore) {
    assert!(!store.make_first_token(&token(2, "second"), NOW).await.unwrap());
    assert!(store.token_holder([2; 32], None).await.unwrap().is_none());
    let holder = store.token_holder([1; 32], None).await.unwrap().unwrap();
    assert_eq!(holder.caller.project, ProjectId::DEFAULT);
    assert!(holder.caller.scopes.has(Scope::Admin) && !holder.is_used && !holder.is_revoked);
    store.touch_tokens(&[(holder.caller.token, NOW)]).await.unwrap();
    assert!(store.revoke_token(holder.caller, holder.caller.token, NOW).await.unwrap());
    assert!(!store.revoke_token(holder.caller, holder.caller.token, NOW).await.unwrap());
    let holder = store.token_holder([1; 32], None).await.unwrap().unwrap();
    assert!(holder.is_used && holder.is_revoked);
    assert_eq!(store.tokens(holder.caller).await.unwrap()[0].last_used_at, Some(NOW));
}

async fn an_organization_wide_token_may_name_another_project_and_a_projects_own_may_not(store: &SqlStore) {
    let organization = store.token_holder([1; 32], None).await.unwrap().unwrap().caller.organization;
    let second = store.insert_project(organization, "second", NOW).await.unwrap();
    assert!(matches!(store.insert_project(organization, "second", NOW).await, Err(StoreError::Exists { .. })));
    let wide = NewToken { organization_wide: true, ..token(9, "wide") };
    store.insert_token(ProjectId::DEFAULT, &wide, NOW).await.unwrap();
    assert_eq!(store.token_holder([9; 32], Some("second")).await.unwrap().unwrap().caller.project, second);
    assert!(store.token_holder([1; 32], Some("second")).await.unwrap().is_none());
    assert!(store.token_holder([1; 32], Some("default")).await.unwrap().is_some());
    assert!(store.token_holder([9; 32], Some("third")).await.unwrap().is_none());
    assert!(store.disable_project(organization, "second", true).await.unwrap());
    assert!(store.token_holder([9; 32], Some("second")).await.unwrap().unwrap().is_project_disabled);
    assert_eq!(store.projects(organization).await.unwrap().len(), 2);
    assert_eq!(store.disabled_projects().await.unwrap(), [second]);
    let wide = store.token_holder([9; 32], Some("second")).await.unwrap().unwrap().caller;
    let own = ApiCaller { organization_wide: false, ..wide };
    assert_eq!(store.tokens(wide).await.unwrap().len(), 1, "the organization-wide one");
    assert_eq!(store.tokens(own).await.unwrap(), [], "a project's own token does not see it");
    assert!(!store.revoke_token(own, wide.token, NOW).await.unwrap(), "nor takes it back");
    assert!(store.revoke_token(wide, wide.token, NOW).await.unwrap());
}

async fn concurrent_inserts_all_arrive_and_a_clash_is_told(store: &SqlStore) {
    let inserts = (0..200).map(|n| store.insert_credential(credential(&format!("user-{n}"), "room")));
    for outcome in futures_util::future::join_all(inserts).await {
        outcome.unwrap();
    }
    assert!(store.credential("user-199").await.unwrap().is_some());
    let clash = store.insert_credential(credential("user-5", "room")).await;
    assert!(matches!(clash, Err(StoreError::Exists { .. })), "{clash:?}");
    assert!(store.is_healthy().await);
}

async fn revoking_a_room_names_each_credential_once_and_leaves_other_projects_alone(store: &SqlStore) {
    let organization = store.token_holder([1; 32], None).await.unwrap().unwrap().caller.organization;
    let other = store.insert_project(organization, "other", NOW).await.unwrap();
    for (name, room, project) in [
        ("a", "red", ProjectId::DEFAULT),
        ("b", "red", ProjectId::DEFAULT),
        ("c", "blue", ProjectId::DEFAULT),
        ("d", "red", other),
    ] {
        store.insert_credential(CredentialRecord { project, ..credential(name, room) }).await.unwrap();
    }
    let by = RevokeBy::Room(identifier("red"));
    let mut revoked = store.revoke(ProjectId::DEFAULT, &by, NOW).await.unwrap();
    revoked.sort();
    assert_eq!(revoked, ["a", "b"]);
    assert!(store.revoke(ProjectId::DEFAULT, &by, NOW).await.unwrap().is_empty());
    assert!(store.credential("d").await.unwrap().unwrap().revoked_at.is_none());
    let filter = CredentialFilter { state: Some(CredentialState::Revoked), ..CredentialFilter::default() };
    let listed = store.credentials(ProjectId::DEFAULT, &filter, &PageRequest::default(), NOW).await.unwrap();
    assert_eq!(listed.items.len(), 2);
    let by = RevokeBy::Client(identifier("bob"));
    assert_eq!(store.revoke(ProjectId::DEFAULT, &by, NOW).await.unwrap(), ["c"]);
    store.refuse_name(ProjectId::DEFAULT, "1790000100:x", NOW.saturating_add(Duration::from_secs(100))).await.unwrap();
    assert_eq!(store.refused_names(NOW).await.unwrap().len(), 1);
    assert!(store.refused_names(NOW.saturating_add(Duration::from_secs(101))).await.unwrap().is_empty());
}

fn usage(group: UsageGroup) -> UsageQuery {
    UsageQuery {
        project: ProjectId::DEFAULT,
        from: NOW,
        to: NOW.saturating_add(Duration::from_secs(7200)),
        interval: UsageInterval::Hour,
        group,
    }
}

async fn a_session_written_twice_counts_once(store: &SqlStore) {
    let record = session(1, "room", 1000);
    store.write_sessions(std::slice::from_ref(&record)).await.unwrap();
    store.write_sessions(&[record]).await.unwrap();
    let rows = store.usage(&usage(UsageGroup::Room)).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].bytes_in, rows[0].bytes_out, rows[0].sessions, rows[0].millis), (1004, 2008, 1, 10_000));
    assert_eq!(rows[0].key, "room");
    let found = store.session(ProjectId::DEFAULT, AllocationId(1)).await.unwrap().unwrap();
    assert_eq!((found.bytes_in, found.peer_bytes_out, found.peer_bytes_in), (1004, 1000, 2000));
    assert_eq!(found.peers, [("203.0.113.9:9".to_owned(), Some(AllocationId(3).to_string()))]);
    assert_eq!(found.clients, [("alice".to_owned(), "initiator".to_owned())]);
    assert_eq!(found.first_data, Some(Duration::from_millis(12)));
    assert!(store.session(ProjectId(2), AllocationId(1)).await.unwrap().is_none());
}

async fn usage_equals_the_sum_of_the_sessions(store: &SqlStore) {
    for step in 1..=5 {
        let records: Vec<_> =
            (1..=20).map(|id| session(id, if id % 2 == 0 { "even" } else { "odd" }, id * step)).collect();
        store.write_sessions(&records).await.unwrap();
    }
    let page = PageRequest { limit: 200, after: None };
    let sessions = store.sessions(ProjectId::DEFAULT, &SessionFilter::default(), &page).await.unwrap();
    let total: u64 = sessions.items.iter().map(|session| session.bytes_in).sum();
    for group in [
        UsageGroup::Total,
        UsageGroup::Room,
        UsageGroup::Client,
        UsageGroup::Region,
        UsageGroup::Token,
        UsageGroup::Transport,
    ] {
        let rows = store.usage(&usage(group)).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.bytes_in).sum::<u64>(), total, "{group:?}");
        assert_eq!(rows.iter().map(|row| row.sessions).sum::<u64>(), 20, "{group:?}");
    }
    // What has no room and no client is told under no name, so that the sums stay the same.
    let unlabelled = |mut record: SessionRecord| {
        let attribution = Attribution { room: None, clients: Vec::new(), ..(*record.start.attribution).clone() };
        let start = SessionStart { attribution: Arc::new(attribution), ..(*record.start).clone() };
        record.start = Arc::new(start);
        record
    };
    store.write_sessions(&[unlabelled(session(21, "none", 7))]).await.unwrap();
    let of = async |group| store.usage(&usage(group)).await.unwrap();
    let sums = |rows: &[UsageRow]| {
        let sum = |figure: fn(&UsageRow) -> u64| rows.iter().map(figure).sum::<u64>();
        [sum(|row| row.bytes_in), sum(|row| row.bytes_out), sum(|row| row.sessions), sum(|row| row.millis)]
    };
    let all = sums(&of(UsageGroup::Total).await);
    assert_eq!(all[2], 21);
    for group in [UsageGroup::Room, UsageGroup::Client] {
        let rows = of(group).await;
        assert_eq!((rows[0].key.as_str(), rows[0].sessions, rows[0].millis), ("", 1, 10_000), "{group:?}");
        assert_eq!(sums(&rows), all, "{group:?}");
    }
    let total = total + 11;
    let days = store.usage(&UsageQuery { interval: UsageInterval::Day, ..usage(UsageGroup::Total) }).await.unwrap();
    assert_eq!((days.len(), days[0].start.as_secs() % 86_400, days[0].bytes_in), (1, 0, total));
}

async fn sessions_left_open_are_closed_at_their_last_sign_of_life(store: &SqlStore) {
    let ended = SessionRecord {
        end: Some(SessionEnd { at: NOW, reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted) }),
        ..session(2, "room", 1)
    };
    store.write_sessions(&[session(1, "room", 1), ended]).await.unwrap();
    let [left] = store.close_left_open().await.unwrap().try_into().expect("one");
    let told = session(1, "room", 1);
    assert_eq!((left.start.id, left.start.number, left.start.at), (told.start.id, 1, told.start.at));
    assert_eq!(left.start.attribution, told.start.attribution);
    assert_eq!((&left.start.username, left.start.five_tuple), (&told.start.username, told.start.five_tuple));
    assert_eq!((left.start.relayed, left.start.credential), (told.start.relayed, told.start.credential));
    assert_eq!((left.last_seen, left.traffic, left.messages), (told.last_seen, told.traffic, told.messages));
    assert!(store.close_left_open().await.unwrap().is_empty(), "it is told once");
    let found = store.session(ProjectId::DEFAULT, AllocationId(1)).await.unwrap().unwrap();
    assert_eq!(found.end_reason.as_deref(), Some("server_restart"));
    assert_eq!(found.ended_at, Some(found.last_seen_at));
    let found = store.session(ProjectId::DEFAULT, AllocationId(2)).await.unwrap().unwrap();
    assert_eq!(found.end_reason.as_deref(), Some("client_deleted"));
}

async fn what_a_lost_server_left_open_is_closed_once_and_comes_back_with_it(store: &SqlStore) {
    let word = |secs| NodeReport::serving("node-1", "here", IceUrls::default(), UnixTime::from_secs(secs));
    store.write_sessions(&[session(1, "room", 1)]).await.unwrap();
    let live = async || {
        let filter = NameFilter { active: Some(true), ..NameFilter::default() };
        store.rooms(ProjectId::DEFAULT, &filter, &PageRequest::default()).await.unwrap().items.len()
    };
    let ids = |left: Vec<LeftOpen>| left.iter().map(|left| left.start.id).collect::<Vec<_>>();
    let close = async |secs| ids(store.close_lost("node-1", UnixTime::from_secs(secs)).await.unwrap());
    assert_eq!(close(5).await, [], "of a node that never spoke nothing is known");
    store.write_node(&word(9)).await.unwrap();
    assert_eq!(close(5).await, [], "it spoke since");
    assert_eq!(live().await, 1);
    assert_eq!(close(9).await, [AllocationId(1)]);
    assert_eq!(live().await, 0);
    assert_eq!(close(9).await, [], "one server closes");
    // It lived after all.
    store.write_node(&word(900)).await.unwrap();
    store.write_sessions(&[session(1, "room", 2)]).await.unwrap();
    assert_eq!(live().await, 1);
    let found = store.session(ProjectId::DEFAULT, AllocationId(1)).await.unwrap().unwrap();
    assert_eq!((found.ended_at, found.end_reason), (None, None));
    assert_eq!(close(900).await, [AllocationId(1)], "and was lost again");
    assert_eq!(live().await, 0);
}

async fn live_sessions_are_counted_however_they_end(store: &SqlStore) {
    let end = SessionEnd { at: NOW, reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted) };
    let ended = |id, room| SessionRecord { end: Some(end), ..session(id, room, 1) };
    let live = || async {
        let (filter, page) = (NameFilter { active: Some(true), ..NameFilter::default() }, PageRequest::default());
        let rooms = store.rooms(ProjectId::DEFAULT, &filter, &page).await.unwrap().items;
        let clients = store.clients(ProjectId::DEFAULT, &filter, &page).await.unwrap().items;
        let rooms: Vec<_> = rooms.into_iter().map(|room| (room.name, room.active_sessions)).collect();
        (rooms, clients.iter().map(|client| client.active_sessions).sum::<u64>())
    };
    store.write_sessions(&[session(1, "red", 1), session(2, "red", 1), session(3, "blue", 1)]).await.unwrap();
    store.write_sessions(&[ended(4, "green"), session(1, "red", 2), session(1, "red", 3)]).await.unwrap();
    assert_eq!(live().await, (vec![("blue".to_owned(), 1), ("red".to_owned(), 2)], 3));
    for _ in 0..2 {
        store.write_sessions(&[ended(3, "blue"), ended(1, "red")]).await.unwrap();
        assert_eq!(live().await, (vec![("red".to_owned(), 1)], 1), "an end counts once");
    }
    store.close_left_open().await.unwrap();
    assert_eq!(live().await, (Vec::new(), 0));
}

async fn a_list_is_paged_without_gap_or_repetition(store: &SqlStore) {
    let records: Vec<_> = (1..=25).map(|id| session(id, "room", id)).collect();
    store.write_sessions(&records).await.unwrap();
    let newest_first: Vec<String> = (1..=25).rev().map(|id| AllocationId(id).to_string()).collect();
    for filter in [
        SessionFilter::default(),
        SessionFilter { room: Some(identifier("room")), ..SessionFilter::default() },
        SessionFilter { client: Some(identifier("alice")), active: Some(true), ..SessionFilter::default() },
        SessionFilter { search: Some("ALIC".to_owned()), ..SessionFilter::default() },
    ] {
        assert_eq!(all_sessions(store, &filter).await, newest_first, "{filter:?}");
    }
    // Each began later and carried more than the one before.
    let oldest_first: Vec<String> = newest_first.iter().rev().cloned().collect();
    for (_, by) in SessionKey::ALL {
        for client in [None, Some(identifier("alice"))] {
            for (is_descending, expected) in [(true, &newest_first), (false, &oldest_first)] {
                let order = Order { by, is_descending };
                let filter = SessionFilter { order, client: client.clone(), ..SessionFilter::default() };
                assert_eq!(&all_sessions(store, &filter).await, expected, "{filter:?}");
            }
        }
    }
    let filter = SessionFilter { active: Some(false), ..SessionFilter::default() };
    assert!(store.sessions(ProjectId::DEFAULT, &filter, &PageRequest::default()).await.unwrap().items.is_empty());
    let filter = SessionFilter { from: Some(NOW.saturating_add(Duration::from_secs(25))), ..SessionFilter::default() };
    assert_eq!(store.sessions(ProjectId::DEFAULT, &filter, &PageRequest::default()).await.unwrap().items.len(), 1);
}

/// The names of sessions, read in pages of ten.
async fn all_sessions(store: &SqlStore, filter: &SessionFilter) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.sessions(ProjectId::DEFAULT, filter, &PageRequest { limit: 10, after }).await.unwrap();
        seen.extend(page.items.into_iter().map(|session| session.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

async fn lists_are_searched_and_sorted(store: &SqlStore) {
    for (number, room) in (1..).zip(["b", "c", "a"]) {
        let minted = credential(&format!("user-{room}"), room);
        let issued_at = NOW.saturating_add(Duration::from_secs(number));
        let expires_at = NOW.saturating_add(Duration::from_secs(100 - number));
        store.insert_credential(CredentialRecord { issued_at, expires_at, ..minted }).await.unwrap();
        store.write_sessions(&[session(number, room, number)]).await.unwrap();
    }
    let page = PageRequest { limit: 1, after: None };
    for (key, up) in
        [("name", "abc"), ("first_seen", "bca"), ("last_seen", "bca"), ("bytes_in", "bca"), ("bytes_out", "bca")]
    {
        let by = NameKey::ALL.into_iter().find(|(name, _)| *name == key).unwrap().1;
        for (is_descending, expected) in [(false, up.to_owned()), (true, up.chars().rev().collect())] {
            let filter = NameFilter { order: Order { by, is_descending }, ..NameFilter::default() };
            let (mut seen, mut after) = (String::new(), None);
            loop {
                let rooms =
                    store.rooms(ProjectId::DEFAULT, &filter, &PageRequest { after, ..page.clone() }).await.unwrap();
                seen.extend(rooms.items.into_iter().map(|room| room.name));
                after = rooms.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{filter:?}");
            assert_eq!(store.clients(ProjectId::DEFAULT, &filter, &page).await.unwrap().items.len(), 1);
        }
    }
    for (by, is_descending, expected) in [
        (CredentialKey::Issued, true, "acb"),
        (CredentialKey::Issued, false, "bca"),
        (CredentialKey::Expires, true, "bca"),
        (CredentialKey::Expires, false, "acb"),
    ] {
        for client in [None, Some(identifier("alice"))] {
            let filter = CredentialFilter { order: Order { by, is_descending }, client, ..CredentialFilter::default() };
            let (mut seen, mut after) = (String::new(), None);
            loop {
                let request = PageRequest { after, ..page.clone() };
                let found = store.credentials(ProjectId::DEFAULT, &filter, &request, NOW).await.unwrap();
                seen.extend(found.items.into_iter().map(|view| view.record.room.unwrap().to_string()));
                after = found.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{filter:?}");
        }
    }
    for (text, expected) in [("SER-B", 1), ("alice", 3), ("ser_b", 0)] {
        let filter = CredentialFilter { search: Some(text.to_owned()), ..CredentialFilter::default() };
        let found = store.credentials(ProjectId::DEFAULT, &filter, &PageRequest::default(), NOW).await.unwrap();
        assert_eq!(found.items.len(), expected, "{text}");
    }
}

async fn rooms_and_clients_are_listed_with_their_figures(store: &SqlStore) {
    store.insert_credential(credential("a", "red_1")).await.unwrap();
    store.insert_credential(credential("b", "redX1")).await.unwrap();
    store.write_sessions(&[session(1, "red_1", 100)]).await.unwrap();
    let page = PageRequest::default();
    let rooms = store.rooms(ProjectId::DEFAULT, &NameFilter::default(), &page).await.unwrap().items;
    assert_eq!(rooms.len(), 2);
    let red = rooms.iter().find(|room| room.name == "red_1").unwrap();
    assert_eq!((red.clients, red.active_sessions, red.sessions, red.bytes_in), (2, 1, 1, 104));
    let filter = NameFilter { prefix: Some("red_".to_owned()), ..NameFilter::default() };
    assert_eq!(store.rooms(ProjectId::DEFAULT, &filter, &page).await.unwrap().items.len(), 1, "_ is a letter");
    let filter = NameFilter { active: Some(false), ..NameFilter::default() };
    assert_eq!(store.rooms(ProjectId::DEFAULT, &filter, &page).await.unwrap().items[0].name, "redX1");
    let filter = NameFilter { room: Some(identifier("red_1")), ..NameFilter::default() };
    let clients = store.clients(ProjectId::DEFAULT, &filter, &page).await.unwrap().items;
    assert_eq!(clients.len(), 2);
    assert_eq!((clients[0].name.as_str(), clients[0].active_sessions, clients[0].bytes_out), ("alice", 1, 208));
    assert_eq!(clients[0].roles, [Role::Initiator]);
    let entry = AuditEntry {
        at: NOW,
        project: ProjectId::DEFAULT,
        token: None,
        user: None,
        action: "token.create".to_owned(),
        subject: "first".to_owned(),
        detail: "{}".to_owned(),
    };
    store.audit(&entry).await.unwrap();
    let read = store.audit_log(ProjectId::DEFAULT, &AuditFilter::default(), &page).await.unwrap().items;
    assert_eq!(read, [AuditView { entry: entry.clone(), email: None }]);
    store.audit(&AuditEntry { subject: "second".to_owned(), ..entry }).await.unwrap();
    for (search, is_oldest_first, expected) in [
        (None, false, vec!["second", "first"]),
        (None, true, vec!["first", "second"]),
        (Some("SEC"), false, vec!["second"]),
        (Some("token.create"), true, vec!["first", "second"]),
        (Some("nobody"), true, vec![]),
    ] {
        let filter = AuditFilter { search: search.map(str::to_owned), is_oldest_first };
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let one = PageRequest { limit: 1, after };
            let read = store.audit_log(ProjectId::DEFAULT, &filter, &one).await.unwrap();
            seen.extend(read.items.into_iter().map(|view| view.entry.subject));
            after = read.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
}

async fn webhooks_events_and_attempts_come_back(store: &SqlStore) {
    let webhook = Webhook {
        id: WebhookId(0),
        project: ProjectId::DEFAULT,
        url: "https://example.net/hook".to_owned(),
        secrets: vec![Secret::new("new".to_owned()), Secret::new("old".to_owned())],
        events: vec!["session.started".to_owned()],
        created_at: NOW,
        place: EventPlace(0),
        delivered_to: Cursor(0),
        run: 0,
        is_disabled: false,
    };
    let event = |cursor| StoredEvent {
        cursor: Cursor(cursor),
        project: ProjectId::DEFAULT,
        session: "s".to_owned(),
        name: "session.started".to_owned(),
        at: NOW,
        body: "{}".to_owned(),
    };
    store.keep_events(&[event(90)]).await.unwrap();
    let id = store.insert_webhook(&webhook).await.unwrap();
    store.keep_events(&[event(10), event(11)]).await.unwrap();
    // Kept once more, as when the answer to a COMMIT was lost: they stay where they are.
    store.keep_events(&[event(11), event(12)]).await.unwrap();
    let found = one_webhook(store).await;
    assert_eq!((found.id, found.delivered_to, found.secrets.len()), (id, Cursor(90), 2));
    let kept = store.events_for(&found, found.place, 5).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.event.clone()).collect::<Vec<_>>(), [event(10), event(11), event(12)]);
    assert!(kept.is_sorted_by_key(|kept| kept.place) && kept.iter().all(|kept| kept.tried.is_none()));
    assert_eq!(store.newest_place().await.unwrap(), kept[2].place);
    store.move_place(id, 0, kept[1].place).await.unwrap();
    assert_eq!(one_webhook(store).await.delivered_to, Cursor(11));
    let attempt = DeliveryAttempt {
        webhook: id,
        cursor: Cursor(10),
        run: 0,
        attempt: 1,
        at: NOW,
        status: Some(500),
        error: None,
        took_ms: 7,
    };
    store.log_attempts(std::slice::from_ref(&attempt)).await.unwrap();
    assert_eq!(store.attempts(id, &PageRequest::default()).await.unwrap().items, [attempt]);
    assert!(store.update_webhook(&Webhook { id, is_disabled: true, ..webhook }).await.unwrap());
    assert_eq!(store.forget_events(NOW.saturating_add(Duration::from_secs(1))).await.unwrap(), 4);
    assert!(!store.delete_webhook(ProjectId(2), id).await.unwrap());
    assert!(store.delete_webhook(ProjectId::DEFAULT, id).await.unwrap());
}

async fn notices_reach_whoever_reads_on_from_before_them(store: &SqlStore) {
    let start = store.newest_notice().await.unwrap();
    let told = [
        Notice::Refused { username: "alice".to_owned(), until: NOW },
        Notice::EndSessionsOf { username: "alice".to_owned() },
        Notice::EndSession { session: AllocationId(0xfedc_ba98_7654_3210) },
        Notice::WebhooksChanged,
        Notice::ProjectsSwitched,
    ];
    store.tell(&told, NOW).await.unwrap();
    let heard = store.notices_after(start).await.unwrap();
    assert!(heard.iter().map(|(_, notice)| notice).eq(&told), "{heard:?}");
    let end = store.newest_notice().await.unwrap();
    assert_eq!(heard.last().unwrap().0, end);
    assert!(store.notices_after(end).await.unwrap().is_empty());
    // An hour later they are forgotten, and numbers go on.
    store.tell(&told[..1], NOW.saturating_add(Duration::from_secs(3601))).await.unwrap();
    let heard = store.notices_after(start).await.unwrap();
    assert!(heard.len() == 1 && heard[0].0 > end, "{heard:?}");
}

async fn a_cursor_of_another_list_is_refused(store: &SqlStore) {
    let page = PageRequest { limit: 1, after: Some("nonsense".to_owned()) };
    let refused = store.sessions(ProjectId::DEFAULT, &SessionFilter::default(), &page).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)));
    assert!(matches!(
        store.audit_log(ProjectId::DEFAULT, &AuditFilter::default(), &page).await,
        Err(StoreError::BadCursor)
    ));
}

#[tokio::test]
async fn only_the_owner_reads_the_file_and_its_side_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("causeway.db");
    // Left over from before, too open.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqlStore::open(&path, "node-1").await.unwrap();
    prepare(&store).await;
    let modes: Vec<(String, u32)> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect();
    assert!(modes.len() >= 2 && modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn what_is_written_after_the_disk_was_full_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.unwrap();
    prepare(&store).await;
    let event = |cursor| StoredEvent {
        cursor: Cursor(cursor),
        project: ProjectId::DEFAULT,
        session: String::new(),
        name: "room.opened".to_owned(),
        at: NOW,
        body: "x".repeat(50_000),
    };
    // The one connection that writes takes no more pages: SQLite ends the transaction of a single row by itself.
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writes).await.unwrap();
    store.keep_events(&[event(1)]).await.unwrap_err();
    sqlx::query("PRAGMA max_page_count = 1000000").execute(&store.writes).await.unwrap();
    // Then one is rolled back that SQLite did not end.
    store.insert_credential(credential("first", "red")).await.unwrap();
    store.insert_credential(credential("first", "red")).await.unwrap_err();
    store.insert_credential(credential("last", "red")).await.unwrap();
    // Another connection sees what was committed, and nothing else.
    assert!(store.credential("last").await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_of_the_release_before_is_brought_up_to_date_and_keeps_its_credentials() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a file %20 with spaces.db");
    {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=rwc", path.display().to_string().replace('%', "%25").replace(' ', "%20"));
        let pool = AnyPool::connect(&url).await.unwrap();
        let mut first = migrations::migrator(Dialect::Sqlite);
        first.migrations.to_mut().truncate(1);
        first.run(&pool).await.unwrap();
        for statement in [
            "INSERT INTO organizations VALUES (1, 'default', 1)",
            "INSERT INTO projects VALUES (1, 1, 'default', 1)",
            "INSERT INTO api_tokens VALUES (1, 1, 'first', x'0101010101010101010101010101010101010101010101010101010101010101', 1)",
            "INSERT INTO credentials VALUES ('old', 's', x'07', 1, 1, 'room', NULL, NULL, NULL, 'local', 1, 2)",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        pool.close().await;
    }
    let store = SqlStore::open(&path, "node-1").await.unwrap();
    let kept = store.credential("old").await.unwrap().unwrap();
    assert_eq!((kept.secret.expose().as_str(), kept.limits), ("s", CredentialLimits::default()));
    let holder = store.token_holder([1; 32], None).await.unwrap().unwrap();
    assert_eq!(holder.caller.scopes, Scopes::ALL, "a token of before may do what it could");
}

#[tokio::test]
async fn every_connection_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.unwrap();
    for pool in [&store.writes, &store.pool] {
        let mut connections = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            let (full,): (i64,) = Sql::new("PRAGMA synchronous").rows().fetch_one(&mut *connection).await.unwrap();
            let (mode,): (String,) = Sql::new("PRAGMA journal_mode").rows().fetch_one(&mut *connection).await.unwrap();
            assert_eq!((full, mode.as_str()), (2, "wal"));
            connections.push(connection);
        }
    }
}

async fn nodes_and_drains_come_back_as_they_were_told(store: &SqlStore) {
    let urls = ["stun:a:3478", "turn:a:3478?transport=udp", "turns:a:443?transport=tcp"].map(str::to_owned);
    let report = NodeReport {
        name: "paris-1".to_owned(),
        region: "eu".to_owned(),
        urls: IceUrls::sorted(urls).expect("good"),
        version: "0.1.0".to_owned(),
        started_at: NOW,
        seen_at: NOW.saturating_add(Duration::from_secs(1)),
        state: NodeState::Full,
        live_sessions: 7,
        certificate_expires_at: Some(NOW.saturating_add(Duration::from_secs(86_400))),
    };
    store.write_node(&report).await.expect("kept");
    assert_eq!(store.nodes().await.expect("told"), std::slice::from_ref(&report));
    let later = NodeReport {
        urls: IceUrls::default(),
        seen_at: NOW.saturating_add(Duration::from_secs(86_400)),
        state: NodeState::Stopped,
        certificate_expires_at: None,
        ..report.clone()
    };
    let other = NodeReport { name: "nyc-1".to_owned(), region: "us".to_owned(), ..report };
    store.write_node(&other).await.expect("kept");
    store.write_node(&later).await.expect("kept");
    assert_eq!(store.nodes().await.expect("told"), [other.clone(), later.clone()], "by name");
    let much_later = NodeReport { seen_at: other.seen_at.saturating_add(Duration::from_millis(86_400_001)), ..later };
    store.write_node(&much_later).await.expect("kept");
    assert_eq!(store.nodes().await.expect("told"), [much_later], "who was silent for a day is left out");

    let region = Drain { region: "eu".to_owned(), node: None };
    let node = Drain { region: "us".to_owned(), node: Some("nyc-1".to_owned()) };
    for drain in [&region, &node, &region] {
        store.set_drain(drain, true, NOW).await.expect("kept");
    }
    assert_eq!(store.drains().await.expect("told"), BTreeSet::from([region.clone(), node.clone()]));
    store.set_drain(&Drain { node: None, ..node.clone() }, false, NOW).await.expect("kept");
    store.set_drain(&region, false, NOW).await.expect("kept");
    assert_eq!(store.drains().await.expect("told"), BTreeSet::from([node]));
}

async fn rules_come_back_and_what_was_used_is_counted_from_a_moment(store: &SqlStore) {
    assert_eq!(store.rules().await.expect("told"), Rules::default(), "who may use everything is left out");
    let regions = BTreeSet::from(["eu".to_owned(), "us".to_owned()]);
    let rules = ProjectRules {
        regions: regions.clone(),
        credentials_per_month_max: Some(3),
        bytes_per_month_max: Some(u64::MAX),
    };
    store.set_project_rules(ProjectId::DEFAULT, &rules).await.expect("kept");
    let narrow = NewToken { regions: regions.clone(), ..token(5, "narrow") };
    let id = store.insert_token(ProjectId::DEFAULT, &narrow, NOW).await.expect("made");
    let kept = ProjectRules { bytes_per_month_max: Some(i64::MAX.unsigned_abs()), ..rules };
    let expected = Rules {
        projects: BTreeMap::from([(ProjectId::DEFAULT, kept.clone())]),
        tokens: BTreeMap::from([(id, regions.clone())]),
    };
    assert_eq!(store.rules().await.expect("told"), expected);
    let caller = store.token_holder([5; 32], None).await.expect("told").expect("known").caller;
    assert_eq!(store.projects(caller.organization).await.expect("told")[0].rules, kept);
    assert_eq!(store.tokens(caller).await.expect("told")[0].regions, regions);
    assert!(store.revoke_token(caller, id, NOW).await.expect("revoked"));
    assert!(store.rules().await.expect("told").tokens.is_empty(), "a revoked token needs none");

    store.insert_credential(credential("a", "room")).await.expect("kept");
    store.insert_credential(credential("b", "room")).await.expect("kept");
    store.write_sessions(&[session(1, "room", 100)]).await.expect("written");
    let used = async |since| store.used_since(ProjectId::DEFAULT, since).await.expect("counted");
    assert_eq!(used(UnixTime::from_secs(0)).await, ProjectUse { credentials: 2, bytes: 312 });
    let later = NOW.saturating_add(Duration::from_secs(7200));
    assert_eq!(used(later).await, ProjectUse::default());
}
