//! Forgetting, a room or client or what is old: small transactions, so that nobody waits long for the one that writes.

use causeway_app::{Erased, ErasureSubject, ProjectId};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{millis, sql::Sql};

/// Sessions forgotten in one transaction.
const BATCH: i64 = 500;

pub(crate) async fn erase(pool: &AnyPool, project: ProjectId, subject: &ErasureSubject) -> Result<Erased, sqlx::Error> {
    let name = subject.name().as_str();
    let of = |text: &str| Sql::new(text).bind(project.0).push(" AND ");
    let mut erased = Erased::default();
    loop {
        let found = sessions(pool, project, subject).await?;
        if found.is_empty() {
            break;
        }
        erased.sessions += forget_sessions(pool, &found).await?;
    }
    let (credentials, failures) = match subject {
        ErasureSubject::Room(_) => (
            of("DELETE FROM credentials WHERE project_id = ").push("room = ").bind(name),
            of("DELETE FROM failures WHERE project_id = ").push("room = ").bind(name),
        ),
        ErasureSubject::Client(_) => (
            of("DELETE FROM credentials WHERE project_id = ")
                .push("(initiator_client = ")
                .bind(name)
                .push(" OR receiver_client = ")
                .bind(name)
                .push(")"),
            of("DELETE FROM failures WHERE project_id = ")
                .push("(client = ")
                .bind(name)
                .push(" OR second_client = ")
                .bind(name)
                .push(")"),
        ),
    };
    erased.credentials = run(pool, credentials).await?;
    erased.failures = run(pool, failures).await?;
    // Names are letters, digits, `-` and `_`: as a whole JSON text they can be nothing else.
    let json = format!("%\"{}\"%", name.replace('_', "!_"));
    let events = of("DELETE FROM events WHERE project_id = ").push("body LIKE ").bind(json).push(" ESCAPE '!'");
    erased.events = run(pool, events).await?;
    erased.usage_hours = forget_usage(pool, project, subject).await?;
    let (list, member) = match subject {
        ErasureSubject::Room(_) => ("rooms", "room"),
        ErasureSubject::Client(_) => ("clients", "client"),
    };
    erased.names = run(pool, of(&format!("DELETE FROM {list} WHERE project_id = ")).push("name = ").bind(name)).await?;
    let members = of("DELETE FROM room_clients WHERE project_id = ").push(member).push(" = ").bind(name);
    erased.names += run(pool, members).await?;
    let audit = Sql::new("UPDATE audit_log SET subject = ").bind(format!("{member} (erased)"));
    let audit = audit.push(" WHERE project_id = ").bind(project.0);
    erased.audit_entries = run(pool, audit.push(" AND subject = ").bind(format!("{member} {name}"))).await?;
    Ok(erased)
}

async fn run(pool: &AnyPool, sql: Sql) -> Result<u64, sqlx::Error> {
    Ok(sql.query().execute(pool).await?.rows_affected())
}

