//! Credentials: finding, listing, revoking.

use causeway_app::{
    CredentialFilter, CredentialKey, CredentialRecord, CredentialState, CredentialView, EXPIRED_MAX, Identifier, Page,
    PageRequest, ProjectId, RevokeBy, StoreResult,
};
use causeway_types::{Secret, UnixTime};
use sqlx::AnyPool;

use crate::{count, listing, millis, rows::CredentialRow, sql::Sql, store_error, time};

pub(crate) async fn by_username(pool: &AnyPool, username: &str) -> Result<Option<CredentialRecord>, sqlx::Error> {
    let sql = Sql::new("SELECT * FROM credentials WHERE username = ").bind(username);
    Ok(sql.rows::<CredentialRow>().fetch_optional(pool).await?.map(Into::into))
}

pub(crate) async fn by_hash(pool: &AnyPool, hash: [u8; 32]) -> Result<Option<CredentialRecord>, sqlx::Error> {
    let sql = Sql::new("SELECT * FROM credentials WHERE user_hash = ").bind(hash.as_slice());
    Ok(sql.rows::<CredentialRow>().fetch_optional(pool).await?.map(Into::into))
}

pub(crate) async fn list(
    pool: &AnyPool,
    project: ProjectId,
    filter: &CredentialFilter,
    page: &PageRequest,
    now: UnixTime,
) -> StoreResult<Page<CredentialView>> {
    let sql = list_sql(project, filter, page, now)?;
    let rows = sql.rows::<CredentialRow>().fetch_all(pool).await.map_err(store_error)?;
    let views = rows.into_iter().map(|row| {
        let active_sessions = count(row.active_sessions);
        let mut record: CredentialRecord = row.into();
        record.secret = Secret::new(String::new());
        CredentialView { record, active_sessions }
    });
    let value = |record: &CredentialRecord| match filter.order.by {
        CredentialKey::Issued => millis(record.issued_at),
        CredentialKey::Expires => millis(record.expires_at),
    };
    let place = |view: &CredentialView| format!("{}-{}", value(&view.record), view.record.username);
    Ok(Page::cut(views.collect(), page, place))
}

/// The page's user names come from indexes alone, then the rows: a filter that finds little in many passes few rows.
pub(crate) fn list_sql(
    project: ProjectId,
    filter: &CredentialFilter,
    page: &PageRequest,
    now: UnixTime,
) -> StoreResult<Sql> {
    let mut sql = Sql::new(
        "SELECT c.*, (SELECT COUNT(*) FROM sessions s WHERE s.project_id = c.project_id AND s.username = c.username \
         AND s.ended_at IS NULL) AS active_sessions FROM (",
    );
    let asked = Asked { project, filter, after: listing::place(page)?, limit: i64::from(page.limit) + 1, now };
    sql = match &filter.client {
        None => asked.names(sql, None),
        // Each side from its own index; a credential may name one client on both.
        Some(client) => {
            let sql = asked.names(sql.push("SELECT * FROM ("), Some(("k.initiator_client", client)));
            asked.names(sql.push(") AS a UNION SELECT * FROM ("), Some(("k.receiver_client", client))).push(") AS b")
        }
    };
    let (column, direction) = (asked.column(), if filter.order.is_descending { " DESC" } else { "" });
    let order = format!(
        ") AS page JOIN credentials c ON c.username = page.username ORDER BY c.{column}{direction}, \
         c.username{direction} LIMIT "
    );
    Ok(sql.push(&order).bind(asked.limit))
}

/// What was asked for.
struct Asked<'a> {
    project: ProjectId,
    filter: &'a CredentialFilter,
    after: Option<(i64, String)>,
    limit: i64,
    now: UnixTime,
}

impl Asked<'_> {
    /// What they are listed by.
    fn column(&self) -> &'static str {
        match self.filter.order.by {
            CredentialKey::Issued => "issued_at",
            CredentialKey::Expires => "expires_at",
        }
    }

    /// Adds the question for a page's names, of those that name a client in this column.
    fn names(&self, sql: Sql, side: Option<(&str, &Identifier)>) -> Sql {
        let filter = self.filter;
        let mut sql = sql
            .push(&format!("SELECT k.username, k.{} FROM credentials k WHERE k.project_id = ", self.column()))
            .bind(self.project.0)
            .and(" AND k.username = ", filter.username.as_deref())
            .and(" AND k.room = ", filter.room.as_ref().map(Identifier::as_str))
            .and(" AND k.token_id = ", filter.token.map(|token| token.0));
        if let Some((column, client)) = side {
            sql = sql.push(" AND ").push(column).push(" = ").bind(client.as_str());
        }
        sql = match filter.state {
            None => sql,
            Some(CredentialState::Revoked) => sql.push(" AND k.revoked_at IS NOT NULL"),
            Some(CredentialState::Active) => {
                sql.push(" AND k.revoked_at IS NULL AND k.expires_at >= ").bind(millis(self.now))
            }
            Some(CredentialState::Expired) => {
                sql.push(" AND k.revoked_at IS NULL AND k.expires_at < ").bind(millis(self.now))
            }
        };
        if let Some(text) = &filter.search {
            const COLUMNS: [&str; 4] = ["k.username", "k.room", "k.initiator_client", "k.receiver_client"];
            sql = listing::has_text(sql.push(" AND "), &COLUMNS, text);
        }
        let column = format!("k.{}", self.column());
        listing::ordered(sql, (&column, "k.username"), filter.order.is_descending, self.after.clone(), self.limit)
    }
}

