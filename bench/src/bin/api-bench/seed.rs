//! A month of an application's life, written by the store's own writer: rooms, clients, credentials, sessions.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use causeway_app::{
    ApiCaller, Attribution, ClientRole, CredentialLimits, CredentialRecord, CredentialStore as _, Identifier, NewToken,
    Role, Scopes, SessionEnd, SessionEndReason, SessionInsight, SessionRecord, SessionStart, Store as _,
};
use causeway_bench::turn::REALM;
use causeway_credentials::{issued::IssuedPair, token};
use causeway_store::SqlStore;
use causeway_stun_codec::key;
use causeway_types::{
    AllocationEndReason, AllocationId, ClientTransport, CredentialKind, FiveTuple, Now, RelayTransport, TrafficCount,
    TrafficCounters, UnixTime,
};
use tokio::task::JoinSet;

use crate::server::{Database, TOKEN};

/// Rooms there are.
pub(crate) const ROOMS: u32 = 20_000;
/// Clients there are.
pub(crate) const CLIENTS: u32 = 40_000;
/// The room and the client of one session in twenty, from where every name has been used.
pub(crate) const BUSY: u32 = 0;
/// One session in so many is live.
const LIVE: u32 = 20;
/// Over which the sessions are spread.
pub(crate) const SPAN: Duration = Duration::from_secs(30 * 86_400);
/// Sessions in one transaction, as the server has it; credentials written at once.
const BATCH: usize = 1000;

/// The name of room `number`.
pub(crate) fn room(number: u32) -> String {
    format!("room-{number:05}")
}

/// The name of client `number`.
pub(crate) fn client(number: u32) -> String {
    format!("client-{number:05}")
}

/// Writes sessions, each with a credential of its own; how long that took.
pub(crate) async fn sessions(database: &Database, count: u32) -> Result<Duration> {
    let store = Arc::new(database.open("seed").await?);
    let now = Now::read().unix;
    let caller = first_token(&store, now).await?;
    let start = Instant::now();
    let numbers: Vec<u32> = (0..count).collect();
    for batch in numbers.chunks(BATCH) {
        let lives = batch.iter().map(|number| Life::new(*number, count, caller, now)).collect::<Result<Vec<_>>>()?;
        let mut inserts = JoinSet::new();
        for life in &lives {
            let (store, credential) = (Arc::clone(&store), life.credential.clone());
            inserts.spawn(async move { store.insert_credential(credential).await });
        }
        while let Some(inserted) = inserts.join_next().await {
            inserted??;
        }
        let sessions: Vec<SessionRecord> = lives.into_iter().map(|life| life.session).collect();
        store.write_sessions(&sessions).await?;
    }
    let took = start.elapsed();
    store.close().await;
    Ok(took)
}

/// The token the server is started with.
pub(crate) async fn first_token(store: &SqlStore, now: UnixTime) -> Result<ApiCaller> {
    let token = NewToken {
        hash: token::hash(TOKEN),
        name: "bench".to_owned(),
        prefix: token::shown_prefix(TOKEN),
        scopes: Scopes::ALL,
        organization_wide: true,
        expires_at: None,
        regions: std::collections::BTreeSet::new(),
    };
    store.add_token(&token, now).await?;
    Ok(store.token_holder(token.hash, None).await?.context("the token just made")?.caller)
}

/// A session and its credential.
struct Life {
    credential: CredentialRecord,
    session: SessionRecord,
}

impl Life {
    fn new(number: u32, count: u32, caller: ApiCaller, now: UnixTime) -> Result<Self> {
        let is_busy = number >= CLIENTS && number.is_multiple_of(12);
        let of = |factor: u32, all: u32| if is_busy { BUSY } else { number.wrapping_mul(factor) % all };
        let (room, client, other) =
            (room(of(7907, ROOMS)), client(of(7919, CLIENTS)), client(number.wrapping_mul(104_729) % CLIENTS));
        let age = SPAN.mul_f64(1.0 - f64::from(number) / f64::from(count));
        let started = UnixTime::from_millis(u64::try_from((Duration::from_millis(now.as_millis()) - age).as_millis())?);
        let credential = issued(number, &room, (&client, &other), caller, started)?;
        let session = session(number, &credential, started, number % LIVE == 1);
        Ok(Self { credential, session })
    }
}

/// An issued credential that names everything.
fn issued(
    number: u32,
    room: &str,
    (client, other): (&str, &str),
    caller: ApiCaller,
    at: UnixTime,
) -> Result<CredentialRecord> {
    let mut random = [0; 32];
    random[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    random[4..8].copy_from_slice(&number.to_be_bytes());
    let pair = IssuedPair::from_random(random);
    Ok(CredentialRecord {
        user_hash: key::user_hash(&pair.username, REALM),
        username: pair.username,
        secret: pair.credential,
        project: caller.project,
        token: caller.token,
        room: Some(Identifier::new(room)?),
        initiator_client: Some(Identifier::new(client)?),
        receiver_client: Some(Identifier::new(other)?),
        client_type: Some(ClientRole::Initiator),
        region: "local".to_owned(),
        issued_at: at,
        expires_at: at.saturating_add(Duration::from_secs(3600)),
        revoked_at: None,
        limits: CredentialLimits::default(),
        metadata: None,
    })
}

fn session(number: u32, credential: &CredentialRecord, at: UnixTime, is_live: bool) -> SessionRecord {
    let address = |net: u8, port: u16| SocketAddr::from((Ipv4Addr::new(net, 0, 113, 9), port));
    let port = u16::try_from(20_000 + number % 40_000).unwrap_or(u16::MAX);
    let five_tuple =
        FiveTuple { transport: ClientTransport::Udp, client: address(203, port), server: address(198, 3478) };
    let attribution = Attribution {
        project: credential.project,
        token: Some(credential.token),
        room: credential.room.clone(),
        clients: credential.initiator_client.iter().map(|client| (client.clone(), Role::Initiator)).collect(),
        region: credential.region.clone(),
    };
    let start = SessionStart {
        id: AllocationId(u64::from(number.wrapping_mul(2_654_435_761)) << 32 | u64::from(number)),
        number: u64::from(number),
        attribution: Arc::new(attribution),
        username: Arc::from(credential.username.as_str()),
        credential: CredentialKind::Issued,
        realm: Arc::from(REALM),
        at,
        five_tuple,
        security: None,
        relayed: [Some(address(198, port)), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
    };
    let last_seen = at.saturating_add(Duration::from_secs(u64::from(number % 1800)));
    let count = |bytes: u64| TrafficCount { packets: bytes / 500, bytes };
    let bytes = u64::from(number) * 1000;
    let traffic = TrafficCounters { from_client: count(bytes), to_client: count(bytes / 2) };
    let reason = SessionEndReason::Relay(AllocationEndReason::ClientDeleted);
    SessionRecord {
        start: Arc::new(start),
        five_tuple,
        last_seen,
        end: (!is_live).then_some(SessionEnd { at: last_seen, reason }),
        traffic,
        messages: traffic,
        first_data: Some(Duration::from_millis(80)),
        peers: Vec::new(),
        refusals: 0,
        moves: 0,
        insight: SessionInsight::default(),
    }
}
