use super::{sign::Signer, *};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "secretEXAMPLE/KEY+1";
const HOST: &str = "kvs.example.test";
const ARN: &str = "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1700000000000";
const TOKEN: &str = "tok/en+with==/chars";
const SIGNED: UnixTime = UnixTime::from_secs(1_700_000_000);

fn presigned(parameters: &[(&str, &str)], expires: u64, signature: &str) -> String {
    let mut query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20231114%2Fus-west-2%2Fkinesisvideo%2Faws4_request\
         &X-Amz-Date=20231114T221320Z&X-Amz-Expires={expires}&X-Amz-Signature={signature}&X-Amz-SignedHeaders=host"
    );
    for (name, value) in parameters {
        query.push_str(&format!("&{name}="));
        canonical::escape(value.as_bytes(), &mut query);
    }
    query
}

fn get<'a>(query: &'a str, headers: &'a [(&'a str, &'a str)]) -> HttpRequest<'a> {
    HttpRequest { method: "GET", path: "/", query, headers, body: b"" }
}

fn check(request: &HttpRequest<'_>, secret: &str, now: UnixTime) -> Result<(), Fault> {
    read(request)?.verify(request, secret, "us-west-2", "kinesisvideo", now)
}

fn check_query(query: &str, host: &str, now: u64) -> Result<(), Fault> {
    check(&get(query, &[("host", host)]), SECRET, UnixTime::from_secs(now))
}

const MASTER: &str = "08015f1f6d292e3021949c4f3f9e2a3c1077cdfbf659dc957f03ab9b5aa82d6d";
const VIEWER: &str = "c622c7de139aa7945f72f3914ff86425c327b9887ae7b03398feef53ce19b3b7";

#[test]
fn presigned_vectors_of_two_independent_signers_verify() {
    let (arn, viewer) = (("X-Amz-ChannelARN", ARN), ("X-Amz-ClientId", "viewer-1"));
    for (parameters, expires, signature) in [
        (vec![arn], 299, MASTER),
        (vec![arn, viewer], 299, VIEWER),
        (
            vec![arn, viewer, ("X-Amz-Security-Token", TOKEN)],
            299,
            "50d69e1feb7c70eb54d5b9ba201b1e308e7b9a89bb45a8932b35181c79a49303",
        ),
        (vec![arn, viewer], 604_800, "a3332b161bb0dce3a1deb8cfa43bf29c800805eacba748a3da537f168c87cccc"),
    ] {
        let query = presigned(&parameters, expires, signature);
        assert_eq!(check_query(&query, HOST, 1_700_000_000), Ok(()), "{query}");
    }
}

const BODY: &str = r#"{"ChannelARN": "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1700000000000", "ClientId": "viewer-1", "Service": "TURN"}"#;
const HEADER: &str = "9ab9a5be060bd2d1a1a37dc32e4f9a4ed38fd36af19c559df44c3489062c4be6";
const HEADER_WITH_TOKEN: &str = "ab1fbe681df974788d682dd565e463ca43d822e8c97c2de8b69931bd0199894b";

fn authorization(names: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/20231114/us-west-2/kinesisvideo/aws4_request, SignedHeaders={names}, Signature={signature}"
    )
}

/// A request of botocore, with one thing changed.
fn check_header(change: impl Fn(&mut Vec<(&str, &str)>, &mut String), now: u64) -> Result<(), Fault> {
    let authorization = authorization("content-type;host;x-amz-date", HEADER);
    let mut headers = vec![
        ("host", HOST),
        ("content-type", "application/json"),
        ("x-amz-date", "20231114T221320Z"),
        ("authorization", authorization.as_str()),
    ];
    let mut body = BODY.to_owned();
    change(&mut headers, &mut body);
    let path = "/v1/get-ice-server-config";
    let request = HttpRequest { method: "POST", path, query: "", headers: &headers, body: body.as_bytes() };
    check(&request, SECRET, UnixTime::from_secs(now))
}

