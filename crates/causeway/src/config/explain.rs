//! What `causeway explain` says of a name: keys, tables of the file, limits.

use super::{KEYS, Key, TABLES, calls, fixed, kvs, limits::FixedLimit, load::nearest, tables::FileTable};

/// A key of a table of the file: name, form, default, what it does.
pub(super) type TableKey = (&'static str, &'static str, &'static str, &'static str);

/// A table that the file has once, with what it is for and its keys.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [TableKey],
}

pub(super) const SECTIONS: [Section; 2] = [
    Section { name: "kvs", doc: "AWS clients (docs/compat/aws-kvs.md).", keys: kvs::KEYS },
    Section { name: "calls", doc: "Registrations and calls between clients (docs/sip.md).", keys: calls::KEYS },
];

/// The page of `name`, which may also be written as a flag, an environment variable, or `config.NAME` as errors have it.
pub(crate) fn page(name: &str) -> Option<String> {
    let name = plain(name);
    let key = KEYS.iter().find(|key| key.name == name).map(Key::page);
    let table = || TABLES.iter().find(|table| table.name == name).map(FileTable::page);
    let section = || SECTIONS.iter().find_map(|section| section.page(&name));
    let limit = || fixed().iter().find(|limit| limit.name == name).map(FixedLimit::page);
    key.or_else(table).or_else(section).or_else(limit)
}

/// The name there is a page of that is most like `name`.
pub(crate) fn most_like(name: &str) -> String {
    let mut names: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    names.extend(TABLES.iter().map(|table| table.name.to_owned()));
    names.extend(fixed().iter().map(|limit| limit.name.to_owned()));
    for Section { name, keys, .. } in &SECTIONS {
        names.extend(keys.iter().map(|(key, ..)| format!("{name}.{key}")));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nearest(&plain(name), &names).to_owned()
}

/// As the table of keys has it.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let name = name.trim_start_matches('_');
    ["config.", "causeway_"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

impl Section {
    /// Of the section, or of one of its keys.
    fn page(&self, wanted: &str) -> Option<String> {
        let Self { name, doc, keys } = self;
        if wanted == *name {
            let rows: String = keys.iter().map(|(key, value, default, what)| row(key, value, default, what)).collect();
            return Some(format!("{name}\n\n{doc}\n\nIn the file only, under [{name}]:\n\n{rows}"));
        }
        let key = wanted.strip_prefix(name)?.strip_prefix('.')?;
        let (key, value, default, what) = keys.iter().find(|(known, ..)| *known == key)?;
        Some(format!(
            "{wanted}\n\n{what}\n\nIn the file only, under [{name}]:\n\n  {key} = {value}\n\n  default      {default}\n"
        ))
    }
}

fn row(key: &str, value: &str, default: &str, what: &str) -> String {
    format!("  {key} = {value} (default: {default})\n      {what}\n")
}
