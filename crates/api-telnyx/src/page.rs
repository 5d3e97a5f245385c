//! Lists by page number, and the query's filters.

use axum::http::Uri;
use causeway_app::NumberedPage;
use serde_json::{Value, json};

use crate::errors::TelnyxError;

/// Longest page.
const PAGE_SIZE_MAX: u32 = 250;

/// The query's pairs, decoded. The clients encode the brackets of `page[number]`.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// `page[number]`, `page[size]`, `sort`.
    pub(crate) fn page(&self, size_default: u32) -> Result<Asked, TelnyxError> {
        let number = self.number("page[number]", 1, u32::MAX)?.unwrap_or(1);
        let size = self.number("page[size]", 1, PAGE_SIZE_MAX)?.unwrap_or(size_default);
        let is_newest_first = self.get("sort").is_some_and(|sort| sort.starts_with('-'));
        let offset = u64::from(number - 1) * u64::from(size);
        Ok(Asked { number, size, part: NumberedPage { offset, limit: size, is_newest_first } })
    }

    fn number(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, TelnyxError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        let wrong = || {
            TelnyxError::new(400, "10031", "Invalid request filter", format!("{name} must be {min} to {max}."))
                .in_query(name)
        };
        number.map(Some).ok_or_else(wrong)
    }
}

/// A page that was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    number: u32,
    size: u32,
    pub(crate) part: NumberedPage,
}

impl Asked {
    /// The list with its `meta`.
    pub(crate) fn answer(&self, data: &[Value], total: u64) -> Value {
        json!({
            "data": data,
            "meta": {
                "page_number": self.number,
                "page_size": self.size,
                "total_pages": total.div_ceil(u64::from(self.size)),
                "total_results": total,
            },
        })
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let value = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(value.unwrap_or(b'%'));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/v2/x?{text}").parse().unwrap())
    }

    #[test]
    fn pages_are_read_with_and_without_encoded_brackets() {
        for text in ["page[number]=3&page[size]=10", "page%5Bnumber%5D=3&page%5Bsize%5D=10"] {
            let asked = query(text).page(20).unwrap();
            assert_eq!((asked.part.offset, asked.part.limit), (20, 10), "{text}");
        }
        let asked = query("").page(50).unwrap();
        assert_eq!((asked.part.offset, asked.part.limit), (0, 50));
    }

    #[test]
    fn a_page_outside_its_bounds_is_a_bad_filter() {
        for text in ["page[size]=0", "page[size]=251", "page[number]=0", "page[number]=x"] {
            assert!(query(text).page(20).is_err(), "{text}");
        }
        assert!(query("page[size]=250&page[number]=4294967295").page(20).is_ok());
    }

    #[test]
    fn the_meta_counts_pages_up() {
        let answer = query("page[size]=2").page(20).unwrap().answer(&[], 5);
        assert_eq!(answer["meta"], json!({"page_number": 1, "page_size": 2, "total_pages": 3, "total_results": 5}));
    }
}
