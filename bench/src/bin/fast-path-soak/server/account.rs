//! The server's own figures beside what came out.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    api::{self, How},
    crowd::{Allocation, Count},
    lives::End,
    subject::Subject,
};

/// Figures are written down every second.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Faults that are told of one kind.
const TOLD_MAX: usize = 5;

/// What the server says, and where it is wrong.
#[derive(Debug)]
pub(super) struct Account {
    /// Relayed in the kernel.
    pub(super) in_kernel: u64,
    /// From clients, and to them.
    up: u64,
    down: u64,
    /// What the kernel says became of packets; without what never happened.
    pub(super) outcomes: Vec<(String, u64)>,
    pub(super) faults: Vec<String>,
}

impl Account {
    /// Asks the server, until it has counted everything that has ended, or for long.
    pub(super) fn of(subject: &Subject, allocations: &[Allocation]) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let account = Self::of_now(subject, allocations)?;
            if account.faults.is_empty() || Instant::now() > deadline {
                return Ok(account);
            }
            thread::sleep(PAUSE);
        }
    }

    pub(super) const fn relayed(&self) -> u64 {
        self.up + self.down
    }

    /// The part that was relayed in the kernel.
    pub(super) fn share(&self) -> f64 {
        self.in_kernel as f64 / self.relayed().max(1) as f64
    }

    fn of_now(subject: &Subject, allocations: &[Allocation]) -> Result<Self> {
        let sessions = api::sessions(&subject.server, subject.http)?;
        let metrics = api::document(&subject.server, subject.http, "/metrics")?;
        let usage = api::document(&subject.server, subject.http, "/api/v1/usage")?;
        let metrics = Metrics(&metrics);
        let mut faults = Vec::new();
        compare_sessions(&sessions, allocations, &mut faults);
        compare_usage(&sessions, &usage, &mut faults)?;
        let sum = |figure: fn(&Allocation) -> Count| {
            allocations.iter().map(figure).fold(Count::default(), |sum, count| Count {
                packets: sum.packets + count.packets,
                bytes: sum.bytes + count.bytes,
            })
        };
        let (up, down) = (sum(|a| a.up), sum(|a| a.down));
        let granted = allocations.iter().filter(|a| a.relayed.is_some()).count();
        let outcome = |name: &str| format!("causeway_fast_path_packets_total{{outcome=\"{name}\"}}");
        let relayed = |what: &str, of: &str| format!("causeway_relayed_{what}_total{{direction=\"{of}\"}}");
        for (name, seen) in [
            (relayed("packets", "from_client"), up.packets),
            (relayed("bytes", "from_client"), up.bytes),
            (relayed("packets", "to_client"), down.packets),
            (relayed("bytes", "to_client"), down.bytes),
            ("causeway_allocations_created_total".to_owned(), u64::try_from(granted)?),
            ("causeway_allocations_ended_total".to_owned(), u64::try_from(granted)?),
            ("causeway_allocations".to_owned(), 0),
            ("causeway_fast_path_flows".to_owned(), 0),
            ("causeway_fast_path_flows_refused_total".to_owned(), 0),
            ("causeway_session_records_lost_total".to_owned(), 0),
            ("causeway_panics_total".to_owned(), 0),
            (outcome("dropped_rate"), 0),
            (outcome("dropped_failed"), 0),
        ] {
            let told = metrics.value(&name);
            if told != Some(seen) {
                faults.push(format!("{name} is {told:?}, but should be {seen}"));
            }
        }
        let kernel = ["forwarded_up", "forwarded_down"].map(|name| metrics.value(&outcome(name)).unwrap_or(0));
        for (in_kernel, all) in kernel.iter().zip([up.packets, down.packets]) {
            if *in_kernel > all {
                faults.push(format!("{in_kernel} packets went through the kernel, but only {all} came out"));
            }
        }
        let in_kernel = kernel.iter().sum();
        let this = Self { in_kernel, up: up.packets, down: down.packets, outcomes: metrics.outcomes(), faults };
        this.compare_status(&subject.status()?)
    }

    /// The command line says the same.
    fn compare_status(mut self, status: &str) -> Result<Self> {
        let figure = |name: &str| -> Option<String> {
            let line = status.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let share = format!("{:.1} %", self.share() * 100.0);
        let expected = [("packets relayed", self.relayed().to_string()), ("in the kernel", share)];
        let outcomes = self.outcomes.iter().map(|(name, count)| (name.as_str(), count.to_string()));
        let wrong = |(name, seen): (&str, String)| {
            let told = figure(name);
            (told.as_ref() != Some(&seen))
                .then(|| format!("the status says {told:?} of {name}, but it should say {seen}"))
        };
        let faults: Vec<String> = expected.into_iter().chain(outcomes).filter_map(wrong).collect();
        self.faults.extend(faults);
        Ok(self)
    }
}

