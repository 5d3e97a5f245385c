//! One call: who signed it, which operation it is, its answer with the headers of AWS.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use causeway_api_http::{RequestId, requester, taken};
use causeway_app::{AccessKey, ChannelAction};

use crate::{ApiState, KvsStore, channels, error::KvsError, fields::read_body, ice, signed::authenticate};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateSignalingChannel,
    DescribeSignalingChannel,
    ListSignalingChannels,
    UpdateSignalingChannel,
    DeleteSignalingChannel,
    GetSignalingChannelEndpoint,
    TagResource,
    UntagResource,
    ListTagsForResource,
    DescribeMediaStorageConfiguration,
    UpdateMediaStorageConfiguration,
    GetIceServerConfig,
    SendAlexaOfferToMaster,
    JoinStorageSession,
    JoinStorageSessionAsViewer,
}

/// Where each operation is; case counts.
pub(crate) const OPERATIONS: &[(&str, Operation)] = &[
    ("/createSignalingChannel", Operation::CreateSignalingChannel),
    ("/describeSignalingChannel", Operation::DescribeSignalingChannel),
    ("/listSignalingChannels", Operation::ListSignalingChannels),
    ("/updateSignalingChannel", Operation::UpdateSignalingChannel),
    ("/deleteSignalingChannel", Operation::DeleteSignalingChannel),
    ("/getSignalingChannelEndpoint", Operation::GetSignalingChannelEndpoint),
    ("/TagResource", Operation::TagResource),
    ("/UntagResource", Operation::UntagResource),
    ("/ListTagsForResource", Operation::ListTagsForResource),
    ("/describeMediaStorageConfiguration", Operation::DescribeMediaStorageConfiguration),
    ("/updateMediaStorageConfiguration", Operation::UpdateMediaStorageConfiguration),
    ("/v1/get-ice-server-config", Operation::GetIceServerConfig),
    ("/v1/send-alexa-offer-to-master", Operation::SendAlexaOfferToMaster),
    ("/joinStorageSession", Operation::JoinStorageSession),
    ("/joinStorageSessionAsViewer", Operation::JoinStorageSessionAsViewer),
];

impl Operation {
    /// What a key must allow.
    pub(crate) const fn action(self) -> ChannelAction {
        match self {
            Self::CreateSignalingChannel => ChannelAction::Create,
            Self::DescribeSignalingChannel => ChannelAction::Describe,
            Self::ListSignalingChannels => ChannelAction::List,
            Self::UpdateSignalingChannel => ChannelAction::Update,
            Self::DeleteSignalingChannel => ChannelAction::Delete,
            Self::GetSignalingChannelEndpoint => ChannelAction::GetEndpoint,
            Self::TagResource | Self::UntagResource => ChannelAction::Tag,
            Self::ListTagsForResource => ChannelAction::ListTags,
            Self::DescribeMediaStorageConfiguration => ChannelAction::DescribeStorage,
            Self::UpdateMediaStorageConfiguration => ChannelAction::UpdateStorage,
            Self::GetIceServerConfig => ChannelAction::GetIceServers,
            Self::SendAlexaOfferToMaster => ChannelAction::SendOffer,
            Self::JoinStorageSession | Self::JoinStorageSessionAsViewer => ChannelAction::JoinStorage,
        }
    }

    /// What is told to a key that may not.
    pub(crate) fn denied(self) -> KvsError {
        let name = format!("{self:?}");
        let is_of_signalling = matches!(self, Self::GetIceServerConfig | Self::SendAlexaOfferToMaster);
        if is_of_signalling { KvsError::not_authorized(&name) } else { KvsError::access_denied(&name) }
    }
}

/// A signed call and what it is made of.
pub(crate) struct Call<'a, S> {
    pub(crate) state: &'a ApiState<S>,
    pub(crate) operation: Operation,
    pub(crate) key: AccessKey,
    /// From where it was called.
    pub(crate) from: Option<IpAddr>,
}

impl<S: KvsStore> Call<'_, S> {
    /// Judged on the name alone, before the store is asked: a refusal does not tell whether a channel exists.
    pub(crate) fn permit(&self, channel: &str, client: Option<&str>) -> Result<(), KvsError> {
        let action = self.operation.action();
        if !self.key.grant.allows(action, channel) {
            return Err(self.operation.denied());
        }
        let profile = &self.state.settings.profile;
        let is_of_signalling = matches!(action, ChannelAction::GetIceServers | ChannelAction::SendOffer);
        let per_sec = if is_of_signalling { profile.ice_per_sec } else { profile.calls_per_channel_per_sec };
        if self.state.rates.take(self.key.project, action, channel, client, per_sec) {
            Ok(())
        } else {
            Err(KvsError::too_fast())
        }
    }
}

/// Answers a call to one of [`OPERATIONS`].
pub(crate) async fn call<S: KvsStore>(State(state): State<Arc<ApiState<S>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return preflight(&parts.headers);
    }
    let body = taken(body).await;
    let answered = match body {
        Ok(body) => answer(&state, &parts, &body).await,
        Err(_) => Err(KvsError::new(StatusCode::BAD_REQUEST, "SerializationException", "The body breaks off.")),
    };
    let mut response = answered.unwrap_or_else(|error| {
        state.hub.refusals.note(error.name());
        error.into_response()
    });
    dress(&mut response, parts.extensions.get());
    response
}

async fn answer<S: KvsStore>(state: &ApiState<S>, parts: &Parts, body: &[u8]) -> Result<Response, KvsError> {
    let path = parts.uri.path();
    let operation = OPERATIONS.iter().find(|(known, _)| *known == path).map(|(_, operation)| *operation);
    let Some(operation) = operation.filter(|_| parts.method == Method::POST) else {
        let message = "The operation is not known.";
        return Err(KvsError::new(StatusCode::NOT_FOUND, "UnknownOperationException", message));
    };
    let key = authenticate(state, parts, body).await?;
    let body = read_body(body)?;
    let call = Call { state, operation, key, from: requester(&parts.extensions) };
    if operation == Operation::GetIceServerConfig {
        ice::get_config(&call, &body).await
    } else if operation == Operation::SendAlexaOfferToMaster {
        ice::send_offer(&call, &body).await
    } else {
        channels::answer(&call, &body).await
    }
}

/// The headers every answer has.
pub(crate) fn dress(response: &mut Response, id: Option<&RequestId>) {
    let headers = response.headers_mut();
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id.0).ok()) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("x-amzn-RequestId, x-amzn-ErrorType, Date");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// A browser asks before it calls. The signature is the authority, so any origin may.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let usual = HeaderValue::from_static(
        "authorization, content-type, x-amz-content-sha256, x-amz-date, x-amz-security-token, x-amz-user-agent, \
         amz-sdk-invocation-id, amz-sdk-request",
    );
    let allowed = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(usual);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}
