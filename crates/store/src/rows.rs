//! Rows to domain values and back.

use causeway_app::{ApiCaller, ClientRole, CredentialRecord, Identifier, ProjectId, TokenId};
use causeway_types::{Secret, UnixTime};

/// A row of `credentials`.
#[derive(sqlx::FromRow)]
pub(crate) struct CredentialRow {
    username: String,
    secret: String,
    user_hash: Vec<u8>,
    project_id: i64,
    token_id: i64,
    room: Option<String>,
    initiator_client: Option<String>,
    receiver_client: Option<String>,
    client_type: Option<String>,
    region: String,
    issued_at: i64,
    expires_at: i64,
}

/// A row of `api_tokens`, as far as it names a caller.
#[derive(sqlx::FromRow)]
pub(crate) struct CallerRow {
    id: i64,
    project_id: i64,
}

impl From<CredentialRow> for CredentialRecord {
    fn from(row: CredentialRow) -> Self {
        // The store only holds what passed these checks on its way in.
        let identifier = |text: Option<String>| text.and_then(|text| Identifier::new(&text).ok());
        Self {
            username: row.username,
            secret: Secret::new(row.secret),
            user_hash: row.user_hash.try_into().unwrap_or([0; 32]),
            project: ProjectId(row.project_id),
            token: TokenId(row.token_id),
            room: identifier(row.room),
            initiator_client: identifier(row.initiator_client),
            receiver_client: identifier(row.receiver_client),
            client_type: match row.client_type.as_deref() {
                Some("initiator") => Some(ClientRole::Initiator),
                Some("receiver") => Some(ClientRole::Receiver),
                Some(_) | None => None,
            },
            region: row.region,
            issued_at: time(row.issued_at),
            expires_at: time(row.expires_at),
        }
    }
}

impl From<CallerRow> for ApiCaller {
    fn from(row: CallerRow) -> Self {
        Self { project: ProjectId(row.project_id), token: TokenId(row.id) }
    }
}

/// As stored.
pub(crate) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> UnixTime {
    UnixTime::from_millis(u64::try_from(millis).unwrap_or(0))
}
