//! Limits that travel with a credential: causeway's own parameters, never required (`compat/turnix.md#limits`).

use std::net::IpAddr;

use causeway_app::{CredentialLimits, PeerScope};

use causeway_api_http::Parameters;

/// Largest `metadata`.
const METADATA_MAX: usize = 1024;

/// `max_bytes`, `max_allocations`, `max_bitrate` (bits per second), `bind_ip`, `peer_scope`.
pub(crate) fn read(parameters: &mut Parameters, client_ip: Option<IpAddr>, has_room: bool) -> CredentialLimits {
    CredentialLimits {
        bytes_max: parameters.count("max_bytes"),
        allocations_max: parameters.count("max_allocations").map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
        // The relay counts bytes; less than one a second would be nothing at all.
        bandwidth: parameters.count("max_bitrate").map(|bits| (bits / 8).max(1)),
        client_ip: bound_ip(parameters, client_ip),
        peer_scope: peer_scope(parameters, has_room),
    }
}

/// An object of the application's own.
pub(crate) fn metadata(parameters: &mut Parameters) -> Option<String> {
    parameters.object("metadata", METADATA_MAX)
}

fn bound_ip(parameters: &mut Parameters, client_ip: Option<IpAddr>) -> Option<IpAddr> {
    if !parameters.flag("bind_ip") {
        return None;
    }
    if client_ip.is_none() {
        let message = "bind_ip: name the client's address in the header X-TURN-CLIENT-IP".to_owned();
        parameters.fault("bind_ip", "bad_client_ip", message);
    }
    client_ip
}

fn peer_scope(parameters: &mut Parameters, has_room: bool) -> PeerScope {
    match parameters.text("peer_scope").as_deref() {
        None | Some("any") => PeerScope::Any,
        Some("room") if has_room => PeerScope::Room,
        Some(word) => {
            let message =
                if word == "room" { "peer_scope: room needs a room" } else { "peer_scope: must be any or room" };
            parameters.fault("peer_scope", "bad_peer_scope", message.to_owned());
            PeerScope::Any
        }
    }
}
