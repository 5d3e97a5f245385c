//! The compliance tables: each MUST and SHOULD that applies to a server names the test that checks it, or the reason why
//! there is none. Source: `docs/compliance.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    document: String,
    title: String,
    row: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    section: String,
    level: Level,
    text: String,
    status: Status,
    #[serde(default)]
    test: String,
    #[serde(default)]
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "MAY")]
    May,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// Does as the document says, and a test checks it.
    Done,
    /// Does as the document says, by reading the code; no test checks exactly this.
    Untested,
    /// Does something else, on purpose.
    Deviation,
    /// Does not concern this server.
    NotApplicable,
}

fn tables() -> BTreeMap<String, Table> {
    let directory = crate::root().join("docs/compliance");
    let mut tables = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("docs/compliance") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let text = fs::read_to_string(&path).expect("UTF-8");
        let table = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        tables.insert(name, table);
    }
    tables
}

/// Every test function of the workspace, as `crate-directory::name` or `file::name`.
fn test_functions() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for file in crate::documents::files("rs").into_iter().chain(crate::documents::files("py")) {
        let relative = file.strip_prefix(crate::root()).expect("inside").to_string_lossy().into_owned();
        let owner = match relative.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) {
            Some((directory, _)) => directory.to_owned(),
            None => relative.clone(),
        };
        let text = fs::read_to_string(&file).expect("UTF-8");
        for line in text.lines() {
            let line = line.trim_start();
            let rest = ["fn ", "async fn ", "def ", "async def "].iter().find_map(|prefix| line.strip_prefix(prefix));
            if let Some((name, _)) = rest.and_then(|rest| rest.split_once('(')) {
                found.insert((owner.clone(), name.to_owned()));
            }
        }
    }
    found
}

/// What is wrong with a row.
fn fault(row: &Row, tests: &BTreeSet<(String, String)>) -> Option<&'static str> {
    let named = |test: &str| match test.rsplit_once("::") {
        Some((owner, name)) => tests.contains(&(owner.split("::").next().unwrap_or(owner).to_owned(), name.to_owned())),
        None => false,
    };
    match row.status {
        _ if row.section.is_empty() || row.text.is_empty() => Some("needs a section and a text"),
        Status::Done if row.test.is_empty() => Some("is done, but names no test"),
        Status::Done if !row.test.split(", ").all(named) => Some("names a test that does not exist"),
        Status::Done => None,
        _ if !row.test.is_empty() => Some("names a test although it is not done"),
        Status::Untested | Status::Deviation | Status::NotApplicable if row.reason.is_empty() => Some("needs a reason"),
        Status::Untested | Status::Deviation | Status::NotApplicable => None,
    }
}

#[test]
fn every_row_names_a_test_that_exists_or_a_reason() {
    let tests = test_functions();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for (name, table) in tables() {
        assert!(!table.row.is_empty(), "{name} is empty");
        for row in &table.row {
            if !ids.insert((name.clone(), row.id.clone())) {
                faults.push(format!("{name} {}: twice", row.id));
            }
            faults.extend(fault(row, &tests).map(|fault| format!("{name} {}: {fault} ({})", row.id, row.test)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn bad_rows_are_found() {
    let tests: BTreeSet<_> = [("turn-core".to_owned(), "it_works".to_owned())].into();
    let row = |status, test: &str, reason: &str| Row {
        id: "x".to_owned(),
        section: "1".to_owned(),
        level: Level::Must,
        text: "t".to_owned(),
        status,
        test: test.to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(fault(&row(Status::Done, "turn-core::requests::it_works", ""), &tests), None);
    assert!(fault(&row(Status::Done, "turn-core::it_does_not", ""), &tests).is_some());
    assert!(fault(&row(Status::Done, "relay::it_works", ""), &tests).is_some());
    assert!(fault(&row(Status::Done, "turn-core::it_works, turn-core::gone", ""), &tests).is_some());
    assert!(fault(&row(Status::Done, "", ""), &tests).is_some());
    assert!(fault(&row(Status::Deviation, "", ""), &tests).is_some());
    assert!(fault(&row(Status::NotApplicable, "", "no"), &tests).is_none());
    assert!(fault(&row(Status::Untested, "turn-core::it_works", "why"), &tests).is_some());
}

/// The page that people read.
fn page() -> String {
    let mut page = String::from(
        "# Protocol compliance\n\n\
         What the documents ask of a server, statement by statement, in our words. Generated from `docs/compliance/*.toml` \
         with `UPDATE=1 cargo test -p xtask compliance`; a test checks that every named test exists.\n\n\
         *done*: a test checks it. *untested*: the code does so, but no test checks exactly this. *deviation*: something \
         else, on purpose. *not applicable*: does not concern this server.\n\n\
         | document | done | untested | deviation | not applicable |\n| --- | --- | --- | --- | --- |\n",
    );
    let tables = tables();
    for (name, table) in &tables {
        let count = |status| table.row.iter().filter(|row| row.status == status).count();
        page.push_str(&format!(
            "| [{}](#{name}) | {} | {} | {} | {} |\n",
            table.document,
            count(Status::Done),
            count(Status::Untested),
            count(Status::Deviation),
            count(Status::NotApplicable)
        ));
    }
    for (name, table) in &tables {
        page.push_str(&format!("\n## {name}\n\n{}: {}.\n\n", table.document, table.title));
        page.push_str("| § | level | statement | status | test or reason |\n| --- | --- | --- | --- | --- |\n");
        for row in &table.row {
            let level = match row.level {
                Level::Must => "MUST",
                Level::Should => "SHOULD",
                Level::May => "MAY",
            };
            let (status, proof) = match row.status {
                Status::Done => ("done", row.test.split(", ").map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ")),
                Status::Untested => ("untested", row.reason.clone()),
                Status::Deviation => ("**deviation**", row.reason.clone()),
                Status::NotApplicable => ("not applicable", row.reason.clone()),
            };
            page.push_str(&format!("| {} | {level} | {} | {status} | {proof} |\n", row.section, row.text));
        }
    }
    page
}

#[test]
fn the_page_is_generated_from_the_tables() {
    let path = crate::root().join("docs/compliance.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, page()).expect("docs/compliance.md can be written");
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == page(), "run UPDATE=1 cargo test -p xtask compliance");
}
