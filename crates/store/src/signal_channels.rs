//! Signalling channels and their tags.

use std::{collections::BTreeMap, time::Duration};

use causeway_app::{ChannelChange, ProjectId, SignalChannel, SignalChannelId, SignalChannelStore, StoreResult};
use sqlx::{Any, Transaction};

use crate::{SqlStore, count, millis, sql::Sql, store_error, time};

#[derive(sqlx::FromRow)]
struct ChannelRow {
    id: i64,
    project_id: i64,
    name: String,
    created_at: i64,
    version: String,
    message_ttl: i64,
}

impl From<ChannelRow> for SignalChannel {
    fn from(row: ChannelRow) -> Self {
        Self {
            id: SignalChannelId(row.id),
            project: ProjectId(row.project_id),
            name: row.name,
            created_at: time(row.created_at),
            version: row.version,
            message_ttl: Duration::from_secs(count(row.message_ttl)),
        }
    }
}

fn change(done: &sqlx::any::AnyQueryResult) -> ChannelChange {
    if done.rows_affected() > 0 { ChannelChange::Done } else { ChannelChange::Stale }
}

impl SignalChannelStore for SqlStore {
    async fn insert_signal_channel(
        &self,
        channel: &SignalChannel,
        tags: &BTreeMap<String, String>,
    ) -> StoreResult<SignalChannelId> {
        insert(self, channel, tags).await.map_err(store_error)
    }

    async fn signal_channel_count(&self, project: ProjectId) -> StoreResult<u64> {
        let sql = Sql::new("SELECT COUNT(*) FROM signal_channels WHERE project_id = ").bind(project.0);
        let (n,): (i64,) = sql.rows().fetch_one(&self.pool).await.map_err(store_error)?;
        Ok(count(n))
    }

    async fn signal_channel(&self, project: ProjectId, name: &str) -> StoreResult<Option<SignalChannel>> {
        let sql = Sql::new("SELECT * FROM signal_channels WHERE project_id = ")
            .bind(project.0)
            .push(" AND name = ")
            .bind(name);
        let row: Option<ChannelRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn signal_channels(
        &self,
        project: ProjectId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<SignalChannel>> {
        // Names are ASCII, so that characters and bytes are the same count.
        let sql = Sql::new("SELECT * FROM signal_channels WHERE project_id = ")
            .bind(project.0)
            .push(" AND substr(name, 1, CAST(")
            .bind(i64::try_from(prefix.len()).unwrap_or(i64::MAX))
            .push(" AS INTEGER)) = ")
            .bind(prefix)
            .and(" AND name > ", after)
            .push(" ORDER BY name LIMIT ")
            .bind(i64::from(limit));
        let rows: Vec<ChannelRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn update_signal_channel(
        &self,
        id: SignalChannelId,
        version: &str,
        new_version: &str,
        message_ttl: Duration,
    ) -> StoreResult<ChannelChange> {
        let done = Sql::new("UPDATE signal_channels SET version = ")
            .bind(new_version)
            .push(", message_ttl = ")
            .bind(message_ttl.as_secs())
            .push(" WHERE id = ")
            .bind(id.0)
            .push(" AND version = ")
            .bind(version)
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(change(&done))
    }

    async fn delete_signal_channel(&self, id: SignalChannelId, version: Option<&str>) -> StoreResult<ChannelChange> {
        // The tags go by ON DELETE CASCADE.
        let done = Sql::new("DELETE FROM signal_channels WHERE id = ")
            .bind(id.0)
            .and(" AND version = ", version)
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(change(&done))
    }

    async fn signal_channel_tags(&self, id: SignalChannelId) -> StoreResult<BTreeMap<String, String>> {
        let sql = Sql::new("SELECT name, value FROM signal_channel_tags WHERE channel_id = ").bind(id.0);
        let rows: Vec<(String, String)> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().collect())
    }

    async fn tag_signal_channel(
        &self,
        id: SignalChannelId,
        tags: &BTreeMap<String, String>,
        max: usize,
    ) -> StoreResult<bool> {
        tag(self, id, tags, max).await.map_err(store_error)
    }

    async fn untag_signal_channel(&self, id: SignalChannelId, keys: &[String]) -> StoreResult<()> {
        if keys.is_empty() {
            return Ok(());
        }
        Sql::new("DELETE FROM signal_channel_tags WHERE channel_id = ")
            .bind(id.0)
            .push(" AND name IN (")
            .binds(keys.iter().map(String::as_str))
            .push(")")
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(())
    }
}

async fn insert(
    store: &SqlStore,
    channel: &SignalChannel,
    tags: &BTreeMap<String, String>,
) -> Result<SignalChannelId, sqlx::Error> {
    let mut transaction = store.pool.begin().await?;
    let sql = Sql::new("INSERT INTO signal_channels (project_id, name, created_at, version, message_ttl) VALUES (")
        .bind(channel.project.0)
        .push(", ")
        .bind(channel.name.as_str())
        .push(", ")
        .bind(millis(channel.created_at))
        .push(", ")
        .bind(channel.version.as_str())
        .push(", ")
        .bind(channel.message_ttl.as_secs())
        .push(") RETURNING id");
    let (id,): (i64,) = sql.rows().fetch_one(&mut *transaction).await?;
    set_tags(&mut transaction, id, tags).await?;
    transaction.commit().await?;
    Ok(SignalChannelId(id))
}

async fn tag(
    store: &SqlStore,
    id: SignalChannelId,
    tags: &BTreeMap<String, String>,
    max: usize,
) -> Result<bool, sqlx::Error> {
    let mut transaction = store.pool.begin().await?;
    set_tags(&mut transaction, id.0, tags).await?;
    let sql = Sql::new("SELECT COUNT(*) FROM signal_channel_tags WHERE channel_id = ").bind(id.0);
    let (n,): (i64,) = sql.rows().fetch_one(&mut *transaction).await?;
    if count(n) > max as u64 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

async fn set_tags(
    transaction: &mut Transaction<'_, Any>,
    id: i64,
    tags: &BTreeMap<String, String>,
) -> Result<(), sqlx::Error> {
    for (name, value) in tags {
        Sql::new("INSERT INTO signal_channel_tags (channel_id, name, value) VALUES (")
            .bind(id)
            .push(", ")
            .binds([name.as_str(), value.as_str()])
            .push(") ON CONFLICT (channel_id, name) DO UPDATE SET value = excluded.value")
            .query()
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
