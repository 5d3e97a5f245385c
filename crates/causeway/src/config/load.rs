//! Reads all sources, checks everything, and tells every fault at once.

use std::{collections::BTreeMap, fmt, fs, net::SocketAddr, path::PathBuf, time::Duration};

use causeway_app::{OverMax, StaticUser};
use causeway_certificates::Pair;
use causeway_credentials::client_token::CloudId;
use causeway_fast_path::Mode;
use causeway_types::Secret;
use toml::{Table, Value};

use super::{
    CallsConfig, KEYS, KvsConfig, LogFormat, OidcConfig, Settings, TABLES, calls, explain, kvs, oidc, regions,
};

/// Where values come from.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// By key name.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    /// All of the environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
}

impl fmt::Debug for Sources {
    /// The environment holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Key, or what else it is about.
    pub(super) subject: String,
    /// What is wrong, on which input.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, what, advice } = self;
        write!(f, "error[config.{subject}]: {what}\n  {advice}")?;
        if explain::page(subject).is_some() {
            write!(f, "          more: causeway explain config.{subject}")?;
        }
        Ok(())
    }
}

/// Reads, checks, reports.
///
/// # Errors
/// All faults.
pub(crate) fn load(sources: Sources) -> Result<Settings, Faults> {
    let mut faults = Vec::new();
    let (text, table) = read_file(&sources, &mut faults);
    let mut settings = empty(sources.clone());
    for key in KEYS {
        let Some((values, origin)) =
            values_of(key.name, &key.variable(), key.list, key.default, &sources, &text, &table)
        else {
            continue;
        };
        if let Err(advice) = (key.apply)(&mut settings, &values) {
            let shown =
                if key.secret || key.hidden { "(secret)".to_owned() } else { format!("{:?}", values.join(",")) };
            let what = format!("`{}` ({origin}) is {shown}", key.name);
            faults.push(Fault { subject: key.name.to_owned(), what, advice });
        }
    }
    read_users(&table, &mut settings, &mut faults);
    read_certificates(&table, &mut settings, &mut faults);
    regions::read(&text, &table, &mut settings, &mut faults);
    settings.kvs = kvs::read(&table, &mut |subject, what, advice| {
        faults.push(Fault { subject: subject.to_owned(), what, advice: advice.to_owned() });
    });
    settings.calls = calls::read(&table, &mut |subject, what, advice| {
        faults.push(Fault { subject: subject.to_owned(), what, advice: advice.to_owned() });
    });
    check_unknown(&file_name(&sources), &text, &table, &mut faults);
    check_environment(&sources, &mut faults);
    check_together(&settings, &mut faults);
    regions::check_together(&settings, &mut faults);
    oidc::check_together(&settings.oidc, &mut faults);
    if faults.is_empty() { Ok(settings) } else { Err(Faults(faults)) }
}

fn read_file(sources: &Sources, faults: &mut Vec<Fault>) -> (String, Table) {
    let Some(path) = &sources.file else { return Default::default() };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.push(Fault {
                subject: "file".to_owned(),
                what: format!("cannot read {}: {error}", path.display()),
                advice: "give the path of a readable file to --config".to_owned(),
            });
            return Default::default();
        }
    };
    match text.parse::<Table>() {
        Ok(table) => (text, table),
        Err(error) => {
            let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
            faults.push(Fault {
                subject: "file".to_owned(),
                what: format!("{} line {line} is not TOML: {}", path.display(), error.message()),
                advice: "mend the line".to_owned(),
            });
            Default::default()
        }
    }
}

