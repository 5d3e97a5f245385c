//! `causeway probe`: what a client would live through, over each transport, and why it fails.

mod diagnosis;
mod dtls;
mod examine;
mod link;
mod pass;
mod table;
mod trouble;
mod trust;
mod url;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use causeway_types::{ClientTransport, Now, Secret};
use clap::{Arg, ArgAction, ArgMatches, Command};
use rustls::pki_types::{CertificateDer, ServerName};

pub(crate) use self::examine::examine;
use self::{
    diagnosis::Context,
    link::Destination,
    pass::{Outside, Report, Step, Verdict},
    table::Table,
    trust::{Trust, TrustChoice},
    url::Target,
};
use crate::{
    EXIT_FAILED, EXIT_USAGE,
    cli::{complain, say},
};

const EXAMPLES: &str = "Examples:
  causeway probe turn:turn.example.org --username alice --password wonderland
      UDP and TCP on port 3478, over every address family the name has
  causeway probe turns:turn.example.org:5349 --username alice --password wonderland
      TLS and DTLS; the certificate must be one this machine trusts
  causeway probe turns:192.0.2.1 --insecure --username alice --password wonderland
      a server with a self-signed certificate
  causeway probe 'turn:turn.example.org?transport=tcp' --username 1790371886:bob --password DdSyKug…
      TCP only, with a TURN REST credential (causeway credential mint makes one)
  causeway probe stun:turn.example.org
      Binding only; needs no credential

Exit code 0 when every pass went well, 1 when one failed, 64 for bad usage.";

/// A user name and password.
pub(super) struct Credentials {
    username: String,
    password: Secret<String>,
}

/// One row: a transport to an address of a target.
struct Pass {
    target: Target,
    server: SocketAddr,
    transport: ClientTransport,
    /// The target's name has an address of the other family too.
    is_optional: bool,
}

