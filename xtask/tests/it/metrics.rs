//! Metrics: each is documented, and nothing else is looked at by documents, dashboard or alerts.

use std::{collections::BTreeSet, fs};

use causeway_api_causeway::Metric;

/// Where names of metrics are written by hand, besides documents.
const MONITORING: &[&str] = &["packaging/grafana/causeway.json", "packaging/prometheus/causeway.rules.yml"];

fn names() -> BTreeSet<&'static str> {
    Metric::ALL.iter().map(|metric| metric.name()).collect()
}

/// The page that people read.
fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         What `GET /metrics` serves, in Prometheus' text format; no token is asked for. Generated from the code with \
         `UPDATE=1 cargo test -p xtask metrics`. What to watch is in [operations.md](operations.md#health-and-metrics); \
         a dashboard and alerts are ready in [packaging](operations.md#prometheus-and-grafana).\n\n\
         Labels have few values whatever names arrive: never a user, an address or an id. Metrics of Redis and of traces are \
         there when these are configured.\n\n\
         | metric | kind | label | what |\n| --- | --- | --- | --- |\n",
    );
    for metric in Metric::ALL {
        let kind = if metric.is_gauge() { "gauge" } else { "counter" };
        let label = metric.label().map_or_else(String::new, |(name, values)| format!("`{name}`: {values}"));
        page.push_str(&format!("| `{}` | {kind} | {label} | {} |\n", metric.name(), metric.help()));
    }
    page
}

/// The names that a text uses: in a query, or in a document between backticks.
fn used(text: &str, is_document: bool) -> BTreeSet<String> {
    let start = if is_document { "`causeway_" } else { "causeway_" };
    let mut found = BTreeSet::new();
    for part in text.split(start).skip(1) {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        // Crates and log filters begin like metrics: `causeway_sim::World`, `causeway_relay=debug`.
        if !is_document || rest.starts_with(['`', '{']) {
            found.insert(format!("causeway_{name}"));
        }
    }
    found
}

#[test]
fn the_page_of_metrics_is_generated_from_the_code() {
    let path = crate::root().join("docs/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, page()).expect("docs/metrics.md can be written");
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == page(), "run UPDATE=1 cargo test -p xtask metrics");
}

#[test]
fn names_kinds_and_labels_are_well_formed() {
    assert_eq!(names().len(), Metric::ALL.len(), "a name is there twice");
    for metric in Metric::ALL {
        assert_eq!(metric.is_gauge(), !metric.name().ends_with("_total"), "{}", metric.name());
        assert!(metric.help().ends_with('.'), "{}", metric.name());
    }
}

#[test]
fn dashboard_alerts_and_documents_name_only_metrics_that_exist() {
    let mut faults = Vec::new();
    for path in MONITORING {
        let used = used(&crate::read(path), false);
        assert!(used.len() > 5, "{path} names only {used:?}");
        faults
            .extend(used.iter().filter(|name| !names().contains(name.as_str())).map(|name| format!("{path}: {name}")));
    }
    for file in crate::documents::files("md") {
        let used = used(&fs::read_to_string(&file).expect("UTF-8"), true);
        let unknown = used.iter().filter(|name| !names().contains(name.as_str()));
        faults.extend(unknown.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(faults.is_empty(), "there is no such metric: {}", faults.join("\n"));
}

#[test]
fn names_are_found_where_they_are_used() {
    let query = "sum(rate(causeway_drops_total{reason=\"x\"}[5m])) / causeway_allocations";
    assert_eq!(used(query, false), ["causeway_allocations", "causeway_drops_total"].map(str::to_owned).into());
    let document = "`causeway_gone_total{x=\"1\"}`, `causeway_sim::World`, `causeway_relay=debug`, causeway_prose";
    assert_eq!(used(document, true), ["causeway_gone_total".to_owned()].into());
}