/// The values of a key and where they are from; `None` when nothing is said and there is no default.
fn values_of(
    name: &'static str,
    variable: &str,
    is_list: bool,
    default: &str,
    sources: &Sources,
    text: &str,
    table: &Table,
) -> Option<(Vec<String>, String)> {
    let split = |text: &str| -> Vec<String> {
        if is_list { text.split(',').map(|part| part.trim().to_owned()).collect() } else { vec![text.to_owned()] }
    };
    if let Some(values) = sources.flags.get(name) {
        return Some((values.clone(), format!("flag --{}", name.replace('_', "-"))));
    }
    if let Some(value) = sources.environment.get(variable).filter(|value| !value.is_empty()) {
        return Some((split(value), variable.to_owned()));
    }
    if let Some(value) = table.get(name) {
        let origin = format!("{} line {}", file_name(sources), line_of(text, name));
        return Some((texts(value), origin));
    }
    if default.is_empty() { None } else { Some((split(default), "default".to_owned())) }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => {
            vec![value.to_string()]
        }
    }
}

fn file_name(sources: &Sources) -> String {
    let name = sources.file.as_ref().and_then(|path| path.file_name());
    name.map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The line that sets `name`, or begins the table of that name.
fn line_of(text: &str, name: &str) -> usize {
    let sets = |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
    let begins = |line: &str| {
        let header = line.trim_start().trim_start_matches('[');
        line.trim_start().starts_with('[') && header.strip_prefix(name).is_some_and(|rest| rest.starts_with([']', '.']))
    };
    let line = text.lines().position(sets).or_else(|| text.lines().position(begins));
    line.map_or(1, |index| index + 1)
}

fn read_users(table: &Table, settings: &mut Settings, faults: &mut Vec<Fault>) {
    for user in tables_at(table, "turn", "user") {
        let field = |name| user.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (field("name"), field("password")) {
            (Some(name), Some(password)) => {
                settings.users.push(StaticUser { name: name.to_owned(), password: Secret::new(password.to_owned()) })
            }
            _ => faults.push(Fault {
                subject: "turn.user".to_owned(),
                what: "a [[turn.user]] lacks its name or password".to_owned(),
                advice: "write name = \"…\" and password = \"…\" under it".to_owned(),
            }),
        }
    }
}

fn read_certificates(table: &Table, settings: &mut Settings, faults: &mut Vec<Fault>) {
    for pair in tables_at(table, "tls", "certificate") {
        let field = |name| pair.get(name).and_then(Value::as_str).map(PathBuf::from);
        match (field("cert"), field("key")) {
            (Some(certificate), Some(key)) => settings.more_certificates.push(Pair { certificate, key }),
            _ => faults.push(Fault {
                subject: "tls.certificate".to_owned(),
                what: "a [[tls.certificate]] lacks its cert or key".to_owned(),
                advice: "write cert = \"FILE\" and key = \"FILE\" under it".to_owned(),
            }),
        }
    }
}

fn tables_at<'a>(table: &'a Table, outer: &str, inner: &str) -> impl Iterator<Item = &'a Table> {
    let list = table.get(outer).and_then(|value| value.get(inner)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_table)
}

/// `section` is empty for keys that stand above all tables.
fn unknown_key(file: &str, text: &str, section: &str, name: &str, candidates: &[&str]) -> Fault {
    let full = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    Fault {
        subject: full(name),
        what: format!("`{}` ({file} line {}) is no key", full(name), line_of(text, name)),
        advice: meant(name, candidates, |meant| format!("`{}`", full(meant))),
    }
}

fn check_unknown(file: &str, text: &str, table: &Table, faults: &mut Vec<Fault>) {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let meant: Vec<&str> = known.iter().copied().chain(TABLES.iter().map(|table| table.name)).collect();
    let mut faults_of_lists = Vec::new();
    let mut unknown = |section: &str, name: &str, candidates: &[&str]| {
        faults.push(unknown_key(file, text, section, name, candidates));
    };
    for (name, value) in table {
        match (name.as_str(), value) {
            ("turn", Value::Table(inner)) => {
                inner.keys().filter(|key| *key != "user").for_each(|key| unknown("turn", key, &["user"]));
            }
            ("tls", Value::Table(inner)) => {
                inner.keys().filter(|key| *key != "certificate").for_each(|key| unknown("tls", key, &["certificate"]));
            }
            // Its name is so near to the list's that the two are worth telling apart.
            ("region", Value::Array(_)) => faults_of_lists.push(Fault {
                subject: "regions".to_owned(),
                what: "`region` is a list".to_owned(),
                advice: "region names the one this server serves; the list of all of them is [[regions]]".to_owned(),
            }),
            ("regions", _) => {}
            ("kvs", Value::Table(inner)) => {
                let known = kvs::known();
                inner.keys().filter(|key| !known.contains(&key.as_str())).for_each(|key| unknown("kvs", key, &known));
            }
            ("calls", Value::Table(inner)) => {
                let known = calls::known();
                inner.keys().filter(|key| !known.contains(&key.as_str())).for_each(|key| unknown("calls", key, &known));
            }
            (name, _) if known.contains(&name) => {}
            (name, _) => unknown("", name, &meant),
        }
    }
    faults.append(&mut faults_of_lists);
}

