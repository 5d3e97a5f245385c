//! Events on their way to backends of voice connections, and what the attempts came to.

use std::time::Duration;

use causeway_app::{
    NumberedPage, OrganizationId, ProjectId, StoreResult, VOICE_ATTEMPTS_MAX, VoiceAttempt, VoiceDelivery,
    VoiceDeliveryPlace, VoiceDeliveryStore, VoiceProgress, VoiceTry,
};
use causeway_types::UnixTime;
use sqlx::{Any, Transaction};

use crate::{SqlStore, count, in_time, many::Insert, millis, sql::Sql, store_error, time};

/// Deliveries taken over at once.
const CLAIMED_MAX: i64 = 1000;

const DELIVERIES: Insert = Insert {
    into: "voice_deliveries (event, project_id, organization_id, call_id, event_type, body, url, failover_url, timeout_ms, \
           attempts, step, next_at, created_at, holder, held_until)",
    then: "ON CONFLICT (event) DO NOTHING",
};
const ATTEMPTS: Insert =
    Insert { into: "voice_attempts (project_id, event, event_type, url, attempt, at, status, error)", then: "" };

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    number: i64,
    event: String,
    project_id: i64,
    organization_id: i64,
    call_id: String,
    event_type: String,
    body: String,
    url: String,
    failover_url: Option<String>,
    timeout_ms: Option<i64>,
    attempts: i64,
    step: i64,
    next_at: i64,
    created_at: i64,
}

impl From<DeliveryRow> for VoiceDelivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            event: row.event,
            project: ProjectId(row.project_id),
            organization: OrganizationId(row.organization_id),
            call: row.call_id,
            event_type: row.event_type,
            body: row.body,
            url: row.url,
            failover_url: row.failover_url,
            timeout: row.timeout_ms.map(|timeout| Duration::from_millis(count(timeout))),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            step: u32::try_from(row.step).unwrap_or(u32::MAX),
            next_at: time(row.next_at),
            created_at: time(row.created_at),
        }
    }
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    project_id: i64,
    event: String,
    event_type: String,
    url: String,
    attempt: i64,
    at: i64,
    status: Option<i64>,
    error: Option<String>,
}

impl From<AttemptRow> for VoiceAttempt {
    fn from(row: AttemptRow) -> Self {
        let status = row.status.and_then(|status| u16::try_from(status).ok());
        Self {
            project: ProjectId(row.project_id),
            event: row.event,
            event_type: row.event_type,
            url: row.url,
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            at: time(row.at),
            outcome: status.ok_or_else(|| row.error.unwrap_or_default()),
        }
    }
}

