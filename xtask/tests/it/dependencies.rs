//! `deny.toml` holds for what is compiled here. `cargo deny check` does more; this needs no tool and no network.

use std::{collections::BTreeMap, process::Command};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

fn deny() -> Deny {
    toml::from_str(&crate::read("deny.toml")).expect("deny.toml is TOML with these keys")
}

/// Licence expressions of everything that is compiled on this machine, tests included, by package.
fn compiled() -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--prefix", "none", "--format", "{p}\t{l}"])
        .current_dir(crate::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let package = |line: &str| {
        let (package, licence) = line.split_once('\t')?;
        let name = package.split(' ').next()?;
        Some((name.to_owned(), licence.trim_end_matches(" (*)").trim().to_owned()))
    };
    text.lines().filter_map(package).collect()
}

/// Whether an SPDX expression can be met with `allowed` licences alone. `/` is the old way to write OR.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest, allowed);
    met && rest.is_empty()
}

/// `a OR b`, which binds more loosely than AND.
fn any(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        // Not short-circuited: the words must be taken.
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = licence(words, allowed);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        met &= licence(words, allowed);
    }
    met
}

/// A name, a name with an exception, or something in parentheses.
fn licence(words: &mut &[&str], allowed: &[String]) -> bool {
    match **words {
        ["(", ref rest @ ..] => {
            *words = rest;
            let met = any(words, allowed);
            let Some((&")", rest)) = words.split_first() else { return false };
            *words = rest;
            met
        }
        [name, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{name} WITH {exception}"))
        }
        [name, ref rest @ ..] => {
            *words = rest;
            allowed.iter().any(|known| known == name)
        }
        [] => false,
    }
}

#[test]
fn every_licence_is_allowed_and_nothing_banned_is_compiled() {
    let (deny, compiled) = (deny(), compiled());
    assert!(compiled.len() > 100, "cargo tree was not understood: {} packages", compiled.len());
    let mut faults = Vec::new();
    for (name, licence) in &compiled {
        if !is_met(licence, &deny.licenses.allow) {
            faults.push(format!("{name}: {licence:?} is not allowed by deny.toml"));
        }
        if deny.bans.deny.iter().any(|banned| banned.name == *name) {
            faults.push(format!("{name} is banned by deny.toml"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!((deny.sources.unknown_registry.as_str(), deny.sources.unknown_git.as_str()), ("deny", "deny"));
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("Apache-2.0", false),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0/MIT", true),
        ("MIT AND Apache-2.0", false),
        ("ISC AND (Apache-2.0 OR MIT)", true),
        ("ISC AND (Apache-2.0 OR GPL-3.0)", false),
        ("GPL-3.0 AND ISC OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0 WITH LLVM-exception", false),
        ("(MIT", false),
        ("", false),
        ("MIT ISC", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression:?}");
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_repository() {
    #[derive(Deserialize)]
    struct File {
        toolchain: Toolchain,
    }
    #[derive(Deserialize)]
    struct Toolchain {
        channel: String,
    }
    let file: File = toml::from_str(&crate::read("rust-toolchain.toml")).expect("TOML");
    let channel = file.toolchain.channel;
    let dockerfile = crate::read("packaging/Dockerfile");
    for line in [format!("FROM rust:{channel}-slim-bookworm AS build"), format!("ENV RUSTUP_TOOLCHAIN={channel}")] {
        assert!(dockerfile.lines().any(|l| l == line), "the Dockerfile lacks {line:?}");
    }
}
