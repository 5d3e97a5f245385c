//! Tokens signed with keys of the tests' own.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, encode};
use serde_json::{Value, json};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const EXPECTED: Expected<'static> =
    Expected { issuer: "https://id.example.net", client_id: "console", nonce: "the nonce" };

/// Bytes of PKCS#8 before the PKCS#1 form of an RSA key of 2048 bits.
const PKCS8_HEAD_LEN: usize = 26;

struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    id: &'static str,
    public: Value,
}

impl Signer {
    fn rsa(id: &'static str) -> Self {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("it generates");
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("it has a form");
        let key = EncodingKey::from_rsa_der(der.as_ref().get(PKCS8_HEAD_LEN..).expect("a longer form"));
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = json!({"kty": "RSA", "n": number(n.big_endian_without_leading_zero()), "e": number(e.big_endian_without_leading_zero())});
        Self { algorithm: Algorithm::RS256, key, id, public }
    }

    fn ec(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("it generates");
        let der = pair.to_pkcs8v1().expect("it has a form");
        let point = pair.public_key().as_ref().get(1..).expect("an uncompressed point").split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(point.0), URL_SAFE_NO_PAD.encode(point.1));
        let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        Self { algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(der.as_ref()), id, public }
    }

    fn ed(id: &'static str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("it generates");
        let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("it was just made");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        Self { algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(der.as_ref()), id, public }
    }

    fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(self.id);
        jwk
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) }
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).expect("it signs")
    }
}

fn keys(all: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": all }).to_string().as_bytes()).expect("a key set")
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.net",
        "aud": "console",
        "sub": "248289761001",
        "exp": NOW.as_secs() + 300,
        "iat": NOW.as_secs(),
        "nonce": "the nonce",
        "email": "ann@example.net",
        "email_verified": true,
    })
}

fn with(changes: &Value) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    all
}

fn check(signer: &Signer, claims: &Value) -> Result<PersonClaims, IdTokenError> {
    verify(&signer.sign(claims), &keys(&[signer.jwk()]), EXPECTED, NOW)
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn a_token_signed_in_any_of_the_three_ways_tells_who_it_is() {
    let signers = [Signer::rsa("a"), Signer::ec("b"), Signer::ed("c")];
    let keys = keys(&signers.each_ref().map(Signer::jwk));
    for signer in &signers {
        let person = verify(&signer.sign(&claims()), &keys, EXPECTED, NOW).unwrap();
        assert_eq!((person.sub.as_str(), person.email.as_deref()), ("248289761001", Some("ann@example.net")));
    }
}

#[test]
fn every_wrong_claim_is_refused_by_name() {
    let signer = Signer::ec("a");
    let wrong = |changes: Value| check(&signer, &with(&changes)).expect_err("it is wrong");
    for (changes, claim) in [
        (json!({"iss": "https://id.example.net/"}), "iss"),
        (json!({"iss": "https://evil.example"}), "iss"),
        (json!({"aud": "another"}), "aud"),
        (json!({"aud": []}), "aud"),
        (json!({"aud": ["another"]}), "aud"),
        (json!({"aud": ["console", "another"]}), "azp"),
        (json!({"aud": ["console", "another"], "azp": "another"}), "azp"),
        (json!({"azp": "another"}), "azp"),
        (json!({"nonce": "another"}), "nonce"),
        (json!({"nonce": ""}), "nonce"),
        (json!({"nonce": null}), "nonce"),
        (json!({"sub": ""}), "sub"),
        (json!({"sub": "a".repeat(256)}), "sub"),
    ] {
        assert_eq!(wrong(changes.clone()), IdTokenError::Claim(claim), "{changes}");
    }
    for changes in [
        json!({"sub": null}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"iat": null}),
        json!({"iss": ["https://id.example.net"]}),
        json!({"aud": null}),
    ] {
        assert_eq!(wrong(changes.clone()), IdTokenError::Malformed, "{changes}");
    }
    for good in [
        json!({"aud": ["console"]}),
        json!({"aud": ["another", "console"], "azp": "console"}),
        json!({"azp": "console"}),
    ] {
        assert!(check(&signer, &with(&good)).is_ok(), "{good}");
    }
}

#[test]
fn a_token_is_in_force_from_its_beginning_to_its_end_give_or_take_a_minute() {
    let signer = Signer::ec("a");
    let at = |name: &str, offset: i64| {
        let mut claims = claims();
        claims[name] = json!(i64::try_from(NOW.as_secs()).unwrap() + offset);
        check(&signer, &claims).map(drop)
    };
    assert_eq!(at("exp", -59), Ok(()));
    assert_eq!(at("exp", -60), Err(IdTokenError::Expired));
    assert_eq!(at("exp", -9_999_999_999), Err(IdTokenError::Expired));
    for name in ["iat", "nbf"] {
        assert_eq!(at(name, 60), Ok(()), "{name}");
        assert_eq!(at(name, 61), Err(IdTokenError::Early), "{name}");
    }
    assert!(check(&signer, &with(&json!({"exp": 1_800_000_000.5}))).is_ok(), "a fraction of a second");
}

