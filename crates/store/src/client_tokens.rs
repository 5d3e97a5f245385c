//! Client tokens, what signs them, and the labels of accounts.

use causeway_app::{
    ClientAccount, ClientTokenFilter, ClientTokenStore, ClientTokenView, NewClientToken, OrganizationId, Page,
    PageRequest, ProjectId, RevokeClientTokens, StoreError, StoreResult, StoredSigningKey, TokenId,
};
use causeway_credentials::client_token::AccessLabel;
use causeway_types::{Secret, UnixTime};

use crate::{SqlStore, count, in_time, millis, sql::Sql, store_error, time};

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    pkcs8: Vec<u8>,
    created_at: i64,
    verifies_until: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    project_id: i64,
    organization_id: i64,
    access: String,
    is_disabled: i64,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: String,
    client: String,
    token_id: i64,
    issued_at: i64,
    expires_at: i64,
    allows_incoming: i64,
    callees: String,
    revoked_at: Option<i64>,
}

impl ClientTokenStore for SqlStore {
    async fn signing_keys(&self, now: UnixTime) -> StoreResult<Vec<StoredSigningKey>> {
        let sql = Sql::new(
            "SELECT kid, pkcs8, created_at, verifies_until FROM client_signing_keys WHERE verifies_until IS NULL OR \
             verifies_until > ",
        )
        .bind(millis(now))
        .push(" ORDER BY created_at DESC, kid DESC");
        let rows: Vec<KeyRow> = in_time(sql.rows().fetch_all(&self.pool)).await?;
        let key = |row: KeyRow| StoredSigningKey {
            kid: row.kid,
            pkcs8: Secret::new(row.pkcs8),
            created_at: time(row.created_at),
            verifies_until: row.verifies_until.map(time),
        };
        Ok(rows.into_iter().map(key).collect())
    }

    async fn insert_signing_key(&self, key: &StoredSigningKey, others_until: UnixTime) -> StoreResult<()> {
        insert_key(self, key, others_until).await.map_err(store_error)
    }

    async fn client_account(&self, project: ProjectId) -> StoreResult<Option<ClientAccount>> {
        account(self, accounts().push("a.project_id = ").bind(project.0)).await
    }

    async fn client_account_of(&self, access: &AccessLabel) -> StoreResult<Option<ClientAccount>> {
        account(self, accounts().push("a.access = ").bind(access.as_str())).await
    }

    async fn set_client_access(&self, project: ProjectId, access: &AccessLabel) -> StoreResult<()> {
        let sql = Sql::new("INSERT INTO client_accounts (project_id, access) VALUES (")
            .bind(project.0)
            .push(", ")
            .bind(access.as_str())
            .push(") ON CONFLICT (project_id) DO UPDATE SET access = excluded.access");
        sql.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(())
    }

    async fn insert_client_token(
        &self,
        project: ProjectId,
        token: &NewClientToken,
        month: &str,
        quota: u64,
    ) -> StoreResult<bool> {
        insert_token(self, project, token, month, quota).await.map_err(store_error)
    }

    async fn client_tokens_minted(&self, project: ProjectId, month: &str) -> StoreResult<u64> {
        let sql = Sql::new("SELECT minted FROM client_token_counts WHERE project_id = ")
            .bind(project.0)
            .push(" AND month = ")
            .bind(month);
        let row: Option<(i64,)> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map_or(0, |(minted,)| count(minted)))
    }

    async fn client_tokens(
        &self,
        project: ProjectId,
        filter: &ClientTokenFilter,
        request: &PageRequest,
        now: UnixTime,
    ) -> StoreResult<Page<ClientTokenView>> {
        let sql = list_sql(project, filter, request, now)?;
        let rows: Vec<TokenRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        let found = Page::cut(rows, request, |row| format!("{} {}", row.issued_at, row.id));
        Ok(Page { items: found.items.into_iter().map(view).collect(), next: found.next })
    }

    async fn revoke_client_tokens(
        &self,
        project: ProjectId,
        by: &RevokeClientTokens,
        now: UnixTime,
    ) -> StoreResult<u64> {
        let sql = Sql::new("UPDATE client_tokens SET revoked_at = ")
            .bind(millis(now))
            .push(" WHERE revoked_at IS NULL AND expires_at > ")
            .bind(millis(now))
            .push(" AND project_id = ")
            .bind(project.0);
        let sql = match by {
            RevokeClientTokens::Id(id) => sql.push(" AND id = ").bind(id.as_str()),
            RevokeClientTokens::Client(client) => sql.push(" AND client = ").bind(client.as_str()),
            RevokeClientTokens::Project => sql,
        };
        let done = sql.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(done.rows_affected())
    }

    async fn revoked_client_tokens(&self, now: UnixTime) -> StoreResult<Vec<String>> {
        let sql =
            Sql::new("SELECT id FROM client_tokens WHERE revoked_at IS NOT NULL AND expires_at > ").bind(millis(now));
        let rows: Vec<(String,)> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    async fn forget_client_tokens(&self, before: UnixTime) -> StoreResult<u64> {
        let keys = Sql::new("DELETE FROM client_signing_keys WHERE verifies_until < ").bind(millis(before));
        keys.query().execute(&self.writes).await.map_err(store_error)?;
        let tokens = Sql::new("DELETE FROM client_tokens WHERE expires_at < ").bind(millis(before));
        let done = tokens.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(done.rows_affected())
    }
}

