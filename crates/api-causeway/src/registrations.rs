//! `/api/v1/registrations`: which clients are there, on every server.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use causeway_api_http::{ApiError, Timestamp};
use causeway_app::{Admission, Page, PageRequest, Registration as Live, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState, ApiStore,
    client_tokens::client_id,
    extract::{Asked, Caller},
    page::{self, List, PageQuery},
};

/// One place where a client is registered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registration {
    /// Its id.
    id: String,
    /// Which client.
    client_id: String,
    /// What is spoken there: `sip`.
    dialect: &'static str,
    /// Whether calls may come to it.
    enable_incoming: bool,
    /// When it began.
    since: Timestamp,
    /// When the client last registered.
    updated_at: Timestamp,
    /// When it ends, unless the client registers again.
    expires_at: Timestamp,
    /// Where the client is.
    address: Option<String>,
    /// As the client calls its program.
    user_agent: Option<String>,
    /// The client token that let it in, if one did.
    client_token_id: Option<String>,
}

/// Which registrations.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used: parameters are read one by one, to name every fault")]
pub(crate) struct RegistrationQuery {
    /// Of this client.
    client_id: Option<String>,
}

/// List registrations
///
/// Those that are live now, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/registrations",
    tag = "registrations",
    params(RegistrationQuery, PageQuery),
    responses((status = 200, description = "A page of them.", body = List<Registration>)),
)]
pub(crate) async fn list<S: ApiStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let page = page::request(&mut asked);
    let client = client_id(&mut asked);
    asked.finish()?;
    let mut all = state.registrations.of_project(caller.project).await;
    all.retain(|live| client.as_ref().is_none_or(|client| client.as_str() == &*live.client));
    Ok(page::answer(cut(all, &page)?, Registration::from))
}

/// The part of a list that was asked for. Its place is the beginning and the id of the last one: what ended meanwhile
/// moves nothing.
fn cut(mut all: Vec<Live>, page: &PageRequest) -> Result<Page<Live>, StoreError> {
    let key = |live: &Live| (live.since.as_millis(), live.id.clone());
    all.sort_by_cached_key(|live| std::cmp::Reverse(key(live)));
    if let Some(after) = &page.after {
        let place = after.split_once(' ').and_then(|(at, id)| Some((at.parse::<u64>().ok()?, id.to_owned())));
        let place = place.ok_or(StoreError::BadCursor)?;
        all.retain(|live| key(live) < place);
    }
    Ok(Page::cut(all, page, |live| format!("{} {}", live.since.as_millis(), live.id)))
}

impl From<Live> for Registration {
    fn from(live: Live) -> Self {
        Self {
            id: live.id,
            client_id: live.client.to_string(),
            dialect: live.dialect,
            enable_incoming: live.is_ringable,
            since: live.since.into(),
            updated_at: live.updated.into(),
            expires_at: live.expires_at.into(),
            address: live.address.map(|address| address.to_string()),
            user_agent: live.user_agent.map(|text| text.to_string()),
            client_token_id: match live.admission {
                Some(Admission::ClientToken(id)) => Some(id.to_string()),
                Some(Admission::User(_)) | None => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_app::ProjectId;
    use causeway_types::UnixTime;

    use super::*;

    fn live(id: u64, since: u64) -> Live {
        let at = UnixTime::from_secs(since);
        Live {
            id: id.to_string(),
            project: ProjectId::DEFAULT,
            client: Arc::from("bob"),
            dialect: "sip",
            is_ringable: true,
            since: at,
            updated: at,
            expires_at: at,
            address: None,
            user_agent: None,
            admission: None,
        }
    }

    #[test]
    fn a_list_is_read_page_by_page_while_registrations_end() {
        let page = |all: Vec<Live>, after: Option<String>| cut(all, &PageRequest { limit: 2, after }).expect("a page");
        let ids = |page: &Page<Live>| page.items.iter().map(|live| live.id.clone()).collect::<Vec<_>>();
        let first = page(vec![live(3, 9), live(1, 5), live(2, 5)], None);
        assert_eq!(ids(&first), ["3", "2"]);
        // The second one ended meanwhile, and another began.
        let second = page(vec![live(1, 5), live(3, 9), live(4, 10)], first.next);
        assert_eq!((ids(&second), second.next), (vec!["1".to_owned()], None));
        let bad = cut(Vec::new(), &PageRequest { limit: 2, after: Some("x".to_owned()) });
        assert!(matches!(bad, Err(StoreError::BadCursor)));
    }
}
