//! Refusals: written with absolute counts, listed by time, summed up by reason, room or client.

use causeway_app::{
    AddressPrivacy, Failure, FailureFilter, FailureGroup, FailureGroupBy, FailureKey, FailureReason, FailureView,
    Identifier, Order, Page, PageRequest, ProjectId, StoreResult,
};
use sqlx::AnyPool;

use super::{Privacy, words_of};
use crate::{
    count,
    listing::{self, duration},
    millis,
    sql::Sql,
    store_error, time,
};

/// Groups in one answer.
const GROUPS_MAX: i64 = 200;

pub(crate) async fn write(pool: &AnyPool, privacy: &Privacy, failures: &[Failure]) -> Result<(), sqlx::Error> {
    if failures.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    for failure in failures {
        upsert(failure, privacy.of(failure.refusal.project)).query().execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

fn upsert(failure: &Failure, privacy: AddressPrivacy) -> Sql {
    let refusal = &failure.refusal;
    let labels = refusal.attribution.as_deref();
    let client = |index: usize| labels.and_then(|l| l.clients.get(index)).map(|(client, _)| client.as_str());
    let role = labels.and_then(|l| l.clients.first()).map(|(_, role)| role.as_str());
    let shown = |address| Some(privacy.shown(address)).filter(|shown| !shown.is_empty());
    let times = [millis(failure.first_at), millis(failure.last_at)];
    let rule = refusal.rule.as_deref();
    let rule = rule.map(|rule| if privacy == AddressPrivacy::Keep { rule.to_owned() } else { words_of(rule) });
    let five_tuple = refusal.five_tuple.as_ref();
    Sql::new(
        "INSERT INTO failures (id, project_id, first_at, last_at, times, folded, reason, username, room, client, \
         second_client, role, transport, listener, client_address, session_id, expired_ms, limit_name, peer, rule) \
         VALUES (",
    )
    .bind(failure.id.as_str())
    .push(", ")
    .bind(refusal.project.0)
    .push(", ")
    .binds(times)
    .push(", ")
    .binds([failure.count, failure.folded])
    .push(", ")
    .bind(refusal.reason.as_str())
    .push(", ")
    .binds([
        refusal.username.as_deref(),
        labels.and_then(|l| l.room.as_ref()).map(Identifier::as_str),
        client(0),
        client(1),
        role,
        five_tuple.map(|five| five.transport.as_str()),
    ])
    .push(", ")
    .binds([
        five_tuple.map(|five| five.server.to_string()),
        five_tuple.and_then(|five| shown(five.client)),
        refusal.session.map(|id| id.to_string()),
    ])
    .push(", ")
    .bind(refusal.expired_by.map(|by| i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    .push(", ")
    .binds([refusal.limit.map(|limit| limit.as_str().to_owned()), refusal.peer.and_then(shown), rule])
    .push(
        ") ON CONFLICT (id) DO UPDATE SET last_at = excluded.last_at, times = excluded.times, \
         folded = excluded.folded",
    )
}

#[derive(sqlx::FromRow)]
struct FailureRow {
    id: String,
    first_at: i64,
    last_at: i64,
    times: i64,
    folded: i64,
    reason: String,
    username: Option<String>,
    room: Option<String>,
    client: Option<String>,
    second_client: Option<String>,
    role: Option<String>,
    transport: Option<String>,
    listener: Option<String>,
    client_address: Option<String>,
    session_id: Option<String>,
    expired_ms: Option<i64>,
    limit_name: Option<String>,
    peer: Option<String>,
    rule: Option<String>,
}

impl From<FailureRow> for FailureView {
    fn from(row: FailureRow) -> Self {
        Self {
            id: row.id,
            first_at: time(row.first_at),
            last_at: time(row.last_at),
            count: count(row.times),
            folded: count(row.folded),
            reason: FailureReason::named(&row.reason),
            username: row.username,
            room: row.room,
            clients: [row.client, row.second_client].into_iter().flatten().collect(),
            role: row.role,
            transport: row.transport,
            listener: row.listener,
            client_address: row.client_address,
            session: row.session_id,
            expired_by: row.expired_ms.map(duration),
            limit: row.limit_name,
            peer: row.peer,
            rule: row.rule,
        }
    }
}

pub(crate) async fn list(
    pool: &AnyPool,
    project: ProjectId,
    filter: &FailureFilter,
    request: &PageRequest,
) -> StoreResult<Page<FailureView>> {
    let mut sql = narrowed(Sql::new("SELECT * FROM failures WHERE project_id = "), project, filter);
    let Order { by, is_descending } = filter.order;
    let column = match by {
        FailureKey::First => "first_at",
        FailureKey::Last => "last_at",
        FailureKey::Count => "(times + folded)",
    };
    sql = listing::ordered(sql, (column, "id"), is_descending, listing::place(request)?, i64::from(request.limit) + 1);
    let rows: Vec<FailureRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
    let views = rows.into_iter().map(FailureView::from).collect();
    let value = |view: &FailureView| match by {
        FailureKey::First => millis(view.first_at),
        FailureKey::Last => millis(view.last_at),
        FailureKey::Count => i64::try_from(view.count.saturating_add(view.folded)).unwrap_or(i64::MAX),
    };
    Ok(Page::cut(views, request, |view| format!("{}-{}", value(view), view.id)))
}

pub(crate) async fn groups(
    pool: &AnyPool,
    project: ProjectId,
    filter: &FailureFilter,
    by: FailureGroupBy,
) -> Result<Vec<FailureGroup>, sqlx::Error> {
    let part = |sql: Sql, key: &str| {
        let sql =
            sql.push("SELECT ").push(key).push(" AS name, times + folded AS times, first_at, last_at FROM failures");
        narrowed(sql.push(" WHERE project_id = "), project, filter)
    };
    let sql = Sql::new(
        "SELECT name, CAST(SUM(times) AS BIGINT), CAST(MIN(first_at) AS BIGINT), CAST(MAX(last_at) AS BIGINT) FROM (",
    );
    let sql = match by {
        FailureGroupBy::Reason => part(sql, "reason"),
        FailureGroupBy::Room => part(sql, "COALESCE(room, '')"),
        FailureGroupBy::Client => {
            let sql = part(sql, "COALESCE(client, '')").push(" UNION ALL ");
            part(sql, "second_client").push(" AND second_client IS NOT NULL")
        }
    };
    let sql = sql.push(") AS rows_of_failures GROUP BY name ORDER BY 2 DESC, 1 LIMIT ").bind(GROUPS_MAX);
    let rows: Vec<(String, i64, i64, i64)> = sql.rows().fetch_all(pool).await?;
    let group = |(key, times, first, last): (String, i64, i64, i64)| FailureGroup {
        key,
        count: count(times),
        first_at: time(first),
        last_at: time(last),
    };
    Ok(rows.into_iter().map(group).collect())
}

/// The project, and every filter that was given.
fn narrowed(sql: Sql, project: ProjectId, filter: &FailureFilter) -> Sql {
    let mut sql = sql
        .bind(project.0)
        .and(" AND reason = ", filter.reason.map(FailureReason::as_str))
        .and(" AND room = ", filter.room.as_ref().map(Identifier::as_str))
        .and(" AND first_at >= ", filter.since.map(millis))
        .and(" AND first_at < ", filter.until.map(millis));
    if let Some(client) = &filter.client {
        sql = sql
            .push(" AND (client = ")
            .bind(client.as_str())
            .push(" OR second_client = ")
            .bind(client.as_str())
            .push(")");
    }
    if let Some(text) = &filter.search {
        const COLUMNS: [&str; 8] =
            ["username", "room", "client", "second_client", "client_address", "peer", "limit_name", "rule"];
        sql = listing::has_text(sql.push(" AND "), &COLUMNS, text);
    }
    sql
}
