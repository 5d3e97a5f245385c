//! Calls that are over.

use std::{net::SocketAddr, sync::Arc};

use causeway_app::{
    AddressPrivacy, CallFilter, CallRecord, CallState, CallStore, CallUsage, CallView, ClientPlace, ErasedCalls, Page,
    PageRequest, ProjectId, StoreResult, TokenId,
};
use causeway_types::UnixTime;

use crate::{
    SqlStore, count,
    listing::place,
    many::Insert,
    millis,
    sql::{Sql, Value},
    store_error, time,
};

/// Between names: no client id has one.
const SEPARATOR: &str = "\n";

const CALLS: Insert = Insert {
    into: "calls (id, project_id, node, caller, callees, dialect, client_address, user_agent, started_at, ringing_at, \
           answered_at, answered_by, answered_address, ended_at, cause, sip_code, ended_by, service)",
    then: "ON CONFLICT (id) DO NOTHING",
};
const CLIENTS: Insert =
    Insert { into: "call_clients (project_id, client, started_at, call_id)", then: "ON CONFLICT DO NOTHING" };

#[derive(sqlx::FromRow)]
struct CallRow {
    id: String,
    caller: String,
    callees: String,
    dialect: String,
    client_address: Option<String>,
    started_at: i64,
    ringing_at: Option<i64>,
    answered_at: Option<i64>,
    answered_by: Option<String>,
    answered_address: Option<String>,
    ended_at: i64,
    cause: String,
    sip_code: i64,
    ended_by: String,
    service: Option<String>,
}

impl From<CallRow> for CallView {
    fn from(row: CallRow) -> Self {
        Self {
            id: row.id,
            state: CallState::Ended,
            from: row.caller,
            to: row.callees.split(SEPARATOR).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            service: row.service,
            dialect: row.dialect,
            client_address: row.client_address,
            started_at: time(row.started_at),
            ringing_at: row.ringing_at.map(time),
            answered_at: row.answered_at.map(time),
            answered_by: row.answered_by,
            answered_address: row.answered_address,
            ended_at: Some(time(row.ended_at)),
            cause: Some(row.cause),
            sip_code: Some(u16::try_from(row.sip_code).unwrap_or(500)),
            ended_by: Some(row.ended_by),
        }
    }
}

impl CallStore for SqlStore {
    async fn client_minting_token(&self, project: ProjectId, now: UnixTime) -> StoreResult<TokenId> {
        minting_token(self, project, now).await.map_err(store_error)
    }

    async fn insert_calls(&self, node: &str, calls: &[Arc<CallRecord>]) -> StoreResult<()> {
        insert(self, node, calls).await.map_err(store_error)
    }

    async fn calls(
        &self,
        project: ProjectId,
        filter: &CallFilter,
        request: &PageRequest,
    ) -> StoreResult<Page<CallView>> {
        let sql = match &filter.client {
            Some(client) => {
                Sql::new("SELECT s.* FROM call_clients c JOIN calls s ON s.id = c.call_id WHERE c.client = ")
                    .bind(client.as_str())
                    .push(" AND c.project_id = ")
                    .bind(project.0)
            }
            None => Sql::new("SELECT s.* FROM calls s WHERE s.project_id = ").bind(project.0),
        };
        let mut sql = sql
            .and(" AND s.started_at >= ", filter.from.map(millis))
            .and(" AND s.started_at < ", filter.to.map(millis))
            .and(" AND s.cause = ", filter.cause.map(|cause| cause.name()));
        if let Some((at, id)) = place(request)? {
            sql = sql.push(" AND (s.started_at, s.id) < (").bind(at).push(", ").bind(id).push(")");
        }
        let sql = sql.push(" ORDER BY s.started_at DESC, s.id DESC LIMIT ").bind(i64::from(request.limit) + 1);
        let rows: Vec<CallRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let views: Vec<CallView> = rows.into_iter().map(Into::into).collect();
        Ok(Page::cut(views, request, |view| format!("{}-{}", millis(view.started_at), view.id)))
    }

