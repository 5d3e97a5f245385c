//! `/api/v1/failures`: everybody who was refused, and why.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Timestamp, json};
use causeway_app::{FailureFilter, FailureGroup, FailureGroupBy, FailureKey, FailureReason, FailureView, InsightStore};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller},
    page::{self, PageQuery},
    sessions::millis,
};

/// Equal refusals of one minute.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    /// 16 hexadecimal digits.
    id: String,
    /// The first one.
    at: Timestamp,
    /// The last one.
    last_at: Timestamp,
    /// How many.
    count: u64,
    /// Others of the same user and minute that did not fit; only their number is known.
    folded: u64,
    /// `expired`, `wrong_key`, `unknown_user`, `revoked`, `quota`, `limit`, `forbidden_peer`, `peer_withdrawn`,
    /// `other_user`, `other_address`, `too_far_ahead`, `bid_down`, `unavailable` or `other`.
    reason: &'static str,
    /// The user name, as claimed. Anybody may claim any.
    username: Option<String>,
    /// Its room.
    room: Option<String>,
    /// Its clients: none, one, or two that share a credential.
    clients: Vec<String>,
    /// `initiator`, `receiver` or `shared`.
    role: Option<String>,
    /// `udp`, `tcp`, `tls` or `dtls`.
    transport: Option<String>,
    /// The listener the client came to.
    listener: Option<String>,
    /// The client's address, as far as the project keeps addresses.
    client_address: Option<String>,
    /// The live session it happened to.
    session: Option<String>,
    /// For `expired`: milliseconds since the expiry, at the first one.
    expired_ms: Option<u64>,
    /// For `quota` and `limit`: which.
    limit: Option<String>,
    /// For `forbidden_peer` and `peer_withdrawn`: which.
    peer: Option<String>,
    /// The rule that refused the peer.
    rule: Option<String>,
}

impl From<FailureView> for Failure {
    fn from(view: FailureView) -> Self {
        Self {
            id: view.id,
            at: view.first_at.into(),
            last_at: view.last_at.into(),
            count: view.count,
            folded: view.folded,
            reason: view.reason.as_str(),
            username: view.username,
            room: view.room,
            clients: view.clients,
            role: view.role,
            transport: view.transport,
            listener: view.listener,
            client_address: view.client_address,
            session: view.session,
            expired_ms: view.expired_by.map(millis),
            limit: view.limit,
            peer: view.peer,
            rule: view.rule,
        }
    }
}

/// Refusals with something in common.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureGroup)]
pub(crate) struct Group {
    /// Reason, room or client; empty for what has none.
    key: String,
    /// How many, folded ones included.
    count: u64,
    /// The first one.
    first_at: Timestamp,
    /// The last one.
    last_at: Timestamp,
}

impl From<FailureGroup> for Group {
    fn from(group: FailureGroup) -> Self {
        Self { key: group.key, count: group.count, first_at: group.first_at.into(), last_at: group.last_at.into() }
    }
}

/// Refusals, or groups of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureList)]
pub(crate) struct Found {
    /// Newest first; empty when groups were asked for.
    data: Vec<Failure>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
    /// With `group_by`: the largest first, at most 200.
    groups: Option<Vec<Group>>,
}

/// List refusals
///
/// Newest first unless sorted otherwise. Equal ones of a minute are one entry with a count; a user name has at most 16 entries a minute, the rest
/// is counted in `folded`.
#[utoipa::path(
    get,
    path = "/api/v1/failures",
    tag = "failures",
    params(
        ("reason" = Option<String>, Query, description = "For this reason."),
        ("room" = Option<String>, Query, description = "Of this room."),
        ("client" = Option<String>, Query, description = "Of this client."),
        ("since" = Option<String>, Query, description = "At or after this moment (RFC 3339).", format = DateTime),
        ("until" = Option<String>, Query, description = "Before this moment (RFC 3339).", format = DateTime),
        ("search" = Option<String>, Query, description = "With this text in its user name, room, client, address, peer, limit or rule."),
        ("sort" = Option<String>, Query, description = "`first`, `last` or `count`; `-` in front for the most or latest first. `-first` when not given."),
        ("group_by" = Option<String>, Query, description = "`reason`, `room` or `client`: sums instead of entries."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of refusals, or the groups.", body = Found)),
)]
pub(crate) async fn list<S: InsightStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let reasons: Vec<(&str, FailureReason)> = FailureReason::ALL.map(|reason| (reason.as_str(), reason)).to_vec();
    let filter = FailureFilter {
        reason: asked.word("reason", &reasons),
        room: asked.identifier("room"),
        client: asked.identifier("client"),
        since: asked.time("since"),
        until: asked.time("until"),
        search: page::search(&mut asked),
        order: page::order(&mut asked, &FailureKey::ALL),
    };
    let groups =
        [("reason", FailureGroupBy::Reason), ("room", FailureGroupBy::Room), ("client", FailureGroupBy::Client)];
    let by = asked.word("group_by", &groups);
    let request = page::request(&mut asked);
    asked.finish()?;
    let found = if let Some(by) = by {
        let groups = state.store.failure_groups(caller.project, &filter, by).await?;
        Found { data: Vec::new(), next_cursor: None, groups: Some(groups.into_iter().map(Group::from).collect()) }
    } else {
        let page = state.store.failures(caller.project, &filter, &request).await?;
        Found {
            data: page.items.into_iter().map(Failure::from).collect(),
            next_cursor: page::shown(page.next),
            groups: None,
        }
    };
    Ok(json(StatusCode::OK, &found))
}
