//! Relay credentials, and an offer over HTTP (`compat/aws-kvs.md#ice-servers`).

use std::{sync::Arc, time::Duration};

use axum::{http::StatusCode, response::Response};
use causeway_app::{ClientRole, KeyPreset, MintRequest, Minting, RegionWish};
use causeway_signal_core::{ChannelId, Message, MessageKind, Peer};
use causeway_types::Now;
use serde_json::{Map, Value, json};

use crate::{
    KvsStore,
    arn::{ChannelArn, is_reserved_client_id, label},
    call::Call,
    channels::by_arn_as,
    error::{KvsError, answer},
    fields::{Fields, Form},
    hub::AttachError,
    mailbox::Event,
};

/// The longest an offer over HTTP waits for its answer: the longest time to live a channel's messages may have.
pub(crate) const OFFER_TTL_MAX: Duration = Duration::from_secs(120);
/// Entries of an answer; more are cut by a client.
const ENTRIES_MAX: usize = 5;
/// URLs of an entry; more are an error to a client.
const URIS_MAX: usize = 4;
/// Longest URL.
const URI_BYTES_MAX: usize = 256;

/// `GetIceServerConfig`.
pub(crate) async fn get_config<S: KvsStore>(
    call: &Call<'_, S>,
    body: &Map<String, Value>,
) -> Result<Response, KvsError> {
    let fields = Fields::new(body);
    let arn = fields.needed_arn("ChannelARN")?;
    let client = fields.text("ClientId", (1, 256), Form::Name)?;
    fields.text("Service", (1, 64), Form::OneOf(&["TURN"]))?;
    let username = fields.text("Username", (1, 256), Form::Name)?;
    if !call.key.grant.allows_client(client) && client.is_some() {
        return Err(call.operation.denied());
    }
    if client.is_some_and(is_reserved_client_id) {
        return Err(KvsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidClientException",
            "The specified client is invalid.",
        ));
    }
    let channel = by_arn_as(call, &arn, client).await?;
    if let Some(client) = client
        && call.state.hub.has_session_expired(ChannelId(channel.id.0), client).await
    {
        let message = "Your session has expired: its time is over and it has not reconnected.";
        return Err(KvsError::new(StatusCode::BAD_REQUEST, "SessionExpiredException", message));
    }
    let client = client.or(call.key.grant.client.as_deref());
    let request = mint_request(call, &arn, client, username);
    let minting: &Arc<Minting<S>> = &call.state.minting;
    let minted = minting.mint(call.key.caller(), request, Now::read().unix).await?;
    let uris: Vec<&String> = minted.urls.turn.iter().filter(|url| url.len() <= URI_BYTES_MAX).collect();
    let servers: Vec<Value> = uris
        .chunks(URIS_MAX)
        .take(ENTRIES_MAX)
        .map(|uris| {
            json!({
                "Password": minted.credential.expose(),
                "Ttl": call.state.settings.ice_ttl.as_secs(),
                "Uris": uris,
                "Username": minted.username,
            })
        })
        .collect();
    Ok(answer(StatusCode::OK, &json!({"IceServerList": servers})))
}

/// The same record as any other credential: the channel is the room, the viewer calls, the master is called.
fn mint_request<S>(call: &Call<'_, S>, arn: &ChannelArn, client: Option<&str>, username: Option<&str>) -> MintRequest {
    let role = match (call.key.grant.preset, client) {
        (KeyPreset::Master, _) => ClientRole::Receiver,
        (KeyPreset::Viewer, _) => ClientRole::Initiator,
        // A key that may be either is the viewer it names, and the master when it names nobody.
        (_, Some(_)) => ClientRole::Initiator,
        (_, None) => ClientRole::Receiver,
    };
    let holder = client.or_else(|| (role == ClientRole::Receiver).then_some("master")).and_then(label);
    let (initiator_client, receiver_client) = match role {
        ClientRole::Initiator => (holder, None),
        ClientRole::Receiver => (None, holder),
    };
    let metadata = json!({"channelArn": arn.to_string(), "clientId": client, "username": username});
    MintRequest {
        room: label(&arn.name),
        initiator_client,
        receiver_client,
        client_type: Some(role),
        ttl: Some(call.state.settings.ice_ttl),
        metadata: Some(metadata.to_string()),
        region: RegionWish { client: call.from, ..RegionWish::default() },
        ..MintRequest::default()
    }
}

/// `SendAlexaOfferToMaster`: a viewer over HTTP, for one offer and its answer.
pub(crate) async fn send_offer<S: KvsStore>(
    call: &Call<'_, S>,
    body: &Map<String, Value>,
) -> Result<Response, KvsError> {
    let fields = Fields::new(body);
    let arn = fields.needed_arn("ChannelARN")?;
    let sender = fields.needed("SenderClientId", (1, 256), Form::Name)?;
    let payload = fields.needed("MessagePayload", (1, 10_000), Form::Base64)?;
    if !call.key.grant.allows_client(Some(sender)) {
        return Err(call.operation.denied());
    }
    let channel = by_arn_as(call, &arn, Some(sender)).await?;
    let hub = &call.state.hub;
    let peer = Peer::Viewer(Arc::from(sender));
    let attached = hub.attach(ChannelId(channel.id.0), peer, channel.message_ttl).await.map_err(attach_error)?;
    let message = Message { kind: MessageKind::Offer, recipient: None, payload: Arc::from(payload), correlation: None };
    attached.message(message);
    let answer_of = async {
        loop {
            match attached.next().await {
                Ok(Event::Deliver { kind: MessageKind::Answer, payload, .. }) => return Some(payload),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    };
    match tokio::time::timeout(channel.message_ttl, answer_of).await {
        Ok(Some(payload)) => Ok(answer(StatusCode::OK, &json!({"Answer": &*payload}))),
        Ok(None) | Err(_) => Err(KvsError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            "The channel has no master that answered in time.",
        )),
    }
}

/// Why a peer is not connected.
pub(crate) fn attach_error(error: AttachError) -> KvsError {
    match error {
        AttachError::TooManyViewers => KvsError::limit("The channel has as many viewers as it may have."),
        AttachError::TooManyConnections => KvsError::limit("The server has as many connections as it may have."),
        AttachError::Unavailable => KvsError::unavailable(),
    }
}
