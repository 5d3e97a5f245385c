//! `[kvs]`: what AWS clients are served with. In the file only, since keys are lists of secrets.

use std::time::Duration;

use causeway_api_kvs::{Profile, is_client_id};
use causeway_app::{Identifier, KeyPreset};
use causeway_types::Secret;
use toml::{Table, Value};

use super::{explain::TableKey, parse::duration};

/// Shortest and longest lifetime of relay credentials, in seconds.
const ICE_TTL_SECS: std::ops::RangeInclusive<u64> = 30..=86_400;

/// An access key of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredKey {
    pub(crate) id: String,
    pub(crate) secret: Secret<String>,
    pub(crate) session_token: Option<Secret<String>>,
    pub(crate) preset: KeyPreset,
    pub(crate) client_id: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) project: Identifier,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct KvsConfig {
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) profile: Profile,
    pub(crate) ice_ttl: Duration,
    pub(crate) channels_max: u64,
    pub(crate) connections_max: usize,
    pub(crate) keys: Vec<ConfiguredKey>,
}

impl Default for KvsConfig {
    fn default() -> Self {
        Self {
            region: "us-west-2".to_owned(),
            account: "123456789012".to_owned(),
            profile: Profile::ROOMY,
            ice_ttl: Duration::from_secs(300),
            channels_max: 10_000,
            connections_max: 100_000,
            keys: Vec::new(),
        }
    }
}

/// Every key of the table with a form and what it does.
pub(super) const KEYS: &[TableKey] = &[
    ("region", "NAME", "us-west-2", "Region that clients are configured with: in signatures and ARNs."),
    ("account", "DIGITS", "123456789012", "Twelve digits: in ARNs."),
    (
        "limits",
        "WORD",
        "roomy",
        "`roomy`, or `aws-strict`: 10 viewers, 10 minutes idle, one hour of life, and the rates AWS documents.",
    ),
    ("ice_ttl", "DURATION", "300s", "Lifetime of relay credentials, 30 s to a day. The C client needs more than 30 s."),
    ("channels_max", "N", "10000", "Signalling channels of one project."),
    ("connections_max", "N", "100000", "Signalling WebSockets of this server."),
    ("viewers_max", "N", "of `limits`", "Viewers of a channel at once."),
    ("idle_max", "DURATION", "of `limits`", "How long a signalling WebSocket may be silent; 0 is for ever."),
    ("lifetime_max", "DURATION", "of `limits`", "How long it may last, the grace included; 0 is for ever."),
    ("go_away_grace", "DURATION", "60s", "Between telling it to go and closing it."),
    ("access_key", "TABLES", "none", "`[[kvs.access_key]]`: see docs/compat/aws-kvs.md."),
];
/// Every key of an access key.
const ACCESS_KEY: &[&str] = &["id", "secret", "preset", "session_token", "client_id", "channel", "project"];

/// Every key there may be, for the search of misspelt ones.
pub(super) fn known() -> Vec<&'static str> {
    KEYS.iter().map(|(name, ..)| *name).collect()
}

/// The part of the reference page.
pub(super) fn reference() -> String {
    let mut page = String::from(
        "\nAWS clients (docs/compat/aws-kvs.md), in the file only, under `[kvs]`:\n\n| key | value | default | what it does |\n\
         | --- | --- | --- | --- |\n",
    );
    for (name, value, default, what) in KEYS {
        page.push_str(&format!("| `{name}` | {value} | {default} | {what} |\n"));
    }
    page
}