/// Less alike than this, and a name is not what was meant.
const ALIKE: f64 = 0.75;

/// How alike two names are, 0 to 1. Where one is a part of the other, that is the likeliest mistake but for a misspelling, the
/// more of it the likelier.
fn likeness(name: &str, other: &str) -> f64 {
    let (short, long) = if name.len() < other.len() { (name, other) } else { (other, name) };
    let share = if short.len() >= 3 && long.contains(short) { short.len() * 100 / long.len() } else { 0 };
    let as_part =
        u32::try_from(share).map_or(0.0, |share| if share > 0 { 0.8 + f64::from(share) / 1000.0 } else { 0.0 });
    strsim::jaro(name, other).max(as_part)
}

/// What is most like it.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> &'a str {
    let nearest = candidates.iter().max_by(|a, b| likeness(name, a).total_cmp(&likeness(name, b)));
    nearest.copied().unwrap_or_default()
}

/// What was probably meant, or where to look when nobody can tell.
fn meant(name: &str, candidates: &[&str], shown: impl FnOnce(&str) -> String) -> String {
    let nearest = nearest(name, candidates);
    if likeness(name, nearest) < ALIKE {
        return "`causeway explain` lists every key".to_owned();
    }
    format!("did you mean {}?", shown(nearest))
}

/// The lines of `[[name]]`.
pub(super) fn header_lines(text: &str, name: &str) -> Vec<usize> {
    let begins = |line: &str| {
        let inner = line.trim_start().strip_prefix("[[").and_then(|rest| rest.split_once("]]"));
        inner.is_some_and(|(inner, _)| inner.trim() == name)
    };
    text.lines().enumerate().filter(|(_, line)| begins(line)).map(|(index, _)| index + 1).collect()
}

/// What the guides have callers of the API and tests set, maybe in the shell that the program is started from.
const NOT_OURS: [&str; 2] = ["CAUSEWAY_BIN", "CAUSEWAY_URL"];

/// What the names of variables begin with.
const PREFIX: &str = "CAUSEWAY_";

/// A misspelt variable would silently do nothing.
fn check_environment(sources: &Sources, faults: &mut Vec<Fault>) {
    let variables: Vec<String> = KEYS.iter().map(super::keys::Key::variable).collect();
    let known: Vec<&str> = variables.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    for name in sources.environment.keys().filter(|name| name.starts_with(PREFIX)) {
        if variables.contains(name) || NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        // The beginning that all have would make every two of them alike.
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        faults.push(Fault {
            subject: "environment".to_owned(),
            what: format!("the environment has {name}, which is no key"),
            advice: meant(rest, &known, |meant| format!("{PREFIX}{meant}")),
        });
    }
}

