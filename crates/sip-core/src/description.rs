//! What little is done to a session description here: its direction, for a hold that the other party tells without one.

use std::sync::Arc;

/// The description with this direction in every media section, and the next version of its origin line (RFC 3264 §8).
#[must_use]
pub(crate) fn with_direction(description: &str, direction: &str) -> Arc<str> {
    let mut out = String::with_capacity(description.len() + 16);
    let is_direction = |line: &str| matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
    for line in description.lines().map(str::trim_end) {
        if let Some(origin) = line.strip_prefix("o=") {
            out.push_str(&format!("o={}\r\n", next_version(origin)));
        } else if is_direction(line) {
            out.push_str(&format!("a={direction}\r\n"));
        } else {
            out.push_str(&format!("{line}\r\n"));
        }
    }
    Arc::from(out)
}

/// `username id version …` with the version one higher.
fn next_version(origin: &str) -> String {
    let mut words: Vec<String> = origin.split(' ').map(str::to_owned).collect();
    if let Some(version) = words.get_mut(2) {
        *version = version.parse::<u64>().map_or_else(|_| version.clone(), |n| n.wrapping_add(1).to_string());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_changes_the_direction_and_the_version() {
        let out = with_direction("v=0\r\no=- 42 7 IN IP4 0.0.0.0\r\nm=audio 9 X 0\r\na=sendrecv\r\n", "sendonly");
        assert_eq!(&*out, "v=0\r\no=- 42 8 IN IP4 0.0.0.0\r\nm=audio 9 X 0\r\na=sendonly\r\n");
    }
}
