//! What a person reads at start-up, and the URLs clients are handed.

use std::net::{IpAddr, SocketAddr};

use causeway_app::{IceUrls, MadeLink};
use causeway_relay::BoundAddress;
use causeway_types::{ClientTransport, Secret};

use crate::{
    addresses::RelayAddresses,
    config::Settings,
    people::{console_url, link_url},
};

/// The URLs of the bound listeners, in the order clients expect: STUN; then turn over UDP and TCP, turns over UDP and
/// TCP (`compat/turnix.md#success`).
pub(crate) fn ice_urls(settings: &Settings, bound: &[BoundAddress], relays: &RelayAddresses) -> IceUrls {
    let host = host_of(settings, relays);
    let advertise_tls = settings.tls_cert.is_some() || settings.advertise_self_signed;
    let port = |transport| bound.iter().find(|b| b.transport == transport).map(|b| b.address.port());
    let mut urls = IceUrls::default();
    if let Some(port) = port(ClientTransport::Udp) {
        urls.stun.push(format!("stun:{host}:{port}"));
        urls.turn.push(format!("turn:{host}:{port}?transport=udp"));
    }
    if let Some(port) = port(ClientTransport::Tcp) {
        urls.turn.push(format!("turn:{host}:{port}?transport=tcp"));
    }
    if let Some(port) = port(ClientTransport::Tls).filter(|_| advertise_tls) {
        urls.turn.push(format!("turns:{host}:{port}?transport=udp"));
        urls.turn.push(format!("turns:{host}:{port}?transport=tcp"));
    }
    urls
}

/// The host that clients are told.
pub(crate) fn host_of(settings: &Settings, relays: &RelayAddresses) -> String {
    settings.public_host.clone().unwrap_or_else(|| in_url(relays.preferred()))
}

/// The block on standard output.
pub(crate) fn start_up(
    settings: &Settings,
    bound: &[BoundAddress],
    http: &[(SocketAddr, bool)],
    relays: &RelayAddresses,
    new_token: Option<&Secret<String>>,
    welcome: Option<&MadeLink>,
) -> String {
    let mut lines = vec![format!("causeway {} is ready", env!("CARGO_PKG_VERSION"))];
    for BoundAddress { address, transport } in bound {
        let note = if *transport == ClientTransport::Dtls { "turn over dtls, and plain udp" } else { "turn" };
        lines.push(format!("  {transport:<5} {address:<24} {note}"));
    }
    for (address, tls) in http {
        let scheme = if *tls { "https" } else { "http" };
        lines.push(format!("  {scheme:<5} {address:<24} console, API, /healthz, /metrics"));
    }
    for address in &relays.addresses {
        let nat =
            if address.advertised == address.bound { String::new() } else { format!(" (bound to {})", address.bound) };
        let (low, high) = (settings.relay_ports.start(), settings.relay_ports.end());
        lines.push(format!("  relay {}{nat}, ports {low}-{high}", address.advertised));
    }
    for warning in relays.warnings() {
        lines.push(format!("  warning: {warning}"));
    }
    let base = http.iter().find(|(_, tls)| !tls).map(|(address, _)| reachable(*address));
    let base = base.map_or_else(|| "http://127.0.0.1:8080".to_owned(), |address| format!("http://{address}"));
    if let Some(token) = new_token {
        lines.push(String::new());
        lines.push(format!("API token (shown once): {}", token.expose()));
        lines.push("Get an ICE credential:".to_owned());
        lines.push(format!(
            "  curl -X POST {base}/api/v1/credentials/ice -H 'Authorization: Bearer {}' -H 'Content-Type: application/json'",
            token.expose()
        ));
    } else {
        lines.push(format!(
            "Get an ICE credential:  curl -X POST {base}/api/v1/credentials/ice -H \"Authorization: Bearer $CAUSEWAY_API_TOKEN\""
        ));
    }
    let console = console_url(settings, http);
    match welcome {
        Some(link) => {
            lines.push(String::new());
            lines.push(
                "Open the console and choose a password (good once, for a day; again: causeway console-link):"
                    .to_owned(),
            );
            lines.push(format!("  {}", link_url(&console, link)));
        }
        None => lines.push(format!("Console:  {console}/")),
    }
    lines.join("\n") + "\n"
}

/// An IP as a URL's host.
fn in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// An unspecified listener is reached by loopback.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}
