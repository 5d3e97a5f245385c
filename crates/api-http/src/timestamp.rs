//! Times on the wire: RFC 3339 in UTC with exactly three fraction digits.

use causeway_types::UnixTime;
use serde::{Serialize, Serializer};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use utoipa::{PartialSchema, ToSchema, openapi};

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// As written: `2026-05-31T06:48:36.283Z`.
#[must_use]
pub fn timestamp(at: UnixTime) -> String {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(TIME).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

/// As read: RFC 3339 with any offset and fraction, from 1970 on.
#[must_use]
pub fn parse_time(text: &str) -> Option<UnixTime> {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    u64::try_from(nanos / 1_000_000).ok().map(UnixTime::from_millis)
}

/// A time in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub UnixTime);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp(self.0))
    }
}

impl From<UnixTime> for Timestamp {
    fn from(at: UnixTime) -> Self {
        Self(at)
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> openapi::RefOr<openapi::schema::Schema> {
        openapi::ObjectBuilder::new()
            .schema_type(openapi::schema::Type::String)
            .format(Some(openapi::SchemaFormat::KnownFormat(openapi::KnownFormat::DateTime)))
            .examples(["2026-05-31T06:48:36.283Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_three_fraction_digits_and_a_z() {
        assert_eq!(timestamp(UnixTime::from_millis(1_780_210_116_283)), "2026-05-31T06:48:36.283Z");
        assert_eq!(timestamp(UnixTime::from_secs(1_780_210_116)), "2026-05-31T06:48:36.000Z");
    }

    #[test]
    fn times_are_read_with_any_offset_and_never_before_1970() {
        let at = Some(UnixTime::from_millis(1_780_210_116_283));
        assert_eq!(parse_time("2026-05-31T06:48:36.283Z"), at);
        assert_eq!(parse_time("2026-05-31T08:48:36.283999+02:00"), at);
        for bad in ["", "2026-05-31", "1780210116", "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
