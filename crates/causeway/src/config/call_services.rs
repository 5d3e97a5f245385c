//! `[[calls.service]]`: names that clients call and that are no clients.

use std::{collections::BTreeSet, time::Duration};

use causeway_app::Identifier;
use causeway_types::Secret;
use toml::{Table, Value};

use super::parse::duration;

/// How long an application may take to say where a call goes, when nothing else is written.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Shortest secret.
const SECRET_BYTES_MIN: usize = 16;
/// As many as one call may ring at once.
const CLIENTS_MAX: usize = 16;
const KEYS: &[&str] = &["name", "project", "clients", "url", "secret", "answer_within"];

/// A name and what stands behind it.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredService {
    pub(crate) name: String,
    pub(crate) project: Identifier,
    pub(crate) behind: Behind,
}

/// What stands behind a service.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    /// These clients, all at once.
    Clients(Vec<String>),
    /// An application that is asked where each call goes.
    Application { url: String, secret: Secret<String>, answer_within: Duration },
}

/// Reads the tables; what is wrong goes to `fault`: key, what, advice.
pub(super) fn read(calls: &Table, fault: &mut dyn FnMut(&str, String, &str)) -> Vec<ConfiguredService> {
    let tables = calls.get("service").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
    let mut services = Vec::new();
    let mut seen = BTreeSet::new();
    for table in tables {
        match read_one(table) {
            Ok(service) if !seen.insert((service.project.as_str().to_owned(), service.name.clone())) => {
                fault("calls.service", format!("the service {} is there twice", service.name), "write it once");
            }
            Ok(service) => services.push(service),
            Err((what, advice)) => fault("calls.service", what, advice),
        }
    }
    services
}

fn read_one(table: &Table) -> Result<ConfiguredService, (String, &'static str)> {
    if let Some(name) = table.keys().find(|name| !KEYS.contains(&name.as_str())) {
        let advice = "the keys are name, project, clients, url, secret, answer_within";
        return Err((format!("`{name}` is no key of [[calls.service]]"), advice));
    }
    let field = |name: &str| table.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = field("name").filter(|name| is_name(name)).ok_or_else(|| {
        let name = table.get("name").map_or_else(|| "nothing".to_owned(), Value::to_string);
        (format!("the name of a service is {name}"), "letters, digits, +, -, _ and ., at most 128 of them")
    })?;
    let project = Identifier::new(field("project").unwrap_or("default"))
        .map_err(|_| (format!("the project of service {name} is no name"), "letters, digits, - and _"))?;
    let behind = match (table.get("clients"), field("url")) {
        (Some(clients), None) => Behind::Clients(read_clients(name, clients)?),
        (None, Some(url)) => read_application(name, table, url)?,
        (Some(_), Some(_)) | (None, None) => {
            let what = format!("behind the service {name} stand either clients or an application");
            return Err((what, "write clients = [\"…\"], or url = \"https://…\" and secret = \"…\""));
        }
    };
    Ok(ConfiguredService { name: name.to_owned(), project, behind })
}

fn read_clients(name: &str, clients: &Value) -> Result<Vec<String>, (String, &'static str)> {
    let listed = clients.as_array().map(|list| list.iter().map(|client| client.as_str().unwrap_or("")));
    let clients: Vec<String> = listed.into_iter().flatten().map(str::to_owned).collect();
    if (1..=CLIENTS_MAX).contains(&clients.len()) && clients.iter().all(|client| is_name(client)) {
        Ok(clients)
    } else {
        Err((
            format!("the clients of service {name} are no list of ids"),
            "write 1 to 16 of them: [\"bob\", \"carol\"]",
        ))
    }
}

fn read_application(name: &str, table: &Table, url: &str) -> Result<Behind, (String, &'static str)> {
    let secret = table.get("secret").and_then(Value::as_str).filter(|secret| secret.len() >= SECRET_BYTES_MIN);
    let secret = secret.ok_or_else(|| {
        (format!("the secret of service {name} is missing or short"), "write at least 16 random characters")
    })?;
    let answer_within = match table.get("answer_within").map(|value| value.as_str().unwrap_or("")) {
        None => ANSWER_WITHIN,
        Some(text) => duration(text).ok().filter(|time| (1..=30).contains(&time.as_secs())).ok_or_else(|| {
            (format!("`answer_within` of service {name} is {text:?}"), "write a duration of 1 s to 30 s, e.g. \"5s\"")
        })?,
    };
    Ok(Behind::Application { url: url.to_owned(), secret: Secret::new(secret.to_owned()), answer_within })
}

/// What clients' libraries take for a name.
fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<ConfiguredService>, String> {
        let table: Table = text.parse().expect("it is TOML");
        let mut faults = Vec::new();
        let calls = table.get("calls").and_then(Value::as_table).expect("it has calls");
        let services = read(calls, &mut |_, what, _| faults.push(what));
        if faults.is_empty() { Ok(services) } else { Err(faults.join("; ")) }
    }

    #[test]
    fn a_service_leads_to_clients_or_to_an_application() {
        let services = check(
            "[[calls.service]]\nname = \"sales\"\nclients = [\"bob\", \"carol\"]\n\
             [[calls.service]]\nname = \"help\"\nurl = \"https://app.example/\"\nsecret = \"0123456789abcdef\"\n",
        )
        .unwrap();
        let [sales, help] = &services[..] else { panic!("{services:?}") };
        assert!(matches!(&sales.behind, Behind::Clients(clients) if *clients == ["bob", "carol"]));
        assert!(matches!(&help.behind, Behind::Application { answer_within, .. } if *answer_within == ANSWER_WITHIN));
        assert!(!format!("{help:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_no_service_is_told_with_its_name() {
        let table = |rest: &str| format!("[[calls.service]]\nname = \"x\"\n{rest}\n");
        let secret = "secret = \"0123456789abcdef\"";
        for (text, told) in [
            (table(""), "either clients or an application"),
            (table("clients = []"), "no list of ids"),
            (table("clients = [\"a b\"]"), "no list of ids"),
            (table(&format!("clients = [\"a\"]\nurl = \"https://a\"\n{secret}")), "either clients or"),
            (table("url = \"https://a\""), "secret of service x"),
            (table("url = \"https://a\"\nsecret = \"0123456789abcde\""), "secret of service x"),
            (table(&format!("url = \"https://a\"\n{secret}\nanswer_within = \"31s\"")), "`answer_within` of service x"),
            (table("clients = [\"a\"]\nring = 1"), "`ring` is no key"),
            (table("clients = [\"a\"]") + &table("clients = [\"b\"]"), "twice"),
            ("[[calls.service]]\nname = \"a b\"\n".to_owned(), "the name of a service"),
        ] {
            let faults = check(&text).expect_err(&text);
            assert!(faults.contains(told), "{text}: {faults}");
        }
    }
}
