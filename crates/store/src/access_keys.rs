//! Access keys of clients that sign.

use causeway_app::{
    AccessKey, AccessKeyStore, ApiCaller, KeyGrant, KeyPreset, NewAccessKey, OrganizationId, Page, PageRequest,
    ProjectId, Scopes, StoreResult, TokenId,
};
use causeway_credentials::access_key::token_hash;
use causeway_types::{Secret, UnixTime};
use sqlx::{Any, Transaction};

use crate::{SqlStore, listing::place, millis, sql::Sql, store_error, time};

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    project_id: i64,
    organization_id: i64,
    token_id: i64,
    name: String,
    secret: String,
    session_token: Option<String>,
    preset: String,
    channel: Option<String>,
    client: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    token_revoked_at: Option<i64>,
    is_disabled: i64,
}

impl From<KeyRow> for AccessKey {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            secret: Secret::new(row.secret),
            session_token: row.session_token.map(Secret::new),
            grant: KeyGrant {
                // Written by this program; a word of a later one grants the least.
                preset: KeyPreset::parse(&row.preset).unwrap_or(KeyPreset::Describe),
                channel: row.channel,
                client: row.client,
            },
            organization: OrganizationId(row.organization_id),
            project: ProjectId(row.project_id),
            token: TokenId(row.token_id),
            name: row.name,
            created_at: time(row.created_at),
            expires_at: row.expires_at.map(time),
            revoked_at: row.revoked_at.or(row.token_revoked_at).map(time),
            is_project_disabled: row.is_disabled != 0,
        }
    }
}

fn select() -> Sql {
    Sql::new(
        "SELECT k.id, k.project_id, p.organization_id, k.token_id, k.name, k.secret, k.session_token, k.preset, \
         k.channel, k.client, k.created_at, k.expires_at, k.revoked_at, t.revoked_at AS token_revoked_at, \
         p.is_disabled FROM access_keys k JOIN projects p ON p.id = k.project_id JOIN api_tokens t ON t.id = k.token_id \
         WHERE ",
    )
}