async fn sessions(pool: &AnyPool, project: ProjectId, subject: &ErasureSubject) -> Result<Vec<String>, sqlx::Error> {
    let sql = match subject {
        ErasureSubject::Room(room) => Sql::new("SELECT id FROM sessions WHERE project_id = ")
            .bind(project.0)
            .push(" AND room = ")
            .bind(room.as_str()),
        ErasureSubject::Client(client) => Sql::new("SELECT session_id FROM session_clients WHERE project_id = ")
            .bind(project.0)
            .push(" AND client = ")
            .bind(client.as_str()),
    };
    let rows: Vec<(String,)> = sql.push(" LIMIT ").bind(BATCH).rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Forgets a batch of what ended before a time; how many rows.
pub(crate) async fn forget_before(pool: &AnyPool, project: ProjectId, before: UnixTime) -> Result<u64, sqlx::Error> {
    let before = millis(before);
    let ended = Sql::new("SELECT id FROM sessions WHERE project_id = ").bind(project.0);
    // The start goes first: it has an index, and a session that ended before began before.
    let ended = ended.push(" AND started_at < ").bind(before).push(" AND ended_at < ").bind(before);
    let ended: Vec<(String,)> = ended.push(" ORDER BY started_at LIMIT ").bind(BATCH).rows().fetch_all(pool).await?;
    let ended: Vec<String> = ended.into_iter().map(|(id,)| id).collect();
    let mut forgotten = forget_sessions(pool, &ended).await?;
    for (table, key, time, first) in
        [("failures", "id", "last_at", "first_at"), ("credentials", "username", "expires_at", "issued_at")]
    {
        let sql =
            Sql::new(&format!("DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE project_id = "));
        let sql = sql.bind(project.0).push(&format!(" AND {first} < ")).bind(before);
        let sql = sql.push(&format!(" AND {time} < ")).bind(before).push(" LIMIT ").bind(BATCH).push(")");
        forgotten += run(pool, sql).await?;
    }
    Ok(forgotten)
}

/// Deletes a batch of the oldest refusals beyond the newest `keep`.
pub(crate) async fn trim_failures(pool: &AnyPool, project: ProjectId, keep: u64) -> Result<u64, sqlx::Error> {
    let newest_beyond = Sql::new("SELECT first_at, id FROM failures WHERE project_id = ").bind(project.0);
    let newest_beyond = newest_beyond.push(" ORDER BY first_at DESC, id DESC LIMIT 1 OFFSET ").bind(keep);
    let Some((at, id)) = newest_beyond.rows::<(i64, String)>().fetch_optional(pool).await? else { return Ok(0) };
    let sql = Sql::new("DELETE FROM failures WHERE id IN (SELECT id FROM failures WHERE project_id = ").bind(project.0);
    let sql = sql.push(" AND (first_at, id) <= (").bind(at).push(", ").bind(id);
    run(pool, sql.push(") ORDER BY first_at, id LIMIT ").bind(BATCH).push(")")).await
}

/// Removes sessions of these ids and who took part in them, in one transaction; how many.
pub(crate) async fn forget_sessions(pool: &AnyPool, ids: &[String]) -> Result<u64, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let named = |text: &str| Sql::new(text).binds(ids.iter().map(String::as_str)).push(")");
    let mut transaction = pool.begin().await?;
    named("DELETE FROM session_clients WHERE session_id IN (").query().execute(&mut *transaction).await?;
    let done = named("DELETE FROM sessions WHERE id IN (").query().execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// A room's usage goes to the hours without a room, so that a bill still adds up; a client's own sums are forgotten.
async fn forget_usage(pool: &AnyPool, project: ProjectId, subject: &ErasureSubject) -> Result<u64, sqlx::Error> {
    let name = subject.name().as_str();
    let ErasureSubject::Room(_) = subject else {
        let sql = Sql::new("DELETE FROM usage_client_hours WHERE project_id = ").bind(project.0);
        return run(pool, sql.push(" AND client = ").bind(name)).await;
    };
    let mut transaction = pool.begin().await?;
    let moved = Sql::new(
        "INSERT INTO usage_hours (project_id, hour, room, region, token_id, transport, bytes_in, bytes_out, sessions, \
         millis) SELECT project_id, hour, '', region, token_id, transport, bytes_in, bytes_out, sessions, millis \
         FROM usage_hours WHERE project_id = ",
    )
    .bind(project.0)
    .push(" AND room = ")
    .bind(name)
    .push(
        " ON CONFLICT (project_id, hour, room, region, token_id, transport) DO UPDATE SET \
         bytes_in = usage_hours.bytes_in + excluded.bytes_in, bytes_out = usage_hours.bytes_out + excluded.bytes_out, \
         sessions = usage_hours.sessions + excluded.sessions, millis = usage_hours.millis + excluded.millis",
    );
    moved.query().execute(&mut *transaction).await?;
    let gone = Sql::new("DELETE FROM usage_hours WHERE project_id = ").bind(project.0).push(" AND room = ").bind(name);
    let gone = gone.query().execute(&mut *transaction).await?.rows_affected();
    transaction.commit().await?;
    Ok(gone)
}
