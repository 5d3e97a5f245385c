//! [`SipService`]: what all connections share, and the routes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak, atomic::AtomicUsize, atomic::Ordering},
    time::Instant,
};

use axum::{Router, routing::get};
use causeway_app::ClientPlaces;
use causeway_call_core::LegTraits;
use causeway_signal_core::Pace;
use causeway_sip_core::{AgentLimits, AgentSettings, SipAgent, auth::Nonces};
use causeway_switchboard::{Connection, Inbox, Switchboard};
use causeway_types::source_network;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    SipAccess, SipFigures, SipSettings,
    figures::{Counters, LimitReached},
    page::Post,
    socket,
};

/// Host in our own Via and Contact: nobody may try to find it (RFC 7118 §5).
const OWN_HOST: &str = "causeway.invalid";
/// Allowances remembered; one more and those that are whole again are forgotten.
const PACES_MAX: usize = 100_000;

/// What SIP connections share.
pub struct SipService {
    pub(crate) settings: SipSettings,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) access: Arc<dyn SipAccess>,
    pub(crate) places: Arc<ClientPlaces>,
    pub(crate) nonces: Nonces,
    pub(crate) post: Post,
    pub(crate) counters: Counters,
    pub(crate) draining: watch::Sender<bool>,
    open: AtomicUsize,
    /// Connections by [`source_network`].
    by_source: Mutex<HashMap<IpAddr, usize>>,
    paces: Mutex<HashMap<PaceOf, Pace>>,
}

/// Whose allowance; addresses stand for their [`source_network`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PaceOf {
    Address(IpAddr),
    Key(String),
    ServiceCaller(IpAddr),
}

impl std::fmt::Debug for SipService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipService").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The system has no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRandomness;

pub(crate) fn random() -> Result<[u8; 32], NoRandomness> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| NoRandomness)?;
    Ok(random)
}

impl SipService {
    /// Serves on this switchboard. `nonce_key` is random and secret.
    #[must_use]
    pub fn new(
        settings: SipSettings,
        board: Arc<Switchboard>,
        access: Arc<dyn SipAccess>,
        places: Arc<ClientPlaces>,
        nonce_key: &[u8; 32],
    ) -> Arc<Self> {
        let service = Arc::new(Self {
            settings,
            board,
            access,
            places,
            nonces: Nonces::new(nonce_key),
            post: Post::default(),
            counters: Counters::default(),
            draining: watch::channel(false).0,
            open: AtomicUsize::new(0),
            by_source: Mutex::default(),
            paces: Mutex::default(),
        });
        let texts: Weak<Self> = Arc::downgrade(&service);
        service.board.carry_texts_for(texts);
        service
    }

    /// Counters.
    #[must_use]
    pub fn figures(&self) -> SipFigures {
        self.counters.figures(self.open.load(Ordering::Relaxed))
    }

    /// Closes connections one after the other, those with calls when these are over; no new one is taken.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Room for one more connection; it is given back when the seat is dropped.
    pub(crate) fn seat(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Seat, LimitReached> {
        let settings = &self.settings;
        let source = address.map(source_network);
        if self.open.fetch_add(1, Ordering::Relaxed) >= settings.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(LimitReached::Connections);
        }
        if let Some(source) = source {
            let mut by_source = self.by_source.lock();
            let held = by_source.entry(source).or_default();
            if *held >= settings.connections_per_address_max {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(LimitReached::ConnectionsPerAddress);
            }
            *held += 1;
        }
        Ok(Seat { service: Arc::clone(self), source })
    }

    /// A new client: its way into the cores and its agent.
    pub(crate) fn connect(&self, traits: LegTraits) -> Result<(Connection, Inbox, SipAgent), NoRandomness> {
        let seed = random()?;
        let (connection, inbox) = self.board.connect(traits);
        let settings = AgentSettings { host: OWN_HOST.to_owned(), software: "causeway".to_owned() };
        Ok((connection, inbox, SipAgent::new(settings, AgentLimits::default(), seed)))
    }

    /// Whether this address and key may have relay credentials once more.
    pub(crate) fn may_have_ice(&self, address: Option<IpAddr>, key: &str) -> Result<(), LimitReached> {
        if let Some(address) = address {
            let per_sec = self.settings.ice_per_address_per_sec;
            self.take_pace(PaceOf::Address(source_network(address)), per_sec, LimitReached::IcePerAddress)?;
        }
        self.take_pace(PaceOf::Key(key.to_owned()), self.settings.ice_per_key_per_sec, LimitReached::IcePerKey)
    }

    /// Whether this address may call a service once more.
    pub(crate) fn may_call_service(&self, address: Option<IpAddr>) -> Result<(), LimitReached> {
        let per_sec = self.settings.service_calls_per_address_per_sec;
        address.map_or(Ok(()), |address| {
            self.take_pace(PaceOf::ServiceCaller(source_network(address)), per_sec, LimitReached::ServiceCalls)
        })
    }

    fn take_pace(&self, whose: PaceOf, per_sec: u32, limit: LimitReached) -> Result<(), LimitReached> {
        let now = Instant::now();
        let mut paces = self.paces.lock();
        if paces.len() >= PACES_MAX {
            paces.retain(|_, pace| !pace.is_whole(now));
        }
        let is_full = paces.len() >= PACES_MAX;
        let is_allowed = !is_full && paces.entry(whose).or_default().take(now, per_sec);
        if is_allowed { Ok(()) } else { Err(limit) }
    }
}

/// A connection's place.
#[derive(Debug)]
pub(crate) struct Seat {
    service: Arc<SipService>,
    source: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.service.open.fetch_sub(1, Ordering::Relaxed);
        let Some(source) = self.source else { return };
        let mut by_source = self.service.by_source.lock();
        if let Some(held) = by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                by_source.remove(&source);
            }
        }
    }
}

/// The WebSocket, where clients look for it.
pub fn router(service: Arc<SipService>) -> Router {
    Router::new().route("/sip", get(socket::upgrade)).route("/sipproxy", get(socket::upgrade)).with_state(service)
}
