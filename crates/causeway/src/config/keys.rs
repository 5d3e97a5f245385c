//! The table of configuration keys: flags, environment names, file keys, checks and the reference page all come from it.

use causeway_app::OverMax;
use causeway_fast_path::Mode;

use super::{
    LogFormat, Settings,
    parse::{
        address, bandwidth, choice, count, duration, flag, host, list, one, path, ports, public_ip, secret, separator,
    },
    tables::{FileTable, TABLES},
};

/// One key.
pub(crate) struct Key {
    /// In the file; the flag has dashes, the environment `CAUSEWAY_` and capitals.
    pub(crate) name: &'static str,
    /// What the value looks like.
    pub(crate) value: &'static str,
    /// May be given several times (comma-separated in the environment, an array in the file).
    pub(crate) list: bool,
    /// Only by environment or file, never on a command line others can read.
    pub(crate) secret: bool,
    /// Holds a password among other things: has a flag, but its value is never shown.
    pub(crate) hidden: bool,
    /// Value when nothing is said; empty: none.
    pub(crate) default: &'static str,
    /// What it does; the first sentence is the flag's help.
    pub(crate) doc: &'static str,
    /// Checks the values and keeps them.
    pub(crate) apply: fn(&mut Settings, &[String]) -> Result<(), String>,
}

macro_rules! keys {
    ($($name:ident $value:literal $kind:ident $default:literal $doc:literal $apply:expr;)*) => {
        /// Every key, in the order of the reference page.
        pub(crate) const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            value: $value,
            list: keys!(@list $kind),
            secret: keys!(@secret $kind),
            hidden: keys!(@hidden $kind),
            default: $default,
            doc: $doc,
            apply: $apply,
        }),*];
    };
    (@list single) => { false };
    (@list hidden) => { false };
    (@list many) => { true };
    (@list secret) => { false };
    (@list secrets) => { true };
    (@secret single) => { false };
    (@secret hidden) => { false };
    (@secret many) => { false };
    (@secret secret) => { true };
    (@secret secrets) => { true };
    (@hidden hidden) => { true };
    (@hidden $other:ident) => { false };
}

