//! Configurations and service files that people copy are good ones.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `causeway check` with these variables and no others of ours.
fn check(config: &Path, environment: &[(&str, &str)]) -> Output {
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CAUSEWAY_"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    ours.for_each(|name| {
        command.env_remove(name);
    });
    command.args(["check", "--config"]).arg(config).envs(environment.iter().copied());
    command.output().expect("the program runs")
}

fn assert_good(name: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("configuration is good"), "{name}");
}

/// What stands under `key: |` in a YAML file, without its indentation.
fn block(yaml: &str, key: &str) -> String {
    let start = format!("{key}: |");
    let mut lines = yaml.lines().skip_while(|line| line.trim() != start);
    let indent = lines.next().map(|line| line.len() - line.trim_start().len()).expect("the key is there");
    let inside = lines.take_while(|line| line.trim().is_empty() || line.len() - line.trim_start().len() > indent);
    inside.map(|line| format!("{}\n", line.trim_start())).collect()
}

/// `name: "value"` lines of a YAML file whose name is one of ours.
fn variables(yaml: &str) -> Vec<(&str, &str)> {
    let pairs = yaml.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| name.starts_with("CAUSEWAY_"))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[test]
fn every_example_configuration_is_good() {
    let mut names: Vec<PathBuf> = fs::read_dir(repository("packaging/examples"))
        .expect("the examples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names.push(repository("causeway.example.toml"));
    for path in names {
        assert_good(&path.display().to_string(), &check(&path, &[]));
    }
}

#[test]
fn a_faulty_configuration_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("causeway.toml");
    fs::write(&path, read("packaging/examples/public-vm.toml").replace("realm =", "relam =")).expect("written");
    let output = check(&path, &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `realm`?"));
}

#[test]
fn the_configuration_in_the_kubernetes_manifest_is_good_with_its_secret() {
    let manifest = read("packaging/kubernetes/causeway.yaml");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("causeway.toml");
    let text = block(&manifest, "causeway.toml");
    assert!(text.contains("turn_listen = "), "{text}");
    fs::write(&path, text).expect("written");
    let mut environment = variables(&manifest);
    assert_eq!(environment.len(), 3, "{environment:?}");
    // What the field reference gives.
    environment.push(("CAUSEWAY_PUBLIC_IP", "203.0.113.7"));
    assert_good("kubernetes", &check(&path, &environment));
}

#[test]
fn the_drain_ends_before_the_service_manager_loses_patience() {
    let seconds = |text: &str, key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).expect("the key is there");
        line.trim().parse().expect("a number of seconds")
    };
    let manifest = read("packaging/kubernetes/causeway.yaml");
    assert!(block(&manifest, "causeway.toml").contains("drain_timeout = \"10m\""));
    assert!(seconds(&manifest, "terminationGracePeriodSeconds:") > 600);
    assert!(seconds(&read("packaging/systemd/causeway.service"), "TimeoutStopSec=") > 30);
}

/// Skipped where there is no systemd; Debian has it.
#[test]
fn systemd_accepts_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("causeway.service");
    let unit = read("packaging/systemd/causeway.service");
    assert!(unit.contains("Type=notify") && unit.contains("ExecStart=/usr/bin/causeway serve"));
    // The program must exist for it.
    fs::write(&path, unit.replace("/usr/bin/causeway", env!("CARGO_BIN_EXE_causeway"))).expect("written");
    let verify = |path: &Path| {
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(path).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Other units of the machine may be faulty.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("causeway")).collect();
        (output.status.success(), ours.join("\n"))
    };
    assert_eq!(verify(&path), (true, String::new()));
    let typo = fs::read_to_string(&path).expect("readable").replace("NoNewPrivileges=", "NoNewPrivilege=");
    fs::write(&path, typo).expect("written");
    assert!(verify(&path).1.contains("NoNewPrivilege"), "a typing error is found");
}
