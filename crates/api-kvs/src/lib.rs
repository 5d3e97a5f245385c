//! Signalling channels as AWS Kinesis Video Streams WebRTC serves them: signed REST calls, relay credentials, the signalling
//! WebSocket. Unmodified AWS clients work against it.
//!
//! It knows AWS's words and JSON and nothing else does. Who is connected to whom is decided by `signal-core`, which the
//! [`Hub`] feeds; channels and keys are kept by the store; credentials are minted as everywhere.
//!
//! Entry points: [`router`], [`with_websocket`], [`manners()`], [`Hub`]. Source: `docs/compat/aws-kvs.md`.

#![forbid(unsafe_code)]

mod arn;
mod call;
mod channels;
mod error;
mod fields;
pub mod frames;
mod hub;
mod ice;
mod mailbox;
mod manners;
mod rates;
mod settings;
mod signed;
mod socket;
mod tally;

use std::{fmt, sync::Arc};

use axum::{Router, middleware, routing::any};
use causeway_api_http::Manners;
use causeway_app::{AccessKeyStore, AccessKeys, Minting, SignalChannelStore, Store};

pub use arn::{ChannelArn, is_channel_name, is_client_id};
pub use hub::{Hub, HubFigures};
pub use settings::{Endpoint, KvsSettings, Profile};

use crate::rates::Rates;

/// What the store must keep for this family.
pub trait KvsStore: Store + AccessKeyStore + SignalChannelStore {}
impl<S: Store + AccessKeyStore + SignalChannelStore> KvsStore for S {}

/// What the routes need.
pub struct ApiState<S> {
    settings: KvsSettings,
    store: Arc<S>,
    keys: Arc<AccessKeys<S>>,
    minting: Arc<Minting<S>>,
    hub: Arc<Hub>,
    rates: Rates,
}

impl<S> fmt::Debug for ApiState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S: KvsStore> ApiState<S> {
    /// Of its parts.
    pub fn new(
        settings: KvsSettings,
        store: Arc<S>,
        keys: Arc<AccessKeys<S>>,
        minting: Arc<Minting<S>>,
        hub: Arc<Hub>,
    ) -> Self {
        Self { settings, store, keys, minting, hub, rates: Rates::default() }
    }
}

/// The REST calls. They are not in the OpenAPI document: AWS's own service models describe them.
pub fn router<S: KvsStore>(state: Arc<ApiState<S>>) -> Router {
    call::OPERATIONS
        .iter()
        .fold(Router::new(), |router, (path, _)| router.route(path, any(call::call::<S>)))
        .with_state(state)
}

/// What the layers around all routes are to know of this family: the shape of its errors, how long and how large its calls are.
#[must_use]
pub fn manners(hub: &Arc<Hub>) -> Arc<dyn Manners> {
    Arc::new(manners::KvsManners { hub: Arc::clone(hub) })
}

/// Serves the signalling WebSocket at `/` in front of `routes`: only upgrades whose query is signed as AWS clients do.
pub fn with_websocket<S: KvsStore>(routes: Router, state: Arc<ApiState<S>>) -> Router {
    routes.layer(middleware::from_fn_with_state(state, socket::upgrade::<S>))
}