#[test]
fn header_vectors_of_botocore_verify() {
    assert_eq!(check_header(|_, _| {}, 1_700_000_000), Ok(()));
    let names = "content-type;host;x-amz-date;x-amz-security-token";
    let with_token = authorization(names, HEADER_WITH_TOKEN);
    let verified = check_header(
        |headers, _| {
            headers.pop();
            headers.extend([("authorization", "x"), ("x-amz-security-token", TOKEN)]);
            for (name, value) in headers.iter_mut().filter(|(name, _)| *name == "authorization") {
                assert_eq!(*name, "authorization");
                *value = Box::leak(with_token.clone().into_boxed_str());
            }
        },
        1_700_000_000,
    );
    assert_eq!(verified, Ok(()));
}

#[test]
fn blanks_in_header_values_do_not_count_and_unsigned_headers_do_not_matter() {
    let spaced = |headers: &mut Vec<(&str, &str)>, _: &mut String| {
        headers[1].1 = "  application/json ";
        headers.push(("user-agent", "anything"));
        headers.push(("x-amz-security-token", "unsigned, as the C client sends it"));
    };
    assert_eq!(check_header(spaced, 1_700_000_000), Ok(()));
}

#[test]
fn an_altered_request_does_not_match() {
    let altered = [
        check_header(|_, body| body.push(' '), 1_700_000_000),
        check_header(|headers, _| headers[0].1 = "other.example.test", 1_700_000_000),
        check_header(|headers, _| headers[1].1 = "text/plain", 1_700_000_000),
        check_header(|headers, _| headers.push(("content-type", "twice")), 1_700_000_000),
        check_header(|headers, _| headers.push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD")), 1_700_000_000),
        check_query(&presigned(&[("X-Amz-ChannelARN", ARN)], 299, VIEWER), HOST, 1_700_000_000),
        check_query(&presigned(&[("X-Amz-ChannelARN", ARN)], 298, MASTER), HOST, 1_700_000_000),
        check_query(&presigned(&[("X-Amz-ChannelARN", ARN), ("x", "")], 299, MASTER), HOST, 1_700_000_000),
    ];
    assert_eq!(altered, [Err(Fault::Mismatch); 8]);
    let headers = [("host", HOST)];
    let query = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER);
    assert_eq!(check(&get(&query, &headers), "other", SIGNED), Err(Fault::Mismatch));
    let post = HttpRequest { method: "POST", ..get(&query, &headers) };
    assert_eq!(check(&post, SECRET, SIGNED), Err(Fault::Mismatch));
    let elsewhere = HttpRequest { path: "/x", ..get(&query, &headers) };
    assert_eq!(check(&elsewhere, SECRET, SIGNED), Err(Fault::Mismatch));
    let with_body = HttpRequest { body: b"x", ..get(&query, &headers) };
    assert_eq!(check(&with_body, SECRET, SIGNED), Err(Fault::Mismatch));
}

#[test]
fn the_content_hash_may_be_sent_when_it_is_true() {
    let hash = canonical::hash(BODY.as_bytes());
    let hash: &'static str = Box::leak(hash.into_boxed_str());
    assert_eq!(check_header(|headers, _| headers.push(("x-amz-content-sha256", hash)), 1_700_000_000), Ok(()));
}

#[test]
fn a_header_signature_counts_five_minutes_each_way() {
    for (now, expected) in [
        (1_700_000_300, Ok(())),
        (1_700_000_301, Err(Fault::Expired { signed: SIGNED })),
        (1_699_999_700, Ok(())),
        (1_699_999_699, Err(Fault::NotYetCurrent { signed: SIGNED })),
    ] {
        assert_eq!(check_header(|_, _| {}, now), expected, "{now}");
    }
}

#[test]
fn a_presigned_url_counts_for_its_own_time() {
    let query = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER);
    for (now, expected) in [
        (1_700_000_299, Ok(())),
        (1_700_000_300, Err(Fault::Expired { signed: SIGNED })),
        (1_699_999_700, Ok(())),
        (1_699_999_699, Err(Fault::NotYetCurrent { signed: SIGNED })),
    ] {
        assert_eq!(check_query(&query, HOST, now), expected, "{now}");
    }
    for expires in [0, 604_801] {
        let query = presigned(&[("X-Amz-ChannelARN", ARN)], expires, MASTER);
        assert!(matches!(check_query(&query, HOST, 1_700_000_000), Err(Fault::Incomplete(_))), "{expires}");
    }
}

