//! The verifier against an independent signer, and the fuzzer's corpus once more.

use std::{fs, path::Path};

use causeway_credentials::sigv4::{Fault, HttpRequest, read};
use causeway_types::UnixTime;
use serde_json::Value;

#[expect(unreachable_pub, reason = "a fuzz target of another workspace uses the body too")]
#[path = "../../../../fuzz/bodies/signature.rs"]
mod body;

/// Two hundred requests with odd characters everywhere, signed by botocore (`tests/e2e/clients/kvs/make_vectors.py`).
const BOTOCORE: &str = include_str!("botocore.json");

fn verified(vector: &Value, secret: &str, body: &str) -> Result<(), Fault> {
    let text = |name: &str| vector[name].as_str().expect("a text");
    let headers: Vec<(&str, &str)> = vector["headers"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
        .collect();
    let request = HttpRequest {
        method: text("method"),
        path: text("path"),
        query: text("query"),
        headers: &headers,
        body: body.as_bytes(),
    };
    let at = UnixTime::from_secs(vector["at"].as_u64().expect("a number"));
    read(&request)?.verify(&request, secret, "us-west-2", "kinesisvideo", at)
}

#[test]
fn what_botocore_signs_verifies_and_only_that() {
    let vectors: Vec<Value> = serde_json::from_str(BOTOCORE).expect("JSON");
    assert_eq!(vectors.len(), 200);
    for vector in &vectors {
        let (secret, body) = (vector["secret"].as_str().expect("a text"), vector["body"].as_str().expect("a text"));
        assert_eq!(verified(vector, secret, body), Ok(()), "{vector}");
        assert_eq!(verified(vector, &format!("{secret}x"), body), Err(Fault::Mismatch), "{vector}");
        assert_eq!(verified(vector, secret, &format!("{body} ")), Err(Fault::Mismatch), "{vector}");
    }
}

#[test]
fn the_corpus_of_signatures_has_no_finding() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/signature");
    let inputs: Vec<_> =
        fs::read_dir(directory).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    assert!(inputs.len() >= 4);
    for path in inputs {
        body::signature(&fs::read(path).expect("an input"));
    }
}
