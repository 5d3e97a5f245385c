//! What the fuzzer found worth keeping is replayed by every test run.

use std::{collections::BTreeSet, fs, path::PathBuf};

use causeway_sim::fuzz::{codec::codec, core::core, sip::sip, verto::verto, world::world};

fn fuzz() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The inputs of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(fuzz().join("corpus").join(target))
        .expect("the target has a corpus")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("an input")))
        .collect();
    inputs.sort();
    inputs
}

fn replay<T>(target: &str, body: fn(&[u8]) -> T) -> Vec<T> {
    let inputs = corpus(target);
    assert!(inputs.len() > 20, "{target} has {} inputs", inputs.len());
    let run = |(name, data): &(String, Vec<u8>)| {
        std::panic::catch_unwind(|| body(data)).unwrap_or_else(|_| panic!("{name} is a finding again"))
    };
    inputs.iter().map(run).collect()
}

#[test]
fn the_corpus_of_the_codec_has_no_finding() {
    replay("codec", codec);
}

#[test]
fn the_corpus_of_the_core_has_no_finding_and_gives_the_same_outputs_twice() {
    let once = replay("core", core);
    assert_eq!(once, replay("core", core));
    assert!(once.iter().collect::<BTreeSet<_>>().len() > once.len() / 2, "the inputs lead to different runs");
}

#[test]
fn the_corpus_of_the_world_has_no_finding() {
    let lives = replay("world", world);
    assert!(lives.iter().any(|life| life.at_peers > 0) && lives.iter().any(|life| life.at_clients > 0));
}

#[test]
fn the_corpus_of_sip_has_no_finding() {
    let lives = replay("sip", sip);
    assert!(lives.iter().any(|life| life.answered > 0) && lives.iter().any(|life| life.registered > 0));
}

#[test]
fn the_corpus_of_verto_has_no_finding() {
    let lives = replay("verto", verto);
    assert!(lives.iter().any(|life| life.answered > 0) && lives.iter().any(|life| life.resumed > 0));
}

#[test]
fn every_fuzz_target_is_replayed_and_run_by_the_script() {
    let targets: BTreeSet<String> = fs::read_dir(fuzz().join("fuzz_targets"))
        .expect("targets")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(targets, ["codec", "core", "frames", "signature", "sip", "verto", "world"].map(str::to_owned).into());
    let script = fs::read_to_string(fuzz().join("../scripts/fuzz")).expect("the script");
    for target in targets {
        let list = script.lines().find(|line| line.contains("targets=(codec")).expect("the default list");
        assert!(list.contains(&target), "scripts/fuzz does not run {target}");
    }
}