keys! {
    data_dir "DIR" single "./causeway-data"
        "Where the database, keys and self-signed certificate are kept."
        |s, v| one(v, path, &mut s.data_dir);
    database_url "URL" hidden ""
        "PostgreSQL server for several servers that share one control plane: `postgres://user:password@host/database`. Better in the environment or the file, since command lines can be read. By default SQLite in the data directory."
        |s, v| one(v, |t| super::parse::database_url(t).map(Some), &mut s.database_url);
    node_id "NAME" single ""
        "Name of this server among those that share a database: letters, digits, `-` and `_`. Otherwise made once and kept in the data directory."
        |s, v| one(v, |t| super::parse::node_id(t).map(Some), &mut s.node_id);
    usage_flush_interval "DURATION" single "5s"
        "How often the figures of live sessions are written. A killed process loses at most this much of them."
        |s, v| one(v, duration, &mut s.usage_flush_interval);
    redis_statsdb "REDIS" hidden ""
        "Redis that sessions and traffic are published to, as coturn does: `ip=… port=… dbname=… password=…` with all of coturn's words, or `redis://user:password@host:port/database` (`rediss://` with TLS). Better in the environment or the file, since command lines can be read. See docs/events.md."
        |s, v| one(v, |t| super::parse::redis(t).map(Some), &mut s.redis_statsdb);
    otlp_endpoint "URL" single ""
        "OpenTelemetry collector that traces of API requests go to, by OTLP over HTTP: its base URL, `http://127.0.0.1:4318` or `https://…`. No traces by default. See docs/operations.md."
        |s, v| one(v, |t| super::parse::otlp_endpoint(t).map(Some), &mut s.otlp_endpoint);
    otlp_sampling_ratio "RATIO" single "1"
        "Share of the API requests that are traced, 0 to 1. A request that continues a trace follows the choice of its caller."
        |s, v| one(v, super::parse::ratio, &mut s.otlp_sampling_ratio);
    cluster_redis "REDIS" hidden ""
        "Redis through which servers of one database find the server of a signalling channel and of a registered client, written as for redis_statsdb: a master and its viewers, or the two parties of a call, may then be connected to different servers. Better in the environment or the file, since command lines can be read."
        |s, v| one(v, |t| super::parse::redis(t).map(Some), &mut s.cluster_redis);
    http_listen "ADDR" single "127.0.0.1:8080"
        "HTTP listener of the API, health and metrics."
        |s, v| one(v, address, &mut s.http_listen);
    http_tls_listen "ADDR" single ""
        "HTTPS listener, with the certificates of TURN. None by default."
        |s, v| one(v, |t| address(t).map(Some), &mut s.http_tls_listen);
    console_url "URL" single ""
        "Where people reach the console, such as `https://console.example.net`, when that is not the HTTP listener: for the links it prints."
        |s, v| one(v, |t| super::parse::origin(t).map(Some), &mut s.console_url);
    console_idle_timeout "DURATION" single "12h"
        "How long somebody stays signed in to the console without using it."
        |s, v| one(v, duration, &mut s.console_idle_timeout);
    console_session_lifetime "DURATION" single "168h"
        "How long somebody stays signed in to the console in all."
        |s, v| one(v, duration, &mut s.console_session_lifetime);
    client_cloud_id "ID" single "1-2-0"
        "Cloud ID that clients of this server are configured with: three numbers with dashes. In their tokens and domains; see docs/compat/aculab.md."
        |s, v| one(v, super::parse::cloud_id, &mut s.client_cloud_id);
    client_tokens_per_month "N" single "1000000"
        "Client tokens that one project may mint in a calendar month (UTC)."
        |s, v| one(v, count, &mut s.client_tokens_per_month);
    client_token_key_lifetime "DURATION" single "90d"
        "How long a key signs client tokens; then another one is made. What the old one signed is believed for a day more."
        |s, v| one(v, super::parse::key_lifetime, &mut s.client_token_key_lifetime);
    oidc_issuer "URL" single ""
        "OpenID Connect provider at which people may sign in to the console too: its issuer, exactly as the provider writes it. See docs/console.md."
        |s, v| one(v, |t| super::oidc::issuer(t).map(Some), &mut s.oidc.issuer);
    oidc_client_id "TEXT" single ""
        "Name under which the provider knows this console."
        |s, v| one(v, |t| Ok(t.to_owned()), &mut s.oidc.client_id);
    oidc_client_secret "SECRET" secret ""
        "Secret that the provider gave out with `oidc_client_id`. Without it this is a public client, which PKCE alone protects."
        |s, v| one(v, |t| secret(t).map(Some), &mut s.oidc.client_secret);
    oidc_name "TEXT" single "your provider"
        "What the sign-in page calls the provider: \"Sign in with …\"."
        |s, v| one(v, super::oidc::name, &mut s.oidc.name);
    oidc_scopes "SCOPE" many "openid,email,profile"
        "What the provider is asked for. `openid` has to be among them."
        |s, v| list(v, super::oidc::scope, &mut s.oidc.scopes);
    oidc_default_role "ROLE" single ""
        "Role of people whom the provider knows and nobody invited: `viewer` or `operator`. By default only people who have an account here or were invited may enter."
        |s, v| one(v, |t| super::oidc::role(t).map(Some), &mut s.oidc.policy.default_role);
    oidc_domains "DOMAIN" many ""
        "Domains whose verified e-mail addresses get `oidc_default_role`, such as `example.net`; `*` is every domain, which is right only where the provider knows nobody but your own people."
        |s, v| list(v, super::oidc::domain, &mut s.oidc.policy.domains);
    public_host "NAME" single ""
        "Name in the URLs handed to clients. Default: the public IP."
        |s, v| one(v, |t| host(t).map(Some), &mut s.public_host);
    turn_listen "ADDR" many "0.0.0.0:3478,[::]:3478"
        "Plain TURN listener, UDP and TCP. Four listeners that pair two IPs with two ports also answer NAT discovery (RFC 5780)."
        |s, v| list(v, address, &mut s.turn_listen);
    turn_tls_listen "ADDR" many ""
        "TURN listener with TLS on TCP, and DTLS and plain TURN on UDP, told apart by the first byte. Usual port: 5349."
        |s, v| list(v, |t| address(&super::parse::with_default_port(t, 5349)), &mut s.turn_tls_listen);
    tls_cert "FILE" single ""
        "Certificate chain, PEM. Watched and reloaded. Without it a self-signed pair is made in the data directory. More pairs, chosen by SNI: `[[tls.certificate]]` with `cert` and `key` in the file."
        |s, v| one(v, |t| path(t).map(Some), &mut s.tls_cert);
    tls_key "FILE" single ""
        "Private key of tls_cert, PEM. DTLS needs an ECDSA key; with another kind, DTLS listeners use a generated certificate."
        |s, v| one(v, |t| path(t).map(Some), &mut s.tls_key);
    advertise_self_signed "BOOL" single "false"
        "Hand out turns: URLs although the certificate is self-signed. For tests."
        |s, v| one(v, flag, &mut s.advertise_self_signed);
    public_ip "IP" many ""
        "Address clients reach the relay at, one per family; PUBLIC/PRIVATE behind a NAT. Default: the address of the default route."
        |s, v| list(v, public_ip, &mut s.public_ip);
    relay_ports "LOW-HIGH" single "49152-65535"
        "Ports of relay sockets, both ends included."
        |s, v| one(v, ports, &mut s.relay_ports);
    realm "NAME" single "causeway"
        "Realm of TURN credentials."
        |s, v| one(v, |t| Ok(t.to_owned()), &mut s.realm);
    allow_peer "CIDR" many ""
        "Peers to allow although a default rule refuses them. The longest prefix wins; deny wins a tie."
        |s, v| list(v, super::parse::network, &mut s.allow_peer);
    deny_peer "CIDR" many ""
        "Peers to refuse. The longest prefix wins; deny wins a tie."
        |s, v| list(v, super::parse::network, &mut s.deny_peer);
    threads "N" single "0"
        "Data-plane threads; 0 is one per processor."
        |s, v| one(v, count, &mut s.threads);
    drain_timeout "DURATION" single "30s"
        "How long SIGTERM waits for the last allocation to end."
        |s, v| one(v, duration, &mut s.drain_timeout);
    log_format "FORMAT" single "human"
        "human or json; logs go to standard error."
        |s, v| one(v, |t| choice(t, &[("human", LogFormat::Human), ("json", LogFormat::Json)]), &mut s.log_format);
    log "FILTER" single "info"
        "What to log: a level, or levels by part of the program, such as `info` or `causeway_relay=debug,info`."
        |s, v| one(v, super::parse::log_filter, &mut s.log);
    api_token "TOKEN" secret ""
        "API token of the first project. Otherwise one is made and shown at the first start."
        |s, v| one(v, |t| secret(t).map(Some), &mut s.api_token);
    turn_secret "SECRET" secrets ""
        "Shared secrets of the TURN REST API: the first signs, all verify."
        |s, v| list(v, secret, &mut s.turn_secret);
    nonce_key "HEX" secret ""
        "64 hexadecimal digits that servers of one fleet share, so that they accept each other's nonces. Otherwise made and kept in the data directory."
        |s, v| one(v, |t| secret(t).map(Some), &mut s.nonce_key);
    rest_separator "CHAR" single ":"
        "Between expiry and user in TURN REST names."
        |s, v| one(v, separator, &mut s.rest_separator);
    rest_ttl_max "DURATION" single ""
        "How far ahead the expiry in a TURN REST name may lie. Unlimited by default."
        |s, v| one(v, |t| duration(t).map(Some), &mut s.rest_ttl_max);
    credential_ttl_default "DURATION" single "30s"
        "Lifetime of an issued credential when the request names none."
        |s, v| one(v, duration, &mut s.credential_ttl_default);
    credential_ttl_max "DURATION" single "86400s"
        "Longest lifetime a request may name."
        |s, v| one(v, duration, &mut s.credential_ttl_max);
    ttl_over_max "WHAT" single "reject"
        "reject: a request that names a longer lifetime is refused; clamp: its credential gets the longest, and its expiry says so."
        |s, v| one(v, |t| choice(t, &[("reject", OverMax::Reject), ("clamp", OverMax::Clamp)]), &mut s.ttl_over_max);
    cors_origins "ORIGIN" many ""
        "Web pages that may ask for credentials and regions themselves, such as https://app.example.com; * for every page. None by default: API tokens belong on servers."
        |s, v| list(v, super::parse::page_origin, &mut s.cors_origins);
    on_expiry "WHAT" single "gate_new"
        "gate_new: an expired credential makes no new allocations; terminate: its live ones end too."
        |s, v| one(v, |t| choice(t, &[("gate_new", false), ("terminate", true)]), &mut s.terminate_on_expiry);
    region "SLUG" single "local"
        "The region this server serves: one of the list `[[regions]]` where the file has one, else only a name in answers."
        |s, v| one(v, super::parse::node_id, &mut s.region);
    node_timeout "DURATION" single "15s"
        "How long another server of the same database may be silent before it counts as gone. Each tells of itself three times in this time."
        |s, v| one(v, duration, &mut s.node_timeout);
    geoip_database "FILE" single ""
        "Database in MaxMind's format (GeoLite2 City or Country, DB-IP …) to find the region nearest to a client. Read at the start and at a reload. Without it the regions' `cidrs` decide."
        |s, v| one(v, |t| path(t).map(Some), &mut s.geoip_database);
    software "TEXT" single ""
        "SOFTWARE attribute of STUN answers. Off by default: it tells attackers a version and makes answers larger."
        |s, v| one(v, |t| Ok(Some(t.to_owned())), &mut s.software);
    mobility "BOOL" single "true"
        "Hand out mobility tickets (RFC 8016) to clients that ask."
        |s, v| one(v, flag, &mut s.mobility);
    tcp_relaying "BOOL" single "true"
        "Serve TCP allocations (RFC 6062)."
        |s, v| one(v, flag, &mut s.tcp_relaying);
    proxy_protocol "BOOL" single "false"
        "TCP connections begin with a PROXY header, version 1 or 2. Only behind a balancer that sends it always."
        |s, v| one(v, flag, &mut s.proxy_protocol);
    fast_path "WHAT" single "auto"
        "Relay bound channels of UDP clients inside the kernel: auto, off, tc or xdp. auto: where the kernel and the capabilities allow it, else in user space. tc: the same, with a warning where it does not work. xdp: earlier, in the driver where it can, and tc behind it. off: everything in user space. See docs/fast-path.md."
        |s, v| one(v, |t| choice(t, &[("auto", Mode::Auto), ("off", Mode::Off), ("tc", Mode::Tc), ("xdp", Mode::Xdp)]), &mut s.fast_path);
    fast_path_interface "NAME" many ""
        "Interfaces whose packets the fast path sees, by name. Default: those that carry a listen or relay address, and the loopback."
        |s, v| list(v, |t| Ok(t.to_owned()), &mut s.fast_path_interface);
    alternate_server "ADDR" many ""
        "Send new allocations elsewhere (300 Try Alternate), in turn by family. None serves here."
        |s, v| list(v, address, &mut s.alternate_server);
    nonce_lifetime "DURATION" single "600s"
        "How long a nonce is good."
        |s, v| one(v, duration, &mut s.nonce_lifetime);
    lifetime_default "DURATION" single "600s"
        "Lifetime of an allocation when the client asks for none or less."
        |s, v| one(v, duration, &mut s.lifetime_default);
    lifetime_max "DURATION" single "3600s"
        "Longest lifetime of an allocation between refreshes."
        |s, v| one(v, duration, &mut s.lifetime_max);
    allocations_per_user_max "N" single "100"
        "Live allocations of one user name; one more is answered 486."
        |s, v| one(v, count, &mut s.allocations_per_user_max);
    allocations_max "N" single "100000"
        "Live allocations in all; one more is answered 486."
        |s, v| one(v, count, &mut s.allocations_max);
    permissions_per_allocation_max "N" single "128"
        "Live permissions of one allocation; one more is answered 508."
        |s, v| one(v, count, &mut s.permissions_per_allocation_max);
    channels_per_allocation_max "N" single "128"
        "Live channels of one allocation; one more is answered 508."
        |s, v| one(v, count, &mut s.channels_per_allocation_max);
    connections_per_allocation_max "N" single "32"
        "Peer connections of one TCP allocation; one more is answered 508."
        |s, v| one(v, count, &mut s.connections_per_allocation_max);
    bandwidth_per_allocation "BYTES" single "0"
        "Payload bytes per second, each direction, of one allocation; k, M and G are understood; 0 is unlimited."
        |s, v| one(v, bandwidth, &mut s.bandwidth_per_allocation);
    bandwidth_total "BYTES" single "0"
        "Payload bytes per second of everything together; 0 is unlimited."
        |s, v| one(v, bandwidth, &mut s.bandwidth_total);
    pending_requests_max "N" single "10000"
        "Requests per thread that wait for a key or a socket; one more is dropped and counted."
        |s, v| one(v, count, &mut s.pending_requests_max);
    unauthenticated_replies_per_sec "N" single "200"
        "Answers per second to one address (IPv6: /64) that has not proved itself; more are dropped and counted."
        |s, v| one(v, count, &mut s.unauthenticated_replies_per_sec);
    unauthenticated_replies_burst "N" single "1000"
        "How many such answers may go out at once."
        |s, v| one(v, count, &mut s.unauthenticated_replies_burst);
    tcp_connections_max "N" single "50000"
        "Client connections over TCP and TLS; one more is closed at once."
        |s, v| one(v, count, &mut s.tcp_connections_max);
    tcp_write_queue_bytes "BYTES" single "262144"
        "Bytes waiting for a slow TCP client; beyond, its oldest data packets are dropped."
        |s, v| one(v, count, &mut s.tcp_write_queue_bytes);
    tcp_write_queue_age "DURATION" single "2s"
        "Age at which data packets waiting for a slow TCP client are dropped."
        |s, v| one(v, duration, &mut s.tcp_write_queue_age);
    idle_timeout "DURATION" single "30s"
        "A connection without allocation that is silent this long is closed."
        |s, v| one(v, duration, &mut s.idle_timeout);
    dtls_associations_max "N" single "20000"
        "DTLS associations per thread; one more handshake is ignored."
        |s, v| one(v, count, &mut s.dtls_associations_max);
    dtls_handshakes_max "N" single "1000"
        "DTLS handshakes under way per thread; one more is ignored."
        |s, v| one(v, count, &mut s.dtls_handshakes_max);
    webhook_allow "CIDR" many ""
        "Webhooks may be at these addresses although they are special (private, loopback …) or this host's own."
        |s, v| list(v, super::parse::network, &mut s.webhook_allow);
    webhook_http "BOOL" single "false"
        "Take webhooks at http: URLs too. Only for tests and closed networks: events and signatures then travel in clear."
        |s, v| one(v, flag, &mut s.webhook_http);
    webhook_timeout "DURATION" single "10s"
        "How long one post to a webhook may take, from resolving its name to the end of its answer."
        |s, v| one(v, duration, &mut s.webhook_timeout);
    webhook_log_kept "DURATION" single "7d"
        "How long events are kept for webhooks to be posted or replayed, and the log of their deliveries. At least a day: as long as posts are tried again."
        |s, v| one(v, super::parse::log_kept, &mut s.webhook_log_kept);
    api_requests_per_sec "N" single "100"
        "API requests per second and token."
        |s, v| one(v, count, &mut s.api_requests_per_sec);
    api_requests_burst "N" single "200"
        "API requests one token may send at once."
        |s, v| one(v, count, &mut s.api_requests_burst);
}

