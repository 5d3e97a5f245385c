//! Usage: sums by interval and group.

use causeway_app::{UsageGroup, UsageInterval, UsageQuery, UsageRow};
use sqlx::AnyPool;

use crate::{count, millis, sql::Sql, time};

const HOUR: i64 = 3_600_000;

pub(crate) async fn read(pool: &AnyPool, query: &UsageQuery) -> Result<Vec<UsageRow>, sqlx::Error> {
    let width = match query.interval {
        UsageInterval::Hour => HOUR,
        UsageInterval::Day => 24 * HOUR,
    };
    let (table, key) = match query.group {
        UsageGroup::Total => ("usage_hours", "''"),
        UsageGroup::Room => ("usage_hours", "room"),
        UsageGroup::Client => ("usage_client_hours", "client"),
        UsageGroup::Region => ("usage_hours", "region"),
        UsageGroup::Token => ("usage_hours", "CAST(token_id AS TEXT)"),
        UsageGroup::Transport => ("usage_hours", "transport"),
    };
    let from = millis(query.from) / width * width;
    let sql = Sql::new("SELECT start, name, CAST(SUM(bytes_in) AS BIGINT), CAST(SUM(bytes_out) AS BIGINT), ")
        .push("CAST(SUM(sessions) AS BIGINT), CAST(SUM(millis) AS BIGINT) FROM (SELECT ")
        .push("hour - hour % CAST(")
        .bind(width)
        .push(" AS BIGINT) AS start, ")
        .push(key)
        .push(" AS name, bytes_in, bytes_out, sessions, millis FROM ")
        .push(table)
        .push(" WHERE project_id = ")
        .bind(query.project.0)
        .push(" AND hour >= ")
        .bind(from)
        .push(" AND hour < ")
        .bind(millis(query.to))
        .push(") AS hours GROUP BY start, name ORDER BY start, name");
    let rows: Vec<(i64, String, i64, i64, i64, i64)> = sql.rows().fetch_all(pool).await?;
    let row = |(start, key, bytes_in, bytes_out, sessions, millis): (i64, String, i64, i64, i64, i64)| UsageRow {
        start: time(start),
        key: if query.group == UsageGroup::Token && key == "0" { String::new() } else { key },
        bytes_in: count(bytes_in),
        bytes_out: count(bytes_out),
        sessions: count(sessions),
        millis: count(millis),
    };
    Ok(rows.into_iter().map(row).collect())
}