pub(crate) fn command() -> Command {
    let value = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("probe")
        .about("Runs a client's full pass against a TURN server, over each transport, and explains what fails")
        .arg(Arg::new("url").value_name("URL").num_args(1..).required(true).help(
            "turn:HOST[:PORT] (UDP and TCP), turns:HOST[:PORT] (TLS and DTLS), with ?transport=udp or =tcp one of \
             them; stun: and stuns: for Binding only",
        ))
        .arg(value("username", "U").help("As the client sends it"))
        .arg(value("password", "P").help("As the client was given it"))
        .arg(value("insecure", "").action(ArgAction::SetTrue).help("Accept any certificate, such as a self-signed one"))
        .arg(
            value("ca", "FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .conflicts_with("insecure")
                .help("Trust the certificates in this PEM file instead of the machine's"),
        )
        .arg(
            value("timeout", "SECONDS")
                .default_value("5")
                .value_parser(clap::value_parser!(u64).range(1..=60))
                .help("How long one step may take"),
        )
        .after_help(EXAMPLES)
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let (targets, credentials, trust) = match read(matches) {
        Ok(read) => read,
        Err(fault) => {
            complain(&format!("error: {fault}\n"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let timeout = Duration::from_secs(matches.get_one::<u64>("timeout").copied().unwrap_or(5));
    let mut failed = false;
    let mut passes = Vec::new();
    for target in targets {
        match resolve(&target) {
            Ok(servers) => passes.extend(expand(&target, &servers)),
            Err(fault) => {
                failed = true;
                say(&format!("{}: {fault}\n", target.url));
            }
        }
    }
    let all_good = passes.is_empty() || run_all(&passes, credentials.as_ref(), &trust, timeout);
    if all_good && !failed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) }
}

type Read = (Vec<Target>, Option<Credentials>, Trust);

/// The arguments; `Err` is what to tell the person.
fn read(matches: &ArgMatches) -> Result<Read, String> {
    let urls = matches.get_many::<String>("url").unwrap_or_default();
    let targets = urls.map(|url| Target::parse(url)).collect::<Result<Vec<_>, _>>()?;
    let text = |name| matches.get_one::<String>(name).cloned();
    let credentials = match (text("username"), text("password")) {
        (Some(username), Some(password)) => Some(Credentials { username, password: Secret::new(password) }),
        (None, None) => None,
        (Some(_), None) => return Err("--username needs --password".to_owned()),
        (None, Some(_)) => return Err("--password needs --username".to_owned()),
    };
    if let Some(target) = targets.iter().find(|target| target.relays && credentials.is_none()) {
        return Err(format!("{} needs --username and --password; for Binding only use a stun: URL", target.url));
    }
    let choice = match matches.get_one::<PathBuf>("ca") {
        _ if matches.get_flag("insecure") => TrustChoice::Anything,
        Some(path) => TrustChoice::File(path),
        None => TrustChoice::System,
    };
    Ok((targets, credentials, Trust::new(choice)?))
}

/// The first address of each family.
fn resolve(target: &Target) -> Result<Vec<SocketAddr>, String> {
    let found = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| {
        format!("the name {:?} cannot be resolved ({error}): check it and this machine's DNS", target.host)
    })?;
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in found {
        if !servers.iter().any(|known| known.is_ipv4() == server.is_ipv4()) {
            servers.push(server);
        }
    }
    servers.sort_by_key(SocketAddr::is_ipv6);
    if servers.is_empty() { Err(format!("the name {:?} has no address", target.host)) } else { Ok(servers) }
}

fn expand(target: &Target, servers: &[SocketAddr]) -> Vec<Pass> {
    let of_transport = |transport: ClientTransport| {
        let is_optional = servers.len() > 1;
        servers.iter().map(move |server| Pass { target: target.clone(), server: *server, transport, is_optional })
    };
    target.transports.iter().copied().flat_map(of_transport).collect()
}

/// Whether every pass went well.
fn run_all(passes: &[Pass], credentials: Option<&Credentials>, trust: &Trust, timeout: Duration) -> bool {
    let table = Table::new(passes.iter().map(|pass| pass.server));
    say(&table.header());
    let mut intermediates: Vec<CertificateDer<'static>> = Vec::new();
    let mut notes = Vec::new();
    let mut all_good = true;
    for pass in passes {
        // `Target::parse` has checked it.
        let Ok(name) = ServerName::try_from(pass.target.host.clone()) else { continue };
        let (transport, server) = (pass.transport, pass.server);
        let to = Destination {
            transport,
            server,
            name,
            trust: trust.clone(),
            intermediates: intermediates.clone(),
            timeout,
        };
        let mut report = pass::run(&to, credentials.filter(|_| pass.target.relays), [seed(), seed()]);
        report.is_optional = pass.is_optional;
        say(&table.row(transport, server, &report));
        all_good &= report.verdict() != Verdict::Failed;
        if !report.intermediates.is_empty() {
            intermediates.clone_from(&report.intermediates);
        }
        notes.push(note(pass, &report, credentials, timeout));
    }
    say(&format!("times in milliseconds\n\n{}", notes.concat()));
    all_good
}

/// What is worth knowing about a pass, in one line.
fn note(pass: &Pass, report: &Report, credentials: Option<&Credentials>, timeout: Duration) -> String {
    let (transport, server) = (pass.transport, pass.server);
    let relayed = report.allocation.as_ref().and_then(|allocation| allocation.relayed.first().copied());
    if let Some((step, trouble)) = &report.failure {
        let context = Context {
            transport,
            server,
            host: &pass.target.host,
            username: credentials.map(|credentials| credentials.username.as_str()),
            realm: report.realm.as_deref(),
            relayed,
            timeout,
            now: Now::read().unix,
        };
        let what = if *step == Step::LargeData { "large data" } else { step.as_str() };
        let verdict = report.verdict().as_str();
        return format!("{transport} {server}: {what} {verdict}: {}\n", diagnosis::sentence(*step, trouble, &context));
    }
    let mut line = format!("{transport} {server}: ok");
    if let Some(mapped) = report.mapped {
        line.push_str(&format!(", you are {mapped}"));
    }
    if let (Some(relayed), Some(allocation)) = (relayed, &report.allocation) {
        line.push_str(&format!(", relayed address {relayed} for {} s", allocation.lifetime.as_secs()));
    }
    if let Some(realm) = &report.realm {
        line.push_str(&format!(", realm {realm:?}"));
    }
    if let (Some(outside), Some(relayed)) = (report.outside, relayed) {
        line.push_str(&match outside {
            Outside::Arrived => ", its relay ports are open to this machine".to_owned(),
            Outside::Refused => {
                ", whether its relay ports are open is unknown: its policy refuses this machine as a peer".to_owned()
            }
            Outside::Lost => format!(
                "; but a packet sent straight to {relayed} did not arrive: open the relay ports (UDP) in the server's \
                 firewall, unless it is this machine's network that lets no UDP out"
            ),
        });
    }
    if report.to_itself {
        line.push_str("; the quota allows one allocation, so data went from it to itself");
    }
    line.push('\n');
    line
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    // Without the system's randomness the ids are predictable, which a probe can live with.
    if aws_lc_rs::rand::fill(&mut seed).is_err() { [0; 32] } else { seed }
}
