//! No request makes the verifier panic or let in; what a client signs verifies, however its query is written.

use causeway_credentials::sigv4::{HttpRequest, query_value, read, sign::Signer};
use causeway_types::UnixTime;

/// Panics on a finding. The input is a query, a line feed, a header value, a line feed, a body.
pub fn signature(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(query), Some(value)) = (text(), text()) else { return };
    let body = parts.next().unwrap_or_default();
    let now = UnixTime::from_secs(1_700_000_000);
    let signer = Signer { access_key: "AKID", secret: "secret", region: "us-west-2", service: "kinesisvideo", at: now };

    // As it came: nobody signed it.
    let headers = [("host", value), ("authorization", value), ("x-amz-date", "20231114T221320Z")];
    let request = HttpRequest { method: "POST", path: "/x", query, headers: &headers, body };
    if let Ok(presented) = read(&request) {
        assert!(presented.verify(&request, "another secret", "us-west-2", "kinesisvideo", now).is_err());
    }

    // Signed in the header, unless the query claims to be signed itself.
    if query_value(query, "X-Amz-Signature") == Ok(None) && query.len() < 4000 {
        let plain = [("host", "kvs.example.test"), ("x-amz-date", "20231114T221320Z"), ("x-value", value)];
        let unsigned = HttpRequest { method: "POST", path: "/x", query, headers: &plain, body };
        let authorization = signer.authorization(&unsigned, &["host", "x-amz-date", "x-value"]);
        let signed = [plain[0], plain[1], plain[2], ("authorization", &authorization)];
        let request = HttpRequest { headers: &signed, ..unsigned };
        let verified = read(&request).and_then(|p| p.verify(&request, "secret", "us-west-2", "kinesisvideo", now));
        assert_eq!(verified, Ok(()));
    }

    // Signed in the query.
    if value.len() < 1000 {
        let query = signer.presign("kvs.example.test", &[("X-Amz-ClientId", value)], 60);
        let headers = [("host", "kvs.example.test")];
        let request = HttpRequest { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };
        let verified = read(&request).and_then(|p| p.verify(&request, "secret", "us-west-2", "kinesisvideo", now));
        assert_eq!(verified, Ok(()));
        assert_eq!(query_value(&query, "X-Amz-ClientId"), Ok(Some(value.to_owned())));
    }
}
