//! What projects and tokens may use, and what they used.

use std::collections::{BTreeMap, BTreeSet};

use causeway_app::{ProjectId, ProjectRules, ProjectUse, Rules, TokenId};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{count, millis, sql::Sql};

/// As stored: slugs divided by commas.
pub(crate) fn to_text(slugs: &BTreeSet<String>) -> String {
    slugs.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// As read.
pub(crate) fn from_text(text: &str) -> BTreeSet<String> {
    text.split(',').filter(|slug| !slug.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn set(pool: &AnyPool, project: ProjectId, rules: &ProjectRules) -> Result<(), sqlx::Error> {
    let stored = |max: Option<u64>| max.map(|max| i64::try_from(max).unwrap_or(i64::MAX));
    Sql::new("UPDATE projects SET regions = ")
        .bind(to_text(&rules.regions))
        .push(", credentials_per_month_max = ")
        .bind(stored(rules.credentials_per_month_max))
        .push(", bytes_per_month_max = ")
        .bind(stored(rules.bytes_per_month_max))
        .push(" WHERE id = ")
        .bind(project.0)
        .query()
        .execute(pool)
        .await?;
    Ok(())
}

pub(crate) async fn all(pool: &AnyPool) -> Result<Rules, sqlx::Error> {
    let sql = Sql::new(
        "SELECT id, regions, credentials_per_month_max, bytes_per_month_max FROM projects \
         WHERE regions <> '' OR credentials_per_month_max IS NOT NULL OR bytes_per_month_max IS NOT NULL",
    );
    let rows: Vec<(i64, String, Option<i64>, Option<i64>)> = sql.rows().fetch_all(pool).await?;
    let projects: BTreeMap<ProjectId, ProjectRules> = rows
        .into_iter()
        .map(|(id, regions, credentials, bytes)| (ProjectId(id), of_row(&regions, credentials, bytes)))
        .collect();
    let sql = Sql::new("SELECT id, regions FROM api_tokens WHERE regions <> '' AND revoked_at IS NULL");
    let rows: Vec<(i64, String)> = sql.rows().fetch_all(pool).await?;
    let tokens = rows.into_iter().map(|(id, regions)| (TokenId(id), from_text(&regions))).collect();
    Ok(Rules { projects, tokens })
}

pub(crate) fn of_row(regions: &str, credentials: Option<i64>, bytes: Option<i64>) -> ProjectRules {
    ProjectRules {
        regions: from_text(regions),
        credentials_per_month_max: credentials.map(count),
        bytes_per_month_max: bytes.map(count),
    }
}

pub(crate) async fn used_since(pool: &AnyPool, project: ProjectId, since: UnixTime) -> Result<ProjectUse, sqlx::Error> {
    let sql = Sql::new("SELECT COUNT(*) FROM credentials WHERE project_id = ")
        .bind(project.0)
        .push(" AND issued_at >= ")
        .bind(millis(since));
    let (credentials,): (i64,) = sql.rows().fetch_one(pool).await?;
    let sql =
        Sql::new("SELECT CAST(COALESCE(SUM(bytes_in + bytes_out), 0) AS BIGINT) FROM usage_hours WHERE project_id = ")
            .bind(project.0)
            .push(" AND hour >= ")
            .bind(millis(since));
    let (bytes,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(ProjectUse { credentials: count(credentials), bytes: count(bytes) })
}
