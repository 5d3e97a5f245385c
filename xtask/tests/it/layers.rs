//! Dependencies point inward (ARCHITECTURE.md, "Layers"): the table there is this one.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Where a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Words everybody shares.
    Vocabulary,
    /// Decides, without sockets, clocks or threads.
    Core,
    /// Use-cases and ports.
    Application,
    /// Does: sockets, SQL, HTTP.
    Adapter,
    /// Wiring.
    Binary,
    /// For tests and developers; no product code uses it.
    Tool,
}

/// Every crate. One that is missing here fails the test: its author says where it stands.
const LAYERS: &[(&str, Layer)] = &[
    ("causeway-types", Layer::Vocabulary),
    ("causeway-stun-codec", Layer::Core),
    ("causeway-turn-core", Layer::Core),
    ("causeway-turn-client", Layer::Core),
    ("causeway-credentials", Layer::Core),
    ("causeway-call-core", Layer::Core),
    ("causeway-sip-core", Layer::Core),
    ("causeway-verto-core", Layer::Core),
    ("causeway-signal-core", Layer::Core),
    ("causeway-app", Layer::Application),
    ("causeway-net-io", Layer::Adapter),
    ("causeway-fast-path", Layer::Adapter),
    ("causeway-relay", Layer::Adapter),
    ("causeway-certificates", Layer::Adapter),
    ("causeway-store", Layer::Adapter),
    ("causeway-events", Layer::Adapter),
    ("causeway-webhooks", Layer::Adapter),
    ("causeway-traces", Layer::Adapter),
    ("causeway-oidc", Layer::Adapter),
    ("causeway-api-http", Layer::Adapter),
    ("causeway-switchboard", Layer::Adapter),
    ("causeway-signal-verto", Layer::Adapter),
    ("causeway-api-turnix", Layer::Adapter),
    ("causeway-api-cloudflare", Layer::Adapter),
    ("causeway-api-twilio", Layer::Adapter),
    ("causeway-api-telnyx", Layer::Adapter),
    ("causeway-api-causeway", Layer::Adapter),
    ("causeway-api-console", Layer::Adapter),
    ("causeway-console", Layer::Adapter),
    ("causeway-api-kvs", Layer::Adapter),
    ("causeway-signal-sip", Layer::Adapter),
    ("causeway-api-aculab", Layer::Adapter),
    ("causeway", Layer::Binary),
    ("causeway-sim", Layer::Tool),
    ("causeway-bench", Layer::Tool),
    ("xtask", Layer::Tool),
];

/// Adapters that may use another adapter.
const ADAPTER_EXCEPTIONS: &[(&str, &str)] = &[
    ("causeway-relay", "causeway-net-io"),
    ("causeway-relay", "causeway-fast-path"),
    ("causeway-fast-path", "causeway-net-io"),
    ("causeway-signal-verto", "causeway-api-http"),
    ("causeway-signal-verto", "causeway-switchboard"),
    ("causeway-api-turnix", "causeway-api-http"),
    ("causeway-api-cloudflare", "causeway-api-http"),
    ("causeway-api-twilio", "causeway-api-http"),
    ("causeway-api-telnyx", "causeway-api-http"),
    ("causeway-api-causeway", "causeway-api-http"),
    ("causeway-api-console", "causeway-api-http"),
    ("causeway-console", "causeway-api-http"),
    ("causeway-api-kvs", "causeway-api-http"),
    ("causeway-signal-sip", "causeway-api-http"),
    ("causeway-signal-sip", "causeway-switchboard"),
    ("causeway-api-aculab", "causeway-api-http"),
];

/// What would give the vocabulary or a core a socket, a clock, a thread pool or the system's randomness.
const FORBIDDEN_IN_CORES: &[&str] =
    &["tokio", "mio", "polling", "socket2", "libc", "nix", "rustix", "getrandom", "rand", "hyper", "axum", "sqlx"];

/// How a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// In the product (or its build script).
    Product,
    /// In tests only.
    Test,
}

#[derive(Clone, Debug)]
struct Edge {
    from: String,
    to: String,
    usage: Use,
}

fn edge(from: &str, to: &str, usage: Use) -> Edge {
    Edge { from: from.to_owned(), to: to.to_owned(), usage }
}

