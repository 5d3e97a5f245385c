//! `POST /api/v1/credentials/ice` (`compat/turnix.md#mint`).

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Claim, Parameters, Timestamp, json, project, requester, taken};
use causeway_app::{ApiCaller, ClientRole, CredentialStore, MintRequest, RegionSnapshot, RegionWish};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiState, NEEDED, limits};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IceCredential)]
pub(crate) struct Answer<'a> {
    /// For `RTCPeerConnection`, as they are.
    ice_servers: Vec<IceServer<'a>>,
    /// Until when new allocations may be made.
    expires_at: Timestamp,
    /// The region chosen.
    region: &'a str,
}

/// What may be asked for; as JSON, as a form or in the query.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the parameters are read one by one, to name every fault")]
pub(crate) struct IceCredentialRequest {
    /// Label: 1 to 100 letters, digits, `-` and `_`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$")]
    room: Option<String>,
    /// Label of the one who calls.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$")]
    initiator_client: Option<String>,
    /// Label of the one who is called.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$")]
    receiver_client: Option<String>,
    /// Which of the two holds this credential: `initiator` or `receiver`.
    #[schema(pattern = "^(initiator|receiver)$")]
    client_type: Option<String>,
    /// Seconds; 30 when not given.
    #[schema(minimum = 1)]
    ttl: Option<u64>,
    /// The region that must serve.
    fixed_region: Option<String>,
    /// The region that should serve.
    preferred_region: Option<String>,
    /// Payload bytes, both ways together, after which an allocation ends.
    #[schema(minimum = 1)]
    max_bytes: Option<u64>,
    /// Allocations at once.
    #[schema(minimum = 1)]
    max_allocations: Option<u32>,
    /// Bits per second and direction.
    #[schema(minimum = 1)]
    max_bitrate: Option<u64>,
    /// Tie the credential to the address in `X-TURN-CLIENT-IP`.
    bind_ip: Option<bool>,
    /// `any`, or `room`: relays only towards peers of the same room.
    #[schema(pattern = "^(any|room)$")]
    peer_scope: Option<String>,
    /// An object of the application's own, at most 1 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
}

/// One without URLs is left out: browsers refuse it. Fields in the order the original sends them.
#[derive(Serialize, ToSchema)]
pub(crate) struct IceServer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    urls: &'a [String],
}

/// Mint one ICE credential
#[utoipa::path(
    post,
    path = "/api/v1/credentials/ice",
    tag = "credentials",
    request_body(content(
        (IceCredentialRequest = "application/json"),
        (IceCredentialRequest = "application/x-www-form-urlencoded"),
    )),
    params(("X-TURN-CLIENT-IP" = Option<String>, Header, description = "Address of the end client, without port.")),
    responses((status = 200, description = "A new credential.", body = Answer<'_>)),
)]
pub(crate) async fn mint<S: CredentialStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
) -> Result<Response, ApiError> {
    let now = Now::read().unix;
    let (parts, body) = request.into_parts();
    let claim = Claim::of(&parts);
    let (caller, allowance) = state.gate.identify(claim.as_ref(), project(&parts.headers), NEEDED).await?;
    let answer = if allowance.granted {
        match parameters(&parts, body).await {
            Ok(parameters) => mint_checked(&state, caller, parameters, &parts, now).await,
            Err(error) => Err(error),
        }
    } else {
        Err(ApiError::too_many())
    };
    Ok(allowance.mark(answer.unwrap_or_else(IntoResponse::into_response), now))
}

async fn parameters(parts: &Parts, body: Body) -> Result<Parameters, ApiError> {
    let mut parameters = Parameters::of_query(parts.uri.query());
    parameters.add_body(&parts.headers, &taken(body).await?)?;
    Ok(parameters)
}

async fn mint_checked<S: CredentialStore>(
    state: &ApiState<S>,
    caller: ApiCaller,
    mut parameters: Parameters,
    parts: &Parts,
    now: UnixTime,
) -> Result<Response, ApiError> {
    let policy = state.minting.policy();
    // Read in the order of the documents, which is the order faults are told in.
    let request = MintRequest {
        initiator_client: parameters.identifier("initiator_client"),
        receiver_client: parameters.identifier("receiver_client"),
        room: parameters.identifier("room"),
        client_type: client_type(&mut parameters),
        ttl: parameters.ttl("ttl", policy.ttl_limit()),
        ..MintRequest::default()
    };
    let client_ip = client_ip(&mut parameters, &parts.headers);
    let region = region(
        &mut parameters,
        &state.minting.regions().snapshot(),
        client_ip.or_else(|| requester(&parts.extensions)),
    );
    let limits = limits::read(&mut parameters, client_ip, request.room.is_some());
    let metadata = limits::metadata(&mut parameters);
    parameters.finish()?;
    let request = MintRequest { limits, metadata, region, ..request };
    let minted = state.minting.mint(caller, request, now).await?;
    let urls = &minted.urls;
    let mut ice_servers = Vec::with_capacity(2);
    if !urls.stun.is_empty() {
        ice_servers.push(IceServer { username: None, credential: None, urls: &urls.stun });
    }
    if !urls.turn.is_empty() {
        let (username, credential) = (Some(minted.username.as_str()), Some(minted.credential.expose().as_str()));
        ice_servers.push(IceServer { username, credential, urls: &urls.turn });
    }
    let body = Answer { ice_servers, expires_at: minted.expires_at.into(), region: &minted.region };
    Ok(json(StatusCode::OK, &body))
}

/// A region that must serve has to exist; one that should may have gone since the caller wrote it down.
fn region(parameters: &mut Parameters, known: &RegionSnapshot, client: Option<IpAddr>) -> RegionWish {
    let fixed = parameters.text("fixed_region");
    if fixed.as_ref().is_some_and(|slug| known.find(slug).is_none()) {
        parameters.fault("fixed_region", "region_unknown", "fixed_region: there is no such region".to_owned());
    }
    // The documentation of the original has the second spelling in a sample.
    let preferred = ["preferred_region", "preffered_region"].map(|name| parameters.text(name));
    RegionWish { fixed, preferred: preferred.into_iter().flatten().next(), client }
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
