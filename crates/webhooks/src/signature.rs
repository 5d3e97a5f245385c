//! `Causeway-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over the time, a dot, and the body.

use aws_lc_rs::hmac;
use causeway_types::{Secret, UnixTime};

/// The header's value; one `v1` per secret, the newest first.
pub(crate) fn sign(secrets: &[Secret<String>], at: UnixTime, body: &str) -> String {
    let message = format!("{}.{body}", at.as_secs());
    let mut value = format!("t={}", at.as_secs());
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        value.push_str(",v1=");
        value.push_str(&hex::encode(hmac::sign(&key, message.as_bytes())));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_other_tools_compute() {
        // printf '1790000000.{"id":"1"}' | openssl dgst -sha256 -hmac whsec_test
        let secrets = [Secret::new("whsec_test".to_owned()), Secret::new("whsec_old".to_owned())];
        let value = sign(&secrets, UnixTime::from_millis(1_790_000_000_999), r#"{"id":"1"}"#);
        assert_eq!(
            value,
            "t=1790000000,v1=63357835f228c6596e4efd334a9a9156a4a3e2a1cc1ac23c50c0e6aeb7934853,v1=ffb19c790b955dc56a409312180c63ba45bba371e2ef818773d55e284c620772"
        );
    }
}
