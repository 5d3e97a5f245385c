//! Links of the connection doctor, and what came of them.

use std::time::Duration;

use causeway_app::{
    DoctorLinkView, DoctorResult, NewDoctorLink, OpenedLink, Page, PageRequest, ProjectId, StoreError, StoreResult,
    TokenId,
};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{count, millis, sql::Sql, store_error, time};

/// How long a link and its results are kept after its time.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(crate) async fn insert(pool: &AnyPool, link: &NewDoctorLink) -> Result<i64, sqlx::Error> {
    let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let before = UnixTime::from_millis(link.created_at.as_millis().saturating_sub(kept));
    let old = Sql::new("DELETE FROM doctor_results WHERE link_id IN (SELECT id FROM doctor_links WHERE expires_at < ")
        .bind(millis(before))
        .push(")");
    old.query().execute(pool).await?;
    Sql::new("DELETE FROM doctor_links WHERE expires_at < ").bind(millis(before)).query().execute(pool).await?;
    let sql = Sql::new(
        "INSERT INTO doctor_links (project_id, token_id, hash, name, created_at, expires_at, opened_max) VALUES (",
    )
    .binds([link.project.0, link.token.0])
    .push(", ")
    .bind(link.hash.as_slice())
    .push(", ")
    .bind(link.name.as_str())
    .push(", ")
    .binds([millis(link.created_at), millis(link.expires_at), i64::from(link.opened_max)])
    .push(") RETURNING id");
    let (id,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(id)
}

pub(crate) async fn live(pool: &AnyPool, project: ProjectId, now: UnixTime) -> Result<u64, sqlx::Error> {
    let sql = Sql::new("SELECT COUNT(*) FROM doctor_links WHERE project_id = ").bind(project.0);
    let sql = sql.push(" AND opened < opened_max AND expires_at > ").bind(millis(now));
    let (links,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(count(links))
}

type LinkRow = (i64, String, i64, i64, i64, i64, i64);

pub(crate) async fn list(
    pool: &AnyPool,
    project: ProjectId,
    request: &PageRequest,
) -> StoreResult<Page<DoctorLinkView>> {
    let before =
        request.after.as_ref().map(|text| text.parse::<i64>().map_err(|_| StoreError::BadCursor)).transpose()?;
    let sql = Sql::new(
        "SELECT l.id, l.name, l.created_at, l.expires_at, l.opened, l.opened_max, \
         (SELECT COUNT(*) FROM doctor_results r WHERE r.link_id = l.id) FROM doctor_links l WHERE l.project_id = ",
    )
    .bind(project.0)
    .and(" AND l.id < ", before)
    .push(" ORDER BY l.id DESC LIMIT ")
    .bind(i64::from(request.limit) + 1);
    let rows: Vec<LinkRow> = sql.rows().fetch_all(pool).await.map_err(store_error)?;
    let view = |(id, name, created_at, expires_at, opened, opened_max, results): LinkRow| DoctorLinkView {
        id,
        name,
        created_at: time(created_at),
        expires_at: time(expires_at),
        opened: count(opened),
        opened_max: count(opened_max),
        results: count(results),
    };
    Ok(Page::cut(rows.into_iter().map(view).collect(), request, |view: &DoctorLinkView| view.id.to_string()))
}

/// Counts one opening, unless the link's time or openings are over.
pub(crate) async fn open(pool: &AnyPool, hash: [u8; 32], now: UnixTime) -> Result<Option<OpenedLink>, sqlx::Error> {
    let sql = Sql::new("UPDATE doctor_links SET opened = opened + 1 WHERE opened < opened_max AND hash = ")
        .bind(hash.as_slice())
        .push(" AND expires_at > ")
        .bind(millis(now))
        .push(" RETURNING project_id, token_id, expires_at");
    let row: Option<(i64, i64, i64)> = sql.rows().fetch_optional(pool).await?;
    let link = |(project, token, expires_at)| OpenedLink {
        project: ProjectId(project),
        token: TokenId(token),
        expires_at: time(expires_at),
    };
    Ok(row.map(link))
}

pub(crate) async fn add_result(
    pool: &AnyPool,
    hash: [u8; 32],
    body: &str,
    now: UnixTime,
    results_max: u32,
) -> Result<bool, sqlx::Error> {
    let sql = Sql::new("INSERT INTO doctor_results (link_id, at, body) SELECT l.id, CAST(")
        .bind(millis(now))
        .push(" AS BIGINT), CAST(")
        .bind(body)
        .push(" AS TEXT) FROM doctor_links l WHERE l.hash = ")
        .bind(hash.as_slice())
        .push(" AND l.expires_at > ")
        .bind(millis(now))
        .push(" AND (SELECT COUNT(*) FROM doctor_results r WHERE r.link_id = l.id) < ")
        .bind(i64::from(results_max));
    Ok(sql.query().execute(pool).await?.rows_affected() > 0)
}

pub(crate) async fn results(pool: &AnyPool, project: ProjectId, link: i64) -> Result<Vec<DoctorResult>, sqlx::Error> {
    let sql =
        Sql::new("SELECT r.at, r.body FROM doctor_results r JOIN doctor_links l ON l.id = r.link_id WHERE l.id = ")
            .bind(link)
            .push(" AND l.project_id = ")
            .bind(project.0)
            .push(" ORDER BY r.id");
    let rows: Vec<(i64, String)> = sql.rows().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(at, body)| DoctorResult { at: time(at), body }).collect())
}
