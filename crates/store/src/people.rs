//! People, their sign-ins and one-time links, and settings of an organization.

use causeway_app::{
    ApiCaller, LinkKind, NewUser, OneTimeLink, OrganizationId, PeopleStore, Person, ProjectId, Redemption,
    SignInHolder, StoreResult, TokenId, UserChange, UserId, UserRole, UserView,
};
use causeway_types::UnixTime;
use sqlx::{Any, AnyPool, Transaction};

use crate::{SqlStore, millis, sql::Sql, store_error, time};

/// Sign-ins of one person; the oldest makes room.
const SIGN_INS_PER_USER_MAX: i64 = 50;

const COLUMNS: &str = "id, organization_id, email, name, role, password_hash, provider_id, is_disabled, created_at, \
                       last_seen_at";

#[derive(sqlx::FromRow)]
struct UserRow {
    id: i64,
    organization_id: i64,
    email: String,
    name: String,
    role: String,
    password_hash: Option<String>,
    provider_id: Option<String>,
    is_disabled: i64,
    created_at: i64,
    last_seen_at: Option<i64>,
}

impl From<UserRow> for UserView {
    fn from(row: UserRow) -> Self {
        Self {
            id: UserId(row.id),
            organization: OrganizationId(row.organization_id),
            email: row.email,
            name: row.name,
            role: role(&row.role),
            has_password: row.password_hash.is_some(),
            has_provider: row.provider_id.is_some(),
            is_disabled: row.is_disabled != 0,
            created_at: time(row.created_at),
            last_seen_at: row.last_seen_at.map(time),
        }
    }
}

/// A word that this version does not know grants the least.
fn role(text: &str) -> UserRole {
    UserRole::parse(text).unwrap_or(UserRole::Viewer)
}

fn users(condition: &str) -> Sql {
    Sql::new("SELECT ").push(COLUMNS).push(" FROM users WHERE ").push(condition)
}

impl PeopleStore for SqlStore {
    async fn has_owner(&self, organization: OrganizationId) -> StoreResult<bool> {
        let sql = Sql::new("SELECT COUNT(*) FROM users WHERE ").push(LIVE_OWNER).push(" AND organization_id = ");
        let (count,): (i64,) = sql.bind(organization.0).rows().fetch_one(&self.pool).await.map_err(store_error)?;
        Ok(count > 0)
    }

    async fn users(&self, organization: OrganizationId) -> StoreResult<Vec<UserView>> {
        let sql = users("organization_id = ").bind(organization.0).push(" ORDER BY email");
        let rows: Vec<UserRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(UserView::from).collect())
    }

    async fn user(&self, organization: OrganizationId, id: UserId) -> StoreResult<Option<UserView>> {
        let sql = users("organization_id = ").bind(organization.0).push(" AND id = ").bind(id.0);
        let row: Option<UserRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(UserView::from))
    }

    async fn user_by_email(&self, email: &str) -> StoreResult<Option<(UserView, Option<String>)>> {
        let sql = users("email = ").bind(email);
        let row: Option<UserRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(|row| {
            let password_hash = row.password_hash.clone();
            (row.into(), password_hash)
        }))
    }

    async fn user_by_provider(&self, provider_id: &str) -> StoreResult<Option<UserView>> {
        let sql = users("provider_id = ").bind(provider_id);
        let row: Option<UserRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.map(UserView::from))
    }

    async fn insert_user(&self, organization: OrganizationId, user: &NewUser, now: UnixTime) -> StoreResult<UserId> {
        insert_user(&self.writes, organization, user, now).await.map_err(store_error)
    }

    async fn change_user(&self, organization: OrganizationId, id: UserId, change: &UserChange) -> StoreResult<bool> {
        change_user(&self.writes, organization, id, change).await.map_err(store_error)
    }

    async fn tie_user(&self, id: UserId, provider_id: &str, issuer_prefix: &str) -> StoreResult<bool> {
        tie_user(&self.writes, id, provider_id, issuer_prefix).await.map_err(store_error)
    }

    async fn set_password(&self, id: UserId, password_hash: &str) -> StoreResult<()> {
        let sql = Sql::new("UPDATE users SET password_hash = ").bind(password_hash).push(" WHERE id = ").bind(id.0);
        self.run(sql).await
    }

    async fn insert_sign_in(
        &self,
        hash: [u8; 32],
        user: UserId,
        now: UnixTime,
        forget_before: UnixTime,
    ) -> StoreResult<()> {
        insert_sign_in(&self.writes, hash, user, now, forget_before).await.map_err(store_error)
    }

    async fn end_sign_in(&self, hash: [u8; 32]) -> StoreResult<()> {
        self.run(Sql::new("DELETE FROM sign_ins WHERE hash = ").bind(hash.as_slice())).await
    }

    async fn end_sign_ins(&self, user: UserId) -> StoreResult<()> {
        self.run(Sql::new("DELETE FROM sign_ins WHERE user_id = ").bind(user.0)).await
    }

    async fn insert_link(&self, hash: [u8; 32], link: &OneTimeLink, now: UnixTime) -> StoreResult<()> {
        insert_link(&self.writes, hash, link, now).await.map_err(store_error)
    }

    async fn link(&self, hash: [u8; 32], now: UnixTime) -> StoreResult<Option<OneTimeLink>> {
        let sql = Sql::new("SELECT organization_id, kind, user_id, expires_at FROM one_time_links WHERE hash = ")
            .bind(hash.as_slice())
            .push(" AND expires_at > ")
            .bind(millis(now));
        let row: Option<LinkRow> = sql.rows().fetch_optional(&self.pool).await.map_err(store_error)?;
        Ok(row.and_then(LinkRow::link))
    }

    async fn redeem(&self, hash: [u8; 32], redemption: &Redemption, now: UnixTime) -> StoreResult<Option<UserId>> {
        redeem(&self.writes, hash, redemption, now).await.map_err(store_error)
    }

    async fn settings(&self, organization: OrganizationId) -> StoreResult<Vec<(String, String)>> {
        let sql = Sql::new("SELECT name, value FROM settings WHERE organization_id = ").bind(organization.0);
        sql.rows().fetch_all(&self.pool).await.map_err(store_error)
    }

    async fn put_settings(&self, organization: OrganizationId, settings: &[(&str, Option<String>)]) -> StoreResult<()> {
        put_settings(&self.writes, organization, settings).await.map_err(store_error)
    }
}

