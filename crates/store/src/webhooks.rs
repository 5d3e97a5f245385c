//! Webhooks, the events kept for them, and the log of attempts.

use causeway_app::{
    Cursor, DeliveryAttempt, Page, PageRequest, ProjectId, StoreError, StoreResult, StoredEvent, Webhook, WebhookId,
    WebhookStore,
};
use causeway_types::{Secret, UnixTime};

use crate::{SqlStore, count, listing, millis, sql::Sql, store_error, time};

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
            cursor: Cursor(count(row.delivered_to)),
            is_disabled: row.is_disabled != 0,
        }
    }
}

#[derive(sqlx::FromRow)]
struct EventRow {
    place: i64,
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
    place: i64,
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
        let sql = Sql::new("SELECT * FROM webhooks WHERE 1 = 1")
            .and(" AND project_id = ", project.map(|project| project.0))
            .push(" ORDER BY id");
        let rows: Vec<WebhookRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn insert_webhook(&self, webhook: &Webhook) -> StoreResult<WebhookId> {
        let sql = Sql::new(
            "INSERT INTO webhooks (project_id, url, secret, previous_secret, events, created_at, delivered_to, \
             is_disabled) VALUES (",
        )
        .bind(webhook.project.0)
        .push(", ")
        .binds([Some(webhook.url.clone()), secret(webhook, 0), secret(webhook, 1), Some(webhook.events.join(","))])
        .push(", ")
        .bind(millis(webhook.created_at))
        .push(", ")
        .bind(webhook.cursor.0)
        .push(", ")
        .bind(webhook.is_disabled)
        .push(") RETURNING id");
        let (id,): (i64,) = sql.rows().fetch_one(&self.pool).await.map_err(store_error)?;
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

    async fn keep_events(&self, events: &[StoredEvent]) -> StoreResult<()> {
        let mut transaction = self.writes.begin().await.map_err(store_error)?;
        for event in events {
            Sql::new("INSERT INTO events (place, project_id, session, name, at, body) VALUES (")
                .bind(event.cursor.0)
                .push(", ")
                .bind(event.project.0)
                .push(", ")
                .binds([event.session.as_str(), event.name.as_str()])
                .push(", ")
                .bind(millis(event.at))
                .push(", ")
                .bind(event.body.as_str())
                .push(") ON CONFLICT DO NOTHING")
                .query()
                .execute(&mut *transaction)
                .await
                .map_err(store_error)?;
        }
        transaction.commit().await.map_err(store_error)
    }

    async fn events_after(&self, project: ProjectId, after: Cursor, limit: u32) -> StoreResult<Vec<StoredEvent>> {
        let sql = Sql::new("SELECT * FROM events WHERE project_id = ")
            .bind(project.0)
            .push(" AND place > ")
            .bind(after.0)
            .push(" ORDER BY place LIMIT ")
            .bind(i64::from(limit));
        let rows: Vec<EventRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let event = |row: EventRow| StoredEvent {
            cursor: Cursor(count(row.place)),
            project: ProjectId(row.project_id),
            session: row.session,
            name: row.name,
            at: time(row.at),
            body: row.body,
        };
        Ok(rows.into_iter().map(event).collect())
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

    async fn move_cursor(&self, id: WebhookId, to: Cursor) -> StoreResult<()> {
        Sql::new("UPDATE webhooks SET delivered_to = ")
            .bind(to.0)
            .push(" WHERE id = ")
            .bind(id.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn log_attempts(&self, attempts: &[DeliveryAttempt]) -> StoreResult<()> {
        let mut transaction = self.writes.begin().await.map_err(store_error)?;
        for attempt in attempts {
            Sql::new("INSERT INTO webhook_attempts (webhook_id, place, attempt, at, status, error, took_ms) VALUES (")
                .bind(attempt.webhook.0)
                .push(", ")
                .bind(attempt.cursor.0)
                .push(", ")
                .binds([i64::from(attempt.attempt), millis(attempt.at)])
                .push(", ")
                .bind(attempt.status.map(i64::from))
                .push(", ")
                .bind(attempt.error.clone())
                .push(", ")
                .bind(attempt.took_ms)
                .push(")")
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
        let page = listing::page(rows, request, |row| row.id.to_string());
        let attempt = |row: AttemptRow| DeliveryAttempt {
            webhook: WebhookId(row.webhook_id),
            cursor: Cursor(count(row.place)),
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            at: time(row.at),
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            error: row.error,
            took_ms: count(row.took_ms),
        };
        Ok(Page { items: page.items.into_iter().map(attempt).collect(), next: page.next })
    }
}