/// Reads the table; what is wrong goes to `fault`: key, what, advice.
pub(super) fn read(table: &Table, fault: &mut dyn FnMut(&str, String, &str)) -> KvsConfig {
    let mut config = KvsConfig::default();
    let Some(table) = table.get("kvs").and_then(Value::as_table) else { return config };
    let mut text = |name: &str, check: &dyn Fn(&str) -> bool, advice: &str| {
        let value = table.get(name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if check(&text) {
            Some(text)
        } else {
            fault(&format!("kvs.{name}"), format!("`kvs.{name}` is {text:?}"), advice);
            None
        }
    };
    let is_region =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_account = |t: &str| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit());
    config.region = text("region", &is_region, "write a region, e.g. \"us-west-2\"").unwrap_or(config.region);
    config.account = text("account", &is_account, "write twelve digits in quotes").unwrap_or(config.account);
    let limits = text("limits", &|t| matches!(t, "roomy" | "aws-strict"), "write \"roomy\" or \"aws-strict\"");
    if limits.as_deref() == Some("aws-strict") {
        config.profile = Profile::AWS_STRICT;
    }
    let is_duration = |t: &str| duration(t).is_ok();
    let is_ice_ttl = |t: &str| duration(t).is_ok_and(|d| ICE_TTL_SECS.contains(&d.as_secs()));
    let is_count = |t: &str| t.parse::<u32>().is_ok_and(|n| n > 0);
    let time = |text: Option<String>| text.and_then(|text| duration(&text).ok());
    let count = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
    let advice = "write a duration, e.g. \"30s\", \"5m\" or \"1h\"";
    config.ice_ttl = time(text("ice_ttl", &is_ice_ttl, "write 30s to 86400s")).unwrap_or(config.ice_ttl);
    let a_count = "write a whole number of at least 1";
    config.channels_max = count(text("channels_max", &is_count, a_count)).map_or(config.channels_max, u64::from);
    let connections = count(text("connections_max", &is_count, a_count)).and_then(|n| usize::try_from(n).ok());
    config.connections_max = connections.unwrap_or(config.connections_max);
    let own = &mut config.profile.limits;
    let viewers = count(text("viewers_max", &is_count, a_count)).and_then(|n| usize::try_from(n).ok());
    own.viewers_max = viewers.unwrap_or(own.viewers_max);
    let maybe = |given: Option<Duration>, default| given.map_or(default, |d| (!d.is_zero()).then_some(d));
    own.idle_max = maybe(time(text("idle_max", &is_duration, advice)), own.idle_max);
    own.lifetime_max = maybe(time(text("lifetime_max", &is_duration, advice)), own.lifetime_max);
    own.go_away_grace = time(text("go_away_grace", &is_duration, advice)).unwrap_or(own.go_away_grace);
    let tables = table.get("access_key").and_then(Value::as_array).into_iter().flatten();
    config.keys = tables.filter_map(|key| read_key(key.as_table()?, fault)).collect();
    config
}

fn read_key(table: &Table, fault: &mut dyn FnMut(&str, String, &str)) -> Option<ConfiguredKey> {
    let mut tell = |what: String, advice: &str| fault("kvs.access_key", what, advice);
    for name in table.keys().filter(|name| !ACCESS_KEY.contains(&name.as_str())) {
        tell(
            format!("`{name}` is no key of [[kvs.access_key]]"),
            "the keys are id, secret, preset, session_token, client_id, channel, project",
        );
    }
    let field = |name: &str| table.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(id), Some(secret)) = (field("id"), field("secret")) else {
        tell("a [[kvs.access_key]] lacks its id or secret".to_owned(), "write id = \"…\" and secret = \"…\" under it");
        return None;
    };
    let is_good_id = id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_good_id {
        tell(format!("the access key id {id:?} has other characters than letters, digits and _"), "write another id");
        return None;
    }
    let Some(preset) = field("preset").and_then(KeyPreset::parse) else {
        tell(
            format!("the access key {id} has no known preset"),
            "write preset = \"admin\", \"master\", \"viewer\" or \"describe\"",
        );
        return None;
    };
    let Ok(project) = Identifier::new(field("project").unwrap_or("default")) else {
        tell(format!("the project of access key {id} is no name"), "letters, digits, - and _");
        return None;
    };
    let client_id = field("client_id").map(str::to_owned);
    if client_id.as_deref().is_some_and(|client| !is_client_id(client)) {
        tell(format!("the client_id of access key {id} is no client id"), "letters, digits, -, _ and .");
        return None;
    }
    Some(ConfiguredKey {
        id: id.to_owned(),
        secret: Secret::new(secret.to_owned()),
        session_token: field("session_token").map(|token| Secret::new(token.to_owned())),
        preset,
        client_id,
        channel: field("channel").map(str::to_owned),
        project,
    })
}
