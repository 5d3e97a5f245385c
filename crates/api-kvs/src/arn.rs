//! ARNs, channel names and client ids (`compat/aws-kvs.md#identifiers`).

use causeway_app::{Identifier, SignalChannel};
use causeway_types::UnixTime;

/// Longest ARN.
const ARN_BYTES_MAX: usize = 1024;

/// A channel's ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelArn {
    /// Of which region.
    pub region: String,
    /// Of which account.
    pub account: String,
    /// Name.
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
}

/// Why a text names no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoArn {
    /// It is no ARN.
    Malformed,
    /// It is one of something else.
    Foreign,
}

impl ChannelArn {
    /// Of a channel.
    #[must_use]
    pub fn of(channel: &SignalChannel, region: &str, account: &str) -> Self {
        Self {
            region: region.to_owned(),
            account: account.to_owned(),
            name: channel.name.clone(),
            created_ms: channel.created_at.as_millis(),
        }
    }

    /// Reads one: `arn:aws:kinesisvideo:REGION:ACCOUNT:channel/NAME/MILLISECONDS`.
    pub(crate) fn read(text: &str) -> Result<Self, NoArn> {
        if text.len() > ARN_BYTES_MAX {
            return Err(NoArn::Malformed);
        }
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(NoArn::Malformed);
        let (arn, partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        let mut of_resource = resource.split('/');
        let (kind, name, created) = (of_resource.next(), of_resource.next(), of_resource.next());
        let (Some(kind), Some(name), Some(created), None) = (kind, name, created, of_resource.next()) else {
            return Err(NoArn::Malformed);
        };
        let slug = |text: &str, capitals: bool| {
            let good =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || capitals && b.is_ascii_uppercase();
            !text.is_empty() && text.bytes().all(good)
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_well_formed = arn == "arn"
            && slug(partition, false)
            && service == "kinesisvideo"
            && slug(region, false)
            && digits(account)
            && slug(kind, false)
            && is_channel_name(name)
            && digits(created);
        if !is_well_formed {
            return Err(NoArn::Malformed);
        }
        match created.parse() {
            Ok(created_ms) if kind == "channel" && partition == "aws" => {
                Ok(Self { region: region.to_owned(), account: account.to_owned(), name: name.to_owned(), created_ms })
            }
            _ => Err(NoArn::Foreign),
        }
    }

    /// Whether it is this channel's, not that of an earlier one of the same name.
    pub(crate) fn names(&self, channel: &SignalChannel) -> bool {
        self.name == channel.name && UnixTime::from_millis(self.created_ms) == channel.created_at
    }
}

impl std::fmt::Display for ChannelArn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { region, account, name, created_ms } = self;
        write!(f, "arn:aws:kinesisvideo:{region}:{account}:channel/{name}/{created_ms:013}")
    }
}

/// 1–256 of `a-zA-Z0-9_.-`.
#[must_use]
pub fn is_channel_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=256).contains(&text.len()) && text.bytes().all(good)
}

/// The same letters as a channel's name.
#[must_use]
pub fn is_client_id(text: &str) -> bool {
    is_channel_name(text)
}

/// Ids that AWS keeps for itself, in any case.
pub(crate) fn is_reserved_client_id(text: &str) -> bool {
    text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("AWS_"))
}

/// A name as rooms and clients of credentials have: the same where it can be, else its permitted characters and a hash.
pub(crate) fn label(name: &str) -> Option<Identifier> {
    if let Ok(label) = Identifier::new(name) {
        return Some(label);
    }
    let head: String = name.chars().take(67).map(|c| if c == '.' { '-' } else { c }).collect();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let hash: String = hex::encode(hash).chars().take(32).collect();
    Identifier::new(&format!("{head}-{hash}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo.1/1700000000000";

    #[test]
    fn an_arn_comes_back() {
        let arn = ChannelArn::read(ARN).unwrap();
        assert_eq!(
            (arn.region.as_str(), arn.name.as_str(), arn.created_ms),
            ("us-west-2", "demo.1", 1_700_000_000_000)
        );
        assert_eq!(arn.to_string(), ARN);
    }

    #[test]
    fn other_texts_are_malformed_or_foreign() {
        for (text, expected) in [
            ("", NoArn::Malformed),
            ("demo", NoArn::Malformed),
            ("arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo", NoArn::Malformed),
            ("arn:aws:kinesisvideo:us-west-2:123456789012:channel/de mo/1", NoArn::Malformed),
            ("arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1/2", NoArn::Malformed),
            ("arn:aws:kinesisvideo:us-west-2:12345678901x:channel/demo/1", NoArn::Malformed),
            ("arn:aws:s3:us-west-2:123456789012:channel/demo/1", NoArn::Malformed),
            ("arn:aws:kinesisvideo:us-west-2:123456789012:stream/demo/1", NoArn::Foreign),
            ("arn:aws-cn:kinesisvideo:us-west-2:123456789012:channel/demo/1", NoArn::Foreign),
            ("arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/99999999999999999999", NoArn::Foreign),
        ] {
            assert_eq!(ChannelArn::read(text), Err(expected), "{text}");
        }
        assert_eq!(ChannelArn::read(&format!("{ARN}{}", "0".repeat(1024))), Err(NoArn::Malformed));
    }

    #[test]
    fn names_have_their_limits() {
        for (name, expected) in [("", false), ("a", true), ("a_b.c-9", true), ("a b", false), ("é", false)] {
            assert_eq!(is_channel_name(name), expected, "{name}");
        }
        assert!(is_channel_name(&"a".repeat(256)) && !is_channel_name(&"a".repeat(257)));
        assert!(
            is_reserved_client_id("aws_x") && is_reserved_client_id("AWS_DEFAULT") && !is_reserved_client_id("awsx")
        );
    }

    #[test]
    fn a_label_is_the_name_where_it_can_be_and_otherwise_one_of_its_own() {
        assert_eq!(label("cam-1").unwrap().as_str(), "cam-1");
        let dotted = label("cam.1").unwrap();
        assert!(dotted.as_str().starts_with("cam-1-") && dotted.as_str().len() == 38, "{dotted}");
        assert_ne!(label(&format!("{}a", "x".repeat(200))), label(&format!("{}b", "x".repeat(200))));
        assert!(label(&"x.".repeat(128)).unwrap().as_str().len() <= 100);
    }
}