/// Somebody who may do everything and can sign in.
const LIVE_OWNER: &str =
    "role = 'owner' AND is_disabled = 0 AND (password_hash IS NOT NULL OR provider_id IS NOT NULL)";

impl SqlStore {
    async fn run(&self, sql: Sql) -> StoreResult<()> {
        sql.query().execute(&self.writes).await.map(drop).map_err(store_error)
    }
}

async fn insert_user(
    pool: &AnyPool,
    organization: OrganizationId,
    user: &NewUser,
    now: UnixTime,
) -> Result<UserId, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let id = add_user(&mut transaction, organization, user, now).await?;
    transaction.commit().await?;
    Ok(id)
}

/// A person, and the token that stands for them: its hash is of nothing, so nobody has its value.
async fn add_user(
    transaction: &mut Transaction<'_, Any>,
    organization: OrganizationId,
    user: &NewUser,
    now: UnixTime,
) -> Result<UserId, sqlx::Error> {
    let sql = Sql::new(
        "INSERT INTO users (organization_id, email, name, role, password_hash, provider_id, created_at) VALUES (",
    )
    .bind(organization.0)
    .push(", ")
    .binds([user.email.as_str(), user.name.as_str(), user.role.as_str()])
    .push(", ")
    .binds([user.password_hash.clone(), user.provider_id.clone()])
    .push(", ")
    .bind(millis(now))
    .push(") RETURNING id");
    let (id,): (i64,) = sql.rows().fetch_one(&mut **transaction).await?;
    // No SHA-256 is this short, so no token has this hash.
    let sql = Sql::new(
        "INSERT INTO api_tokens (project_id, name, hash, created_at, prefix, scopes, is_organization_wide, user_id) \
         SELECT MIN(id), ",
    )
    .bind(user.email.as_str())
    .push(", ")
    .bind(format!("user {id}").as_bytes())
    .push(", ")
    .bind(millis(now))
    .push(", '', '', 1, ")
    .bind(id)
    .push(" FROM projects WHERE organization_id = ")
    .bind(organization.0);
    sql.query().execute(&mut **transaction).await?;
    Ok(UserId(id))
}

