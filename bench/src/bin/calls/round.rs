//! One dialect's clients: they register, call each other, and go.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use causeway_bench::http::Connection;
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    Kind, Options,
    phone::{Order, Phone, Steps},
    server::{Server, TOKEN},
    sip::{self, SipPhone},
    verto::{Login, VertoPhone},
    wire::Way,
};

/// Clients that connect at once.
const AT_ONCE: usize = 64;
/// Clients of one source address.
const PER_SOURCE: usize = 1000;
/// How long a call may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server may take to forget clients that are gone; those of one dialect may come back for 90 s.
const FORGETTING: Duration = Duration::from_secs(120);
/// Counts that are zero when nobody is there. The first ones follow connections; the last may wait for clients to come back.
const COUNTS: [&str; 3] = ["causeway_calls", "causeway_call_clients", "causeway_registrations"];

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) clients: usize,
    pub(crate) registered_in: Duration,
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
    /// One of each call that was placed, or why it came to nothing.
    pub(crate) calls: Vec<Steps>,
    pub(crate) faults: Vec<String>,
    pub(crate) cpu: Duration,
    pub(crate) memory_after_calls: u64,
    /// Counts that did not come back to zero.
    pub(crate) left: Vec<(&'static str, u64)>,
    pub(crate) memory_at_end: u64,
}

impl Round {
    /// Resident memory of the server for each client.
    pub(crate) fn bytes_each(&self) -> u64 {
        self.memory_after.saturating_sub(self.memory_before) / u64::try_from(self.clients).unwrap_or(u64::MAX).max(1)
    }
}

/// Measures `clients` of one dialect on a server of their own.
pub(crate) async fn measure(options: &Options, kind: Kind, clients: usize) -> Result<Round> {
    let users = if kind == Kind::Sip { sip::users(clients) } else { String::new() };
    let server = Server::start(&causeway_bench::serving::program(options.causeway.as_deref())?, &users).await?;
    let logins = if kind == Kind::Verto { logins(&server, clients).await? } else { Vec::new() };
    let name = |number: usize| match kind {
        Kind::Sip => Some(sip::name(number)),
        Kind::Verto => logins.get(number).map(|login: &Login| login.name.clone()),
    };
    let mut round = Round { clients, memory_before: server.memory()?, ..Round::default() };
    let started = Instant::now();
    let phones = register(options, &server, kind, clients, &logins).await?;
    round.registered_in = started.elapsed();
    let registered = server.metric("causeway_registrations").await?;
    ensure!(registered == u64::try_from(clients)?, "{registered} of {clients} clients are registered");
    sleep(options.rest()).await;
    round.memory_after = server.memory()?;
    let cpu = server.cpu()?;
    call(options, &phones, name, &mut round).await?;
    round.cpu = server.cpu()?.saturating_sub(cpu);
    round.memory_after_calls = server.memory()?;
    let mut counts = COUNTS.to_vec();
    let calls_left = wait_for_zero(&server, counts.remove(0), PATIENCE).await?;
    drop(phones);
    round.left.extend(calls_left);
    if options.stays_shortly && kind == Kind::Verto {
        counts.pop();
    }
    for count in counts {
        round.left.extend(wait_for_zero(&server, count, FORGETTING).await?);
    }
    sleep(options.rest()).await;
    round.memory_at_end = server.memory()?;
    Ok(round)
}

