//! What little the core does to a session description: candidates that came later are put in (RFC 8839 §5.1).

use std::sync::Arc;

/// A candidate that came after its description (RFC 8840 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The attribute's value: `candidate:…`, without `a=`.
    pub line: Arc<str>,
    /// Identification tag of its media section (RFC 8843).
    pub mid: Option<Arc<str>>,
    /// Number of its media section, from zero.
    pub media_index: Option<u16>,
}

/// The description with the candidates at the end of their media sections.
///
/// A candidate without a section, or with one that is not there, goes to the first: with BUNDLE all share its transport.
/// Line ends stay as they are.
pub(crate) fn with_candidates(description: &str, candidates: &[Candidate]) -> Arc<str> {
    if candidates.is_empty() {
        return Arc::from(description);
    }
    let line_end = if description.contains("\r\n") { "\r\n" } else { "\n" };
    let mut sections = sections(description);
    if sections.len() < 2 {
        return Arc::from(description);
    }
    for candidate in candidates {
        let at = section_of(&sections, candidate).unwrap_or(1);
        let section = &mut sections[at];
        if !section.is_empty() && !section.ends_with('\n') {
            section.push_str(line_end);
        }
        section.push_str("a=");
        section.push_str(candidate.line.trim());
        section.push_str(line_end);
    }
    Arc::from(sections.concat())
}

/// The session part, then one text per media section.
fn sections(description: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for line in description.split_inclusive('\n') {
        if line.starts_with("m=") {
            sections.push(String::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push_str(line);
        }
    }
    sections
}

/// Position in `sections`, where 0 is the session part.
fn section_of(sections: &[String], candidate: &Candidate) -> Option<usize> {
    if let Some(mid) = &candidate.mid {
        let by_mid = sections.iter().skip(1).position(|section| {
            section.lines().any(|line| line.strip_prefix("a=mid:").is_some_and(|value| value.trim() == &**mid))
        });
        if let Some(found) = by_mid {
            return Some(found + 1);
        }
    }
    let index = usize::from(candidate.media_index?) + 1;
    (index < sections.len()).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str =
        "v=0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n";

    fn candidate(line: &str, mid: Option<&str>, media_index: Option<u16>) -> Candidate {
        Candidate { line: Arc::from(line), mid: mid.map(Arc::from), media_index }
    }

    #[test]
    fn candidates_go_to_the_end_of_their_section() {
        let out = with_candidates(
            TWO,
            &[
                candidate("candidate:1", Some("v"), None),
                candidate("candidate:2", None, Some(0)),
                candidate("candidate:3", None, None),
            ],
        );
        assert_eq!(
            &*out,
            "v=0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:2\r\na=candidate:3\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=candidate:1\r\n"
        );
    }

    #[test]
    fn a_section_that_is_not_there_means_the_first() {
        let out = with_candidates(TWO, &[candidate("candidate:1", Some("9"), Some(7))]);
        assert!(out.contains("a=mid:0\r\na=candidate:1\r\nm=video"), "{out}");
    }

    #[test]
    fn a_description_without_media_or_a_last_line_end_survives() {
        assert_eq!(&*with_candidates("v=0\n", &[candidate("c", None, None)]), "v=0\n");
        assert_eq!(&*with_candidates("v=0\nm=audio 9 X 0", &[candidate("c", None, None)]), "v=0\nm=audio 9 X 0\na=c\n");
    }
}