async fn tie_user(pool: &AnyPool, id: UserId, provider_id: &str, issuer_prefix: &str) -> Result<bool, sqlx::Error> {
    let prefix_len = i64::try_from(issuer_prefix.chars().count()).unwrap_or(i64::MAX);
    let mut transaction = pool.begin().await?;
    let sql = Sql::new("UPDATE users SET provider_id = ")
        .bind(provider_id)
        .push(" WHERE id = ")
        .bind(id.0)
        .push(" AND (provider_id IS NULL OR SUBSTR(provider_id, 1, CAST(")
        .bind(prefix_len)
        .push(" AS INTEGER)) <> ")
        .bind(issuer_prefix)
        .push(")");
    if sql.query().execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let sql = Sql::new("DELETE FROM one_time_links WHERE kind = ").bind(LinkKind::Invitation.as_str());
    sql.push(" AND user_id = ").bind(id.0).query().execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn change_user(
    pool: &AnyPool,
    organization: OrganizationId,
    id: UserId,
    change: &UserChange,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // The owners are locked by writing to them, so that two who remove each other at once do not both succeed.
    Sql::new("UPDATE users SET role = role WHERE ").push(LIVE_OWNER).query().execute(&mut *transaction).await?;
    let sql = Sql::new("UPDATE users SET id = id")
        .and(", name = ", change.name.clone())
        .and(", role = ", change.role.map(UserRole::as_str))
        .and(", is_disabled = ", change.is_disabled)
        .push(" WHERE organization_id = ")
        .bind(organization.0)
        .push(" AND id = ")
        .bind(id.0);
    sql.query().execute(&mut *transaction).await?;
    let sql = Sql::new("SELECT COUNT(*) FROM users WHERE ").push(LIVE_OWNER).push(" AND organization_id = ");
    let (owners,): (i64,) = sql.bind(organization.0).rows().fetch_one(&mut *transaction).await?;
    if owners == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

async fn insert_sign_in(
    pool: &AnyPool,
    hash: [u8; 32],
    user: UserId,
    now: UnixTime,
    forget_before: UnixTime,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let old = Sql::new("DELETE FROM sign_ins WHERE created_at < ").bind(millis(forget_before));
    old.query().execute(&mut *transaction).await?;
    Sql::new("INSERT INTO sign_ins (hash, user_id, created_at, last_used_at) VALUES (")
        .bind(hash.as_slice())
        .push(", ")
        .binds([user.0, millis(now), millis(now)])
        .push(")")
        .query()
        .execute(&mut *transaction)
        .await?;
    Sql::new("DELETE FROM sign_ins WHERE user_id = ")
        .bind(user.0)
        .push(" AND hash NOT IN (SELECT hash FROM sign_ins WHERE user_id = ")
        .bind(user.0)
        .push(" ORDER BY created_at DESC LIMIT ")
        .bind(SIGN_INS_PER_USER_MAX)
        .push(")")
        .query()
        .execute(&mut *transaction)
        .await?;
    Sql::new("UPDATE users SET last_seen_at = ")
        .bind(millis(now))
        .push(" WHERE id = ")
        .bind(user.0)
        .query()
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    organization_id: i64,
    kind: String,
    user_id: Option<i64>,
    expires_at: i64,
}

impl LinkRow {
    fn link(self) -> Option<OneTimeLink> {
        Some(OneTimeLink {
            organization: OrganizationId(self.organization_id),
            kind: LinkKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind)?,
            user: self.user_id.map(UserId),
            expires_at: time(self.expires_at),
        })
    }
}

async fn insert_link(pool: &AnyPool, hash: [u8; 32], link: &OneTimeLink, now: UnixTime) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let old = Sql::new("DELETE FROM one_time_links WHERE expires_at <= ").bind(millis(now));
    let old = match link.user {
        Some(user) => old.push(" OR user_id = ").bind(user.0),
        None => old.push(" OR user_id IS NULL AND organization_id = ").bind(link.organization.0),
    };
    old.query().execute(&mut *transaction).await?;
    Sql::new("INSERT INTO one_time_links (hash, organization_id, kind, user_id, expires_at) VALUES (")
        .bind(hash.as_slice())
        .push(", ")
        .bind(link.organization.0)
        .push(", ")
        .bind(link.kind.as_str())
        .push(", ")
        .bind(link.user.map(|user| user.0))
        .push(", ")
        .bind(millis(link.expires_at))
        .push(")")
        .query()
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn redeem(
    pool: &AnyPool,
    hash: [u8; 32],
    redemption: &Redemption,
    now: UnixTime,
) -> Result<Option<UserId>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Whoever deletes the row has the link; a second one at the same time finds none.
    let sql = Sql::new("DELETE FROM one_time_links WHERE hash = ")
        .bind(hash.as_slice())
        .push(" AND expires_at > ")
        .bind(millis(now))
        .push(" RETURNING organization_id, kind, user_id, expires_at");
    let row: Option<LinkRow> = sql.rows().fetch_optional(&mut *transaction).await?;
    let Some(link) = row.and_then(LinkRow::link) else { return Ok(None) };
    let password_hash = redemption.password_hash.clone();
    let id = match (link.user, &redemption.first) {
        (None, Some((email, name))) => {
            let (email, name, password_hash) = (email.clone(), name.clone(), Some(password_hash));
            let user = NewUser { email, name, role: UserRole::Owner, password_hash, provider_id: None };
            add_user(&mut transaction, link.organization, &user, now).await?
        }
        (Some(id), _) => {
            let sql = Sql::new("UPDATE users SET password_hash = ")
                .bind(password_hash)
                .and(", name = ", redemption.name.clone())
                .push(" WHERE is_disabled = 0 AND id = ")
                .bind(id.0);
            if sql.query().execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(None);
            }
            Sql::new("DELETE FROM sign_ins WHERE user_id = ").bind(id.0).query().execute(&mut *transaction).await?;
            id
        }
        (None, None) => return Ok(None),
    };
    transaction.commit().await?;
    Ok(Some(id))
}