impl VoiceDeliveryStore for SqlStore {
    async fn insert_voice_deliveries(&self, deliveries: &[VoiceDelivery], held_until: UnixTime) -> StoreResult<()> {
        let row = |delivery: &VoiceDelivery| {
            let timeout = delivery.timeout.map(|timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
            vec![
                delivery.event.as_str().into(),
                delivery.project.0.into(),
                delivery.organization.0.into(),
                delivery.call.as_str().into(),
                delivery.event_type.as_str().into(),
                delivery.body.as_str().into(),
                delivery.url.as_str().into(),
                delivery.failover_url.as_deref().into(),
                timeout.into(),
                i64::from(delivery.attempts).into(),
                i64::from(delivery.step).into(),
                millis(delivery.next_at).into(),
                millis(delivery.created_at).into(),
                self.node.as_str().into(),
                millis(held_until).into(),
            ]
        };
        let rows = deliveries.iter().map(row).collect();
        let write = async {
            let mut transaction = self.writes.begin().await?;
            DELIVERIES.all(&mut transaction, rows).await?;
            transaction.commit().await
        };
        write.await.map_err(store_error)
    }

    async fn note_voice_progress(&self, progress: &VoiceProgress) -> StoreResult<()> {
        let row = |attempt: &VoiceAttempt| {
            vec![
                attempt.project.0.into(),
                attempt.event.as_str().into(),
                attempt.event_type.as_str().into(),
                attempt.url.as_str().into(),
                i64::from(attempt.attempt).into(),
                millis(attempt.at).into(),
                attempt.outcome.as_ref().ok().map(|status| i64::from(*status)).into(),
                attempt.outcome.as_ref().err().map(String::as_str).into(),
            ]
        };
        let rows = progress.attempts.iter().map(row).collect();
        let write = async {
            let mut transaction = self.writes.begin().await?;
            ATTEMPTS.all(&mut transaction, rows).await?;
            for VoiceTry { event, attempts, step, next_at } in &progress.tried {
                Sql::new("UPDATE voice_deliveries SET attempts = ")
                    .bind(i64::from(*attempts))
                    .push(", step = ")
                    .bind(i64::from(*step))
                    .push(", next_at = ")
                    .bind(millis(*next_at))
                    .push(" WHERE event = ")
                    .bind(event.as_str())
                    .query()
                    .execute(&mut *transaction)
                    .await?;
            }
            for over in progress.over.chunks(256) {
                Sql::new("DELETE FROM voice_deliveries WHERE event IN (")
                    .binds(over.iter().map(String::as_str))
                    .push(")")
                    .query()
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        write.await.map_err(store_error)
    }

    async fn claim_voice_deliveries(
        &self,
        is_start: bool,
        now: UnixTime,
        held_until: UnixTime,
    ) -> StoreResult<Vec<VoiceDelivery>> {
        self.claim(is_start, millis(now), millis(held_until)).await.map_err(store_error)
    }

    async fn hold_voice_deliveries(&self, held_until: UnixTime) -> StoreResult<()> {
        let hold = async {
            // An idle server writes nothing.
            let sql = Sql::new("SELECT number FROM voice_deliveries WHERE held_until > 0 AND holder = ");
            let sql = sql.bind(self.node.as_str()).push(" LIMIT 1");
            if sql.rows::<(i64,)>().fetch_optional(&self.pool).await?.is_none() {
                return Ok(());
            }
            let mut transaction = self.writes.begin().await?;
            wait_for_claims(&mut transaction).await?;
            let sql = Sql::new("UPDATE voice_deliveries SET held_until = ").bind(millis(held_until));
            let sql = sql.push(" WHERE held_until > 0 AND holder = ").bind(self.node.as_str());
            sql.query().execute(&mut *transaction).await?;
            transaction.commit().await
        };
        hold.await.map_err(store_error)
    }

    async fn voice_delivery_place(&self, event: &str) -> StoreResult<VoiceDeliveryPlace> {
        let sql = Sql::new("SELECT holder FROM voice_deliveries WHERE event = ").bind(event);
        let holder: Option<(String,)> = in_time(sql.rows().fetch_optional(&self.pool)).await?;
        Ok(match holder {
            Some((holder,)) if holder == self.node => VoiceDeliveryPlace::Here,
            Some(_) => VoiceDeliveryPlace::Elsewhere,
            None => VoiceDeliveryPlace::Gone,
        })
    }

    async fn yield_voice_delivery(&self, event: &str) -> StoreResult<()> {
        let sql = Sql::new("UPDATE voice_deliveries SET held_until = 0 WHERE event = ").bind(event);
        let sql = sql.push(" AND holder = ").bind(self.node.as_str());
        sql.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(())
    }

    async fn forget_voice_deliveries(
        &self,
        deliveries_before: UnixTime,
        attempts_before: UnixTime,
    ) -> StoreResult<u64> {
        let sql = Sql::new("DELETE FROM voice_deliveries WHERE created_at < ").bind(millis(deliveries_before));
        let forgotten = sql.query().execute(&self.writes).await.map_err(store_error)?.rows_affected();
        let sql = Sql::new("DELETE FROM voice_attempts WHERE at < ").bind(millis(attempts_before));
        sql.query().execute(&self.writes).await.map_err(store_error)?;
        let sql = Sql::new("SELECT project_id FROM voice_attempts GROUP BY project_id HAVING COUNT(*) > ")
            .bind(VOICE_ATTEMPTS_MAX);
        let projects: Vec<(i64,)> = in_time(sql.rows().fetch_all(&self.pool)).await?;
        for (project,) in projects {
            let sql = Sql::new("DELETE FROM voice_attempts WHERE project_id = ")
                .bind(project)
                .push(" AND number <= (SELECT number FROM voice_attempts WHERE project_id = ")
                .bind(project)
                .push(" ORDER BY number DESC LIMIT 1 OFFSET ")
                .bind(VOICE_ATTEMPTS_MAX)
                .push(")");
            sql.query().execute(&self.writes).await.map_err(store_error)?;
        }
        Ok(forgotten)
    }

    async fn voice_attempts(&self, project: ProjectId, page: NumberedPage) -> StoreResult<(Vec<VoiceAttempt>, u64)> {
        let sql = Sql::new("SELECT COUNT(*) FROM voice_attempts WHERE project_id = ").bind(project.0);
        let (total,): (i64,) = in_time(sql.rows().fetch_one(&self.pool)).await?;
        let sql = Sql::new(
            "SELECT project_id, event, event_type, url, attempt, at, status, error FROM voice_attempts WHERE project_id = ",
        )
        .bind(project.0)
        .push(" ORDER BY number DESC LIMIT ")
        .bind(i64::from(page.limit))
        .push(" OFFSET ")
        .bind(page.offset);
        let rows: Vec<AttemptRow> = in_time(sql.rows().fetch_all(&self.pool)).await?;
        Ok((rows.into_iter().map(Into::into).collect(), count(total)))
    }
}

impl SqlStore {
    async fn claim(&self, is_start: bool, now: i64, held_until: i64) -> Result<Vec<VoiceDelivery>, sqlx::Error> {
        if !is_start {
            // Mostly there is nothing, and nobody is to wait for that.
            let sql = Sql::new("SELECT number FROM voice_deliveries WHERE held_until < ").bind(now).push(" LIMIT 1");
            if sql.rows::<(i64,)>().fetch_optional(&self.pool).await?.is_none() {
                return Ok(Vec::new());
            }
        }
        let mut transaction = self.writes.begin().await?;
        wait_for_claims(&mut transaction).await?;
        if is_start {
            // What the process before held, nobody holds.
            let sql = Sql::new("UPDATE voice_deliveries SET held_until = 0 WHERE holder = ").bind(self.node.as_str());
            sql.query().execute(&mut *transaction).await?;
        }
        let sql = Sql::new("UPDATE voice_deliveries SET holder = ")
            .bind(self.node.as_str())
            .push(", held_until = ")
            .bind(held_until)
            .push(" WHERE held_until < ")
            .bind(now)
            .push(" AND call_id IN (SELECT call_id FROM voice_deliveries WHERE held_until < ")
            .bind(now)
            // Another server is at this call.
            .push(" AND call_id NOT IN (SELECT call_id FROM voice_deliveries WHERE held_until >= ")
            .bind(now)
            .push(" AND holder <> ")
            .bind(self.node.as_str())
            .push(") ORDER BY number LIMIT ")
            .bind(CLAIMED_MAX)
            .push(
                ") RETURNING number, event, project_id, organization_id, call_id, event_type, body, url, failover_url, \
                 timeout_ms, attempts, step, next_at, created_at",
            );
        let mut rows: Vec<DeliveryRow> = sql.rows().fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        rows.sort_by_key(|row| row.number);
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Others that claim or hold wait until this transaction is over, and see then what it did.
pub(crate) async fn wait_for_claims(transaction: &mut Transaction<'_, Any>) -> Result<(), sqlx::Error> {
    let sql = Sql::new("UPDATE counters SET value = value + 1 WHERE name = 'voice_claim'");
    sql.query().execute(&mut **transaction).await.map(drop)
}
