use super::*;

/// The commands in a help text, without variables before and redirections behind.
fn examples(help: &str) -> Vec<Vec<String>> {
    let lines = help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let words = |line: &str| -> Vec<String> {
        let line = line.split(" > ").next().unwrap_or_default();
        let words = line.split_whitespace().skip_while(|word| *word != "causeway");
        words.map(|word| word.trim_matches('\'').to_owned()).collect()
    };
    lines.map(words).filter(|words| !words.is_empty()).collect()
}

fn check_help(path: &str, command: &Command, count: &mut usize) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = examples(&help);
    assert!(!examples.is_empty(), "{path} --help shows no example");
    for words in examples {
        *count += 1;
        assert!(format!("{} ", words.join(" ")).starts_with(&format!("{path} ")), "{words:?} under {path}");
        let parsed = super::command().try_get_matches_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.expect_err("looked at").render());
    }
    command.get_subcommands().for_each(|inner| check_help(&format!("{path} {}", inner.get_name()), inner, count));
}

#[test]
fn every_command_shows_examples_that_it_takes() {
    let mut count = 0;
    check_help("causeway", &command(), &mut count);
    assert!(count > 20, "only {count} examples");
}

#[test]
fn the_help_of_a_flag_is_a_whole_sentence() {
    for key in KEYS {
        let summary = key.summary();
        assert!(!summary.contains("e.g [") && !summary.ends_with("e.g"), "--{}: {summary}", key.name);
    }
}

#[test]
fn a_secret_given_as_a_flag_is_told_apart_from_a_misspelt_one() {
    let error =
        |argument: &str| command().try_get_matches_from(["causeway", "serve", argument, "x"]).expect_err("no flag");
    assert_eq!(secret_flag(&error("--api-token")).map(|key| key.name), Some("api_token"));
    assert_eq!(secret_flag(&error("--turn-secret")).map(|key| key.name), Some("turn_secret"));
    assert!(secret_flag(&error("--relam")).is_none());
}

#[test]
fn a_lifetime_that_is_no_number_is_bad_usage() {
    assert!(command().try_get_matches_from(["causeway", "credential", "mint", "--ttl", "1h"]).is_err());
    assert!(command().try_get_matches_from(["causeway", "credential", "mint", "--ttl", "60"]).is_ok());
}

#[test]
fn a_command_shows_the_flags_that_matter_to_it_and_takes_all() {
    for (words, shown, hidden) in [
        (&["console-link"][..], "--data-dir <DIR>", "--relay-ports"),
        (&["fast-path", "status"], "--http-listen <ADDR>", "--relay-ports"),
        (&["credential", "mint"], "--realm <NAME>", "--relay-ports"),
        (&["credential", "inspect"], "--rest-separator <CHAR>", "--relay-ports"),
        (&["serve"], "--relay-ports", "--turn-secret"),
    ] {
        let asked = [&["causeway"], words, &["--help"]].concat();
        let help = command().try_get_matches_from(asked).expect_err("help").render().to_string();
        assert!(help.contains("--config <FILE>") && help.contains(shown), "{words:?}: {help}");
        assert!(!help.contains(hidden), "{words:?}: {help}");
    }
    assert!(command().try_get_matches_from(["causeway", "console-link", "--relay-ports", "50000-50999"]).is_ok());
}
