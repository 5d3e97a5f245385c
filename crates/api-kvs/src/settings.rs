//! What the operator decides.

use std::time::Duration;

use causeway_signal_core::Limits;

/// Limits and rates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Of channels and connections.
    pub limits: Limits,
    /// Connections per second and channel.
    pub connects_per_sec: u32,
    /// Relay credentials, and offers over HTTP, per second and channel.
    pub ice_per_sec: u32,
    /// Other calls per second, channel and kind.
    pub calls_per_channel_per_sec: u32,
    /// Calls that name no channel, per second, project and kind.
    pub calls_per_project_per_sec: u32,
}

impl Profile {
    /// For production: long lives and room.
    pub const ROOMY: Self = Self {
        limits: Limits::ROOMY,
        connects_per_sec: 20,
        ice_per_sec: 50,
        calls_per_channel_per_sec: 50,
        calls_per_project_per_sec: 300,
    };

    /// What AWS documents.
    pub const AWS_STRICT: Self = Self {
        limits: Limits::AWS_STRICT,
        connects_per_sec: 3,
        ice_per_sec: 5,
        calls_per_channel_per_sec: 5,
        calls_per_project_per_sec: 50,
    };
}

/// Where clients are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://name` or `https://name:port`, in lower case, without a path.
    pub https: String,
    /// The same with `wss`.
    pub wss: String,
}

impl Endpoint {
    /// Of a host and a port; the default port is left out, since clients sign the text as it is.
    #[must_use]
    pub fn new(host: &str, port: u16, is_tls: bool) -> Self {
        let host = host.to_ascii_lowercase();
        let default = if is_tls { 443 } else { 80 };
        let authority = if port == default { host } else { format!("{host}:{port}") };
        let (https, wss) = if is_tls { ("https", "wss") } else { ("http", "ws") };
        Self { https: format!("{https}://{authority}"), wss: format!("{wss}://{authority}") }
    }
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct KvsSettings {
    /// In scopes and ARNs.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Limits and rates.
    pub profile: Profile,
    /// Lifetime of relay credentials.
    pub ice_ttl: Duration,
    /// Channels of one project.
    pub channels_max: u64,
    /// WebSockets of this server.
    pub connections_max: usize,
    /// Where clients are sent.
    pub endpoint: Endpoint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_lower_case_and_leaves_out_the_default_port() {
        assert_eq!(Endpoint::new("KVS.example.TEST", 443, true).wss, "wss://kvs.example.test");
        assert_eq!(Endpoint::new("kvs.example.test", 8443, true).https, "https://kvs.example.test:8443");
        assert_eq!(Endpoint::new("kvs.example.test", 80, false).https, "http://kvs.example.test");
        assert_eq!(Endpoint::new("127.0.0.1", 8080, false).wss, "ws://127.0.0.1:8080");
    }
}
