//! Organizations, projects, API tokens, and who did what.

use causeway_app::{
    ApiCaller, AuditEntry, NewToken, OrganizationId, ProjectId, ProjectView, Scopes, StoreResult, TokenHolder, TokenId,
    TokenView,
};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{SqlStore, millis, rules, sql::Sql, store_error, time};

impl SqlStore {
    /// Makes the first organization, project and token unless there is a token already; whether it made them.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn make_first_token(&self, token: &NewToken, now: UnixTime) -> StoreResult<bool> {
        let sql = Sql::new("SELECT COUNT(*) FROM api_tokens");
        let (count,): (i64,) = sql.rows().fetch_one(&self.pool).await.map_err(store_error)?;
        if count > 0 {
            return Ok(false);
        }
        self.add_token(token, now).await?;
        Ok(true)
    }

    /// Adds a token to the first project, made when missing; a token that is there already is left as it is.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn add_token(&self, token: &NewToken, now: UnixTime) -> StoreResult<()> {
        add_token(&self.writes, token, now).await.map_err(store_error)
    }
}

async fn add_token(pool: &AnyPool, token: &NewToken, now: UnixTime) -> Result<(), sqlx::Error> {
    let at = millis(now);
    let mut transaction = pool.begin().await?;
    Sql::new("INSERT INTO organizations (id, slug, created_at) VALUES (1, 'default', ")
        .bind(at)
        .push(") ON CONFLICT DO NOTHING")
        .query()
        .execute(&mut *transaction)
        .await?;
    Sql::new("INSERT INTO projects (id, organization_id, slug, created_at) VALUES (1, 1, 'default', ")
        .bind(at)
        .push(") ON CONFLICT DO NOTHING")
        .query()
        .execute(&mut *transaction)
        .await?;
    insert_token(ProjectId::DEFAULT, token, at, " ON CONFLICT DO NOTHING").query().execute(&mut *transaction).await?;
    transaction.commit().await
}

fn insert_token(project: ProjectId, token: &NewToken, at: i64, tail: &str) -> Sql {
    Sql::new(
        "INSERT INTO api_tokens (project_id, name, hash, created_at, prefix, scopes, is_organization_wide, expires_at, regions) \
         VALUES (",
    )
    .bind(project.0)
    .push(", ")
    .bind(token.name.as_str())
    .push(", ")
    .bind(token.hash.as_slice())
    .push(", ")
    .bind(at)
    .push(", ")
    .binds([token.prefix.clone(), token.scopes.to_text()])
    .push(", ")
    .bind(token.organization_wide)
    .push(", ")
    .bind(token.expires_at.map(millis))
    .push(", ")
    .bind(rules::to_text(&token.regions))
    .push(")")
    .push(tail)
}

#[derive(sqlx::FromRow)]
struct HolderRow {
    id: i64,
    project_id: i64,
    organization_id: i64,
    scopes: String,
    is_organization_wide: i64,
    last_used_at: Option<i64>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    is_disabled: i64,
}

pub(crate) async fn holder(
    pool: &AnyPool,
    hash: [u8; 32],
    project: Option<&str>,
) -> Result<Option<TokenHolder>, sqlx::Error> {
    // `p` is the project the caller stands for: the token's own, or the one an organization-wide token names.
    let sql = Sql::new(
        "SELECT t.id, p.id AS project_id, p.organization_id, t.scopes, t.is_organization_wide, t.last_used_at, \
         t.expires_at, t.revoked_at, p.is_disabled FROM api_tokens t JOIN projects o ON o.id = t.project_id \
         JOIN projects p ON p.organization_id = o.organization_id WHERE t.user_id IS NULL AND t.hash = ",
    )
    .bind(hash.as_slice());
    let sql = match project {
        None => sql.push(" AND p.id = t.project_id"),
        Some(slug) => sql.push(" AND (t.is_organization_wide = 1 OR p.id = t.project_id) AND p.slug = ").bind(slug),
    };
    let row: Option<HolderRow> = sql.rows().fetch_optional(pool).await?;
    Ok(row.map(|row| TokenHolder {
        caller: ApiCaller {
            organization: OrganizationId(row.organization_id),
            project: ProjectId(row.project_id),
            token: TokenId(row.id),
            scopes: Scopes::parse(&row.scopes),
            organization_wide: row.is_organization_wide != 0,
            person: None,
        },
        expires_at: row.expires_at.map(time),
        is_revoked: row.revoked_at.is_some(),
        is_used: row.last_used_at.is_some(),
        is_project_disabled: row.is_disabled != 0,
    }))
}

