//! How long lists take: every filter, and pages far from the first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_api_http::timestamp;
use causeway_bench::http::Connection;
use causeway_types::{Now, UnixTime};

use crate::{
    report::quantile,
    seed::{BUSY, CLIENTS, ROOMS, SPAN, client, room},
    server::{Server, TOKEN},
};

/// How deep the pages of a list are looked at, and how far apart.
const PAGE: u32 = 200;
const PAGES_SKIPPED: usize = 25;

/// What asking for one kind of list showed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Listed {
    /// Usage adds up; it is no list of what there is.
    pub(crate) fn has_target(&self) -> bool {
        !self.name.starts_with("/api/v1/usage")
    }

    pub(crate) fn line(&self, database: &str) -> String {
        let [p50, p99, longest] = [self.p50, self.p99, self.longest].map(|took| took.as_secs_f64() * 1e3);
        format!("{database}: {:56} p50 {p50:6.1} ms, p99 {p99:6.1} ms, longest {longest:6.1} ms", self.name)
    }
}

/// Asks for every kind of list, `requests` times each.
pub(crate) async fn measure(server: &Server, sessions: u32, requests: usize) -> Result<Vec<Listed>> {
    let mut connection = Connection::open(server.http, TOKEN).await?;
    let mut listed = Vec::new();
    let now = Now::read().unix;
    let username = some_username(&mut connection).await?;
    for (name, path) in kinds(now, &username) {
        let nanos = ask(&mut connection, requests, path).await?;
        listed.push(figures(name.to_owned(), nanos));
    }
    for path in ["/api/v1/sessions", "/api/v1/rooms", "/api/v1/clients", "/api/v1/credentials"] {
        let cursors = deep_cursors(&mut connection, path).await?;
        ensure!(sessions < 10_000 || cursors.len() > 2, "{path} has few pages");
        let at = |number: u32| {
            let cursor = cursors.get(number as usize % cursors.len().max(1)).map(String::as_str).unwrap_or_default();
            format!("{path}?cursor={cursor}")
        };
        let nanos = ask(&mut connection, requests, at).await?;
        listed.push(figures(format!("{path}?cursor=… ({} places)", cursors.len()), nanos));
    }
    Ok(listed)
}

type Path = Box<dyn Fn(u32) -> String>;

