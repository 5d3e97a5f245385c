//! Documents say what the code does, and their links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use causeway_turn_core::{DropReason, REFUSAL_CODES};
use causeway_types::SPECIAL_RANGES;

/// Directories without documents or sources of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "corpus", "corpora", "causeway-data"];

pub(crate) fn files(extension: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name) {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&crate::root(), extension, &mut found);
    found.sort();
    found
}

/// The targets of `[text](target)` and `[name]: target`, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            links.extend(part.split(')').next().map(str::to_owned));
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|line| line.split_once("]: ")) {
            links.push(target.trim().to_owned());
        }
    }
    links
}

/// The anchor a heading gets: lower case, spaces to dashes, other punctuation gone. What looks like a heading in a code block
/// is none.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code && line.starts_with('#')
    });
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// What is wrong with a reference to `target` from the file, or from a file in the directory, `from`.
fn broken(from: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let directory = if from.is_file() { from.parent()? } else { from };
    let file = if path.is_empty() { from.to_owned() } else { directory.join(path) };
    if !file.exists() {
        return Some(format!("{target} does not exist"));
    }
    let text = if anchor.is_empty() { return None } else { fs::read_to_string(&file).unwrap_or_default() };
    (!anchors(&text).contains(anchor)).then(|| format!("{target}: there is no such heading"))
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = Vec::new();
    let mut count = 0;
    for file in files("md") {
        let text = fs::read_to_string(&file).expect("UTF-8");
        for link in links(&text).iter().filter(|l| !l.contains("://") && !l.starts_with("mailto:")) {
            count += 1;
            faults.extend(broken(&file, link).map(|fault| format!("{}: {fault}", file.display())));
        }
    }
    assert!(count > 10, "only {count} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn documents_named_in_the_sources_exist() {
    let mut faults = Vec::new();
    for file in files("rs") {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let words =
            text.split(|c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | '"' | ',' | ';' | '<' | '>'));
        for word in words {
            let word = word.trim_end_matches(['.', ':']);
            let target = if word.starts_with("compat/") { format!("docs/{word}") } else { word.to_owned() };
            let path = target.split('#').next().unwrap_or_default();
            if path.starts_with("docs/") && path.ends_with(".md") && !path.contains(['{', '*', '…']) {
                faults.extend(broken(&crate::root(), &target).map(|fault| format!("{}: {fault}", file.display())));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    assert!(broken(&crate::root(), "no-such-page.md").is_some());
    assert!(broken(&crate::root(), "README.md#no-such-heading").is_some());
    assert_eq!(broken(&crate::root(), "README.md#documentation"), None);
    let page = crate::root().join("docs/security-model.md");
    assert!(broken(&page, "#no-such-heading").is_some());
    assert_eq!(broken(&crate::root().join("docs/api.md"), "#taking-back"), None);
    assert_eq!(links("see [a](b.md#c) and [d](e)\n```\n[f](g)\n```\n[h]: i.md\n"), ["b.md#c", "e", "i.md"]);
    assert_eq!(anchors("# A b\n```sh\n# no heading\n```\n## c_D, e\n"), ["a-b", "c_d-e"].map(str::to_owned).into());
}

#[test]
fn the_index_of_the_documents_lists_every_page() {
    let docs = crate::root().join("docs");
    let index = fs::read_to_string(docs.join("README.md")).expect("UTF-8");
    let listed: BTreeSet<PathBuf> = links(&index).iter().map(|link| docs.join(link)).collect();
    let is_page = |file: &PathBuf| file.starts_with(&docs) && !file.ends_with("README.md");
    let pages: Vec<PathBuf> = files("md").into_iter().filter(is_page).collect();
    assert!(pages.len() > 15, "only {} pages", pages.len());
    // A directory is listed as a whole.
    let is_listed = |file: &Path| file.ancestors().any(|path| listed.contains(path) && path != docs);
    let missing: Vec<_> = pages.iter().filter(|file| !is_listed(file)).collect();
    assert!(missing.is_empty(), "docs/README.md does not list {missing:?}");
}

#[test]
fn troubleshooting_explains_every_drop_reason_and_error_code() {
    let text = crate::read("docs/troubleshooting.md");
    for reason in DropReason::ALL {
        assert!(text.contains(&format!("| `{}` |", reason.as_str())), "no row for drop reason {}", reason.as_str());
    }
    for code in REFUSAL_CODES {
        assert!(text.contains(&format!("\n| {code} |")), "no row for error code {code}");
    }
}

#[test]
fn the_security_model_lists_exactly_the_ranges_of_the_code() {
    let text = crate::read("docs/security-model.md");
    let of_code: Vec<String> = SPECIAL_RANGES
        .iter()
        .map(|range| format!("| `{}/{}` | {} |", range.first, range.prefix_len, range.name))
        .collect();
    let of_page: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "| range | why |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(of_page, of_code);
}

#[test]
fn the_samples_of_the_guide_are_the_files_that_the_end_to_end_tests_run() {
    let guide = crate::read("docs/api.md");
    let mut count = 0;
    for entry in fs::read_dir(crate::root().join("docs/samples")).expect("samples") {
        let path = entry.expect("an entry").path();
        let sample = fs::read_to_string(&path).expect("UTF-8");
        assert!(guide.contains(&format!("\n{sample}```\n")), "docs/api.md does not show {}", path.display());
        count += 1;
    }
    assert!(count >= 5, "only {count} samples");
}

#[test]
fn committed_documents_name_no_machine() {
    let marks = [["/wo", "rk/"].concat(), ["/tm", "p/wt"].concat(), ["..", "/shared"].concat(), ["TO", "DO"].concat()];
    for file in files("md").into_iter().chain(files("toml")) {
        let text = fs::read_to_string(&file).expect("UTF-8");
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} contains {mark}", file.display());
        }
    }
}