#[test]
fn a_wrong_scope_is_told_before_the_signature_is_looked_at() {
    for (from, to, what) in [
        ("20231114%2F", "20231113%2F", "date"),
        ("20231114%2F", "2023%2F", "date"),
        ("us-west-2%2F", "us-east-1%2F", "region"),
        ("%2Fkinesisvideo%2F", "%2Fs3%2F", "service"),
        ("aws4_request", "aws5_request", "terminator"),
    ] {
        let query = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER).replacen(from, to, 1);
        assert_eq!(check_query(&query, HOST, 1_700_000_000), Err(Fault::WrongScope(what)));
    }
}

#[test]
fn what_is_missing_or_given_twice_is_incomplete() {
    let whole = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER);
    for name in ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"] {
        let without: Vec<&str> = whole.split('&').filter(|piece| !piece.starts_with(name)).collect();
        assert!(matches!(check_query(&without.join("&"), HOST, 1_700_000_000), Err(Fault::Incomplete(_))), "{name}");
        let piece = whole.split('&').find(|piece| piece.starts_with(name)).unwrap();
        let twice = format!("{whole}&{piece}");
        assert!(matches!(check_query(&twice, HOST, 1_700_000_000), Err(Fault::Incomplete(_))), "{name} twice");
    }
    let unsigned: Vec<&str> = whole.split('&').filter(|piece| !piece.starts_with("X-Amz-Signature")).collect();
    assert_eq!(check_query(&unsigned.join("&"), HOST, 1_700_000_000), Err(Fault::Missing));
    assert!(matches!(check_query(&whole.replace(MASTER, "abc"), HOST, 1_700_000_000), Err(Fault::Incomplete(_))));
    assert!(matches!(
        check_query(&whole.replace("Headers=host", "Headers=range"), HOST, 1_700_000_000),
        Err(Fault::Incomplete(_))
    ));
    let long = format!("{whole}&x={}", "y".repeat(QUERY_BYTES_MAX));
    assert!(matches!(check_query(&long, HOST, 1_700_000_000), Err(Fault::Incomplete(_))));
    for header in
        ["", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "AWS4-HMAC-SHA1 Credential=x"]
    {
        let changed =
            check_header(|headers, _| headers[3].1 = Box::leak(header.to_owned().into_boxed_str()), 1_700_000_000);
        assert!(matches!(changed, Err(Fault::Incomplete(_))), "{header}");
    }
    assert!(matches!(check_header(|headers, _| _ = headers.remove(2), 1_700_000_000), Err(Fault::Incomplete(_))));
}

#[test]
fn a_query_whose_colons_stand_bare_verifies_in_either_form() {
    // One client signs the escaped form and sends the bare one, another signs what it sends.
    let bare = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER).replace("%3A", ":");
    assert!(bare.contains("arn:aws:"));
    assert_eq!(check_query(&bare, HOST, 1_700_000_000), Ok(()));
    let signed_bare = sign_raw(&bare);
    assert_ne!(signed_bare, MASTER);
    assert_eq!(check_query(&bare.replace(MASTER, &signed_bare), HOST, 1_700_000_000), Ok(()));
}

/// Signs a query as it stands.
fn sign_raw(query: &str) -> String {
    let headers = [("host", HOST)];
    let sorted = canonical::query(query, canonical::QueryForm::Raw);
    let hash = canonical::hash(b"");
    let text = canonical::request(&get(query, &headers), &sorted, &["host".to_owned()], HOST, &hash);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20231114T221320Z\n20231114/us-west-2/kinesisvideo/aws4_request\n{}",
        canonical::hash(text.as_bytes())
    );
    let key = presented::signing_key(SECRET, ["20231114", "us-west-2", "kinesisvideo", "aws4_request"]);
    hex::encode(aws_lc_rs::hmac::sign(&key, to_sign.as_bytes()))
}

