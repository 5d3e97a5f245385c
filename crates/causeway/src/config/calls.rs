//! `[calls]`: registrations and calls between clients, and the limits of their signalling. In the file only.

use std::time::Duration;

use causeway_app::Identifier;
use causeway_signal_sip::RingPolicy;
use causeway_types::Secret;
use toml::{Table, Value};

use super::{
    call_services::{self, ConfiguredService},
    explain::TableKey,
    parse::duration,
};

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct CallsConfig {
    pub(crate) calls_max: usize,
    pub(crate) calls_per_client_max: usize,
    pub(crate) registrations_max: usize,
    pub(crate) registrations_per_client_max: usize,
    pub(crate) registrations_per_token_max: usize,
    pub(crate) ring_for: Duration,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) messages_per_sec: u32,
    pub(crate) registration_max: Duration,
    pub(crate) ice_ttl: Duration,
    pub(crate) ring: RingPolicy,
    pub(crate) users: Vec<ConfiguredSipUser>,
    pub(crate) services: Vec<ConfiguredService>,
}

/// A user of the configuration: a name and a password.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredSipUser {
    pub(crate) name: String,
    pub(crate) password: Secret<String>,
    pub(crate) project: Identifier,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            calls_max: 20_000,
            calls_per_client_max: 8,
            registrations_max: 100_000,
            registrations_per_client_max: 16,
            registrations_per_token_max: 16,
            ring_for: Duration::from_secs(60),
            connections_max: 50_000,
            connections_per_address_max: 10_000,
            messages_per_sec: 50,
            registration_max: Duration::from_secs(600),
            ice_ttl: Duration::from_secs(300),
            ring: RingPolicy::ByDomain,
            users: Vec::new(),
            services: Vec::new(),
        }
    }
}

/// Every key of the table with a form and what it does.
pub(super) const KEYS: &[TableKey] = &[
    ("calls_max", "N", "20000", "Calls of this server at once."),
    ("calls_per_client_max", "N", "8", "Calls of one connection at once, placed and taken."),
    ("registrations_max", "N", "100000", "Registrations at this server."),
    ("registrations_per_client_max", "N", "16", "Registrations of one client id at once."),
    ("registrations_per_token_max", "N", "16", "Registrations with one client token at once."),
    ("ring_for", "DURATION", "60s", "How long a call rings, 1 s to 10 minutes, unless its caller asks for less."),
    (
        "ring",
        "WORD",
        "by-domain",
        "Which registrations of a callee ring: `newest`, `all` (the first answer wins), or `by-domain`: the newest in domains of access keys, all in others.",
    ),
    ("connections_max", "N", "50000", "SIP WebSockets of this server at once."),
    ("connections_per_address_max", "N", "10000", "SIP WebSockets of one client address at once."),
    ("messages_per_sec", "N", "50", "SIP messages a second that are read of one connection."),
    ("registration_max", "DURATION", "600s", "Longest registration, 60 s to an hour."),
    ("ice_ttl", "DURATION", "300s", "Lifetime of relay credentials that SIP clients ask for, 120 s to a day."),
    ("user", "TABLES", "none", "`[[calls.user]]`: SIP users with a name, a password and a project; see docs/sip.md."),
    (
        "service",
        "TABLES",
        "none",
        "`[[calls.service]]`: names that lead to clients or to an application; see docs/sip.md.",
    ),
];
/// Every key of a user.
const USER: &[&str] = &["name", "password", "project"];

/// Every key there may be, for the search of misspelt ones.
pub(super) fn known() -> Vec<&'static str> {
    KEYS.iter().map(|(name, ..)| *name).collect()
}

/// The part of the reference page.
pub(super) fn reference() -> String {
    let mut page = String::from(
        "\nRegistrations and calls between clients, in the file only, under `[calls]`:\n\n| key | value | default | what it does |\n\
         | --- | --- | --- | --- |\n",
    );
    for (name, value, default, what) in KEYS {
        page.push_str(&format!("| `{name}` | {value} | {default} | {what} |\n"));
    }
    page
}

