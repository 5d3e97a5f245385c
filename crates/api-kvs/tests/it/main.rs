//! The fuzzer's corpus of frames once more.

use std::{fs, path::Path};

#[expect(unreachable_pub, reason = "a fuzz target of another workspace uses the body too")]
#[path = "../../../../fuzz/bodies/frames.rs"]
mod body;

#[test]
fn the_corpus_of_frames_has_no_finding() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/frames");
    let inputs: Vec<_> =
        fs::read_dir(directory).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    assert!(inputs.len() >= 8);
    for path in inputs {
        body::frames(&fs::read(path).expect("an input"));
    }
}
