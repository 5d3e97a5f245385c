//! SIP users.

use causeway_app::{ProjectId, SipUserStore, StoreResult, StoredSipUser};
use causeway_types::Secret;

use crate::{SqlStore, count, in_time, millis, sql::Sql, store_error, time};

#[derive(sqlx::FromRow)]
struct UserRow {
    project_id: i64,
    name: String,
    realm: String,
    md5: String,
    sha256: String,
    created_at: i64,
}

impl From<UserRow> for StoredSipUser {
    fn from(row: UserRow) -> Self {
        Self {
            project: ProjectId(row.project_id),
            name: row.name,
            realm: row.realm,
            md5: Secret::new(row.md5),
            sha256: Secret::new(row.sha256),
            created_at: time(row.created_at),
        }
    }
}

fn select() -> Sql {
    Sql::new("SELECT u.project_id, u.name, u.realm, u.md5, u.sha256, u.created_at FROM sip_users u ")
}

impl SipUserStore for SqlStore {
    async fn insert_sip_user(&self, user: &StoredSipUser) -> StoreResult<()> {
        Sql::new("INSERT INTO sip_users (project_id, name, realm, md5, sha256, created_at) VALUES (")
            .bind(user.project.0)
            .push(", ")
            .binds([user.name.as_str(), user.realm.as_str(), user.md5.expose(), user.sha256.expose()])
            .push(", ")
            .bind(millis(user.created_at))
            .push(")")
            .query()
            .execute(&self.writes)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn sip_user(&self, project: ProjectId, name: &str) -> StoreResult<Option<StoredSipUser>> {
        let sql = select()
            .push("JOIN projects p ON p.id = u.project_id WHERE p.is_disabled = 0 AND u.project_id = ")
            .bind(project.0)
            .push(" AND u.name = ")
            .bind(name);
        let row: Option<UserRow> = in_time(sql.rows().fetch_optional(&self.pool)).await?;
        Ok(row.map(Into::into))
    }

    async fn sip_users(&self, project: ProjectId, after: Option<&str>, limit: u32) -> StoreResult<Vec<StoredSipUser>> {
        let sql = select()
            .push("WHERE u.project_id = ")
            .bind(project.0)
            .and(" AND u.name > ", after)
            .push(" ORDER BY u.name LIMIT ")
            .bind(i64::from(limit));
        let rows: Vec<UserRow> = sql.rows().fetch_all(&self.pool).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn sip_user_count(&self, project: ProjectId) -> StoreResult<u64> {
        let sql = Sql::new("SELECT COUNT(*) FROM sip_users WHERE project_id = ").bind(project.0);
        let (n,): (i64,) = sql.rows().fetch_one(&self.pool).await.map_err(store_error)?;
        Ok(count(n))
    }

    async fn delete_sip_user(&self, project: ProjectId, name: &str) -> StoreResult<bool> {
        let sql = Sql::new("DELETE FROM sip_users WHERE project_id = ").bind(project.0).push(" AND name = ").bind(name);
        let done = sql.query().execute(&self.writes).await.map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }
}
