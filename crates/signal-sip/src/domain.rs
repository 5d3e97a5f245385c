//! What the host of an address says, by its first labels: clients write names that are another's, and route by them.

/// A host, as far as it says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain<'a> {
    /// `<key>.webrtc-<cloud>.…`: a client of the account with this access key.
    Key { key: &'a str, cloud: &'a str },
    /// `webrtc-<cloud>.…`: the server itself.
    Cloud { cloud: &'a str },
    /// `sip-<cloud>.…`: services.
    Service { cloud: &'a str },
    /// Any other: its users have passwords.
    Other,
}

impl<'a> Domain<'a> {
    /// Reads a host in lower case.
    pub(crate) fn of(host: &'a str) -> Self {
        let mut labels = host.split('.');
        let (first, second) = (labels.next().unwrap_or(""), labels.next().unwrap_or(""));
        if let Some(cloud) = first.strip_prefix("webrtc-").filter(|cloud| is_cloud(cloud)) {
            Self::Cloud { cloud }
        } else if let Some(cloud) = first.strip_prefix("sip-").filter(|cloud| is_cloud(cloud)) {
            Self::Service { cloud }
        } else {
            let cloud = second.strip_prefix("webrtc-").filter(|cloud| is_cloud(cloud) && is_key(first));
            cloud.map_or(Self::Other, |cloud| Self::Key { key: first, cloud })
        }
    }
}

/// Three numbers.
fn is_cloud(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('-').count() == 3 && text.split('-').all(is_number)
}

fn is_key(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_labels_decide_whatever_follows() {
        let key = Domain::Key { key: "abc12", cloud: "1-2-0" };
        assert_eq!(Domain::of("abc12.webrtc-1-2-0.aculabcloud.net"), key);
        assert_eq!(Domain::of("abc12.webrtc-1-2-0"), key);
        assert_eq!(Domain::of("webrtc-1-2-0.example"), Domain::Cloud { cloud: "1-2-0" });
        assert_eq!(Domain::of("sip-1-2-0.aculab.com"), Domain::Service { cloud: "1-2-0" });
    }

    #[test]
    fn names_that_only_look_alike_say_nothing() {
        for host in
            ["example.test", "", "webrtc-1-2.example", "ABC.webrtc-1-2-0.x", "a_b.webrtc-1-2-0.x", "sip-a-b-c.x"]
        {
            assert_eq!(Domain::of(host), Domain::Other, "{host}");
        }
    }
}
