//! The `causeway` program: configuration, wiring, signals and exit codes.

mod addresses;
mod api;
mod call_services;
mod calls;
mod cli;
mod clients;
mod config;
mod cors;
mod credential;
mod data_lock;
mod event_ids;
mod event_log;
mod fast_path;
mod geoip;
mod housekeeping;
mod http;
mod insight;
mod keys;
mod kvs;
mod live_calls;
mod node;
mod nonce_key;
mod oidc;
mod people;
mod probe;
mod redis;
mod regions;
mod relay_port;
mod report;
mod samples;
mod serve;
mod sessions;
mod sip;
mod telemetry;
mod traces;
mod verto;
mod verto_elsewhere;
mod verto_samples;
mod webhooks;

use std::process::ExitCode;

/// Bad usage or configuration (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// The server could not start.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    // The one provider of this process; a second installation cannot happen before this line.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::from(EXIT_FAILED);
    }
    cli::run()
}
