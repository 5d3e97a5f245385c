//! Webhooks, the events kept for them, and the log of attempts.

use std::collections::HashMap;

use causeway_app::{
    Cursor, DeliveryAttempt, EventPlace, KeptEvent, Lease, Page, PageRequest, ProjectId, StoreError, StoreResult,
    StoredEvent, Tried, Webhook, WebhookId, WebhookStore,
};
use causeway_types::{Secret, UnixTime};

use crate::{SqlStore, count, migrations::Dialect, millis, servers, sql::Sql, store_error, time};

/// Events in one statement: both databases take far more than these times seven parameters.
const ROWS_MAX: usize = 500;

#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: i64,
    project_id: i64,
    url: String,
    secret: String,
    previous_secret: Option<String>,
    events: String,
    created_at: i64,
    delivered_to: i64,
    delivered_event: i64,
    run: i64,
    is_disabled: i64,
}

impl From<WebhookRow> for Webhook {
    fn from(row: WebhookRow) -> Self {
        Self {
            id: WebhookId(row.id),
            project: ProjectId(row.project_id),
            url: row.url,
            secrets: [Some(row.secret), row.previous_secret].into_iter().flatten().map(Secret::new).collect(),
            events: row.events.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            created_at: time(row.created_at),
            place: EventPlace(count(row.delivered_to)),
            delivered_to: Cursor(count(row.delivered_event)),
            run: u32::try_from(row.run).unwrap_or(u32::MAX),
            is_disabled: row.is_disabled != 0,
        }
    }
}

#[derive(sqlx::FromRow)]
struct EventRow {
    place: i64,
    id: i64,
    project_id: i64,
    session: String,
    name: String,
    at: i64,
    body: String,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    id: i64,
    webhook_id: i64,
    event_id: i64,
    run: i64,
    attempt: i64,
    at: i64,
    status: Option<i64>,
    error: Option<String>,
    took_ms: i64,
}

/// The secret at `index`: 0 signs, 1 is the one before it.
fn secret(webhook: &Webhook, index: usize) -> Option<String> {
    webhook.secrets.get(index).map(|secret| secret.expose().clone())
}