/// Kinds of lists: how they are called, and the path of the n-th request.
fn kinds(now: UnixTime, username: &str) -> Vec<(&'static str, Path)> {
    let a_room = |n: u32| room(n.wrapping_mul(7907) % ROOMS);
    let a_client = |n: u32| client(n.wrapping_mul(7919) % CLIENTS);
    let ago = move |part: f64| {
        let millis = Duration::from_millis(now.as_millis()) - SPAN.mul_f64(part);
        timestamp(UnixTime::from_millis(u64::try_from(millis.as_millis()).unwrap_or(0)))
    };
    let fixed = |path: &str| -> Path {
        let path = path.to_owned();
        Box::new(move |_| path.clone())
    };
    let of =
        |prefix: &'static str, name: fn(u32) -> String| -> Path { Box::new(move |n| format!("{prefix}{}", name(n))) };
    vec![
        ("/api/v1/sessions", fixed("/api/v1/sessions")),
        ("/api/v1/sessions?limit=200", fixed("/api/v1/sessions?limit=200")),
        ("/api/v1/sessions?room=…", of("/api/v1/sessions?room=", a_room)),
        ("/api/v1/sessions?room=(a busy one)", fixed(&format!("/api/v1/sessions?room={}", room(BUSY)))),
        (
            "/api/v1/sessions?room=(a busy one)&active=true",
            fixed(&format!("/api/v1/sessions?active=true&room={}", room(BUSY))),
        ),
        ("/api/v1/sessions?client=…", of("/api/v1/sessions?client=", a_client)),
        ("/api/v1/sessions?client=(a busy one)", fixed(&format!("/api/v1/sessions?client={}", client(BUSY)))),
        (
            "/api/v1/sessions?client=(a busy one)&active=true",
            fixed(&format!("/api/v1/sessions?active=true&client={}", client(BUSY))),
        ),
        (
            "/api/v1/sessions?client=(a busy one)&room=…",
            Box::new(move |n| format!("/api/v1/sessions?client={}&room={}", client(BUSY), a_room(n))),
        ),
        ("/api/v1/sessions?username=…", fixed(&format!("/api/v1/sessions?username={username}"))),
        ("/api/v1/sessions?active=true", fixed("/api/v1/sessions?active=true")),
        ("/api/v1/sessions?active=false", fixed("/api/v1/sessions?active=false")),
        (
            "/api/v1/sessions?from=…&to=…",
            Box::new(move |n| {
                format!("/api/v1/sessions?from={}&to={}", ago(0.9 - f64::from(n % 80) / 100.0), ago(0.1))
            }),
        ),
        (
            "/api/v1/sessions?active=true&to=…",
            Box::new(move |n| format!("/api/v1/sessions?active=true&to={}", ago(f64::from(n % 90) / 100.0))),
        ),
        ("/api/v1/rooms", fixed("/api/v1/rooms")),
        ("/api/v1/rooms?limit=200", fixed("/api/v1/rooms?limit=200")),
        ("/api/v1/rooms?active=true", fixed("/api/v1/rooms?active=true")),
        ("/api/v1/rooms?active=false", fixed("/api/v1/rooms?active=false")),
        ("/api/v1/rooms?prefix=…", Box::new(move |n| format!("/api/v1/rooms?prefix=room-{:03}", n % 200))),
        ("/api/v1/rooms?prefix=(of none)", fixed("/api/v1/rooms?prefix=zzz")),
        (
            "/api/v1/rooms?prefix=…&active=true",
            Box::new(move |n| format!("/api/v1/rooms?active=true&prefix=room-{:03}", n % 200)),
        ),
        ("/api/v1/rooms/…", of("/api/v1/rooms/", a_room)),
        ("/api/v1/rooms/(a busy one)/sessions", fixed(&format!("/api/v1/rooms/{}/sessions", room(BUSY)))),
        ("/api/v1/rooms/(a busy one)/clients", fixed(&format!("/api/v1/rooms/{}/clients", room(BUSY)))),
        ("/api/v1/clients", fixed("/api/v1/clients")),
        ("/api/v1/clients?limit=200", fixed("/api/v1/clients?limit=200")),
        ("/api/v1/clients?active=true", fixed("/api/v1/clients?active=true")),
        ("/api/v1/clients?active=false", fixed("/api/v1/clients?active=false")),
        ("/api/v1/clients?prefix=…", Box::new(move |n| format!("/api/v1/clients?prefix=client-{:03}", n % 400))),
        ("/api/v1/clients?prefix=(of none)", fixed("/api/v1/clients?prefix=zzz")),
        ("/api/v1/clients?room=…", of("/api/v1/clients?room=", a_room)),
        (
            "/api/v1/clients?room=(a busy one)&active=true",
            fixed(&format!("/api/v1/clients?active=true&room={}", room(BUSY))),
        ),
        ("/api/v1/clients/(a busy one)/sessions", fixed(&format!("/api/v1/clients/{}/sessions", client(BUSY)))),
        ("/api/v1/credentials", fixed("/api/v1/credentials")),
        ("/api/v1/credentials?limit=200", fixed("/api/v1/credentials?limit=200")),
        ("/api/v1/credentials?room=…", of("/api/v1/credentials?room=", a_room)),
        ("/api/v1/credentials?room=(a busy one)", fixed(&format!("/api/v1/credentials?room={}", room(BUSY)))),
        ("/api/v1/credentials?client=…", of("/api/v1/credentials?client=", a_client)),
        ("/api/v1/credentials?client=(a busy one)", fixed(&format!("/api/v1/credentials?client={}", client(BUSY)))),
        (
            "/api/v1/credentials?client=(a busy one)&state=active",
            fixed(&format!("/api/v1/credentials?state=active&client={}", client(BUSY))),
        ),
        ("/api/v1/credentials?token=(that of all)", fixed("/api/v1/credentials?token=1")),
        ("/api/v1/credentials?token=(of none)", fixed("/api/v1/credentials?token=999999")),
        ("/api/v1/credentials?state=active", fixed("/api/v1/credentials?state=active")),
        ("/api/v1/credentials?state=expired", fixed("/api/v1/credentials?state=expired")),
        ("/api/v1/credentials?state=revoked", fixed("/api/v1/credentials?state=revoked")),
        (
            "/api/v1/usage (a month by day)",
            Box::new(move |_| format!("/api/v1/usage?from={}&to={}&interval=day", ago(1.0), ago(0.0))),
        ),
        (
            "/api/v1/usage (a month by day and room)",
            Box::new(move |_| format!("/api/v1/usage?from={}&to={}&interval=day&group_by=room", ago(0.1), ago(0.0))),
        ),
    ]
}

async fn ask(connection: &mut Connection, requests: usize, path: impl Fn(u32) -> String) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(requests);
    for number in 0..u32::try_from(requests)? {
        let path = path(number);
        let start = Instant::now();
        let answer = connection.get(&path).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        ensure!(answer.status == 200, "{path} was answered {}: {}", answer.status, answer.body);
    }
    nanos.sort_unstable();
    Ok(nanos)
}

fn figures(name: String, nanos: Vec<u64>) -> Listed {
    Listed { name, p50: quantile(&nanos, 0.5), p99: quantile(&nanos, 0.99), longest: quantile(&nanos, 1.0) }
}

async fn some_username(connection: &mut Connection) -> Result<String> {
    let answer = connection.get("/api/v1/sessions?limit=1").await?;
    Ok(answer.field("username").context("a session")?.to_owned())
}

/// Places all along a list.
async fn deep_cursors(connection: &mut Connection, path: &str) -> Result<Vec<String>> {
    let mut cursors = Vec::new();
    let mut next = connection.get(&format!("{path}?limit={PAGE}")).await?.field("nextCursor").map(str::to_owned);
    let mut pages = 0;
    while let Some(cursor) = next {
        pages += 1;
        if pages % PAGES_SKIPPED == 0 {
            cursors.push(cursor.clone());
        }
        next = connection
            .get(&format!("{path}?limit={PAGE}&cursor={cursor}"))
            .await?
            .field("nextCursor")
            .map(str::to_owned);
    }
    Ok(cursors)
}
