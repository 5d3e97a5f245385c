//! `GET /api/v1/regions`: a bare array, every field there (`compat/turnix.md#regions`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use causeway_app::CredentialStore;
use causeway_types::Now;
use serde::Serialize;

use crate::{Shared, caller, error::json, request_id};

/// A region as clients list it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    /// What `fixed_region` takes.
    pub slug: String,
    /// ISO 3166-1 alpha-2 country code.
    pub nat2: String,
    /// For people.
    pub city: String,
    /// For people.
    pub name: String,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    region: &'a Region,
    is_online: bool,
    is_operational: bool,
}

pub(crate) async fn list<S: CredentialStore>(State(shared): State<Arc<Shared<S>>>, request: Request) -> Response {
    let id = request_id(&request);
    let (_, allowance) =
        match caller::identify(&shared, caller::bearer(request.headers()), caller::project(request.headers())).await {
            Ok(known) => known,
            Err(error) => return error.respond(&id),
        };
    let answer = if allowance.granted {
        // The server that answers is online; one that drains says so once regions have health.
        json(StatusCode::OK, &[Entry { region: &shared.state.region, is_online: true, is_operational: true }])
    } else {
        caller::too_many().respond(&id)
    };
    allowance.mark(answer, Now::read().unix)
}
