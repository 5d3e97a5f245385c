//! Servers of this database, and what operators drained.

use std::{collections::BTreeSet, time::Duration};

use causeway_app::{Drain, IceUrls, NodeReport, NodeState};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{millis, sql::Sql, time};

/// A server that was silent for so long is forgotten.
const KEPT: Duration = Duration::from_secs(86_400);

pub(crate) async fn write(pool: &AnyPool, report: &NodeReport) -> Result<(), sqlx::Error> {
    let urls: Vec<&str> = report.urls.stun.iter().chain(&report.urls.turn).map(String::as_str).collect();
    Sql::new(
        "INSERT INTO nodes (name, region, version, urls, state, seen_at, started_at, live_sessions, \
         certificate_expires_at) VALUES (",
    )
    .binds([&report.name, &report.region, &report.version, &urls.join(" "), report.state.as_str()])
    .push(", ")
    .binds([millis(report.seen_at), millis(report.started_at), i64::from(report.live_sessions)])
    .push(", ")
    .bind(report.certificate_expires_at.map(millis))
    .push(
        ") ON CONFLICT (name) DO UPDATE SET region = excluded.region, version = excluded.version, \
         urls = excluded.urls, state = excluded.state, seen_at = excluded.seen_at, started_at = excluded.started_at, \
         live_sessions = excluded.live_sessions, certificate_expires_at = excluded.certificate_expires_at",
    )
    .query()
    .execute(pool)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct NodeRow {
    name: String,
    region: String,
    version: String,
    urls: String,
    state: String,
    seen_at: i64,
    started_at: i64,
    live_sessions: i64,
    certificate_expires_at: Option<i64>,
}

pub(crate) async fn list(pool: &AnyPool) -> Result<Vec<NodeReport>, sqlx::Error> {
    // Measured against the newest of them, so that no clock but theirs counts.
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let sql = Sql::new(
        "SELECT name, region, version, urls, state, seen_at, started_at, live_sessions, certificate_expires_at \
         FROM nodes WHERE seen_at >= (SELECT MAX(seen_at) FROM nodes) - ",
    )
    .bind(kept)
    .push(" ORDER BY name");
    let rows: Vec<NodeRow> = sql.rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(report).collect())
}

fn report(row: NodeRow) -> NodeReport {
    NodeReport {
        name: row.name,
        region: row.region,
        urls: IceUrls::sorted(row.urls.split_whitespace().map(str::to_owned)).unwrap_or_default(),
        version: row.version,
        started_at: time(row.started_at),
        seen_at: time(row.seen_at),
        // A word of a newer release: such a node is not sent clients.
        state: NodeState::ALL.into_iter().find(|state| state.as_str() == row.state).unwrap_or(NodeState::Draining),
        live_sessions: u32::try_from(row.live_sessions).unwrap_or(u32::MAX),
        certificate_expires_at: row.certificate_expires_at.map(time),
    }
}

pub(crate) async fn drains(pool: &AnyPool) -> Result<BTreeSet<Drain>, sqlx::Error> {
    let rows: Vec<(String, String)> = Sql::new("SELECT region, node FROM drains").rows().fetch_all(pool).await?;
    let drain = |(region, node): (String, String)| Drain { region, node: (!node.is_empty()).then_some(node) };
    Ok(rows.into_iter().map(drain).collect())
}

pub(crate) async fn set_drain(
    pool: &AnyPool,
    drain: &Drain,
    is_drained: bool,
    now: UnixTime,
) -> Result<(), sqlx::Error> {
    let node = drain.node.as_deref().unwrap_or_default();
    let sql = if is_drained {
        Sql::new("INSERT INTO drains (region, node, since) VALUES (")
            .binds([drain.region.as_str(), node])
            .push(", ")
            .bind(millis(now))
            .push(") ON CONFLICT DO NOTHING")
    } else {
        Sql::new("DELETE FROM drains WHERE region = ").bind(drain.region.as_str()).push(" AND node = ").bind(node)
    };
    sql.query().execute(pool).await?;
    Ok(())
}
