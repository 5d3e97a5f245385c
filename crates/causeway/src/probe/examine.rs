//! The probe as a part of the server: every advertised URL tried from here, for the connection doctor.

use std::time::Duration;

use causeway_api_causeway::{Examined, ExaminedStep};
use causeway_types::Secret;
use rustls::pki_types::ServerName;

use super::{
    Credentials, Pass, expand,
    link::Destination,
    note, pass, resolve, seed,
    trust::{Trust, TrustChoice},
    url::Target,
};

/// Passes of one examination.
const PASSES_MAX: usize = 32;
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries every transport of every URL, all at once, and tells how each went, in the order of the URLs.
pub(crate) fn examine(urls: &[String], username: String, password: Secret<String>) -> Vec<Examined> {
    let trust = match Trust::new(TrustChoice::System) {
        Ok(trust) => trust,
        Err(fault) => return vec![unresolved("", fault)],
    };
    let credentials = Credentials { username, password };
    let mut found = Vec::new();
    let mut passes = Vec::new();
    for url in urls {
        match Target::parse(url).and_then(|target| resolve(&target).map(|servers| expand(&target, &servers))) {
            Ok(expanded) => passes.extend(expanded),
            Err(fault) => found.push(unresolved(url, fault)),
        }
    }
    passes.truncate(PASSES_MAX);
    std::thread::scope(|scope| {
        let (trust, credentials) = (&trust, &credentials);
        let running: Vec<_> = passes.iter().map(|pass| scope.spawn(move || one(pass, credentials, trust))).collect();
        // A pass that panicked is a bug in the probe: it is left out, and the others are told.
        found.extend(running.into_iter().filter_map(|thread| thread.join().ok().flatten()));
    });
    found
}

fn one(pass: &Pass, credentials: &Credentials, trust: &Trust) -> Option<Examined> {
    let to = Destination {
        transport: pass.transport,
        server: pass.server,
        // `Target::parse` has checked it.
        name: ServerName::try_from(pass.target.host.clone()).ok()?,
        trust: trust.clone(),
        intermediates: Vec::new(),
        timeout: PATIENCE,
    };
    let credentials = Some(credentials).filter(|_| pass.target.relays);
    let mut report = pass::run(&to, credentials, [seed(), seed()]);
    report.is_optional = pass.is_optional;
    let step = |(step, took): &(pass::Step, Duration)| ExaminedStep {
        step: step.as_str().to_owned(),
        took_ms: (took.as_secs_f64() * 10_000.0).round() / 10.0,
    };
    let told = note(pass, &report, credentials, PATIENCE);
    let head = format!("{} {}: ", pass.transport, pass.server);
    Some(Examined {
        url: pass.target.url.clone(),
        transport: Some(pass.transport.as_str().to_owned()),
        server: Some(pass.server.to_string()),
        verdict: report.verdict().as_str().to_owned(),
        sentence: told.trim_end().strip_prefix(&head).unwrap_or(&told).to_owned(),
        steps: report.times.iter().map(step).collect(),
    })
}

fn unresolved(url: &str, fault: String) -> Examined {
    Examined {
        url: url.to_owned(),
        transport: None,
        server: None,
        verdict: "failed".to_owned(),
        sentence: fault,
        steps: Vec::new(),
    }
}
