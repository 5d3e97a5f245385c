//! [`VertoService`]: what all connections share, and the routes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{Router, routing::any};
use causeway_app::{ClientPlaces, VoiceCalls, VoiceDesk, VoiceStore};
use causeway_call_core::Identity;
use causeway_signal_core::Pace;
use causeway_switchboard::Switchboard;
use causeway_types::source_network;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    VertoFigures, VertoSettings,
    figures::{Counters, VertoLimit},
    sessions::{Control, Sessions},
    socket,
};

/// Sources remembered for failed logins; one more and those that are whole again are forgotten.
const PACES_MAX: usize = 100_000;

/// What the store must keep for this dialect.
pub trait VertoStore: VoiceStore {}
impl<S: VoiceStore> VertoStore for S {}

/// What the dialect's connections share.
pub struct VertoService<S> {
    pub(crate) settings: VertoSettings,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) desk: VoiceDesk<S>,
    pub(crate) voice: Arc<VoiceCalls>,
    pub(crate) places: Arc<ClientPlaces>,
    pub(crate) sessions: Sessions,
    pub(crate) counters: Counters,
    pub(crate) draining: watch::Sender<bool>,
    open: AtomicUsize,
    /// Connections by [`source_network`].
    by_source: Mutex<HashMap<IpAddr, usize>>,
    /// Failed logins by [`source_network`].
    failed: Mutex<HashMap<IpAddr, Pace>>,
}

impl<S> std::fmt::Debug for VertoService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VertoService").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S: VertoStore> VertoService<S> {
    /// Serves on this switchboard; `voice` is told which client is whose, `places` where it is.
    #[must_use]
    pub fn new(
        settings: VertoSettings,
        board: Arc<Switchboard>,
        store: Arc<S>,
        voice: Arc<VoiceCalls>,
        places: Arc<ClientPlaces>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            board,
            desk: VoiceDesk::new(store),
            voice,
            places,
            sessions: Sessions::default(),
            counters: Counters::default(),
            draining: watch::channel(false).0,
            open: AtomicUsize::new(0),
            by_source: Mutex::default(),
            failed: Mutex::default(),
        })
    }

    /// Sends every client of these identities away: a credential or connection is gone.
    pub fn send_away(&self, is_meant: impl Fn(&Identity) -> bool) {
        for control in self.sessions.remove(is_meant) {
            if control.try_send(Control::Punt).is_err() {
                tracing::debug!("a connection that ends anyway was to be sent away");
            }
        }
    }
}

impl<S> VertoService<S> {
    /// Counters.
    #[must_use]
    pub fn figures(&self) -> VertoFigures {
        self.counters.figures(self.open.load(Ordering::Relaxed))
    }

    /// Closes connections without calls at once and the others when these are over; no new one is taken.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Room for one more connection; it is given back when the seat is dropped.
    pub(crate) fn seat(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Seat<S>, VertoLimit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.settings.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(VertoLimit::Connections);
        }
        if let Some(address) = address {
            let mut by_source = self.by_source.lock();
            let held = by_source.entry(source_network(address)).or_default();
            if *held >= self.settings.connections_per_address_max {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(VertoLimit::ConnectionsPerAddress);
            }
            *held += 1;
        }
        Ok(Seat { service: Arc::clone(self), address })
    }

    /// Whether whoever has this address may fail to log in once more.
    pub(crate) fn may_fail(&self, address: Option<IpAddr>) -> bool {
        let Some(source) = address.map(source_network) else { return true };
        let now = Instant::now();
        let mut failed = self.failed.lock();
        if failed.len() >= PACES_MAX {
            failed.retain(|_, pace| !pace.is_whole(now));
        }
        let is_room = failed.len() < PACES_MAX;
        let is_allowed = is_room && failed.entry(source).or_default().take(now, self.settings.failed_logins_per_sec);
        if !is_allowed {
            self.counters.limit(VertoLimit::FailedLogins);
        }
        is_allowed
    }
}

/// A connection's place.
#[derive(Debug)]
pub(crate) struct Seat<S> {
    service: Arc<VertoService<S>>,
    address: Option<IpAddr>,
}

impl<S> Seat<S> {
    pub(crate) const fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl<S> Drop for Seat<S> {
    fn drop(&mut self) {
        self.service.open.fetch_sub(1, Ordering::Relaxed);
        let Some(source) = self.address.map(source_network) else { return };
        let mut by_source = self.service.by_source.lock();
        if let Some(held) = by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                by_source.remove(&source);
            }
        }
    }
}

/// The WebSocket where it is documented.
pub fn router<S: VertoStore>(service: Arc<VertoService<S>>) -> Router {
    Router::new().route("/rtc/v1", any(socket::upgrade::<S>)).with_state(service)
}

#[cfg(test)]
mod tests {
    use causeway_call_core::{CallEvent, PresenceChange};
    use causeway_store::SqlStore;
    use causeway_switchboard::{CallListener, SwitchboardSettings};

    use super::*;

    struct Deaf;

    impl CallListener for Deaf {
        fn call(&self, _event: CallEvent) {}

        fn presence(&self, _change: PresenceChange) {}
    }

    async fn service(settings: VertoSettings) -> Arc<VertoService<SqlStore>> {
        let directory = tempfile::tempdir().unwrap();
        let store = SqlStore::open(&directory.path().join("causeway.db"), "node-1").await.unwrap();
        let board = Switchboard::new(SwitchboardSettings::default(), [5; 32], Arc::new(Deaf));
        VertoService::new(settings, board, Arc::new(store), Arc::new(VoiceCalls::new().0), Arc::default())
    }

    #[tokio::test]
    async fn connections_and_failed_logins_are_counted_per_source_which_has_a_network_of_ipv6() {
        for ([first, second, third], another) in [
            (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2:0:0:1", "2001:db8::ffff"], "2001:db8:0:1::1"),
        ] {
            let settings =
                VertoSettings { connections_per_address_max: 2, failed_logins_per_sec: 2, ..VertoSettings::default() };
            let service = service(settings).await;
            let from = |address: &str| Some(address.parse().unwrap());
            let held = service.seat(from(first)).unwrap();
            let _held_too = service.seat(from(second)).unwrap();
            assert_eq!(service.seat(from(third)).unwrap_err(), VertoLimit::ConnectionsPerAddress);
            let _elsewhere = service.seat(from(another)).unwrap();
            drop(held);
            let _again = service.seat(from(third)).unwrap();
            let tries = [first, second, third].into_iter().cycle().take(100);
            let allowed = tries.filter(|address| service.may_fail(from(address))).count();
            assert!((2..50).contains(&allowed), "{allowed}");
            assert!(service.may_fail(from(another)));
        }
    }
}