fn accounts() -> Sql {
    Sql::new(
        "SELECT a.project_id, p.organization_id, a.access, p.is_disabled FROM client_accounts a JOIN projects p ON \
         p.id = a.project_id WHERE ",
    )
}

async fn account(store: &SqlStore, sql: Sql) -> StoreResult<Option<ClientAccount>> {
    let row: Option<AccountRow> = in_time(sql.rows().fetch_optional(&store.pool)).await?;
    let Some(row) = row else { return Ok(None) };
    let Ok(access) = AccessLabel::new(&row.access) else {
        return Err(StoreError::Unavailable { reason: "a label of the database is none".to_owned() });
    };
    Ok(Some(ClientAccount {
        project: ProjectId(row.project_id),
        organization: OrganizationId(row.organization_id),
        access,
        is_project_disabled: row.is_disabled != 0,
    }))
}

async fn insert_key(store: &SqlStore, key: &StoredSigningKey, others_until: UnixTime) -> Result<(), sqlx::Error> {
    let mut transaction = store.writes.begin().await?;
    Sql::new("UPDATE client_signing_keys SET verifies_until = ")
        .bind(millis(others_until))
        .push(" WHERE verifies_until IS NULL")
        .query()
        .execute(&mut *transaction)
        .await?;
    Sql::new("INSERT INTO client_signing_keys (kid, pkcs8, created_at) VALUES (")
        .bind(key.kid.as_str())
        .push(", ")
        .bind(key.pkcs8.expose().as_slice())
        .push(", ")
        .bind(millis(key.created_at))
        .push(")")
        .query()
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn insert_token(
    store: &SqlStore,
    project: ProjectId,
    token: &NewClientToken,
    month: &str,
    quota: u64,
) -> Result<bool, sqlx::Error> {
    if quota == 0 {
        return Ok(false);
    }
    let mut transaction = store.writes.begin().await?;
    let counted: Option<(i64,)> = Sql::new("INSERT INTO client_token_counts (project_id, month, minted) VALUES (")
        .bind(project.0)
        .push(", ")
        .bind(month)
        .push(", 1) ON CONFLICT (project_id, month) DO UPDATE SET minted = client_token_counts.minted + 1 WHERE client_token_counts.minted < ")
        .bind(quota)
        .push(" RETURNING minted")
        .rows()
        .fetch_optional(&mut *transaction)
        .await?;
    if counted.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    Sql::new(
        "INSERT INTO client_tokens (id, client, callees, project_id, token_id, issued_at, expires_at, allows_incoming) \
         VALUES (",
    )
    .binds([token.id.as_str(), token.client.as_str(), token.callees.texts().join(",").as_str()])
    .push(", ")
    .binds([
        project.0,
        token.token.0,
        millis(token.issued_at),
        millis(token.expires_at),
        i64::from(token.allows_incoming),
    ])
    .push(")")
    .query()
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(crate) fn list_sql(
    project: ProjectId,
    filter: &ClientTokenFilter,
    request: &PageRequest,
    now: UnixTime,
) -> StoreResult<Sql> {
    let mut sql = Sql::new(
        "SELECT id, client, token_id, issued_at, expires_at, allows_incoming, callees, revoked_at FROM client_tokens \
         WHERE project_id = ",
    )
    .bind(project.0)
    .and(" AND client = ", filter.client.as_ref().map(causeway_credentials::client_token::ClientId::as_str));
    sql = match filter.active {
        Some(true) => sql.push(" AND revoked_at IS NULL AND expires_at > ").bind(millis(now)),
        Some(false) => sql.push(" AND (revoked_at IS NOT NULL OR expires_at <= ").bind(millis(now)).push(")"),
        None => sql,
    };
    if let Some(after) = &request.after {
        let place = after.split_once(' ').and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id)));
        let (at, id) = place.ok_or(StoreError::BadCursor)?;
        sql = sql.push(" AND (issued_at, id) < (").bind(at).push(", ").bind(id).push(")");
    }
    Ok(sql.push(" ORDER BY issued_at DESC, id DESC LIMIT ").bind(i64::from(request.limit) + 1))
}

fn view(row: TokenRow) -> ClientTokenView {
    ClientTokenView {
        id: row.id,
        client: row.client,
        token: TokenId(row.token_id),
        issued_at: time(row.issued_at),
        expires_at: time(row.expires_at),
        allows_incoming: row.allows_incoming != 0,
        callees: row.callees.split(',').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect(),
        revoked_at: row.revoked_at.map(time),
    }
}