pub(crate) async fn touch(pool: &AnyPool, used: &[(TokenId, UnixTime)]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for (token, at) in used {
        Sql::new("UPDATE api_tokens SET last_used_at = ")
            .bind(millis(*at))
            .push(" WHERE id = ")
            .bind(token.0)
            .query()
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: i64,
    name: String,
    prefix: String,
    scopes: String,
    is_organization_wide: i64,
    created_at: i64,
    last_used_at: Option<i64>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    regions: String,
}

/// Which tokens of table `t` a caller sees: its project's own, and all organization-wide ones if it holds such a one;
/// never those that stand for people.
fn visible(sql: Sql, caller: ApiCaller) -> Sql {
    let sql = sql.push("t.user_id IS NULL AND (t.is_organization_wide = 0 AND t.project_id = ");
    let sql = sql.bind(caller.project.0);
    if !caller.organization_wide {
        return sql.push(")");
    }
    sql.push(" OR (t.is_organization_wide = 1 AND t.project_id IN (SELECT id FROM projects WHERE organization_id = ")
        .bind(caller.organization.0)
        .push(")))")
}

pub(crate) async fn list(pool: &AnyPool, caller: ApiCaller) -> Result<Vec<TokenView>, sqlx::Error> {
    let sql = Sql::new(
        "SELECT t.id, t.name, t.prefix, t.scopes, t.is_organization_wide, t.created_at, t.last_used_at, t.expires_at, \
         t.revoked_at, t.regions FROM api_tokens t WHERE ",
    );
    let sql = visible(sql, caller).push(" ORDER BY t.id DESC");
    let rows: Vec<TokenRow> = sql.rows().fetch_all(pool).await?;
    let view = |row: TokenRow| TokenView {
        id: TokenId(row.id),
        name: row.name,
        prefix: row.prefix,
        scopes: Scopes::parse(&row.scopes),
        organization_wide: row.is_organization_wide != 0,
        created_at: time(row.created_at),
        last_used_at: row.last_used_at.map(time),
        expires_at: row.expires_at.map(time),
        revoked_at: row.revoked_at.map(time),
        regions: rules::from_text(&row.regions),
    };
    Ok(rows.into_iter().map(view).collect())
}

pub(crate) async fn insert(
    pool: &AnyPool,
    project: ProjectId,
    token: &NewToken,
    now: UnixTime,
) -> Result<TokenId, sqlx::Error> {
    let (id,): (i64,) = insert_token(project, token, millis(now), " RETURNING id").rows().fetch_one(pool).await?;
    Ok(TokenId(id))
}

pub(crate) async fn revoke(
    pool: &AnyPool,
    caller: ApiCaller,
    token: TokenId,
    now: UnixTime,
) -> Result<bool, sqlx::Error> {
    let sql = Sql::new("UPDATE api_tokens AS t SET revoked_at = ")
        .bind(millis(now))
        .push(" WHERE revoked_at IS NULL AND id = ")
        .bind(token.0)
        .push(" AND (");
    let done = visible(sql, caller).push(")").query().execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct ProjectRow {
    id: i64,
    slug: String,
    created_at: i64,
    is_disabled: i64,
    regions: String,
    credentials_per_month_max: Option<i64>,
    bytes_per_month_max: Option<i64>,
}

pub(crate) async fn projects(pool: &AnyPool, organization: OrganizationId) -> Result<Vec<ProjectView>, sqlx::Error> {
    let sql = Sql::new(
        "SELECT id, slug, created_at, is_disabled, regions, credentials_per_month_max, bytes_per_month_max \
         FROM projects WHERE organization_id = ",
    )
    .bind(organization.0)
    .push(" ORDER BY slug");
    let rows: Vec<ProjectRow> = sql.rows().fetch_all(pool).await?;
    let view = |row: ProjectRow| ProjectView {
        id: ProjectId(row.id),
        slug: row.slug,
        created_at: time(row.created_at),
        is_disabled: row.is_disabled != 0,
        rules: rules::of_row(&row.regions, row.credentials_per_month_max, row.bytes_per_month_max),
    };
    Ok(rows.into_iter().map(view).collect())
}

pub(crate) async fn insert_project(
    pool: &AnyPool,
    organization: OrganizationId,
    slug: &str,
    now: UnixTime,
) -> Result<ProjectId, sqlx::Error> {
    let (id,): (i64,) = Sql::new("INSERT INTO projects (organization_id, slug, created_at) VALUES (")
        .bind(organization.0)
        .push(", ")
        .bind(slug)
        .push(", ")
        .bind(millis(now))
        .push(") RETURNING id")
        .rows()
        .fetch_one(pool)
        .await?;
    Ok(ProjectId(id))
}

pub(crate) async fn disable_project(
    pool: &AnyPool,
    organization: OrganizationId,
    slug: &str,
    is_disabled: bool,
) -> Result<bool, sqlx::Error> {
    let done = Sql::new("UPDATE projects SET is_disabled = ")
        .bind(is_disabled)
        .push(" WHERE organization_id = ")
        .bind(organization.0)
        .push(" AND slug = ")
        .bind(slug)
        .query()
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn disabled_projects(pool: &AnyPool) -> Result<Vec<ProjectId>, sqlx::Error> {
    let rows: Vec<(i64,)> = Sql::new("SELECT id FROM projects WHERE is_disabled = 1").rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(id,)| ProjectId(id)).collect())
}

pub(crate) async fn audit(pool: &AnyPool, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    Sql::new("INSERT INTO audit_log (at, project_id, token_id, user_id, action, subject, detail) VALUES (")
        .binds([millis(entry.at), entry.project.0])
        .push(", ")
        .binds([entry.token.map(|token| token.0), entry.user.map(|user| user.0)])
        .push(", ")
        .binds([entry.action.as_str(), entry.subject.as_str(), entry.detail.as_str()])
        .push(")")
        .query()
        .execute(pool)
        .await?;
    Ok(())
}
