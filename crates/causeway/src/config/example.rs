//! `causeway.example.toml`: every key with its default, commented out.

use super::{
    explain::SECTIONS,
    keys::{KEYS, Key},
    tables::TABLES,
};

/// Width of comment lines.
const WIDTH: usize = 100;

/// The example file.
pub(crate) fn example() -> String {
    let mut file = String::from(
        "# Every key of causeway.toml with its default, commented out. Made by `causeway explain --example`; a test keeps it\n\
         # and the table of keys the same. Start from packaging/examples for whole configurations.\n\
         # A flag beats the environment, the environment beats this file. Durations are written \"30s\", \"5m\", \"1h\".\n",
    );
    for key in KEYS {
        file.push('\n');
        for line in wrapped(key.doc) {
            file.push_str(&format!("# {line}\n"));
        }
        if key.secret {
            file.push_str("# A secret: better in the environment, as ");
            file.push_str(&key.variable());
            file.push_str(".\n");
        }
        file.push_str(&format!("#{} = {}\n", key.name, value(key)));
    }
    for section in &SECTIONS {
        file.push('\n');
        file.push_str(&format!("# {}\n#[{}]\n", section.doc, section.name));
        // Tables of a table follow below.
        for (name, value, default, what) in section.keys.iter().filter(|(_, value, ..)| *value != "TABLES") {
            for line in wrapped(what) {
                file.push_str(&format!("# {line}\n"));
            }
            // A default that depends on another key is told, not written.
            let shown = if default.contains(' ') { value } else { default };
            let is_bare = shown.bytes().all(|b| b.is_ascii_digit()) && *value == "N";
            let shown = if is_bare { (*shown).to_owned() } else { format!("{shown:?}") };
            file.push_str(&format!("#{name} = {shown}\n"));
        }
    }
    for table in TABLES {
        file.push('\n');
        for line in wrapped(table.doc) {
            file.push_str(&format!("# {line}\n"));
        }
        file.push_str(&format!("#[[{}]]\n", table.name));
        for line in table.lines.lines() {
            file.push_str(&format!("#{line}\n"));
        }
    }
    file
}

/// The default as TOML, or the form of the value when there is none.
fn value(key: &Key) -> String {
    let text = if key.default.is_empty() { key.value } else { key.default };
    if key.list {
        let items: Vec<String> = text.split(',').map(|item| format!("{item:?}")).collect();
        return format!("[{}]", items.join(", "));
    }
    let is_bare = matches!(text, "true" | "false") || text.bytes().all(|b| b.is_ascii_digit());
    if is_bare { text.to_owned() } else { format!("{text:?}") }
}

/// Lines of at most [`WIDTH`] characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