/// Users of one connection, made by the API.
async fn logins(server: &Server, count: usize) -> Result<Vec<Login>> {
    let mut api = Connection::open(server.http, TOKEN).await?;
    let body = r#"{"connection_name": "bench", "user_name": "benchconnection", "password": "Password1"}"#;
    let answer = api.post("/v2/credential_connections", body).await?;
    ensure!(answer.status == 201, "no connection: {}", answer.body);
    let body = format!(r#"{{"connection_id": "{}"}}"#, answer.field("id").context("a connection's id")?);
    let mut makers = JoinSet::new();
    for part in 0..16 {
        let (mut api, body) = (Connection::open(server.http, TOKEN).await?, body.clone());
        makers.spawn(async move {
            let mut made = Vec::new();
            for _ in (part..count).step_by(16) {
                let answer = api.post("/v2/telephony_credentials", &body).await?;
                ensure!(answer.status == 201, "no credential: {}", answer.body);
                let field = |name| answer.field(name).map(str::to_owned).context("a credential's name and password");
                made.push(Login { name: field("sip_username")?, password: field("sip_password")? });
            }
            Ok(made)
        });
    }
    let mut logins = Vec::new();
    while let Some(made) = makers.join_next().await {
        logins.append(&mut made??);
    }
    Ok(logins)
}

async fn register(
    options: &Options,
    server: &Server,
    kind: Kind,
    clients: usize,
    logins: &[Login],
) -> Result<Vec<Phone>> {
    let tls = if options.tls { Some(server.tls()?) } else { None };
    let offer = offer();
    let mut opening = JoinSet::new();
    let mut phones: Vec<Option<Phone>> = (0..clients).map(|_| None).collect();
    let mut keep = |opened: Result<Result<(usize, Phone)>, JoinError>| {
        let (number, phone) = opened??;
        if let Some(place) = phones.get_mut(number) {
            *place = Some(phone);
        }
        anyhow::Ok(())
    };
    for number in 0..clients {
        if opening.len() >= AT_ONCE
            && let Some(opened) = opening.join_next().await
        {
            keep(opened)?;
        }
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number / PER_SOURCE + 1).context("too many clients")?);
        let way = Way {
            server: if options.tls { server.https } else { server.http },
            source: SocketAddr::from((source, 0)),
            tls: tls.clone(),
            path: kind.path(),
            protocol: kind.protocol(),
        };
        let (offer, login) = (offer.clone(), logins.get(number).cloned());
        opening.spawn(async move {
            let phone = match login {
                Some(login) => Phone::open(&way, VertoPhone::new(login, &offer)).await,
                None => Phone::open(&way, SipPhone::new(number, &offer)).await,
            };
            phone.map(|phone| (number, phone)).with_context(|| format!("client {number}"))
        });
    }
    while let Some(opened) = opening.join_next().await {
        keep(opened)?;
    }
    phones.into_iter().collect::<Option<Vec<_>>>().context("every client")
}

/// Places calls at a steady rate, each from one client to the next.
async fn call(
    options: &Options,
    phones: &[Phone],
    name: impl Fn(usize) -> Option<String>,
    round: &mut Round,
) -> Result<()> {
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.per_sec);
    for number in 0..usize::try_from(options.per_sec * options.seconds)? {
        ticks.tick().await;
        let pair = 2 * number % phones.len();
        let (Some(caller), Some(callee)) = (phones.get(pair), name((pair + 1) % phones.len())) else { continue };
        let (tell, told) = oneshot::channel();
        let orders = caller.orders.clone();
        calls.spawn(async move {
            let ordered = async {
                orders.send(Order { callee, tell }).await.ok().context("a client is gone")?;
                told.await.context("a client is gone in its call")?
            };
            timeout(PATIENCE, ordered).await.context("a call took too long")?
        });
    }
    while let Some(call) = calls.join_next().await {
        match call? {
            Ok(steps) => round.calls.push(steps),
            Err(fault) => round.faults.push(format!("{fault:#}")),
        }
    }
    Ok(())
}

/// The count when it does not come to zero.
async fn wait_for_zero(
    server: &Server,
    count: &'static str,
    patience: Duration,
) -> Result<Option<(&'static str, u64)>> {
    let until = Instant::now() + patience;
    loop {
        let value = server.metric(count).await?;
        if value == 0 {
            return Ok(None);
        }
        if Instant::now() > until {
            return Ok(Some((count, value)));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a browser offers for audio: two thousand bytes.
fn offer() -> String {
    let mut offer = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        a=msid-semantic: WMS stream\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:bench\r\na=ice-pwd:benchbenchbenchbenchbench\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
        a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n"
        .to_owned();
    for candidate in 0..8 {
        offer.push_str(&format!(
            "a=candidate:{candidate} 1 udp 2122260223 192.0.2.{candidate} 5{candidate}000 typ host generation 0 network-id 1\r\n"
        ));
    }
    offer
}