/// Reads the table; what is wrong goes to `fault`: key, what, advice.
pub(super) fn read(table: &Table, fault: &mut dyn FnMut(&str, String, &str)) -> CallsConfig {
    let mut config = CallsConfig::default();
    let Some(table) = table.get("calls").and_then(Value::as_table) else { return config };
    let mut reader = Reader { table, fault };
    reader.count("calls_max", &mut config.calls_max);
    reader.count("calls_per_client_max", &mut config.calls_per_client_max);
    reader.count("registrations_max", &mut config.registrations_max);
    reader.count("registrations_per_client_max", &mut config.registrations_per_client_max);
    reader.count("registrations_per_token_max", &mut config.registrations_per_token_max);
    reader.time("ring_for", 1..=600, &mut config.ring_for);
    reader.count("connections_max", &mut config.connections_max);
    reader.count("connections_per_address_max", &mut config.connections_per_address_max);
    let mut per_sec = usize::try_from(config.messages_per_sec).unwrap_or(usize::MAX);
    reader.count("messages_per_sec", &mut per_sec);
    config.messages_per_sec = u32::try_from(per_sec).unwrap_or(u32::MAX);
    reader.time("registration_max", 60..=3600, &mut config.registration_max);
    reader.time("ice_ttl", 120..=86_400, &mut config.ice_ttl);
    match reader.text("ring").as_deref() {
        None | Some("by-domain") => {}
        Some("newest") => config.ring = RingPolicy::Newest,
        Some("all") => config.ring = RingPolicy::All,
        Some(other) => reader.wrong("ring", other, "write \"by-domain\", \"newest\" or \"all\""),
    }
    let tables = table.get("user").and_then(Value::as_array).into_iter().flatten();
    config.users = tables.filter_map(|user| read_user(user.as_table()?, fault)).collect();
    config.services = call_services::read(table, fault);
    config
}

fn read_user(table: &Table, fault: &mut dyn FnMut(&str, String, &str)) -> Option<ConfiguredSipUser> {
    let mut tell = |what: String, advice: &str| fault("calls.user", what, advice);
    for name in table.keys().filter(|name| !USER.contains(&name.as_str())) {
        tell(format!("`{name}` is no key of [[calls.user]]"), "the keys are name, password, project");
    }
    let field = |name: &str| table.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(name), Some(password)) = (field("name"), field("password")) else {
        tell(
            "a [[calls.user]] lacks its name or password".to_owned(),
            "write name = \"…\" and password = \"…\" under it",
        );
        return None;
    };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte);
    if name.len() > 128 || !name.bytes().all(is_good) {
        tell(
            format!("the user name {name:?} has other characters than letters, digits, +, -, _ and ."),
            "write another name",
        );
        return None;
    }
    let Ok(project) = Identifier::new(field("project").unwrap_or("default")) else {
        tell(format!("the project of user {name} is no name"), "letters, digits, - and _");
        return None;
    };
    Some(ConfiguredSipUser { name: name.to_owned(), password: Secret::new(password.to_owned()), project })
}

struct Reader<'a> {
    table: &'a Table,
    fault: &'a mut dyn FnMut(&str, String, &str),
}

impl Reader<'_> {
    /// The value as text, when it is there.
    fn text(&self, name: &str) -> Option<String> {
        let value = self.table.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    fn wrong(&mut self, name: &str, text: &str, advice: &str) {
        (self.fault)(&format!("calls.{name}"), format!("`calls.{name}` is {text:?}"), advice);
    }

    fn count(&mut self, name: &str, into: &mut usize) {
        let Some(text) = self.text(name) else { return };
        match text.parse::<u32>().ok().filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok()) {
            Some(n) => *into = n,
            None => self.wrong(name, &text, "write a whole number of at least 1"),
        }
    }

    fn time(&mut self, name: &str, secs: std::ops::RangeInclusive<u64>, into: &mut Duration) {
        let Some(text) = self.text(name) else { return };
        match duration(&text).ok().filter(|time| secs.contains(&time.as_secs())) {
            Some(time) => *into = time,
            None => {
                let advice =
                    format!("write a duration of {} s to {} s, e.g. \"{}s\"", secs.start(), secs.end(), secs.start());
                self.wrong(name, &text, &advice);
            }
        }
    }
}
