//! `[calls]`: registrations and calls between clients, and the limits of their signalling. In the file only.

use std::time::Duration;

use toml::{Table, Value};

use super::parse::duration;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct CallsConfig {
    pub(crate) calls_max: usize,
    pub(crate) calls_per_client_max: usize,
    pub(crate) registrations_max: usize,
    pub(crate) registrations_per_client_max: usize,
    pub(crate) registrations_per_token_max: usize,
    pub(crate) ring_for: Duration,
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
        }
    }
}

/// Every key of the table with a form and what it does.
const KEYS: &[(&str, &str, &str, &str)] = &[
    ("calls_max", "N", "20000", "Calls of this server at once."),
    ("calls_per_client_max", "N", "8", "Calls of one connection at once, placed and taken."),
    ("registrations_max", "N", "100000", "Registrations at this server."),
    ("registrations_per_client_max", "N", "16", "Registrations of one client id at once."),
    ("registrations_per_token_max", "N", "16", "Registrations with one client token at once."),
    ("ring_for", "DURATION", "60s", "How long a call rings, 1 s to 10 minutes, unless its caller asks for less."),
];

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
    config
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
