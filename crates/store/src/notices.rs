//! What servers of one database tell each other.

use std::time::Duration;

use causeway_app::{Notice, ProjectId};
use causeway_types::{AllocationId, UnixTime};
use sqlx::AnyPool;

use crate::{millis, sql::Sql, time};

/// A server that did not read for so long has nothing live that an older notice is about.
const KEPT: Duration = Duration::from_secs(3600);
/// Notices read at once.
const READ_MAX: i64 = 10_000;

pub(crate) async fn tell(pool: &AnyPool, notices: &[Notice], now: UnixTime) -> Result<(), sqlx::Error> {
    if notices.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    let forgotten = millis(now).saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
    Sql::new("DELETE FROM notices WHERE at < ").bind(forgotten).query().execute(&mut *transaction).await?;
    for notice in notices {
        let (kind, subject, until) = match notice {
            Notice::Refused { username, until } => ("refused", username.clone(), *until),
            Notice::EndSessionsOf { username } => ("end_sessions_of", username.clone(), now),
            Notice::EndSession { session } => ("end_session", session.to_string(), now),
            Notice::WebhooksChanged => ("webhooks_changed", String::new(), now),
            Notice::ProjectsSwitched => ("projects_switched", String::new(), now),
            Notice::ClientTokensRevoked => ("client_tokens_revoked", String::new(), now),
            Notice::SipUserRemoved { project, name } => ("sip_user_removed", format!("{} {name}", project.0), now),
            Notice::VoiceUserSentAway { project, name } => {
                ("voice_user_sent_away", format!("{} {name}", project.0), now)
            }
        };
        Sql::new("INSERT INTO notices (at, kind, subject, until_at) VALUES (")
            .bind(millis(now))
            .push(", ")
            .binds([kind, subject.as_str()])
            .push(", ")
            .bind(millis(until))
            .push(")")
            .query()
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

pub(crate) async fn newest(pool: &AnyPool) -> Result<i64, sqlx::Error> {
    let sql = Sql::new("SELECT COALESCE(MAX(number), 0) FROM notices");
    let (newest,): (i64,) = sql.rows().fetch_one(pool).await?;
    Ok(newest)
}

pub(crate) async fn after(pool: &AnyPool, number: i64) -> Result<Vec<(i64, Notice)>, sqlx::Error> {
    let sql = Sql::new("SELECT number, kind, subject, until_at FROM notices WHERE number > ")
        .bind(number)
        .push(" ORDER BY number LIMIT ")
        .bind(READ_MAX);
    let rows: Vec<(i64, String, String, i64)> = sql.rows().fetch_all(pool).await?;
    let notice = |(number, kind, subject, until): (i64, String, String, i64)| {
        let notice = match kind.as_str() {
            "refused" => Notice::Refused { username: subject, until: time(until) },
            "end_sessions_of" => Notice::EndSessionsOf { username: subject },
            "end_session" => Notice::EndSession { session: AllocationId(u64::from_str_radix(&subject, 16).ok()?) },
            "webhooks_changed" => Notice::WebhooksChanged,
            "projects_switched" => Notice::ProjectsSwitched,
            "client_tokens_revoked" => Notice::ClientTokensRevoked,
            "sip_user_removed" => {
                let (project, name) = subject.split_once(' ')?;
                Notice::SipUserRemoved { project: ProjectId(project.parse().ok()?), name: name.to_owned() }
            }
            "voice_user_sent_away" => {
                let (project, name) = subject.split_once(' ')?;
                Notice::VoiceUserSentAway { project: ProjectId(project.parse().ok()?), name: name.to_owned() }
            }
            // Of a newer release.
            _ => return None,
        };
        Some((number, notice))
    };
    Ok(rows.into_iter().filter_map(notice).collect())
}