fn check_together(settings: &Settings, faults: &mut Vec<Fault>) {
    let mut fault = |subject: &str, what: &str, advice: &str| {
        // What follows from a value that was not understood is no fault of its own.
        if faults.iter().any(|known| known.subject == subject) {
            return;
        }
        faults.push(Fault { subject: subject.to_owned(), what: what.to_owned(), advice: advice.to_owned() });
    };
    if settings.tls_cert.is_some() != settings.tls_key.is_some() {
        fault("tls_cert", "one of tls_cert and tls_key is given without the other", "give both or none");
    }
    if settings.lifetime_default > settings.lifetime_max {
        fault("lifetime_default", "lifetime_default is above lifetime_max", "lower it or raise lifetime_max");
    }
    if settings.turn_listen.is_empty() && settings.turn_tls_listen.is_empty() {
        fault("turn_listen", "there is no TURN listener", "give at least one address");
    }
    for v4 in [true, false] {
        if settings.public_ip.iter().filter(|ip| ip.public.is_ipv4() == v4).count() > 1 {
            fault("public_ip", "public_ip names two addresses of one family", "give one per family");
        }
    }
    let key = settings
        .nonce_key
        .as_ref()
        .map(|key| key.expose().len() == 64 && key.expose().bytes().all(|b| b.is_ascii_hexdigit()));
    if key == Some(false) {
        fault("nonce_key", "nonce_key is not 64 hexadecimal digits", "make one with: openssl rand -hex 32");
    }
}

/// Settings before any key was applied; every field that has a default in the table gets it from there.
fn empty(sources: Sources) -> Settings {
    Settings {
        sources,
        data_dir: PathBuf::new(),
        database_url: None,
        node_id: None,
        usage_flush_interval: Duration::ZERO,
        redis_statsdb: None,
        cluster_redis: None,
        otlp_endpoint: None,
        otlp_sampling_ratio: 1.0,
        http_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        http_tls_listen: None,
        console_url: None,
        console_idle_timeout: Duration::ZERO,
        console_session_lifetime: Duration::ZERO,
        client_cloud_id: CloudId::default(),
        client_tokens_per_month: 0,
        client_token_key_lifetime: Duration::ZERO,
        oidc: OidcConfig::default(),
        public_host: None,
        turn_listen: Vec::new(),
        turn_tls_listen: Vec::new(),
        tls_cert: None,
        tls_key: None,
        more_certificates: Vec::new(),
        advertise_self_signed: false,
        public_ip: Vec::new(),
        relay_ports: 1..=1,
        realm: String::new(),
        allow_peer: Vec::new(),
        deny_peer: Vec::new(),
        threads: 0,
        drain_timeout: Duration::ZERO,
        log_format: LogFormat::Human,
        log: String::new(),
        api_token: None,
        turn_secret: Vec::new(),
        nonce_key: None,
        users: Vec::new(),
        kvs: KvsConfig::default(),
        calls: CallsConfig::default(),
        rest_separator: ':',
        rest_ttl_max: None,
        credential_ttl_default: Duration::ZERO,
        credential_ttl_max: Duration::ZERO,
        ttl_over_max: OverMax::Reject,
        cors_origins: Vec::new(),
        terminate_on_expiry: false,
        region: String::new(),
        regions: Vec::new(),
        node_timeout: Duration::ZERO,
        geoip_database: None,
        software: None,
        mobility: false,
        tcp_relaying: false,
        proxy_protocol: false,
        fast_path: Mode::Auto,
        fast_path_interface: Vec::new(),
        alternate_server: Vec::new(),
        nonce_lifetime: Duration::ZERO,
        lifetime_default: Duration::ZERO,
        lifetime_max: Duration::ZERO,
        allocations_per_user_max: 0,
        allocations_max: 0,
        permissions_per_allocation_max: 0,
        channels_per_allocation_max: 0,
        connections_per_allocation_max: 0,
        bandwidth_per_allocation: None,
        bandwidth_total: None,
        pending_requests_max: 0,
        unauthenticated_replies_per_sec: 0,
        unauthenticated_replies_burst: 0,
        tcp_connections_max: 0,
        tcp_write_queue_bytes: 0,
        tcp_write_queue_age: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        dtls_associations_max: 0,
        dtls_handshakes_max: 0,
        webhook_allow: Vec::new(),
        webhook_http: false,
        webhook_timeout: Duration::ZERO,
        webhook_log_kept: Duration::ZERO,
        api_requests_per_sec: 0,
        api_requests_burst: 0,
    }
}
