//! What servers of one database share besides notices: numbers, the lease of who posts, each other's live sessions.

use std::time::Duration;

use causeway_app::{Cursor, EVENT_IDS_AT_ONCE, Lease, ProjectId};
use causeway_types::UnixTime;
use sqlx::{Any, AnyPool, Transaction};

use crate::{count, millis, sql::Sql};

/// Names in one statement.
const NAMES_MAX: usize = 500;
/// A session that was not written for so long is of a server that was killed: idle ones are written every minute.
const SILENT_AFTER: Duration = Duration::from_secs(150);

/// The next block of event ids. It also keeps up with the clock, in microseconds: should the database come back from a
/// backup, what was given since is not given again.
pub(crate) async fn claim_event_ids(pool: &AnyPool, now: UnixTime) -> Result<Cursor, sqlx::Error> {
    let by_clock = now.as_millis().saturating_mul(1000) / EVENT_IDS_AT_ONCE + 1;
    let sql = Sql::new("UPDATE counters SET value = CASE WHEN value + 1 > ")
        .bind(by_clock)
        .push(" THEN value + 1 ELSE ")
        .bind(by_clock)
        .push(" END WHERE name = 'event_id_block' RETURNING value");
    let (block,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(Cursor(count(block) * EVENT_IDS_AT_ONCE))
}

/// Draws `n` places and returns the first. The counter's row stays locked until the transaction ends, so places appear
/// to readers in their order, whichever servers draw.
pub(crate) async fn draw_places(transaction: &mut Transaction<'_, Any>, n: usize) -> Result<u64, sqlx::Error> {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    let sql =
        Sql::new("UPDATE counters SET value = value + ").bind(n).push(" WHERE name = 'event_place' RETURNING value");
    let (last,): (i64,) = sql.rows().fetch_one(&mut **transaction).await?;
    Ok(count(last) + 1 - n)
}

pub(crate) async fn newest_place(pool: &AnyPool) -> Result<u64, sqlx::Error> {
    let sql = Sql::new("SELECT value FROM counters WHERE name = 'event_place'");
    let (newest,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(count(newest))
}

pub(crate) async fn lease(pool: &AnyPool) -> Result<Lease, sqlx::Error> {
    let sql = Sql::new("SELECT holder, renewals FROM leases WHERE name = 'webhooks'");
    let (holder, renewals): (String, i64) = sql.rows().fetch_one(pool).await?;
    Ok(Lease { holder, renewals })
}

/// Gives the lease to `holder` if it is still as `seen`.
pub(crate) async fn change_lease(pool: &AnyPool, seen: &Lease, holder: &str) -> Result<Option<Lease>, sqlx::Error> {
    let changed = Lease { holder: holder.to_owned(), renewals: seen.renewals.saturating_add(1) };
    let done = Sql::new("UPDATE leases SET holder = ")
        .bind(holder)
        .push(", renewals = ")
        .bind(changed.renewals)
        .push(" WHERE name = 'webhooks' AND holder = ")
        .bind(seen.holder.as_str())
        .push(" AND renewals = ")
        .bind(seen.renewals)
        .query()
        .execute(pool)
        .await?;
    Ok((done.rows_affected() > 0).then_some(changed))
}

pub(crate) async fn live_elsewhere(
    pool: &AnyPool,
    node: &str,
    project: ProjectId,
    usernames: &[String],
    now: UnixTime,
) -> Result<u64, sqlx::Error> {
    let silence = i64::try_from(SILENT_AFTER.as_millis()).unwrap_or(i64::MAX);
    let mut live = 0;
    for names in usernames.chunks(NAMES_MAX) {
        let sql = Sql::new("SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL AND project_id = ")
            .bind(project.0)
            .push(" AND node <> ")
            .bind(node)
            .push(" AND last_seen_at > ")
            .bind(millis(now).saturating_sub(silence))
            .push(" AND username IN (")
            .binds(names.iter().map(String::as_str))
            .push(")");
        let (found,): (i64,) = sql.rows().fetch_one(pool).await?;
        live += count(found);
    }
    Ok(live)
}
