//! The command line: every flag comes from the table of configuration keys.

mod examples;
#[cfg(test)]
mod tests;

use std::{io::Write, path::PathBuf, process::ExitCode};

use causeway_certificates::{CertificateStore, Pair};
use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    EXIT_FAILED, EXIT_USAGE, api,
    config::{self, Faults, KEYS, Key, Settings, Sources},
    credential, fast_path, people, probe, serve,
};

/// Runs the program; the exit code tells how it went.
pub(crate) fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            if let Some(key) = secret_flag(&error) {
                complain(&format!(
                    "error: --{} is no flag: others can read command lines; set {}, or {} in the file of --config\n",
                    key.name.replace('_', "-"),
                    key.variable(),
                    key.name
                ));
                return ExitCode::from(EXIT_USAGE);
            }
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // The terminal may be gone; there is nobody to tell then.
            drop(error.print());
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    match matches.subcommand() {
        Some(("serve", matches)) => with_settings(matches, serve::serve),
        Some(("check", matches)) => with_settings(matches, |settings| {
            check(&settings);
            Ok(())
        }),
        Some(("explain", matches)) if matches.get_flag("example") => {
            say(&config::example());
            ExitCode::SUCCESS
        }
        Some(("explain", matches)) => explain(matches.get_one::<String>("key").map(String::as_str)),
        Some(("openapi", _)) => {
            say(&(api::document().to_pretty_json().unwrap_or_default() + "\n"));
            ExitCode::SUCCESS
        }
        Some(("console-link", matches)) => with_settings(matches, |settings| people::console_link(&settings, matches)),
        Some(("probe", matches)) => probe::run(matches),
        Some(("fast-path", matches)) => match matches.subcommand() {
            Some(("status", matches)) => with_settings(matches, |settings| {
                say(&fast_path::status(&settings)?);
                Ok(())
            }),
            _ => ExitCode::from(EXIT_USAGE),
        },
        Some(("credential", matches)) => match matches.subcommand() {
            Some(("mint", matches)) => with_settings(matches, |settings| credential::mint(&settings, matches)),
            Some(("inspect", matches)) => with_settings(matches, |settings| credential::inspect(&settings, matches)),
            _ => ExitCode::from(EXIT_USAGE),
        },
        _ => ExitCode::from(EXIT_USAGE),
    }
}

fn command() -> Command {
    Command::new("causeway")
        .about("A self-hosted server for WebRTC applications: STUN/TURN relay and credentials over REST")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(examples::PROGRAM)
        .subcommand(with_keys(Command::new("serve").about("Starts the server")).after_help(examples::SERVE))
        .subcommand(with_keys(
            Command::new("check")
                .about("Checks a configuration and reports every fault at once; exits 64 when there is one")
                .after_help(examples::CHECK),
        ))
        .subcommand(
            Command::new("explain")
                .about("Explains a configuration key, or lists all of them")
                .after_help(examples::EXPLAIN)
                .arg(Arg::new("key").value_name("KEY").help("As in the file, such as relay_ports or kvs.ice_ttl"))
                .arg(
                    Arg::new("example")
                        .long("example")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("key")
                        .help("Print a configuration file with every key, commented out"),
                ),
        )
        .subcommand(
            Command::new("openapi")
                .about("Prints the OpenAPI document of the HTTP interface")
                .after_help(examples::OPENAPI),
        )
        .subcommand(
            with_keys_like(
                Command::new("console-link").about(
                    "Makes a one-time link into the console: for the first owner, or for EMAIL to choose a new password",
                ),
                &["data_dir", "database_url", "http_listen", "console_url"],
            )
            .arg(Arg::new("email").value_name("EMAIL").help("Of somebody who cannot sign in any more"))
            .after_help(examples::CONSOLE_LINK),
        )
        .subcommand(probe::command())
        .subcommand(fast_path_command())
        .subcommand(credential_command())
}

fn fast_path_command() -> Command {
    let status = Command::new("status")
        .about("Asks the running server: share of packets by path, what was passed up and why, room for channels")
        .after_help(examples::FAST_PATH);
    Command::new("fast-path")
        .about("What is relayed inside the kernel")
        .subcommand_required(true)
        .after_help(examples::FAST_PATH)
        .subcommand(with_keys_like(status, &["http_listen"]))
}

