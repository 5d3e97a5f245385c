//! Revocations and ends by an operator, over the API, on a thread of its own.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use causeway_bench::{http::Connection, space::Space};

use super::{clock::Clock, subject::TOKEN};

/// A session is listed a second after its allocation was granted.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// How an allocation is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Its credential is taken back.
    Revoke,
    /// An operator ends the session.
    Close,
}

/// What a thread wants done.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) allocation: usize,
    pub(super) how: How,
    pub(super) username: String,
}

/// When it was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) allocation: usize,
    /// Before the request.
    pub(super) asked_at: u64,
    /// After the answer.
    pub(super) answered_at: u64,
}

/// Does jobs until there will be no more.
pub(super) fn work(
    space: &Space,
    http: SocketAddr,
    clock: Clock,
    jobs: &Receiver<Job>,
    done: &Sender<Done>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    space.inside(|| {
        runtime.block_on(async {
            let mut connection = Connection::open(http, TOKEN).await?;
            // Nothing else is to be done on this thread.
            while let Ok(job) = jobs.recv() {
                let path = match job.how {
                    How::Revoke => format!("/api/v1/credentials/{}?sessions=end", escaped(&job.username)),
                    How::Close => format!("/api/v1/sessions/{}", session(&mut connection, &job.username).await?),
                };
                let asked_at = clock.now();
                let status = connection.delete(&path).await?.status;
                ensure!(status == 204, "{:?} was answered {status}", job.how);
                if done.send(Done { allocation: job.allocation, asked_at, answered_at: clock.now() }).is_err() {
                    // The crowd is gone only when it has failed.
                    break;
                }
            }
            Ok(())
        })
    })
}

/// The id of the session of a user.
async fn session(connection: &mut Connection, username: &str) -> Result<String> {
    let path = format!("/api/v1/sessions?active=true&username={}", escaped(username));
    let mut waited = Duration::ZERO;
    loop {
        let answer = connection.get(&path).await?;
        if let Some(id) = answer.field("id") {
            return Ok(id.to_owned());
        }
        ensure!(waited < PATIENCE, "the session of {username} is not listed");
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

fn escaped(username: &str) -> String {
    username.replace(':', "%3A")
}

/// What the API says of all sessions.
pub(super) fn sessions(space: &Space, http: SocketAddr) -> Result<Vec<serde_json::Value>> {
    ask(space, async {
        let mut connection = Connection::open(http, TOKEN).await?;
        let (mut sessions, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = connection.get(&format!("/api/v1/sessions?limit=200{cursor}")).await?;
            ensure!(answer.status == 200, "the list of sessions was answered {}", answer.status);
            let mut page: serde_json::Value = serde_json::from_str(answer.body)?;
            if let Some(data) = page.get_mut("data").and_then(serde_json::Value::as_array_mut) {
                sessions.append(data);
            }
            match page.get("nextCursor").and_then(serde_json::Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(sessions),
            }
        }
    })
}

/// A document of the server's.
pub(super) fn document(space: &Space, http: SocketAddr, path: &str) -> Result<String> {
    ask(space, async {
        let mut connection = Connection::open(http, TOKEN).await?;
        let answer = connection.get(path).await.with_context(|| path.to_owned())?;
        ensure!(answer.status == 200, "{path} was answered {}", answer.status);
        Ok(answer.body.to_owned())
    })
}

fn ask<T>(space: &Space, question: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    space.inside(|| runtime.block_on(question))
}
