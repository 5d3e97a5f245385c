//! Voice connections, their credentials, and the keys that sign what their webhooks are told.

use std::time::Duration;

use causeway_app::{
    NumberedPage, OrganizationId, ProjectId, StoreResult, UriCalls, VoiceConnection, VoiceConnectionFilter,
    VoiceConnectionId, VoiceConnectionKind, VoiceCredential, VoiceCredentialFilter, VoiceStore, VoiceUser,
    VoiceWebhook,
};
use causeway_types::{Secret, UnixTime};

use crate::{SqlStore, count, in_time, millis, sql::Sql, store_error, time};

#[derive(sqlx::FromRow)]
struct ConnectionRow {
    id: i64,
    project_id: i64,
    kind: String,
    name: String,
    user_name: Option<String>,
    password: Option<String>,
    is_active: i64,
    parks_calls: i64,
    rings_all: i64,
    dialled_by_number: i64,
    uri_calls: String,
    ring_secs: i64,
    webhook_url: Option<String>,
    webhook_failover_url: Option<String>,
    webhook_timeout_secs: Option<i64>,
    document: String,
    created_at: i64,
    updated_at: i64,
}

impl From<ConnectionRow> for VoiceConnection {
    fn from(row: ConnectionRow) -> Self {
        Self {
            id: VoiceConnectionId(row.id),
            project: ProjectId(row.project_id),
            kind: VoiceConnectionKind::parse(&row.kind),
            name: row.name,
            user_name: row.user_name,
            password: row.password.map(Secret::new),
            is_active: row.is_active != 0,
            parks_calls: row.parks_calls != 0,
            rings_all: row.rings_all != 0,
            is_dialled_by_number: row.dialled_by_number != 0,
            uri_calls: UriCalls::parse(&row.uri_calls),
            ring_for: Duration::from_secs(count(row.ring_secs)),
            webhook: VoiceWebhook {
                url: row.webhook_url,
                failover_url: row.webhook_failover_url,
                timeout: row.webhook_timeout_secs.map(|secs| Duration::from_secs(count(secs))),
            },
            document: row.document,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

#[derive(sqlx::FromRow)]
struct CredentialRow {
    id: String,
    connection_id: i64,
    project_id: i64,
    name: Option<String>,
    tag: Option<String>,
    user_name: String,
    password: String,
    token_secret: String,
    expires_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl From<CredentialRow> for VoiceCredential {
    fn from(row: CredentialRow) -> Self {
        Self {
            id: row.id,
            connection: VoiceConnectionId(row.connection_id),
            project: ProjectId(row.project_id),
            name: row.name,
            tag: row.tag,
            user_name: row.user_name,
            password: Secret::new(row.password),
            token_secret: Secret::new(row.token_secret),
            expires_at: row.expires_at.map(time),
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

fn timeout_secs(connection: &VoiceConnection) -> Option<i64> {
    connection.webhook.timeout.map(|timeout| i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX))
}

fn password(connection: &VoiceConnection) -> Option<&str> {
    connection.password.as_ref().map(|password| password.expose().as_str())
}

fn page_end(sql: Sql, page: NumberedPage) -> Sql {
    let order = if page.is_newest_first { "DESC" } else { "ASC" };
    sql.push(&format!(" ORDER BY created_at {order}, id {order} LIMIT "))
        .bind(i64::from(page.limit))
        .push(" OFFSET ")
        .bind(page.offset)
}

impl VoiceStore for SqlStore {
    async fn insert_voice_connection(&self, connection: &VoiceConnection) -> StoreResult<VoiceConnectionId> {
        let sql = Sql::new(
            "INSERT INTO voice_connections (project_id, kind, name, user_name, password, is_active, parks_calls, rings_all, \
             dialled_by_number, uri_calls, ring_secs, webhook_url, webhook_failover_url, webhook_timeout_secs, document, \
             created_at, updated_at) VALUES (",
        )
        .bind(connection.project.0)
        .push(", ")
        .bind(connection.kind.as_str())
        .push(", ");
        let (id,): (i64,) = changeable(sql, connection)
            .push(", ")
            .bind(millis(connection.created_at))
            .push(", ")
            .bind(millis(connection.updated_at))
            .push(") RETURNING id")
            .rows()
            .fetch_one(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(VoiceConnectionId(id))
    }

    async fn voice_connection(
        &self,
        project: ProjectId,
        id: VoiceConnectionId,
    ) -> StoreResult<Option<VoiceConnection>> {
        let sql = Sql::new("SELECT * FROM voice_connections WHERE id = ")
            .bind(id.0)
            .push(" AND project_id = ")
            .bind(project.0);
        let row: Option<ConnectionRow> = in_time(sql.rows().fetch_optional(&self.pool)).await?;
        Ok(row.map(Into::into))
    }

    async fn voice_connections(
        &self,
        project: ProjectId,
        filter: &VoiceConnectionFilter,
        page: NumberedPage,
    ) -> StoreResult<(Vec<VoiceConnection>, u64)> {
        let chosen = |what: &str| {
            Sql::new(&format!("SELECT {what} FROM voice_connections WHERE project_id = "))
                .bind(project.0)
                .and(" AND kind = ", filter.kind.map(VoiceConnectionKind::as_str))
                .and(" AND lower(name) LIKE ", filter.name_contains.as_deref().map(containing))
        };
        let (total,): (i64,) = in_time(chosen("COUNT(*)").rows().fetch_one(&self.pool)).await?;
        let rows: Vec<ConnectionRow> = in_time(page_end(chosen("*"), page).rows().fetch_all(&self.pool)).await?;
        Ok((rows.into_iter().map(Into::into).collect(), count(total)))
    }

    async fn update_voice_connection(&self, connection: &VoiceConnection) -> StoreResult<bool> {
        let sql = Sql::new(
            "UPDATE voice_connections SET (name, user_name, password, is_active, parks_calls, rings_all, dialled_by_number, \
             uri_calls, ring_secs, webhook_url, webhook_failover_url, webhook_timeout_secs, document, updated_at) = (",
        );
        let done = changeable(sql, connection)
            .push(", ")
            .bind(millis(connection.updated_at))
            .push(") WHERE id = ")
            .bind(connection.id.0)
            .push(" AND project_id = ")
            .bind(connection.project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_voice_connection(&self, project: ProjectId, id: VoiceConnectionId) -> StoreResult<bool> {
        // The credentials go by ON DELETE CASCADE.
        let done = Sql::new("DELETE FROM voice_connections WHERE id = ")
            .bind(id.0)
            .push(" AND project_id = ")
            .bind(project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn insert_voice_credential(&self, credential: &VoiceCredential) -> StoreResult<()> {
        Sql::new(
            "INSERT INTO voice_credentials (id, connection_id, project_id, name, tag, user_name, password, token_secret, \
             expires_at, created_at, updated_at) VALUES (",
        )
        .bind(credential.id.as_str())
        .push(", ")
        .bind(credential.connection.0)
        .push(", ")
        .bind(credential.project.0)
        .push(", ")
        .bind(credential.name.as_deref())
        .push(", ")
        .bind(credential.tag.as_deref())
        .push(", ")
        .bind(credential.user_name.as_str())
        .push(", ")
        .bind(credential.password.expose().as_str())
        .push(", ")
        .bind(credential.token_secret.expose().as_str())
        .push(", ")
        .bind(credential.expires_at.map(millis))
        .push(", ")
        .bind(millis(credential.created_at))
        .push(", ")
        .bind(millis(credential.updated_at))
        .push(")")
        .query()
        .execute(&self.writes)
        .await
        .map_err(store_error)?;
        Ok(())
    }

    async fn voice_credential(&self, project: ProjectId, id: &str) -> StoreResult<Option<VoiceCredential>> {
        let sql =
            Sql::new("SELECT * FROM voice_credentials WHERE id = ").bind(id).push(" AND project_id = ").bind(project.0);
        let row: Option<CredentialRow> = in_time(sql.rows().fetch_optional(&self.pool)).await?;
        Ok(row.map(Into::into))
    }

    async fn voice_credentials(
        &self,
        project: ProjectId,
        filter: &VoiceCredentialFilter,
        page: NumberedPage,
        now: UnixTime,
    ) -> StoreResult<(Vec<VoiceCredential>, u64)> {
        let chosen = |what: &str| {
            let sql = Sql::new(&format!("SELECT {what} FROM voice_credentials WHERE project_id = "))
                .bind(project.0)
                .and(" AND connection_id = ", filter.connection.map(|connection| connection.0))
                .and(" AND name = ", filter.name.as_deref())
                .and(" AND tag = ", filter.tag.as_deref())
                .and(" AND user_name = ", filter.user_name.as_deref());
            match filter.is_expired {
                Some(true) => sql.push(" AND expires_at <= ").bind(millis(now)),
                Some(false) => sql.push(" AND (expires_at IS NULL OR expires_at > ").bind(millis(now)).push(")"),
                None => sql,
            }
        };
        let (total,): (i64,) = in_time(chosen("COUNT(*)").rows().fetch_one(&self.pool)).await?;
        let rows: Vec<CredentialRow> = in_time(page_end(chosen("*"), page).rows().fetch_all(&self.pool)).await?;
        Ok((rows.into_iter().map(Into::into).collect(), count(total)))
    }

    async fn update_voice_credential(&self, credential: &VoiceCredential) -> StoreResult<bool> {
        let done = Sql::new("UPDATE voice_credentials SET name = ")
            .bind(credential.name.as_deref())
            .push(", tag = ")
            .bind(credential.tag.as_deref())
            .push(", connection_id = ")
            .bind(credential.connection.0)
            .push(", token_secret = ")
            .bind(credential.token_secret.expose().as_str())
            .push(", expires_at = ")
            .bind(credential.expires_at.map(millis))
            .push(", updated_at = ")
            .bind(millis(credential.updated_at))
            .push(" WHERE id = ")
            .bind(credential.id.as_str())
            .push(" AND project_id = ")
            .bind(credential.project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_voice_credential(&self, project: ProjectId, id: &str) -> StoreResult<bool> {
        let done = Sql::new("DELETE FROM voice_credentials WHERE id = ")
            .bind(id)
            .push(" AND project_id = ")
            .bind(project.0)
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn voice_user_by_name(&self, user_name: &str) -> StoreResult<Option<VoiceUser>> {
        let sql = Sql::new("SELECT * FROM voice_connections WHERE user_name = ").bind(user_name);
        let row: Option<ConnectionRow> = in_time(sql.rows().fetch_optional(&self.pool)).await?;
        if let Some(row) = row {
            return user(self, row, None).await.map(Some);
        }
        let sql = Sql::new("SELECT * FROM voice_credentials WHERE user_name = ").bind(user_name);
        by_credential(self, sql).await
    }

    async fn voice_user_by_credential(&self, id: &str) -> StoreResult<Option<VoiceUser>> {
        by_credential(self, Sql::new("SELECT * FROM voice_credentials WHERE id = ").bind(id)).await
    }

    async fn voice_key(&self, organization: OrganizationId, made: &[u8], now: UnixTime) -> StoreResult<Vec<u8>> {
        Sql::new("INSERT INTO voice_keys (organization_id, private_key, created_at) VALUES (")
            .bind(organization.0)
            .push(", ")
            .bind(made)
            .push(", ")
            .bind(millis(now))
            .push(") ON CONFLICT (organization_id) DO NOTHING")
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        let sql = Sql::new("SELECT private_key FROM voice_keys WHERE organization_id = ").bind(organization.0);
        let (key,): (Vec<u8>,) = in_time(sql.rows().fetch_one(&self.writes)).await?;
        Ok(key)
    }
}

/// Name to document, the values in the order of both statements.
fn changeable(sql: Sql, connection: &VoiceConnection) -> Sql {
    sql.bind(connection.name.as_str())
        .push(", ")
        .bind(connection.user_name.as_deref())
        .push(", ")
        .bind(password(connection))
        .push(", ")
        .bind(connection.is_active)
        .push(", ")
        .bind(connection.parks_calls)
        .push(", ")
        .bind(connection.rings_all)
        .push(", ")
        .bind(connection.is_dialled_by_number)
        .push(", ")
        .bind(connection.uri_calls.as_str())
        .push(", ")
        .bind(connection.ring_for.as_secs())
        .push(", ")
        .bind(connection.webhook.url.as_deref())
        .push(", ")
        .bind(connection.webhook.failover_url.as_deref())
        .push(", ")
        .bind(timeout_secs(connection))
        .push(", ")
        .bind(connection.document.as_str())
}

/// A pattern for LIKE without what has a meaning there.
fn containing(text: &str) -> String {
    let plain: String = text.chars().filter(|character| !matches!(character, '%' | '_' | '\\')).collect();
    format!("%{}%", plain.to_lowercase())
}

async fn by_credential(store: &SqlStore, sql: Sql) -> StoreResult<Option<VoiceUser>> {
    let row: Option<CredentialRow> = in_time(sql.rows().fetch_optional(&store.pool)).await?;
    let Some(credential) = row.map(VoiceCredential::from) else { return Ok(None) };
    let sql = Sql::new("SELECT * FROM voice_connections WHERE id = ").bind(credential.connection.0);
    let row: Option<ConnectionRow> = in_time(sql.rows().fetch_optional(&store.pool)).await?;
    match row {
        Some(row) => user(store, row, Some(credential)).await.map(Some),
        None => Ok(None),
    }
}

async fn user(store: &SqlStore, row: ConnectionRow, credential: Option<VoiceCredential>) -> StoreResult<VoiceUser> {
    let sql = Sql::new("SELECT organization_id, is_disabled FROM projects WHERE id = ").bind(row.project_id);
    let (organization, is_disabled): (i64, i64) = in_time(sql.rows().fetch_one(&store.pool)).await?;
    Ok(VoiceUser {
        connection: row.into(),
        credential,
        organization: OrganizationId(organization),
        is_project_disabled: is_disabled != 0,
    })
}