    async fn call(&self, project: ProjectId, id: &str) -> StoreResult<Option<CallView>> {
        let sql = Sql::new("SELECT * FROM calls WHERE id = ").bind(id).push(" AND project_id = ").bind(project.0);
        let row: Option<CallRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn call_usage(&self, project: ProjectId, from: UnixTime, to: UnixTime) -> StoreResult<Vec<CallUsage>> {
        let half = |sql: Sql, who: &str| {
            sql.push("SELECT ")
                .push(who)
                .push(" AS client, ended_at - answered_at AS talk FROM calls WHERE answered_at IS NOT NULL AND project_id = ")
                .bind(project.0)
                .push(" AND ended_at >= ")
                .bind(millis(from))
                .push(" AND ended_at < ")
                .bind(millis(to))
        };
        let sql = Sql::new(
            "SELECT client, COUNT(*), CAST(SUM(talk) AS BIGINT), CAST(SUM((talk + 59999) / 60000) AS BIGINT) FROM (",
        );
        let sql = half(half(sql, "caller").push(" UNION ALL "), "answered_by");
        let sql = sql.push(") AS parts GROUP BY client ORDER BY client");
        let rows: Vec<(String, i64, i64, i64)> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let usage = |(client, calls, talk, minutes): (String, i64, i64, i64)| CallUsage {
            client,
            calls: count(calls),
            seconds: count(talk) / 1000,
            minutes: count(minutes),
        };
        Ok(rows.into_iter().map(usage).collect())
    }

    async fn erase_from_calls(&self, project: ProjectId, client: &str) -> StoreResult<ErasedCalls> {
        let mut erased = ErasedCalls::default();
        loop {
            let ErasedCalls { calls, events } = erase_batch(self, project, client).await.map_err(store_error)?;
            if calls == 0 {
                return Ok(erased);
            }
            erased = ErasedCalls { calls: erased.calls + calls, events: erased.events + events };
        }
    }

    async fn forget_calls(&self, before: UnixTime) -> StoreResult<u64> {
        // Who took part goes by ON DELETE CASCADE.
        let sql = Sql::new("DELETE FROM calls WHERE ended_at < ").bind(millis(before));
        Ok(sql.query().execute(&self.pool).await.map_err(store_error)?.rows_affected())
    }
}

/// Calls that lose a client in one transaction: small ones, so that nobody waits long for the one that writes.
const BATCH: i64 = 500;
/// What stands where a name was. No client has it: it has parentheses.
const ERASED: &str = "(erased)";

async fn erase_batch(store: &SqlStore, project: ProjectId, client: &str) -> Result<ErasedCalls, sqlx::Error> {
    let found =
        Sql::new("SELECT s.id, s.callees FROM call_clients c JOIN calls s ON s.id = c.call_id WHERE c.client = ")
            .bind(client)
            .push(" AND c.project_id = ")
            .bind(project.0)
            .push(" LIMIT ")
            .bind(BATCH);
    let found: Vec<(String, String)> = found.rows().fetch_all(&store.pool).await?;
    if found.is_empty() {
        return Ok(ErasedCalls::default());
    }
    let among = |text: &str| {
        let sql = Sql::new(text).bind(client).push(" AND id IN (");
        sql.binds(found.iter().map(|(id, _)| id.as_str())).push(")")
    };
    let mut transaction = store.pool.begin().await?;
    for text in [
        "UPDATE calls SET caller = '(erased)', client_address = NULL, user_agent = NULL WHERE caller = ",
        "UPDATE calls SET answered_by = '(erased)', answered_address = NULL WHERE answered_by = ",
    ] {
        among(text).query().execute(&mut *transaction).await?;
    }
    for (id, callees) in &found {
        let named: Vec<&str> = callees.split(SEPARATOR).collect();
        if named.contains(&client) {
            let left: Vec<&str> = named.into_iter().map(|name| if name == client { ERASED } else { name }).collect();
            let sql = Sql::new("UPDATE calls SET callees = ").bind(left.join(SEPARATOR)).push(" WHERE id = ");
            sql.bind(id.as_str()).query().execute(&mut *transaction).await?;
        }
    }
    // Both parties are named in what is told of a call.
    let untold = Sql::new("DELETE FROM voice_deliveries WHERE call_id IN (");
    let untold = untold.binds(found.iter().map(|(id, _)| id.as_str())).push(")");
    let events = untold.query().execute(&mut *transaction).await?.rows_affected();
    let parts = Sql::new("DELETE FROM call_clients WHERE client = ").bind(client).push(" AND project_id = ");
    let parts = parts.bind(project.0).push(" AND call_id IN (");
    let parts = parts.binds(found.iter().map(|(id, _)| id.as_str())).push(")");
    parts.query().execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(ErasedCalls { calls: u64::try_from(found.len()).unwrap_or(u64::MAX), events })
}

/// The row in the table of tokens that credentials of clients are minted with.
async fn minting_token(store: &SqlStore, project: ProjectId, now: UnixTime) -> Result<TokenId, sqlx::Error> {
    // No token has such a hash: it is of no 32 bytes that were drawn.
    let hash = format!("clients of project {}", project.0);
    let mut transaction = store.pool.begin().await?;
    Sql::new("INSERT INTO api_tokens (project_id, name, hash, created_at, prefix, scopes) VALUES (")
        .bind(project.0)
        .push(", 'clients', ")
        .bind(hash.as_bytes())
        .push(", ")
        .bind(millis(now))
        .push(", '', '') ON CONFLICT DO NOTHING")
        .query()
        .execute(&mut *transaction)
        .await?;
    let sql = Sql::new("SELECT id FROM api_tokens WHERE hash = ").bind(hash.as_bytes());
    let (token,): (i64,) = sql.rows().fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(TokenId(token))
}

async fn insert(store: &SqlStore, node: &str, calls: &[Arc<CallRecord>]) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(calls.len());
    let mut clients = Vec::new();
    for call in calls {
        let id = call.start.id.to_string();
        let privacy = store.privacy.of(call.start.project);
        let mut names: Vec<&str> = vec![&call.start.from];
        names.extend(call.start.to.iter().map(|to| &**to));
        names.extend(call.answered_by.as_deref());
        names.sort_unstable();
        names.dedup();
        let at = millis(call.start.at);
        clients.extend(names.iter().map(|name| {
            vec![Value::Int(call.start.project.0), Value::from(*name), Value::Int(at), Value::from(id.as_str())]
        }));
        rows.push(row(node, call, id, privacy));
    }
    let mut transaction = store.pool.begin().await?;
    CALLS.all(&mut transaction, rows).await?;
    CLIENTS.all(&mut transaction, clients).await?;
    transaction.commit().await
}