pub(crate) async fn revoke(
    pool: &AnyPool,
    project: ProjectId,
    by: &RevokeBy,
    now: UnixTime,
) -> Result<Vec<String>, sqlx::Error> {
    let sql = Sql::new("UPDATE credentials SET revoked_at = ")
        .bind(millis(now))
        .push(" WHERE revoked_at IS NULL AND project_id = ")
        .bind(project.0);
    let sql = match by {
        RevokeBy::Username(username) => sql.push(" AND username = ").bind(username.as_str()),
        RevokeBy::Room(room) => sql.push(" AND room = ").bind(room.as_str()),
        RevokeBy::Client(client) => sql
            .push(" AND (initiator_client = ")
            .bind(client.as_str())
            .push(" OR receiver_client = ")
            .bind(client.as_str())
            .push(")"),
        RevokeBy::Token(token) => sql.push(" AND token_id = ").bind(token.0),
        RevokeBy::IssuedBefore(moment) => sql.push(" AND issued_at < ").bind(millis(*moment)),
    };
    let rows: Vec<(String,)> = sql.push(" RETURNING username").rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(username,)| username).collect())
}

pub(crate) async fn refuse_name(
    pool: &AnyPool,
    project: ProjectId,
    username: &str,
    until: UnixTime,
) -> Result<(), sqlx::Error> {
    Sql::new("INSERT INTO refused_names (username, project_id, refused_until) VALUES (")
        .bind(username)
        .push(", ")
        .binds([project.0, millis(until)])
        .push(") ON CONFLICT (username) DO UPDATE SET refused_until = excluded.refused_until")
        .query()
        .execute(pool)
        .await?;
    Ok(())
}

pub(crate) async fn refused_names(pool: &AnyPool, now: UnixTime) -> Result<Vec<(String, UnixTime)>, sqlx::Error> {
    let sql = Sql::new("SELECT username, refused_until FROM refused_names WHERE refused_until >= ").bind(millis(now));
    let rows: Vec<(String, i64)> = sql.rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(username, until)| (username, time(until))).collect())
}

/// Reads on from the last one told, and moves that mark in the same transaction.
pub(crate) async fn claim_expired(
    pool: &AnyPool,
    writes: &AnyPool,
    now: UnixTime,
) -> Result<Vec<(ProjectId, String)>, sqlx::Error> {
    let now = millis(now);
    if !is_any_to_tell(pool, now).await? {
        return Ok(Vec::new());
    }
    let mut transaction = writes.begin().await?;
    // The row is this transaction's from here on, whoever made it: no two servers read the same mark.
    let mark = Sql::new("INSERT INTO expired_told (name, expires_at, username) VALUES ('all', ")
        .bind(now)
        .push(", '') ON CONFLICT (name) DO UPDATE SET username = expired_told.username RETURNING expires_at, username");
    let (told_at, told): (i64, String) = mark.rows().fetch_one(&mut *transaction).await?;
    let sql =
        Sql::new("SELECT project_id, expires_at, username FROM credentials WHERE revoked_at IS NULL AND expires_at < ")
            .bind(now)
            .push(" AND expires_at >= ")
            .bind(told_at)
            .push(" AND (expires_at, username) > (")
            .bind(told_at)
            .push(", ")
            .bind(told)
            .push(") ORDER BY expires_at, username LIMIT ")
            .bind(i64::from(EXPIRED_MAX));
    let rows: Vec<(i64, i64, String)> = sql.rows().fetch_all(&mut *transaction).await?;
    if let Some((_, expires_at, username)) = rows.last() {
        Sql::new("UPDATE expired_told SET expires_at = ")
            .bind(*expires_at)
            .push(", username = ")
            .bind(username.as_str())
            .push(" WHERE name = 'all'")
            .query()
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(rows.into_iter().map(|(project, _, username)| (ProjectId(project), username)).collect())
}

/// Asked every second, so it must write nothing: an idle server leaves the disk alone.
async fn is_any_to_tell(pool: &AnyPool, now: i64) -> Result<bool, sqlx::Error> {
    let marks = Sql::new("SELECT COUNT(*) FROM expired_told");
    let (marks,): (i64,) = marks.rows().fetch_one(pool).await?;
    let sql = Sql::new(
        "SELECT c.username FROM expired_told t JOIN credentials c ON c.expires_at >= t.expires_at \
         AND (c.expires_at, c.username) > (t.expires_at, t.username) WHERE c.revoked_at IS NULL AND c.expires_at < ",
    )
    .bind(now)
    .push(" LIMIT 1");
    let found: Option<(String,)> = sql.rows().fetch_optional(pool).await?;
    Ok(marks == 0 || found.is_some())
}
