//! `POST /api/v1/credentials/ice` (`compat/turnix.md#mint`).

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};
use causeway_app::{ApiCaller, ClientRole, CredentialStore, MintRequest};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use crate::{
    Shared, body, caller,
    error::{ApiError, json},
    limits,
    parameters::Parameters,
    request_id,
};

/// RFC 3339 in UTC with exactly three fraction digits.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    ice_servers: Vec<IceServer<'a>>,
    expires_at: String,
    region: &'a str,
}

/// One without URLs is left out: browsers refuse it.
#[derive(Serialize)]
#[serde(untagged)]
enum IceServer<'a> {
    Stun(StunServer<'a>),
    Turn(TurnServer<'a>),
}

#[derive(Serialize)]
struct StunServer<'a> {
    urls: &'a [String],
}

/// Fields in the order the original sends them.
#[derive(Serialize)]
struct TurnServer<'a> {
    username: &'a str,
    credential: &'a str,
    urls: &'a [String],
}

pub(crate) async fn mint<S: CredentialStore>(State(shared): State<Arc<Shared<S>>>, request: Request) -> Response {
    let id = request_id(&request);
    let now = Now::read().unix;
    let (parts, body) = request.into_parts();
    let (caller, allowance) =
        match caller::identify(&shared, caller::bearer(&parts.headers), caller::project(&parts.headers)).await {
            Ok(known) => known,
            Err(error) => return error.respond(&id),
        };
    let answer = if allowance.granted {
        match parameters(&parts, body).await {
            Ok(parameters) => mint_checked(&shared, caller, parameters, &parts.headers, now).await,
            Err(error) => Err(error),
        }
    } else {
        Err(caller::too_many())
    };
    allowance.mark(answer.unwrap_or_else(|error| error.respond(&id)), now)
}

async fn parameters(parts: &Parts, body: Body) -> Result<Parameters, ApiError> {
    let mut parameters = Parameters::of_query(parts.uri.query());
    parameters.add_body(&parts.headers, &body::taken(body).await?)?;
    Ok(parameters)
}

async fn mint_checked<S: CredentialStore>(
    shared: &Shared<S>,
    caller: ApiCaller,
    mut parameters: Parameters,
    headers: &HeaderMap,
    now: UnixTime,
) -> Result<Response, ApiError> {
    let policy = shared.state.minting.policy();
    // Read in the order of the documents, which is the order faults are told in.
    let request = MintRequest {
        initiator_client: parameters.identifier("initiator_client"),
        receiver_client: parameters.identifier("receiver_client"),
        room: parameters.identifier("room"),
        client_type: client_type(&mut parameters),
        ttl: parameters.ttl("ttl", policy.ttl_max),
        ..MintRequest::default()
    };
    let client_ip = client_ip(&mut parameters, headers);
    // One region is served: a fixed one must be it, a preferred one falls back to it.
    if let Some(fixed) = parameters.text("fixed_region")
        && fixed != policy.region
    {
        parameters.fault("fixed_region", "region_unknown", "fixed_region: there is no such region".to_owned());
    }
    for name in ["preferred_region", "preffered_region"] {
        // Checked for its type only.
        drop(parameters.text(name));
    }
    let limits = limits::read(&mut parameters, client_ip, request.room.is_some());
    let metadata = limits::metadata(&mut parameters);
    parameters.finish()?;
    let request = MintRequest { limits, metadata, ..request };
    let minted = shared.state.minting.mint(caller, request, now).await?;
    let urls = (shared.state.ice_urls)();
    let mut ice_servers = Vec::with_capacity(2);
    if !urls.stun.is_empty() {
        ice_servers.push(IceServer::Stun(StunServer { urls: &urls.stun }));
    }
    if !urls.turn.is_empty() {
        let (username, credential) = (minted.username.as_str(), minted.credential.expose());
        ice_servers.push(IceServer::Turn(TurnServer { username, credential, urls: &urls.turn }));
    }
    let body = Answer { ice_servers, expires_at: timestamp(minted.expires_at), region: &minted.region };
    Ok(json(StatusCode::OK, &body))
}

fn client_ip(parameters: &mut Parameters, headers: &HeaderMap) -> Option<IpAddr> {
    let text = headers.get("x-turn-client-ip")?.to_str().unwrap_or("?");
    let ip = text.parse().ok();
    if ip.is_none() {
        let message = "X-TURN-CLIENT-IP: must be an IP address without port".to_owned();
        parameters.fault("X-TURN-CLIENT-IP", "bad_client_ip", message);
    }
    ip
}

fn client_type(parameters: &mut Parameters) -> Option<ClientRole> {
    match parameters.text("client_type")?.as_str() {
        "initiator" => Some(ClientRole::Initiator),
        "receiver" => Some(ClientRole::Receiver),
        _ => {
            let message = "client_type: must be initiator or receiver".to_owned();
            parameters.fault("client_type", "bad_client_type", message);
            None
        }
    }
}

fn timestamp(at: UnixTime) -> String {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(TIME).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_three_fraction_digits_and_a_z() {
        assert_eq!(timestamp(UnixTime::from_millis(1_780_210_116_283)), "2026-05-31T06:48:36.283Z");
        assert_eq!(timestamp(UnixTime::from_secs(1_780_210_116)), "2026-05-31T06:48:36.000Z");
    }
}
