//! `yyyymmddThhmmssZ`, and back.

use causeway_types::UnixTime;

/// Reads `yyyymmddThhmmssZ`, from 1970 on.
#[must_use]
pub fn read_amz_date(text: &str) -> Option<UnixTime> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        bytes
            .get(from..to)?
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    Some(UnixTime::from_secs(days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second))
}

/// As `yyyymmddThhmmssZ`.
#[must_use]
pub fn amz_date(at: UnixTime) -> String {
    let (days, second) = (at.as_secs() / 86_400, at.as_secs() % 86_400);
    let (year, month, day) = date_of(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counted in years that begin in March.
const fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_of`].
const fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_several_centuries_come_back() {
        for (text, secs) in [
            ("19700101T000000Z", 0),
            ("20000229T235959Z", 951_868_799),
            ("20231114T221320Z", 1_700_000_000),
            ("21000301T000000Z", 4_107_542_400),
        ] {
            assert_eq!(read_amz_date(text), Some(UnixTime::from_secs(secs)), "{text}");
            assert_eq!(amz_date(UnixTime::from_secs(secs)), text);
        }
        for days in 0..200_000 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for bad in [
            "",
            "20231114",
            "20231114T221320",
            "2023-11-14T22:13",
            "20231314T221320Z",
            "19691231T235959Z",
            "2023111+T221320Z",
            "20231114t221320z",
        ] {
            assert_eq!(read_amz_date(bad), None, "{bad}");
        }
    }
}