/// What is wrong with a graph, one sentence per fault.
fn faults(members: &[&str], edges: &[Edge]) -> Vec<String> {
    let layers: BTreeMap<&str, Layer> = LAYERS.iter().copied().collect();
    let mut faults: Vec<String> = members
        .iter()
        .filter(|member| !layers.contains_key(*member))
        .map(|member| format!("{member} has no layer: add it to LAYERS and to ARCHITECTURE.md"))
        .collect();
    for Edge { from, to, usage } in edges {
        let Some(&here) = layers.get(from.as_str()) else { continue };
        let fault = match (layers.get(to.as_str()), usage) {
            (Some(&there), Use::Product) => product_fault(from, here, to, there),
            (Some(&there), Use::Test) => test_fault(here, there),
            (None, Use::Product) if here <= Layer::Core && FORBIDDEN_IN_CORES.contains(&to.as_str()) => {
                Some("a core has no sockets, clocks, threads or system randomness")
            }
            (None, Use::Product | Use::Test) => None,
        };
        if let Some(fault) = fault {
            faults.push(format!("{from} -> {to}: {fault}"));
        }
    }
    faults
}

fn product_fault(from: &str, here: Layer, to: &str, there: Layer) -> Option<&'static str> {
    match (here, there) {
        (Layer::Tool, _) => None,
        (_, Layer::Tool) => Some("product code does not use tools"),
        (Layer::Core, Layer::Core) => None,
        (Layer::Adapter, Layer::Adapter) if ADAPTER_EXCEPTIONS.contains(&(from, to)) => None,
        (Layer::Adapter, Layer::Adapter) => Some("adapters do not use each other"),
        _ if there < here => None,
        _ => Some("dependencies point inward"),
    }
}

/// Tests may use tools and any crate of their own layer or below; a core's tests stay free of adapters, so that they
/// need no sockets either.
fn test_fault(here: Layer, there: Layer) -> Option<&'static str> {
    if there == Layer::Tool || there <= here { None } else { Some("a test uses nothing from a layer above its crate") }
}

/// The workspace as cargo sees it: members, and the direct dependencies of each.
fn workspace() -> (Vec<String>, Vec<Edge>) {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(crate::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut members = Vec::new();
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        members.push(name.to_owned());
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let usage = if dependency["kind"] == "dev" { Use::Test } else { Use::Product };
            edges.push(edge(name, dependency["name"].as_str().expect("a name"), usage));
        }
    }
    (members, edges)
}

#[test]
fn every_edge_of_the_workspace_points_inward() {
    let (members, edges) = workspace();
    assert!(members.len() > 10 && edges.len() > 50, "cargo metadata was not understood");
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let faults = faults(&members, &edges);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn wrong_edges_are_found() {
    for (from, to, usage) in [
        ("causeway-types", "causeway-stun-codec", Use::Product),
        ("causeway-turn-core", "causeway-app", Use::Product),
        ("causeway-turn-core", "causeway-relay", Use::Product),
        ("causeway-turn-core", "tokio", Use::Product),
        ("causeway-stun-codec", "getrandom", Use::Product),
        ("causeway-types", "libc", Use::Product),
        ("causeway-app", "causeway-store", Use::Product),
        ("causeway-store", "causeway-relay", Use::Product),
        ("causeway-net-io", "causeway-relay", Use::Product),
        ("causeway-relay", "causeway", Use::Product),
        ("causeway", "causeway-sim", Use::Product),
        ("causeway-turn-core", "causeway-relay", Use::Test),
        ("causeway-relay", "causeway", Use::Test),
    ] {
        assert_eq!(faults(&[], &[edge(from, to, usage)]).len(), 1, "{from} -> {to} ({usage:?})");
    }
    assert_eq!(faults(&["causeway-new"], &[]).len(), 1);
}

#[test]
fn right_edges_are_let_through() {
    for (from, to, usage) in [
        ("causeway-turn-core", "causeway-stun-codec", Use::Product),
        ("causeway-turn-core", "causeway-types", Use::Product),
        ("causeway-turn-core", "rand_chacha", Use::Product),
        ("causeway-relay", "causeway-net-io", Use::Product),
        ("causeway-relay", "causeway-turn-client", Use::Test),
        ("causeway-turn-core", "causeway-sim", Use::Test),
        ("causeway", "causeway-api-turnix", Use::Product),
        ("causeway-bench", "causeway-net-io", Use::Product),
        ("xtask", "causeway-turn-core", Use::Test),
    ] {
        assert_eq!(faults(&[], &[edge(from, to, usage)]), Vec::<String>::new(), "{from} -> {to}");
    }
}

#[test]
fn architecture_md_shows_every_crate() {
    let text = crate::read("ARCHITECTURE.md");
    let (members, _) = workspace();
    for member in members {
        let directory = member.strip_prefix("causeway-").unwrap_or(&member);
        assert!(text.contains(&format!("`{directory}`")), "ARCHITECTURE.md does not name `{directory}`");
    }
}