/// Each allocation once, with what it carried, and the end it had.
fn compare_sessions(sessions: &[Value], allocations: &[Allocation], faults: &mut Vec<String>) {
    let text = |session: &Value, name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut by_name: BTreeMap<String, &Value> = BTreeMap::new();
    let mut wrong = Vec::new();
    for session in sessions {
        let name = text(session, "username");
        if by_name.insert(name.clone(), session).is_some() {
            wrong.push(format!("{name} is listed twice"));
        }
    }
    for allocation in allocations.iter().filter(|allocation| allocation.relayed.is_some()) {
        let Some(session) = by_name.remove(&allocation.username) else {
            wrong.push(format!("{} is not listed", allocation.username));
            continue;
        };
        let figure = |name: &str| session.get(name).and_then(Value::as_u64).unwrap_or(u64::MAX);
        let up = Count { packets: figure("peerPacketsOut"), bytes: figure("peerBytesOut") };
        let down = Count { packets: figure("peerPacketsIn"), bytes: figure("peerBytesIn") };
        if (up, down) != (allocation.up, allocation.down) {
            let (seen_up, seen_down) = (allocation.up, allocation.down);
            wrong.push(format!(
                "{}: {up:?} and {down:?} are told, but {seen_up:?} and {seen_down:?} came out ({:?})",
                allocation.username, allocation.end
            ));
        }
        let reason = text(session, "endReason");
        if !allocation.end.reasons().contains(&reason.as_str()) {
            wrong.push(format!("{}: its end was {reason:?}, not {:?}", allocation.username, allocation.end));
        }
    }
    wrong.extend(by_name.keys().map(|name| format!("{name} is listed, but had no allocation")));
    if !wrong.is_empty() {
        faults.push(format!("{} of {} sessions are not as they should be", wrong.len(), allocations.len()));
    }
    faults.extend(wrong.into_iter().take(TOLD_MAX));
}

/// Usage is the sum of its sessions.
fn compare_usage(sessions: &[Value], usage: &str, faults: &mut Vec<String>) -> Result<()> {
    let rows: Vec<Value> = serde_json::from_str(usage).context("the usage")?;
    let sum = |rows: &[Value], name: &str| rows.iter().filter_map(|row| row.get(name)?.as_u64()).sum::<u64>();
    for name in ["bytesIn", "bytesOut"] {
        let (told, seen) = (sum(&rows, name), sum(sessions, name));
        if told != seen {
            faults.push(format!("usage has {told} of {name}, its sessions have {seen}"));
        }
    }
    let (told, seen) = (sum(&rows, "sessions"), u64::try_from(sessions.len())?);
    if told != seen {
        faults.push(format!("usage has {told} sessions of {seen}"));
    }
    Ok(())
}

impl End {
    /// What the record of such an allocation may say.
    const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Expire => &["credential_expired"],
            // At the very end anything is released, and a credential may be faster.
            Self::Release => &["client_deleted", "credential_expired"],
            Self::By(How::Revoke | How::Close) => &["terminated"],
        }
    }
}

/// Lines with a name and a value.
#[derive(Clone, Copy, Debug)]
struct Metrics<'a>(&'a str);

impl Metrics<'_> {
    fn value(self, name: &str) -> Option<u64> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    fn outcomes(self) -> Vec<(String, u64)> {
        let outcome = |line: &str| {
            let rest = line.strip_prefix("causeway_fast_path_packets_total{outcome=\"")?;
            let (name, value) = rest.split_once("\"} ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        self.0.lines().filter_map(outcome).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let metrics = Metrics(
            "causeway_allocations_ended_total 7\ncauseway_allocations 0\n\
             causeway_fast_path_packets_total{outcome=\"forwarded_up\"} 12\n\
             causeway_fast_path_packets_total{outcome=\"passed_size\"} 0\n",
        );
        assert_eq!(metrics.value("causeway_allocations"), Some(0));
        assert_eq!(metrics.value("causeway_allocations_ended"), None);
        assert_eq!(metrics.outcomes(), [("forwarded_up".to_owned(), 12)]);
    }
}
