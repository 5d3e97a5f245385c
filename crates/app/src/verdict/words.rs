//! Numbers as people say them.

use std::time::Duration;

/// `0.3 s`, `4 s`, `3 min`, `5 h`, `2 days`.
pub(super) fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    match duration.as_secs() {
        0..10 if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        0..10 => format!("{}.{} s", millis / 1000, (millis % 1000 / 100).max(u128::from(millis < 100))),
        secs @ 10..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs @ 7200..172_800 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

/// `512 bytes`, `2.1 kB`, `3.4 MB`, `1.2 GB`: powers of ten, as prices are.
pub(super) fn bytes(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1000 => format!("{count} bytes"),
        1000..1_000_000 => format!("{} kB", tenths(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// `alice`, `alice and bob`, `alice, bob and carol`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        for (millis, said) in [
            (0, "0 s"),
            (40, "0.1 s"),
            (1340, "1.3 s"),
            (4000, "4 s"),
            (119_999, "119 s"),
            (180_000, "3 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), said);
        }
        assert_eq!(
            [bytes(999), bytes(2100), bytes(3_450_000), bytes(1_000_000_000)],
            ["999 bytes", "2.1 kB", "3.4 MB", "1.0 GB"]
        );
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
