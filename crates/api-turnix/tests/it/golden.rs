//! The transcripts of `golden/`: a request as a client sends it, and every byte of its answer.
//!
//! A file is comment lines (`#`, what it is; `# with: …`, under which conditions; `# body: N`, N bytes of filler), the
//! request, a line `----`, the answer. Line ends of heads are CRLF on the wire. In a chunked request each line of the body is
//! a chunk. What differs between runs stands in angle brackets and is checked for its form. `GOLDEN_UPDATE=1` writes the
//! answers anew; then read the difference.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::world::{Answer, Conditions, World};

/// Names a value's form when the value has it.
type Form = fn(&str) -> Option<String>;

const SEPARATOR: &str = "\n----\n";

#[tokio::test]
async fn every_transcript_is_answered_byte_for_byte() {
    let update = std::env::var_os("GOLDEN_UPDATE").is_some();
    let mut faults = Vec::new();
    for path in transcripts() {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let (request, expected) = text.split_once(SEPARATOR).unwrap_or_else(|| (text.trim_end_matches('\n'), ""));
        let world = World::under(conditions(request)).await;
        let answer = normal(&world.exchange(&bytes(request)).await);
        if update {
            fs::write(&path, format!("{request}{SEPARATOR}{answer}\n")).expect("a writable file");
        } else if answer != expected.trim_end_matches('\n') {
            faults.push(format!("{}\n--- expected\n{expected}\n--- came\n{answer}\n", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_error_of_the_documents_has_a_transcript_and_the_other_way_round() {
    let mut shown = BTreeSet::new();
    for path in transcripts() {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for key in [r#""error":""#, r#""code":""#] {
            shown.extend(text.split(key).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    // Cannot be provoked from outside: a unit test of the error module shows them.
    shown.extend(["internal", "request_timeout"].map(str::to_owned));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compat/turnix.md");
    let page = fs::read_to_string(page).expect("UTF-8");
    let rows = page.lines().skip_while(|line| *line != "| status | `error` | when |").skip(2);
    let told: BTreeSet<String> = rows
        .take_while(|line| line.starts_with('|'))
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && *word != "details")
        .map(str::to_owned)
        .collect();
    assert_eq!(told, shown);
}

fn transcripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "http")).collect();
    files.sort();
    assert!(files.len() > 30, "only {} transcripts", files.len());
    files
}

fn directive<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let comments = request.lines().take_while(|line| line.starts_with('#'));
    comments.filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name)).next()
}

fn conditions(request: &str) -> Conditions {
    match directive(request, "with: ") {
        None => Conditions::default(),
        Some("no requests left") => Conditions { burst: Some(0), ..Conditions::default() },
        Some("the store down") => Conditions { store_is_down: true, ..Conditions::default() },
        Some("no TURN REST secret") => Conditions { no_secret: true, ..Conditions::default() },
        Some("no region that serves") => Conditions { no_region: true, ..Conditions::default() },
        Some("only the region local") => Conditions { only_local: true, ..Conditions::default() },
        Some("a quota that is used up") => Conditions { used_up: true, ..Conditions::default() },
        Some("no UDP listener") => Conditions { no_udp: true, ..Conditions::default() },
        Some(other) => panic!("unknown conditions {other:?}"),
    }
}

/// The request as it goes over the wire.
fn bytes(request: &str) -> Vec<u8> {
    let lines: Vec<&str> = request.lines().skip_while(|line| line.starts_with('#')).collect();
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (head, body) = (&lines[..end], lines.get(end + 1..).unwrap_or_default());
    let mut wire: String = head.iter().flat_map(|line| [*line, "\r\n"]).chain(["\r\n"]).collect();
    if let Some(filler) = directive(request, "body: ") {
        wire += &"x".repeat(filler.parse().expect("a number"));
    } else if head.iter().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked")) {
        for chunk in body {
            write!(wire, "{:x}\r\n{chunk}\r\n", chunk.len()).expect("a string takes everything");
        }
        wire += "0\r\n\r\n";
    } else {
        wire += &body.join("\n");
    }
    wire.into_bytes()
}

/// The answer with what differs between runs replaced by its form.
fn normal(answer: &Answer) -> String {
    let mut text = answer.bytes.replace("\r\n", "\n");
    if let Some(id) = answer.header("x-request-id").filter(|id| is_uuid_v4(id)) {
        text = text.replace(id, "<request id>");
    }
    let fields: [(&str, char, Form); 6] = [
        ("\ndate: ", '\n', |v| is_like(v, "Aaa, dd Aaa dddd dd:dd:dd GMT").then(|| "<date>".to_owned())),
        ("\nx-ratelimit-reset: ", '\n', |v| is_like(v, "dddddddddd").then(|| "<unix seconds>".to_owned())),
        (r#""expiresAt":""#, '"', |v| is_like(v, "dddd-dd-ddTdd:dd:dd.dddZ").then(|| "<time>".to_owned())),
        (r#""credential":""#, '"', |v| is_hex(v, 32).then(|| "<32 hex digits>".to_owned())),
        (r#""password":""#, '"', |v| (v.len() == 28 && v.ends_with('=')).then(|| "<base64 of 20 bytes>".to_owned())),
        (r#""username":""#, '"', username),
    ];
    for (before, after, form) in fields {
        let Some(at) = text.find(before).map(|at| at + before.len()) else { continue };
        let (head, tail) = text.split_at(at);
        let value = tail.split(after).next().unwrap_or_default();
        if let Some(form) = form(value) {
            text = [head, &form, tail.strip_prefix(value).unwrap_or_default()].concat();
        }
    }
    text.trim_end_matches('\n').to_owned()
}

fn username(value: &str) -> Option<String> {
    if is_uuid_v4(value) {
        return Some("<uuid>".to_owned());
    }
    let (expiry, user) = value.split_at_checked(10)?;
    is_like(expiry, "dddddddddd").then(|| format!("<expiry>{user}"))
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_uuid_v4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [a, b, c, d, e] = parts.as_slice() else { return false };
    let hex = [(a, 8), (b, 4), (c, 4), (d, 4), (e, 12)].iter().all(|(part, len)| is_hex(part, *len));
    hex && c.starts_with('4') && d.starts_with(['8', '9', 'a', 'b'])
}

/// Whether a text has the form of a pattern: `d` a digit, `A` a capital, `a` a small letter, all else itself.
pub(crate) fn is_like(text: &str, pattern: &str) -> bool {
    let fits = |(c, p): (char, char)| match p {
        'd' => c.is_ascii_digit(),
        'A' => c.is_ascii_uppercase(),
        'a' => c.is_ascii_lowercase(),
        _ => c == p,
    };
    text.chars().count() == pattern.chars().count() && text.chars().zip(pattern.chars()).all(fits)
}