impl WebhookStore for SqlStore {
    async fn webhooks(&self, project: Option<ProjectId>) -> StoreResult<Vec<Webhook>> {
        let sql = Sql::new(
            "SELECT w.*, COALESCE((SELECT e.id FROM events e WHERE e.project_id = w.project_id \
             AND e.place <= w.delivered_to ORDER BY e.place DESC LIMIT 1), 0) AS delivered_event \
             FROM webhooks w WHERE 1 = 1",
        )
        .and(" AND w.project_id = ", project.map(|project| project.0))
        .push(" ORDER BY w.id");
        let rows: Vec<WebhookRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn insert_webhook(&self, webhook: &Webhook) -> StoreResult<WebhookId> {
        let sql = Sql::new(
            "INSERT INTO webhooks (project_id, url, secret, previous_secret, events, created_at, is_disabled, \
             delivered_to) VALUES (",
        )
        .bind(webhook.project.0)
        .push(", ")
        .binds([Some(webhook.url.clone()), secret(webhook, 0), secret(webhook, 1), Some(webhook.events.join(","))])
        .push(", ")
        .bind(millis(webhook.created_at))
        .push(", ")
        .bind(webhook.is_disabled)
        .push(", (SELECT value FROM counters WHERE name = 'event_place')) RETURNING id");
        let (id,): (i64,) = sql.rows().fetch_one(&self.writes).await.map_err(store_error)?;
        Ok(WebhookId(id))
    }

    async fn update_webhook(&self, webhook: &Webhook) -> StoreResult<bool> {
        let done = Sql::new("UPDATE webhooks SET url = ")
            .bind(webhook.url.as_str())
            .push(", secret = ")
            .bind(secret(webhook, 0))
            .push(", previous_secret = ")
            .bind(secret(webhook, 1))
            .push(", events = ")
            .bind(webhook.events.join(","))
            .push(", is_disabled = ")
            .bind(webhook.is_disabled)
            .push(" WHERE id = ")
            .bind(webhook.id.0)
            .push(" AND project_id = ")
            .bind(webhook.project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn disable_webhook(&self, id: WebhookId) -> StoreResult<()> {
        let sql = Sql::new("UPDATE webhooks SET is_disabled = 1 WHERE id = ").bind(id.0);
        sql.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(())
    }

    async fn delete_webhook(&self, project: ProjectId, id: WebhookId) -> StoreResult<bool> {
        let done = Sql::new("DELETE FROM webhooks WHERE id = ")
            .bind(id.0)
            .push(" AND project_id = ")
            .bind(project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn replay_webhook(&self, project: ProjectId, id: WebhookId, after: Cursor) -> StoreResult<bool> {
        let place_of = "SELECT place FROM events WHERE project_id = ";
        let first_above = "SELECT MIN(place) - 1 FROM events WHERE project_id = ";
        let done = Sql::new("UPDATE webhooks SET run = run + 1, delivered_to = COALESCE((")
            .push(place_of)
            .bind(project.0)
            .push(" AND id = ")
            .bind(after.0)
            .push("), (")
            .push(first_above)
            .bind(project.0)
            .push(" AND id > ")
            .bind(after.0)
            .push("), (SELECT value FROM counters WHERE name = 'event_place')) WHERE id = ")
            .bind(id.0)
            .push(" AND project_id = ")
            .bind(project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn keep_events(&self, events: &[StoredEvent]) -> StoreResult<()> {
        let mut transaction = self.writes.begin().await.map_err(store_error)?;
        for events in events.chunks(ROWS_MAX) {
            let first = servers::draw_places(&mut transaction, events.len()).await.map_err(store_error)?;
            let mut sql = Sql::new("INSERT INTO events (place, id, project_id, session, name, at, body) VALUES ");
            for (place, event) in (first..).zip(events) {
                sql = sql
                    .push(if place == first { "(" } else { ", (" })
                    .binds([place, event.cursor.0])
                    .push(", ")
                    .bind(event.project.0)
                    .push(", ")
                    .binds([event.session.as_str(), event.name.as_str()])
                    .push(", ")
                    .bind(millis(event.at))
                    .push(", ")
                    .bind(event.body.as_str())
                    .push(")");
            }
            // Kept already, when the answer to an earlier COMMIT was lost.
            let sql = sql.push(" ON CONFLICT (id) DO NOTHING");
            sql.query().execute(&mut *transaction).await.map_err(store_error)?;
        }
        transaction.commit().await.map_err(store_error)
    }

    async fn newest_place(&self) -> StoreResult<EventPlace> {
        servers::newest_place(&self.pool).await.map(EventPlace).map_err(store_error)
    }

    async fn events_for(&self, webhook: &Webhook, after: EventPlace, limit: u32) -> StoreResult<Vec<KeptEvent>> {
        let sql = Sql::new("SELECT * FROM events WHERE project_id = ")
            .bind(webhook.project.0)
            .push(" AND place > ")
            .bind(after.0)
            .push(" ORDER BY place LIMIT ")
            .bind(i64::from(limit));
        let rows: Vec<EventRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let tried = self.tried(webhook, &rows).await?;
        let kept = |row: EventRow| KeptEvent {
            place: EventPlace(count(row.place)),
            tried: tried.get(&row.id).copied(),
            event: StoredEvent {
                cursor: Cursor(count(row.id)),
                project: ProjectId(row.project_id),
                session: row.session,
                name: row.name,
                at: time(row.at),
                body: row.body,
            },
        };
        Ok(rows.into_iter().map(kept).collect())
    }

    async fn forget_events(&self, before: UnixTime) -> StoreResult<u64> {
        for (table, column) in [("webhook_attempts", "at"), ("events", "at")] {
            let sql =
                Sql::new("DELETE FROM ").push(table).push(" WHERE ").push(column).push(" < ").bind(millis(before));
            let done = sql.query().execute(&self.writes).await.map_err(store_error)?;
            if table == "events" {
                return Ok(done.rows_affected());
            }
        }
        Ok(0)
    }

    async fn move_place(&self, id: WebhookId, run: u32, to: EventPlace) -> StoreResult<()> {
        Sql::new("UPDATE webhooks SET delivered_to = ")
            .bind(to.0)
            .push(" WHERE id = ")
            .bind(id.0)
            .push(" AND run = ")
            .bind(i64::from(run))
            .push(" AND delivered_to < ")
            .bind(to.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn log_attempts(&self, attempts: &[DeliveryAttempt]) -> StoreResult<()> {
        let mut transaction = self.writes.begin().await.map_err(store_error)?;
        for attempt in attempts {
            // The webhook may be gone meanwhile, and its log with it.
            Sql::new(
                "INSERT INTO webhook_attempts (webhook_id, event_id, run, attempt, at, took_ms, status, error) \
                 SELECT id, ",
            )
            .bind(attempt.cursor.0)
            .push(", ")
            .binds([i64::from(attempt.run), i64::from(attempt.attempt), millis(attempt.at)])
            .push(", ")
            .bind(attempt.took_ms)
            .push(", ")
            .bind(attempt.status.map(i64::from))
            .push(", ")
            .bind(attempt.error.clone())
            .push(" FROM webhooks WHERE id = ")
            .bind(attempt.webhook.0)
            .query()
            .execute(&mut *transaction)
            .await
            .map_err(store_error)?;
        }
        transaction.commit().await.map_err(store_error)
    }

    async fn attempts(&self, id: WebhookId, request: &PageRequest) -> StoreResult<Page<DeliveryAttempt>> {
        let before =
            request.after.as_ref().map(|text| text.parse::<i64>().map_err(|_| StoreError::BadCursor)).transpose()?;
        let sql = Sql::new("SELECT * FROM webhook_attempts WHERE webhook_id = ")
            .bind(id.0)
            .and(" AND id < ", before)
            .push(" ORDER BY id DESC LIMIT ")
            .bind(i64::from(request.limit) + 1);
        let rows: Vec<AttemptRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let page = Page::cut(rows, request, |row| row.id.to_string());
        let attempt = |row: AttemptRow| DeliveryAttempt {
            webhook: WebhookId(row.webhook_id),
            cursor: Cursor(count(row.event_id)),
            run: u32::try_from(row.run).unwrap_or(u32::MAX),
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            at: time(row.at),
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            error: row.error,
            took_ms: count(row.took_ms),
        };
        Ok(Page { items: page.items.into_iter().map(attempt).collect(), next: page.next })
    }

    fn server_name(&self) -> &str {
        &self.node
    }

    async fn lease(&self) -> StoreResult<Option<Lease>> {
        match self.dialect {
            Dialect::Sqlite => Ok(None),
            Dialect::Postgres => servers::lease(&self.pool).await.map(Some).map_err(store_error),
        }
    }

    async fn take_lease(&self, seen: &Lease) -> StoreResult<Option<Lease>> {
        servers::change_lease(&self.writes, seen, &self.node).await.map_err(store_error)
    }

    async fn give_lease_back(&self, held: &Lease) -> StoreResult<()> {
        servers::change_lease(&self.writes, held, "").await.map_err(store_error)?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct TriedRow {
    event_id: i64,
    attempts: i64,
    first_at: i64,
    last_at: i64,
    is_taken: i64,
}

impl SqlStore {
    /// What this run's log says of events.
    async fn tried(&self, webhook: &Webhook, events: &[EventRow]) -> StoreResult<HashMap<i64, Tried>> {
        if events.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = Sql::new(
            "SELECT event_id, MAX(attempt) AS attempts, MIN(at) AS first_at, MAX(at) AS last_at, \
             MAX(CAST(CASE WHEN status BETWEEN 200 AND 299 THEN 1 ELSE 0 END AS BIGINT)) AS is_taken \
             FROM webhook_attempts WHERE webhook_id = ",
        )
        .bind(webhook.id.0)
        .push(" AND run = ")
        .bind(i64::from(webhook.run))
        .push(" AND event_id IN (")
        .binds(events.iter().map(|event| event.id))
        .push(") GROUP BY event_id");
        let rows: Vec<TriedRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let tried = |row: TriedRow| Tried {
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            first_at: time(row.first_at),
            last_at: time(row.last_at),
            is_taken: row.is_taken != 0,
        };
        Ok(rows.into_iter().map(|row| (row.event_id, tried(row))).collect())
    }
}