impl Key {
    /// The environment variable of this key.
    pub(crate) fn variable(&self) -> String {
        format!("CAUSEWAY_{}", self.name.to_ascii_uppercase())
    }

    /// The first sentence, with the default.
    pub(crate) fn summary(&self) -> String {
        let first = self.doc.split_inclusive(". ").next().unwrap_or(self.doc).trim_end().trim_end_matches('.');
        if self.default.is_empty() { first.to_owned() } else { format!("{first} [default: {}]", self.default) }
    }

    /// What `causeway explain` says.
    pub(crate) fn page(&self) -> String {
        let default = if self.default.is_empty() { "none" } else { self.default };
        let flag = if self.secret {
            "none: secrets do not belong on a command line".to_owned()
        } else {
            format!("--{} {}", self.name.replace('_', "-"), self.value)
        };
        let form = if self.list {
            "array in the file, comma-separated in the environment, repeatable flag"
        } else {
            "single value"
        };
        format!(
            "{}\n\n{}\n\n  flag         {flag}\n  environment  {}\n  form         {form}\n  default      {default}\n",
            self.name,
            self.doc,
            self.variable()
        )
    }
}

/// The reference page, in Markdown.
pub(crate) fn reference() -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         Generated from the table of keys by `causeway explain`; a test keeps this page and the table the same.\n\n\
         A flag beats the environment, the environment beats the file given by `--config`. Every key below is a key of the \
         file under this name; its flag has dashes, its environment variable is `CAUSEWAY_` and capitals. Secrets have no \
         flag. Durations are written `30s`, `5m`, `1h` or as seconds.\n\n\
         In the file only, below all other keys:\n\n",
    );
    for FileTable { name, doc, lines } in TABLES {
        page.push_str(&format!("{doc}\n\n```toml\n[[{name}]]\n{lines}```\n\n"));
    }
    page.push_str("| key | value | default | what it does |\n| --- | --- | --- | --- |\n");
    for key in KEYS {
        let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
        let many = if key.list { ", several" } else { "" };
        let secret = if key.secret { ", secret" } else { "" };
        page.push_str(&format!("| `{}` | {}{many}{secret} | {default} | {} |\n", key.name, key.value, key.doc));
    }
    page.push_str(&super::kvs::reference());
    page.push_str(&super::calls::reference());
    page.push_str(&super::limits::reference());
    page
}