impl AccessKeyStore for SqlStore {
    async fn access_key(&self, id: &str) -> StoreResult<Option<AccessKey>> {
        let sql = select().push("k.id = ").bind(id);
        let row: Option<KeyRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn access_keys(&self, project: ProjectId) -> StoreResult<Vec<AccessKey>> {
        let sql = select()
            .push("k.project_id = ")
            .bind(project.0)
            .push(" AND k.session_token IS NULL ORDER BY k.created_at DESC, k.id");
        let rows: Vec<KeyRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn temporary_keys(
        &self,
        project: ProjectId,
        now: UnixTime,
        request: &PageRequest,
    ) -> StoreResult<Page<AccessKey>> {
        let mut sql = select()
            .push("k.session_token IS NOT NULL AND k.project_id = ")
            .bind(project.0)
            .push(" AND k.expires_at > ")
            .bind(millis(now));
        if let Some((at, id)) = place(request)? {
            sql = sql.push(" AND (k.expires_at < ").bind(at).push(" OR (k.expires_at = ").bind(at);
            sql = sql.push(" AND k.id > ").bind(id.as_str()).push("))");
        }
        sql = sql.push(" ORDER BY k.expires_at DESC, k.id LIMIT ").bind(i64::from(request.limit) + 1);
        let rows: Vec<KeyRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let found = Page::cut(rows, request, |row| format!("{}-{}", row.expires_at.unwrap_or_default(), row.id));
        Ok(Page { items: found.items.into_iter().map(Into::into).collect(), next: found.next })
    }

    async fn temporary_key_count(&self, project: ProjectId, now: UnixTime) -> StoreResult<u64> {
        let sql = Sql::new("SELECT COUNT(*) FROM access_keys WHERE session_token IS NOT NULL AND project_id = ")
            .bind(project.0)
            .push(" AND expires_at > ")
            .bind(millis(now));
        let (count,): (i64,) = sql.rows().fetch_one(&self.pool).await.map_err(store_error)?;
        Ok(count.unsigned_abs())
    }

    async fn insert_access_key(&self, project: ProjectId, key: &NewAccessKey, now: UnixTime) -> StoreResult<()> {
        insert(self, project, key, now).await.map_err(store_error)
    }

    async fn revoke_access_key(&self, project: ProjectId, id: &str, now: UnixTime) -> StoreResult<bool> {
        let done = Sql::new("UPDATE access_keys SET revoked_at = ")
            .bind(millis(now))
            .push(" WHERE revoked_at IS NULL AND project_id = ")
            .bind(project.0)
            .push(" AND id = ")
            .bind(id)
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn expire_access_key(&self, project: ProjectId, id: &str, at: UnixTime) -> StoreResult<()> {
        let at = millis(at);
        Sql::new("UPDATE access_keys SET expires_at = ")
            .bind(at)
            .push(" WHERE project_id = ")
            .bind(project.0)
            .push(" AND id = ")
            .bind(id)
            .push(" AND (expires_at IS NULL OR expires_at > ")
            .bind(at)
            .push(")")
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn forget_access_keys(&self, before: UnixTime) -> StoreResult<u64> {
        let done = Sql::new("DELETE FROM access_keys WHERE session_token IS NOT NULL AND expires_at < ")
            .bind(millis(before))
            .query()
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected())
    }

    async fn adopt_access_key(&self, slug: &str, id: &str, now: UnixTime) -> StoreResult<Option<ApiCaller>> {
        adopt(self, slug, id, now).await.map_err(store_error)
    }
}

async fn insert(store: &SqlStore, project: ProjectId, key: &NewAccessKey, now: UnixTime) -> Result<(), sqlx::Error> {
    let mut transaction = store.pool.begin().await?;
    let token = match key.token {
        Some(token) => token.0,
        None => token_of(&mut transaction, project, &key.id, now).await?,
    };
    Sql::new(
        "INSERT INTO access_keys (id, project_id, token_id, name, secret, session_token, preset, channel, client, \
         created_at, expires_at) VALUES (",
    )
    .bind(key.id.as_str())
    .push(", ")
    .binds([project.0, token])
    .push(", ")
    .binds([Some(key.name.clone()), Some(key.secret.expose().clone())])
    .push(", ")
    .bind(key.session_token.as_ref().map(|token| token.expose().clone()))
    .push(", ")
    .binds([Some(key.grant.preset.as_str().to_owned()), key.grant.channel.clone(), key.grant.client.clone()])
    .push(", ")
    .bind(millis(now))
    .push(", ")
    .bind(key.expires_at.map(millis))
    .push(")")
    .query()
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// The row in the table of tokens that a key stands for.
async fn token_of(
    transaction: &mut Transaction<'_, Any>,
    project: ProjectId,
    id: &str,
    now: UnixTime,
) -> Result<i64, sqlx::Error> {
    let hash = token_hash(id);
    Sql::new("INSERT INTO api_tokens (project_id, name, hash, created_at, prefix, scopes) VALUES (")
        .bind(project.0)
        .push(", ")
        .bind(format!("access key {id}"))
        .push(", ")
        .bind(hash.as_slice())
        .push(", ")
        .bind(millis(now))
        .push(", '', '') ON CONFLICT DO NOTHING")
        .query()
        .execute(&mut **transaction)
        .await?;
    let sql = Sql::new("SELECT id FROM api_tokens WHERE hash = ").bind(hash.as_slice());
    let (token,): (i64,) = sql.rows().fetch_one(&mut **transaction).await?;
    Ok(token)
}

async fn adopt(store: &SqlStore, slug: &str, id: &str, now: UnixTime) -> Result<Option<ApiCaller>, sqlx::Error> {
    let mut transaction = store.pool.begin().await?;
    let sql = Sql::new("SELECT id, organization_id FROM projects WHERE organization_id = 1 AND slug = ").bind(slug);
    let found: Option<(i64, i64)> = sql.rows().fetch_optional(&mut *transaction).await?;
    let Some((project, organization)) = found else { return Ok(None) };
    let token = token_of(&mut transaction, ProjectId(project), id, now).await?;
    transaction.commit().await?;
    Ok(Some(ApiCaller {
        organization: OrganizationId(organization),
        project: ProjectId(project),
        token: TokenId(token),
        scopes: Scopes::default(),
        organization_wide: false,
        person: None,
    }))
}
