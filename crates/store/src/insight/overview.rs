//! The figures of the overview: a handful of sums over indexes.

use causeway_app::{DayCounts, FailureReason, LiveCounts, ProjectId};
use causeway_types::UnixTime;
use sqlx::AnyPool;

use crate::{count, millis, sql::Sql};

pub(crate) async fn live(pool: &AnyPool, project: ProjectId) -> Result<LiveCounts, sqlx::Error> {
    let sql = Sql::new("SELECT COUNT(*), COUNT(DISTINCT room) FROM sessions WHERE ended_at IS NULL AND project_id = ");
    let (sessions, rooms): (i64, i64) = sql.bind(project.0).rows().fetch_one(pool).await?;
    let sql = Sql::new(
        "SELECT COUNT(DISTINCT c.client) FROM sessions s JOIN session_clients c ON c.session_id = s.id \
         WHERE s.ended_at IS NULL AND s.project_id = ",
    );
    let (clients,): (i64,) = sql.bind(project.0).rows().fetch_one(pool).await?;
    Ok(LiveCounts { sessions: count(sessions), rooms: count(rooms), clients: count(clients) })
}

pub(crate) async fn day(pool: &AnyPool, project: ProjectId, since: UnixTime) -> Result<DayCounts, sqlx::Error> {
    let sql = Sql::new(
        "SELECT CAST(COALESCE(SUM(bytes_in), 0) AS BIGINT), CAST(COALESCE(SUM(bytes_out), 0) AS BIGINT), \
         CAST(COALESCE(SUM(sessions), 0) AS BIGINT) FROM usage_hours WHERE project_id = ",
    );
    let sql = sql.bind(project.0).push(" AND hour >= ").bind(millis(since));
    let (bytes_in, bytes_out, sessions): (i64, i64, i64) = sql.rows().fetch_one(pool).await?;
    let sql = Sql::new("SELECT COUNT(*) FROM credentials WHERE project_id = ").bind(project.0);
    let (minted,): (i64,) = sql.push(" AND issued_at >= ").bind(millis(since)).rows().fetch_one(pool).await?;
    let sql = Sql::new("SELECT reason, CAST(SUM(times + folded) AS BIGINT) FROM failures WHERE project_id = ");
    let sql = sql.bind(project.0).push(" AND first_at >= ").bind(millis(since));
    let sql = sql.push(" GROUP BY reason ORDER BY 2 DESC, 1");
    let refusals: Vec<(String, i64)> = sql.rows().fetch_all(pool).await?;
    let refusal = |(reason, times): (String, i64)| (FailureReason::named(&reason), count(times));
    Ok(DayCounts {
        bytes_in: count(bytes_in),
        bytes_out: count(bytes_out),
        sessions: count(sessions),
        minted: count(minted),
        refusals: refusals.into_iter().map(refusal).collect(),
    })
}