fn row(node: &str, call: &CallRecord, id: String, privacy: AddressPrivacy) -> Vec<Value> {
    let start = &call.start;
    let to: Vec<&str> = start.to.iter().map(|to| &**to).collect();
    vec![
        Value::Text(id),
        Value::Int(start.project.0),
        Value::from(node),
        Value::from(&*start.from),
        Value::Text(to.join(SEPARATOR)),
        Value::from(start.place.dialect),
        Value::MaybeText(shown(privacy, &start.place)),
        Value::from(start.place.user_agent.as_deref()),
        Value::Int(millis(start.at)),
        Value::MaybeInt(call.ringing_at.map(millis)),
        Value::MaybeInt(call.answered_at.map(millis)),
        Value::from(call.answered_by.as_deref()),
        Value::MaybeText(call.answered_place.as_ref().and_then(|place| shown(privacy, place))),
        Value::Int(millis(call.ended_at)),
        Value::from(call.cause.name()),
        Value::Int(i64::from(call.sip_code())),
        Value::from(call.ended_by_name()),
        Value::from(start.service.as_deref()),
    ]
}

/// What may be kept of an address; signalling has no port worth keeping.
fn shown(privacy: AddressPrivacy, place: &ClientPlace) -> Option<String> {
    let kept = privacy.shown(SocketAddr::new(place.address?, 0));
    let ip: SocketAddr = kept.parse().ok()?;
    Some(ip.ip().to_string())
}