fn credential_command() -> Command {
    let mint = Command::new("mint").about("Derives a credential from the first CAUSEWAY_TURN_SECRET");
    let mint = with_keys_like(mint, &["realm", "rest_separator"])
        .after_help(examples::MINT)
        .arg(Arg::new("user").long("user").value_name("ID").help("User id to put into the name"))
        .arg(
            Arg::new("ttl")
                .long("ttl")
                .value_name("SECONDS")
                .value_parser(clap::value_parser!(u64))
                .default_value("86400")
                .help("Lifetime"),
        );
    let inspect = Command::new("inspect").about("Explains why a user name and password would be refused");
    let inspect = with_keys_like(inspect, &["rest_separator"])
        .after_help(examples::INSPECT)
        .arg(Arg::new("username").required(true).help("As the client sends it"))
        .arg(Arg::new("password").required(true).help("As the client was given it"));
    Command::new("credential")
        .about("Makes and explains TURN REST credentials")
        .subcommand_required(true)
        .after_help(examples::CREDENTIAL)
        .subcommand(mint)
        .subcommand(inspect)
}

/// The key that somebody wanted to give as a flag although it is a secret.
fn secret_flag(error: &clap::Error) -> Option<&'static Key> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = flag.strip_prefix("--")?.replace('-', "_");
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    KEYS.iter().find(|key| is_unknown && key.secret && key.name == name)
}

/// Adds `--config` and a flag for every key that may be one.
fn with_keys(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Configuration file (TOML)");
    KEYS.iter().filter(|key| !key.secret).fold(command.arg(config), |command, key| {
        let action = if key.list { ArgAction::Append } else { ArgAction::Set };
        let mut arg = Arg::new(key.name)
            .long(key.name.replace('_', "-"))
            .value_name(key.value)
            .help(key.summary())
            .action(action);
        if key.value == "BOOL" {
            arg = arg.num_args(0..=1).default_missing_value("true").require_equals(true);
        }
        command.arg(arg)
    })
}

/// The same, of which help shows those that matter to the command: the rest is taken, since the file has it, too.
fn with_keys_like(command: Command, shown: &[&str]) -> Command {
    let is_shown = |arg: &Arg| arg.get_id() == "config" || shown.iter().any(|name| arg.get_id() == name);
    with_keys(command).mut_args(|arg| if is_shown(&arg) { arg } else { arg.hide(true) })
}

fn with_settings(matches: &ArgMatches, work: impl FnOnce(Settings) -> anyhow::Result<()>) -> ExitCode {
    let flags = KEYS
        .iter()
        .filter(|key| !key.secret)
        .filter_map(|key| {
            let values: Vec<String> = matches.get_many::<String>(key.name)?.cloned().collect();
            Some((key.name, values))
        })
        .collect();
    let sources =
        Sources { flags, environment: std::env::vars().collect(), file: matches.get_one::<PathBuf>("config").cloned() };
    let settings = match config::load(sources) {
        Ok(settings) => settings,
        Err(Faults(faults)) => {
            for fault in faults {
                complain(&format!("{fault}\n"));
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match work(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}\n"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn explain(key: Option<&str>) -> ExitCode {
    let Some(key) = key else {
        say(&config::reference());
        return ExitCode::SUCCESS;
    };
    match config::page(key) {
        Some(page) => {
            say(&page);
            ExitCode::SUCCESS
        }
        None => {
            let like = config::most_like(key);
            complain(&format!("error: {key:?} is no key; did you mean {like}? `causeway explain` lists all of them\n"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Writes to standard output; a closed pipe is the reader's business.
pub(crate) fn say(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Says that the configuration is good, and warns of certificates that `serve` could not use if it started here and now: the file
/// may be checked on another machine, or by somebody who may not read keys.
fn check(settings: &Settings) {
    let configured = settings.tls_cert.clone().zip(settings.tls_key.clone());
    let configured = configured.map(|(certificate, key)| Pair { certificate, key });
    for pair in configured.into_iter().chain(settings.more_certificates.iter().cloned()) {
        if let Err(error) = CertificateStore::load(vec![pair]) {
            complain(&format!("warning: {error}\n"));
        }
    }
    say(&format!(
        "configuration is good: TURN listeners: {}, with TLS: {}, realm {}\n",
        settings.turn_listen.len(),
        settings.turn_tls_listen.len(),
        settings.realm
    ));
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}
