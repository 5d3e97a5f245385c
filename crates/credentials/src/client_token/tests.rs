use std::sync::OnceLock;

use aws_lc_rs::{encoding::AsDer, rsa::KeySize};

use super::*;

fn fresh_key() -> SigningKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("randomness");
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().expect("a key");
    SigningKey::from_pkcs8(&Secret::new(der.as_ref().to_vec())).expect("a good key")
}

/// Making one takes a while: most tests share it.
fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(fresh_key)
}

fn claims() -> Claims {
    Claims {
        id: "the-id".to_owned(),
        cloud: CloudId::new("1-2-0").expect("good"),
        access: AccessLabel::new("fg8ce9tszsx3kk0xiqlhq2wps").expect("good"),
        client: ClientId::new("my.Client+1").expect("good"),
        issued_at: UnixTime::from_secs(1_000_000),
        expires_at: UnixTime::from_secs(1_003_600),
        allows_incoming: true,
        callees: Callees::new(["bob", "team-*"]).expect("good"),
    }
}

fn signed(claims: &Claims) -> String {
    key().sign(claims).expect("signed").expose().clone()
}

fn part(token: &str, index: usize) -> serde_json::Value {
    let part = token.split('.').nth(index).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[test]
fn a_token_states_what_was_signed_in_the_words_of_the_family() {
    let token = signed(&claims());
    assert_eq!(key().public().verify(&token, UnixTime::from_secs(1_000_000)), Ok(claims()));
    let own = key().public().kid();
    assert_eq!((own.len(), kid(&token).as_deref()), (43, Ok(own)));
    assert_eq!(part(&token, 0), serde_json::json!({ "alg": "RS256", "kid": own, "typ": "JWT" }));
    let expected = serde_json::json!({
        "aud": "1-2-0", "exp": 1_003_600, "iat": 1_000_000, "iss": "fg8ce9tszsx3kk0xiqlhq2wps", "jti": "the-id",
        "nbf": 1_000_000, "scope": ["webrtcclient"], "sub": "my.Client+1",
        "enable_incoming": true, "call_client": ["bob", "team-*"],
    });
    assert_eq!(part(&token, 1), expected);
}

#[test]
fn a_token_counts_from_a_little_before_its_issue_to_its_last_second() {
    let token = signed(&claims());
    let verify = |secs| key().public().verify(&token, UnixTime::from_secs(secs)).map(|_| ());
    assert_eq!(verify(1_000_000 - SKEW_SECS), Ok(()));
    assert_eq!(verify(1_000_000 - SKEW_SECS - 1), Err(TokenFault::NotYet));
    assert_eq!(verify(1_003_599), Ok(()));
    assert_eq!(verify(1_003_600), Err(TokenFault::Expired));
}

#[test]
fn what_was_changed_or_signed_otherwise_does_not_count() {
    let now = UnixTime::from_secs(1_000_000);
    let public = key().public();
    let token = signed(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = signed(&Claims { client: ClientId::new("mallory").expect("good"), ..claims() });
    let swapped = format!("{}.{}.{}", parts[0], other.split('.').nth(1).expect("a part"), parts[2]);
    assert_eq!(public.verify(&swapped, now), Err(TokenFault::BadSignature));
    assert_eq!(fresh_key().public().verify(&token, now), Err(TokenFault::BadSignature));
    // Another algorithm: none at all, and an HMAC with what everybody knows of the key.
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#), parts[1]);
    let hs256 = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, public.kid()));
    let hmac = format!("{hs256}.{}.{}", parts[1], parts[2]);
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for bad in ["", "a.b.c", "a.b", long.as_str(), unsigned.as_str(), hmac.as_str(), &token.replace('.', "..")] {
        assert_eq!(public.verify(bad, now), Err(TokenFault::Malformed), "{bad:.80}");
        assert_eq!(kid(bad), Err(TokenFault::Malformed), "{bad:.80}");
    }
}

#[test]
fn a_token_of_another_scope_does_not_count() {
    let now = UnixTime::from_secs(1_000_000);
    let mut body = part(&signed(&claims()), 1);
    let sign =
        |body: &serde_json::Value| encode(&Header::new(Algorithm::RS256), body, &key().encoding).expect("signed");
    assert!(key().public().verify(&sign(&body), now).is_ok());
    body["scope"] = serde_json::json!(["other"]);
    assert_eq!(key().public().verify(&sign(&body), now), Err(TokenFault::Malformed));
    body["scope"] = serde_json::json!(["webrtcclient"]);
    body["sub"] = serde_json::json!("a b");
    assert_eq!(key().public().verify(&sign(&body), now), Err(TokenFault::Malformed));
}

#[test]
fn the_thumbprint_is_the_one_of_the_document() {
    // RFC 7638 §3.1.
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
                   oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgd\
                   AZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCu\
                   r-kEgU8awapJzKnqDKgw";
    let modulus = URL_SAFE_NO_PAD.decode(modulus).expect("base64url");
    let key = VerifyingKey::new(&modulus, &[1, 0, 1]);
    assert_eq!(key.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(key.exponent(), "AQAB");
}

#[test]
fn a_short_key_is_refused() {
    assert!(SigningKey::from_pkcs8(&Secret::new(vec![0x30, 0x00])).is_err());
}

#[test]
fn names_have_their_alphabets_and_lengths() {
    for good in ["a", "A-b_c.d+e", &"x".repeat(CLIENT_ID_BYTES_MAX)] {
        assert!(ClientId::new(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "ä", "a*", "a@b", "sip:bob", &"x".repeat(CLIENT_ID_BYTES_MAX + 1)] {
        assert!(ClientId::new(bad).is_err(), "{bad}");
    }
    for good in ["1-2-0", "0-0-0", "10-200-3"] {
        assert!(CloudId::new(good).is_ok(), "{good}");
    }
    for bad in ["", "1-2", "1-2-0-1", "1--0", "a-b-c", "1-2-"] {
        assert!(CloudId::new(bad).is_err(), "{bad}");
    }
    assert!(AccessLabel::new(&"a".repeat(63)).is_ok());
    for bad in ["", "A", "a-b", &"a".repeat(64)] {
        assert!(AccessLabel::new(bad).is_err(), "{bad}");
    }
    assert_eq!(AccessLabel::from_random([0xff; 25]).as_str(), "7".repeat(25));
}

#[test]
fn patterns_allow_what_they_say() {
    let allows = |patterns: &[&str], client| Callees::new(patterns.iter().copied()).expect("good").allows(client);
    assert!(!allows(&[], "bob"), "nobody");
    assert!(allows(&["bob"], "bob") && !allows(&["bob"], "bobby") && !allows(&["bob"], "Bob"));
    assert!(allows(&["bob*"], "bob") && allows(&["bob*"], "bobby") && !allows(&["bob*"], "bo"));
    assert!(allows(&["*"], "anybody") && allows(&["alice", "team-*"], "team-1"));
    for bad in ["", "**", "a*b", "*a", "a b", "a,b"] {
        assert!(Callees::new([bad]).is_err(), "{bad}");
    }
    let names: Vec<String> = (0..=CALLEES_MAX).map(|n| format!("c{n}")).collect();
    let of = |n: usize| Callees::new(names.iter().take(n).map(String::as_str));
    assert!(of(CALLEES_MAX).is_ok());
    assert_eq!(of(CALLEES_MAX + 1), Err(NameError::TooLong));
    assert_eq!(Callees::new(["a", "a", "*"]).expect("good").texts(), ["a", "*"]);
}
