//! Explains a user name and password to a person: what form they have and why they would not be let in.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use causeway_types::UnixTime;

use crate::{
    issued,
    turn_rest::{self, SharedSecrets},
};

/// What a pair turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A UUID: only the store knows it.
    Issued,
    /// TURN REST form, made with the secret at this position.
    TurnRest {
        /// Position in the configured list.
        secret_index: usize,
        /// Time left, or since when it has expired.
        validity: Validity,
    },
    /// TURN REST form, but no configured secret made the password.
    TurnRestWrongSecret {
        /// Time left, or since when it has expired.
        validity: Validity,
    },
    /// TURN REST form, but no secret is configured.
    TurnRestWithoutSecret,
    /// Neither form: only a static user could match.
    Other,
}

/// Where the expiry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Good for this long.
    Left(Duration),
    /// Expired this long ago.
    ExpiredAgo(Duration),
}

/// Looks at a pair.
#[must_use]
pub fn inspect(username: &str, password: &str, secrets: &SharedSecrets, separator: char, now: UnixTime) -> Finding {
    if issued::is_issued_form(username) {
        return Finding::Issued;
    }
    let Some(expiry) = turn_rest::expiry_of(username, separator) else { return Finding::Other };
    if secrets.is_empty() {
        return Finding::TurnRestWithoutSecret;
    }
    let validity = if expiry < now {
        Validity::ExpiredAgo(now.saturating_since(expiry))
    } else {
        Validity::Left(expiry.saturating_since(now))
    };
    let made_with = secrets.iter().find(|(_, secret)| {
        let expected = turn_rest::password(secret.expose(), username);
        verify_slices_are_equal(expected.as_bytes(), password.as_bytes()).is_ok()
    });
    match made_with {
        Some((secret_index, _)) => Finding::TurnRest { secret_index, validity },
        None => Finding::TurnRestWrongSecret { validity },
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;

    #[test]
    fn each_kind_of_pair_is_told_apart() {
        let secrets = SharedSecrets::new(vec![Secret::new("new".into()), Secret::new("old".into())]);
        let now = UnixTime::from_secs(1000);
        let look = |name: &str, password: &str| inspect(name, password, &secrets, ':', now);
        let old = turn_rest::password("old", "900:alice");
        assert_eq!(
            look("900:alice", &old),
            Finding::TurnRest { secret_index: 1, validity: Validity::ExpiredAgo(Duration::from_secs(100)) }
        );
        assert_eq!(
            look("1030:alice", "guess"),
            Finding::TurnRestWrongSecret { validity: Validity::Left(Duration::from_secs(30)) }
        );
        assert_eq!(look("3f0d2a52-6a0e-4a8f-9d3b-0b6a2f6f8c11", "x"), Finding::Issued);
        assert_eq!(look("alice", "x"), Finding::Other);
        assert_eq!(inspect("5:a", "x", &SharedSecrets::default(), ':', now), Finding::TurnRestWithoutSecret);
    }
}
