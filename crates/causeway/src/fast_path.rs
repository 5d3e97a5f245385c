//! Starts the kernel fast path, or says once why there is none.

mod status;

use std::{net::SocketAddr, sync::Arc};

use causeway_fast_path::{FastPath, Mode, Settings as PathSettings, Unavailable};

pub(crate) use status::status;

use crate::{addresses::RelayAddresses, config::Settings};

/// Flows there is room for: channels beyond stay in user space. Each takes half a kilobyte of the kernel's memory.
const FLOWS_MIN: u32 = 1024;
const FLOWS_MAX: u32 = 65_536;

/// The fast path, where the configuration wants one and the kernel lets us. Without it everything is relayed as well, in user
/// space: it is never a reason not to start.
pub(crate) fn start(settings: &Settings, relays: &RelayAddresses) -> Option<Arc<FastPath>> {
    let listeners = settings.turn_listen.iter().chain(&settings.turn_tls_listen).copied();
    let relayed = relays.addresses.iter().map(|relay| SocketAddr::new(relay.bound, 0));
    let wanted = PathSettings {
        mode: settings.fast_path,
        interfaces: settings.fast_path_interface.clone(),
        addresses: listeners.chain(relayed).collect(),
        relay_ports: settings.relay_ports.clone(),
        flows_max: flows_max(settings),
    };
    match FastPath::start(&wanted) {
        Ok(path) => {
            let sites = path.status().sites;
            let interfaces: Vec<String> =
                sites.iter().map(|site| format!("{} ({})", site.interface, site.entry.name())).collect();
            let interfaces = interfaces.join(", ");
            tracing::info!(
                interfaces,
                flows_max = wanted.flows_max,
                "channels of UDP clients are relayed in the kernel"
            );
            for remark in path.remarks() {
                tracing::warn!(remark, "XDP is not everywhere");
            }
            Some(Arc::new(path))
        }
        Err(Unavailable::Off) => None,
        Err(reason) if settings.fast_path == Mode::Auto && settings.fast_path_interface.is_empty() => {
            tracing::info!(%reason, "no kernel fast path: everything is relayed in user space");
            None
        }
        Err(reason) => {
            tracing::warn!(%reason, "no kernel fast path, though the configuration asks for one: everything is relayed in user space");
            None
        }
    }
}

/// A channel or two for every allocation there may be, within bounds.
fn flows_max(settings: &Settings) -> u32 {
    let ports = u32::from(settings.relay_ports.end() - settings.relay_ports.start()) + 1;
    settings.allocations_max.min(ports).saturating_mul(2).clamp(FLOWS_MIN, FLOWS_MAX)
}