#[test]
fn a_token_without_signature_or_signed_with_a_shared_secret_is_refused() {
    let signer = Signer::rsa("a");
    let keys = keys(&[signer.jwk()]);
    let refused = |token: &str| verify(token, &keys, EXPECTED, NOW).map(drop).unwrap_err();
    for algorithm in ["none", "None", "NONE", ""] {
        let token = format!("{}.{}.", part(&json!({"alg": algorithm, "kid": "a"})), part(&claims()));
        assert_eq!(refused(&token), IdTokenError::Algorithm, "{algorithm}");
    }
    // The classic: the public key as the secret of HS256.
    let public = signer.jwk()["n"].as_str().unwrap().as_bytes().to_vec();
    for secret in [public, b"the client's secret".to_vec()] {
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(refused(&token), IdTokenError::Algorithm);
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let header = Header { kid: Some("a".to_owned()), ..Header::new(algorithm) };
        assert_eq!(
            refused(&encode(&header, &claims(), &signer.key).unwrap()),
            IdTokenError::Algorithm,
            "{algorithm:?}"
        );
    }
}

#[test]
fn a_tampered_token_is_refused() {
    let signer = Signer::ec("a");
    let keys = keys(&[signer.jwk()]);
    let token = signer.sign(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let refused = |token: &str| verify(token, &keys, EXPECTED, NOW).map(drop).unwrap_err();
    let eve = part(&with(&json!({"sub": "eve"})));
    assert_eq!(refused(&format!("{}.{eve}.{}", parts[0], parts[2])), IdTokenError::Signature);
    assert_eq!(refused(&format!("{}.{}.", parts[0], parts[1])), IdTokenError::Signature);
    assert_eq!(refused(&format!("{}.{}.{}", parts[0], parts[1], parts[1])), IdTokenError::Signature);
    let other = Signer { id: "a", ..Signer::ec("b") };
    assert_eq!(refused(&other.sign(&claims())), IdTokenError::Signature, "another key of the same name");
    for garbage in ["", ".", "..", "a.b.c", "a.b", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
        assert!(verify(garbage, &keys, EXPECTED, NOW).is_err(), "{} bytes", garbage.len());
    }
}

#[test]
fn a_header_neither_brings_its_own_key_nor_asks_for_what_is_not_understood() {
    let (known, own) = (Signer::ec("a"), Signer::ec("a"));
    let keys = keys(&[known.jwk()]);
    let own_key = serde_json::from_value(own.jwk()).unwrap();
    let header = Header { jwk: Some(own_key), jku: Some("https://evil.example/jwks".to_owned()), ..own.header() };
    let token = encode(&header, &claims(), &own.key).unwrap();
    assert_eq!(verify(&token, &keys, EXPECTED, NOW).map(drop), Err(IdTokenError::Signature));
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..known.header() };
    let token = encode(&header, &claims(), &known.key).unwrap();
    assert_eq!(verify(&token, &keys, EXPECTED, NOW).map(drop), Err(IdTokenError::Critical));
}

#[test]
fn a_key_is_chosen_by_name_and_signs_in_its_own_way_only() {
    let (first, second, rsa) = (Signer::ec("first"), Signer::ec("second"), Signer::rsa("rsa"));
    let verify = |token: &str, all: &[Value]| verify(token, &keys(all), EXPECTED, NOW).map(drop);
    assert_eq!(verify(&second.sign(&claims()), &[first.jwk()]), Err(IdTokenError::UnknownKey));
    assert_eq!(verify(&second.sign(&claims()), &[first.jwk(), second.jwk(), rsa.jwk()]), Ok(()));
    let nameless = encode(&Header::new(Algorithm::ES256), &claims(), &second.key).unwrap();
    assert_eq!(verify(&nameless, &[second.jwk(), rsa.jwk()]), Ok(()), "there is no choice");
    assert_eq!(verify(&nameless, &[first.jwk(), second.jwk()]), Err(IdTokenError::UnknownKey), "there is one");
    let changed = |name: &str, value: Value| {
        let mut jwk = rsa.jwk();
        jwk[name] = value;
        verify(&rsa.sign(&claims()), &[jwk])
    };
    assert_eq!(changed("use", json!("sig")), Ok(()));
    assert_eq!(changed("use", json!("enc")), Err(IdTokenError::UnknownKey));
    assert_eq!(changed("alg", json!("RS512")), Err(IdTokenError::UnknownKey));
    assert_eq!(changed("alg", json!("RSA-OAEP")), Err(IdTokenError::UnknownKey));
    assert_eq!(changed("kty", json!("oct")), Err(IdTokenError::UnknownKey));
    assert_eq!(changed("n", json!("AQAB")), Err(IdTokenError::Signature), "a key of 24 bits");
}

#[test]
fn keys_that_are_not_understood_are_passed_over() {
    let signer = Signer::ed("a");
    let strange = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "a", "pub": "x"});
    let shared = json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"});
    let curve = json!({"kty": "EC", "crv": "P-521", "kid": "a", "x": "AQ", "y": "AQ"});
    let set = keys(&[strange, shared, curve, json!("no key"), signer.jwk()]);
    assert!(verify(&signer.sign(&claims()), &set, EXPECTED, NOW).is_ok());
    for bad in ["", "{}", "[]", r#"{"keys":{}}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let many = |count: usize| KeySet::parse(json!({"keys": vec![json!({}); count]}).to_string().as_bytes());
    assert!(many(100).is_ok() && many(101).is_err());
}