#[test]
fn the_port_of_the_host_may_be_the_default_one_or_missing() {
    let query = presigned(&[("X-Amz-ChannelARN", ARN)], 299, MASTER);
    for host in ["kvs.example.test", "kvs.example.test:443", "kvs.example.test:8443"] {
        assert_eq!(check_query(&query, host, 1_700_000_000), Ok(()), "{host}");
    }
    let signer = Signer { access_key: KEY, secret: SECRET, region: "us-west-2", service: "kinesisvideo", at: SIGNED };
    let with_port = signer.presign("kvs.example.test:443", &[("X-Amz-ChannelARN", ARN)], 299);
    assert_eq!(check_query(&with_port, HOST, 1_700_000_000), Ok(()));
    let other_port = signer.presign("kvs.example.test:8443", &[("X-Amz-ChannelARN", ARN)], 299);
    assert_eq!(check_query(&other_port, HOST, 1_700_000_000), Err(Fault::Mismatch));
}

#[test]
fn names_and_values_are_compared_decoded() {
    assert_eq!(query_value("a%62c=1%20+2&x", "abc"), Ok(Some("1 +2".to_owned())));
    assert_eq!(query_value("a=1&x", "x"), Ok(Some(String::new())));
    assert_eq!(query_value("a=1", "b"), Ok(None));
    assert_eq!(query_value("a=1&%61=2", "a"), Err(()));
    assert_eq!(query_value("a=%ff", "a"), Err(()));
    assert_eq!(query_value("a=%zz%4", "a"), Ok(Some("%zz%4".to_owned())));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn signer<'a>(access_key: &'a str, secret: &'a str, at: UnixTime) -> Signer<'a> {
        Signer { access_key, secret, region: "us-west-2", service: "kinesisvideo", at }
    }

    proptest! {
        #[test]
        fn what_was_signed_verifies_and_any_other_secret_does_not(
            names in proptest::collection::btree_map("[a-zA-Z0-9 ~!*'():/%+&=\u{e9}]{1,12}", "\\PC{0,40}", 0..8),
            secret in "\\PC{1,40}", other in "\\PC{1,40}", at in 0u64..4_000_000_000,
        ) {
            prop_assume!(names.keys().all(|name| !name.starts_with("X-Amz")));
            let at = UnixTime::from_secs(at);
            let parameters: Vec<(&str, &str)> = names.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let query = signer(KEY, &secret, at).presign(HOST, &parameters, 60);
            let request = get(&query, &[("host", HOST)]);
            prop_assert_eq!(check(&request, &secret, at), Ok(()));
            for (name, value) in &parameters {
                prop_assert_eq!(query_value(&query, name), Ok(Some((*value).to_owned())));
            }
            if other != secret {
                prop_assert_eq!(check(&request, &other, at), Err(Fault::Mismatch));
            }
        }

        #[test]
        fn a_header_signature_verifies_whatever_is_signed(
            values in proptest::collection::vec("[ -~]{0,30}", 1..6), body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let names: Vec<String> = (0..values.len()).map(|index| format!("x-{index}")).collect();
            let mut headers = vec![("host", HOST), ("x-amz-date", "20231114T221320Z")];
            headers.extend(names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str())));
            let mut signed: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
            signed.sort_unstable();
            let request = HttpRequest { method: "POST", path: "/x", query: "", headers: &headers, body: &body };
            let authorization = signer(KEY, SECRET, SIGNED).authorization(&request, &signed);
            let mut with = headers.clone();
            with.push(("authorization", &authorization));
            let request = HttpRequest { headers: &with, ..request };
            prop_assert_eq!(check(&request, SECRET, SIGNED), Ok(()));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(query in "\\PC{0,200}", authorization in "\\PC{0,200}", date in "\\PC{0,20}") {
            let headers = [("host", HOST), ("authorization", authorization.as_str()), ("x-amz-date", date.as_str())];
            let request = get(&query, &headers);
            let _outcome = check(&request, SECRET, SIGNED);
        }
    }
}
