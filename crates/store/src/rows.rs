//! Rows to domain values.

use causeway_app::{ClientRole, CredentialLimits, CredentialRecord, Identifier, PeerScope, ProjectId, TokenId};
use causeway_types::Secret;

use crate::{count, time};

/// A row of `credentials`, with the count of its live sessions where it was asked for.
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
    revoked_at: Option<i64>,
    bytes_max: Option<i64>,
    allocations_max: Option<i64>,
    bandwidth: Option<i64>,
    client_ip: Option<String>,
    peer_scope: String,
    metadata: Option<String>,
    #[sqlx(default)]
    pub(crate) active_sessions: i64,
}

impl From<CredentialRow> for CredentialRecord {
    fn from(row: CredentialRow) -> Self {
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
            revoked_at: row.revoked_at.map(time),
            limits: CredentialLimits {
                bytes_max: row.bytes_max.map(count),
                allocations_max: row.allocations_max.map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
                bandwidth: row.bandwidth.map(count),
                client_ip: row.client_ip.and_then(|ip| ip.parse().ok()),
                peer_scope: if row.peer_scope == "room" { PeerScope::Room } else { PeerScope::Any },
            },
            metadata: row.metadata,
        }
    }
}

/// The store only holds what passed this check on its way in.
fn identifier(text: Option<String>) -> Option<Identifier> {
    text.and_then(|text| Identifier::new(&text).ok())
}