async fn put_settings(
    pool: &AnyPool,
    organization: OrganizationId,
    settings: &[(&str, Option<String>)],
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for (name, value) in settings {
        let sql = match value {
            None => Sql::new("DELETE FROM settings WHERE organization_id = ")
                .bind(organization.0)
                .push(" AND name = ")
                .bind(*name),
            Some(value) => Sql::new("INSERT INTO settings (organization_id, name, value) VALUES (")
                .bind(organization.0)
                .push(", ")
                .binds([*name, value.as_str()])
                .push(") ON CONFLICT (organization_id, name) DO UPDATE SET value = excluded.value"),
        };
        sql.query().execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[derive(sqlx::FromRow)]
struct HolderRow {
    user_id: i64,
    role: String,
    is_user_disabled: i64,
    token_id: i64,
    project_id: i64,
    organization_id: i64,
    is_project_disabled: i64,
    created_at: i64,
    last_used_at: i64,
}

pub(crate) async fn holder(
    pool: &AnyPool,
    hash: [u8; 32],
    project: Option<&str>,
) -> Result<Option<SignInHolder>, sqlx::Error> {
    let sql = Sql::new(
        "SELECT u.id AS user_id, u.role, u.is_disabled AS is_user_disabled, t.id AS token_id, p.id AS project_id, \
         p.organization_id, p.is_disabled AS is_project_disabled, s.created_at, s.last_used_at FROM sign_ins s \
         JOIN users u ON u.id = s.user_id JOIN api_tokens t ON t.user_id = u.id \
         JOIN projects p ON p.organization_id = u.organization_id WHERE s.hash = ",
    )
    .bind(hash.as_slice());
    let sql = match project {
        None => sql.push(" AND p.id = t.project_id"),
        Some(slug) => sql.push(" AND p.slug = ").bind(slug),
    };
    let row: Option<HolderRow> = sql.rows().fetch_optional(pool).await?;
    Ok(row.map(|row| {
        let person = Person { id: UserId(row.user_id), role: role(&row.role) };
        SignInHolder {
            caller: ApiCaller {
                organization: OrganizationId(row.organization_id),
                project: ProjectId(row.project_id),
                token: TokenId(row.token_id),
                scopes: person.role.scopes(),
                organization_wide: true,
                person: Some(person),
            },
            created_at: time(row.created_at),
            last_used_at: time(row.last_used_at),
            is_disabled: row.is_user_disabled != 0,
            is_project_disabled: row.is_project_disabled != 0,
        }
    }))
}

pub(crate) async fn touch(pool: &AnyPool, used: &[([u8; 32], UnixTime)]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for (hash, at) in used {
        Sql::new("UPDATE sign_ins SET last_used_at = ")
            .bind(millis(*at))
            .push(" WHERE hash = ")
            .bind(hash.as_slice())
            .query()
            .execute(&mut *transaction)
            .await?;
        Sql::new("UPDATE users SET last_seen_at = ")
            .bind(millis(*at))
            .push(" WHERE id = (SELECT user_id FROM sign_ins WHERE hash = ")
            .bind(hash.as_slice())
            .push(")")
            .query()
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
