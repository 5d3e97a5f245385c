//! Configuration: flags beat the environment, the environment beats the file; all faults are told at once.

mod call_services;
mod calls;
mod example;
mod explain;
mod keys;
mod kvs;
mod limits;
mod load;
mod oidc;
mod parse;
mod regions;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use axum::http::HeaderValue;
use causeway_app::{OverMax, RegionSite, StaticUser};
use causeway_certificates::Pair;
use causeway_credentials::client_token::CloudId;
use causeway_events::redis::RedisTarget;
use causeway_fast_path::Mode;
use causeway_types::Secret;
use ipnet::IpNet;

pub(crate) use call_services::Behind;
pub(crate) use calls::CallsConfig;
pub(crate) use example::example;
pub(crate) use explain::{most_like, page};
pub(crate) use keys::{KEYS, Key, reference};
pub(crate) use kvs::{ConfiguredKey, KvsConfig};
use limits::fixed;
pub(crate) use load::{Faults, Sources, load};
pub(crate) use oidc::OidcConfig;
use tables::TABLES;

/// An IP clients are told, and the one sockets are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicIp {
    pub(crate) public: IpAddr,
    pub(crate) private: IpAddr,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

/// Everything the server is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) sources: Sources,
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Option<Secret<String>>,
    pub(crate) node_id: Option<String>,
    pub(crate) usage_flush_interval: Duration,
    pub(crate) redis_statsdb: Option<RedisTarget>,
    pub(crate) otlp_endpoint: Option<causeway_traces::Endpoint>,
    pub(crate) otlp_sampling_ratio: f64,
    pub(crate) cluster_redis: Option<RedisTarget>,
    pub(crate) http_listen: SocketAddr,
    pub(crate) http_tls_listen: Option<SocketAddr>,
    pub(crate) console_url: Option<String>,
    pub(crate) console_idle_timeout: Duration,
    pub(crate) console_session_lifetime: Duration,
    pub(crate) client_cloud_id: CloudId,
    pub(crate) client_tokens_per_month: u64,
    pub(crate) client_token_key_lifetime: Duration,
    pub(crate) oidc: OidcConfig,
    pub(crate) public_host: Option<String>,
    pub(crate) turn_listen: Vec<SocketAddr>,
    pub(crate) turn_tls_listen: Vec<SocketAddr>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) more_certificates: Vec<Pair>,
    pub(crate) advertise_self_signed: bool,
    pub(crate) public_ip: Vec<PublicIp>,
    pub(crate) relay_ports: RangeInclusive<u16>,
    pub(crate) realm: String,
    pub(crate) allow_peer: Vec<IpNet>,
    pub(crate) deny_peer: Vec<IpNet>,
    pub(crate) threads: u8,
    pub(crate) drain_timeout: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log: String,
    pub(crate) api_token: Option<Secret<String>>,
    pub(crate) turn_secret: Vec<Secret<String>>,
    pub(crate) nonce_key: Option<Secret<String>>,
    pub(crate) users: Vec<StaticUser>,
    pub(crate) kvs: KvsConfig,
    /// `[calls]`.
    pub(crate) calls: CallsConfig,
    pub(crate) rest_separator: char,
    pub(crate) rest_ttl_max: Option<Duration>,
    pub(crate) credential_ttl_default: Duration,
    pub(crate) credential_ttl_max: Duration,
    pub(crate) ttl_over_max: OverMax,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) terminate_on_expiry: bool,
    pub(crate) region: String,
    pub(crate) regions: Vec<RegionSite>,
    pub(crate) node_timeout: Duration,
    pub(crate) geoip_database: Option<PathBuf>,
    pub(crate) software: Option<String>,
    pub(crate) mobility: bool,
    pub(crate) tcp_relaying: bool,
    pub(crate) proxy_protocol: bool,
    pub(crate) fast_path: Mode,
    pub(crate) fast_path_interface: Vec<String>,
    pub(crate) alternate_server: Vec<SocketAddr>,
    pub(crate) nonce_lifetime: Duration,
    pub(crate) lifetime_default: Duration,
    pub(crate) lifetime_max: Duration,
    pub(crate) allocations_per_user_max: u32,
    pub(crate) allocations_max: u32,
    pub(crate) permissions_per_allocation_max: u16,
    pub(crate) channels_per_allocation_max: u16,
    pub(crate) connections_per_allocation_max: u16,
    pub(crate) bandwidth_per_allocation: Option<u64>,
    pub(crate) bandwidth_total: Option<u64>,
    pub(crate) pending_requests_max: u32,
    pub(crate) unauthenticated_replies_per_sec: u32,
    pub(crate) unauthenticated_replies_burst: u32,
    pub(crate) tcp_connections_max: u32,
    pub(crate) tcp_write_queue_bytes: usize,
    pub(crate) tcp_write_queue_age: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) dtls_associations_max: u32,
    pub(crate) dtls_handshakes_max: u32,
    pub(crate) webhook_allow: Vec<IpNet>,
    pub(crate) webhook_http: bool,
    pub(crate) webhook_timeout: Duration,
    pub(crate) webhook_log_kept: Duration,
    pub(crate) api_requests_per_sec: u32,
    pub(crate) api_requests_burst: u32,
}
