//! `causeway fast-path status`: what the running server says of its fast path, from its metrics.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context;
use causeway_fast_path::OUTCOMES;

use crate::config::Settings;

/// A server on this machine answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Metrics are some kilobytes.
const ANSWER_MAX: u64 = 1 << 20;

/// Asks the server that these settings would start, and says how its fast path stands.
pub(crate) fn status(settings: &Settings) -> anyhow::Result<String> {
    let mut address = settings.http_listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let text = metrics(address).with_context(|| {
        format!("no server answers at http://{address}/metrics; name the address of yours with --http-listen")
    })?;
    Ok(report(&Samples::of(&text)))
}

fn metrics(address: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    write!(connection, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    connection.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Values by name with labels.
#[derive(Debug)]
struct Samples<'a>(BTreeMap<&'a str, f64>);

impl<'a> Samples<'a> {
    fn of(text: &'a str) -> Self {
        let sample = |line: &'a str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name, value.parse().ok()?))
        };
        Self(text.lines().filter(|line| line.starts_with("causeway_")).filter_map(sample).collect())
    }

    fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Values of a metric with their labels.
    fn labelled<'s>(&'s self, prefix: &'static str) -> impl Iterator<Item = (&'a str, f64)> + 's {
        let in_quotes =
            move |(name, value): (&&'a str, &f64)| Some((name.strip_prefix(prefix)?.strip_suffix("\"}")?, *value));
        self.0.iter().filter_map(in_quotes)
    }

    fn outcome(&self, name: &str) -> f64 {
        self.value(&format!("causeway_fast_path_packets_total{{outcome=\"{name}\"}}"))
    }
}

fn report(samples: &Samples<'_>) -> String {
    let room = samples.value("causeway_fast_path_flows_max");
    if room == 0.0 {
        return "no fast path: everything is relayed in user space; the log of the start says why\n".to_owned();
    }
    let relayed: f64 = ["from_client", "to_client"]
        .map(|direction| samples.value(&format!("causeway_relayed_packets_total{{direction=\"{direction}\"}}")))
        .iter()
        .sum();
    // One packet between two allocations is counted at both.
    let in_kernel = samples.outcome("forwarded_up")
        + samples.outcome("forwarded_down")
        + 2.0 * samples.outcome("forwarded_between");
    let share = if relayed > 0.0 { (in_kernel / relayed * 100.0).min(100.0) } else { 0.0 };
    let mut text = String::new();
    let flows = samples.value("causeway_fast_path_flows");
    let refused = samples.value("causeway_fast_path_flows_refused_total");
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<28}{value:>14}\n"));
    line("packets relayed", format!("{relayed:.0}"));
    line("  in the kernel", format!("{share:.1} %"));
    line("  by XDP", format!("{:.0}", samples.value("causeway_fast_path_xdp_packets_total")));
    line("channels in the kernel", format!("{flows:.0} of {room:.0}"));
    line("  that found no room", format!("{refused:.0}"));
    line("programs, by interface", String::new());
    for (at, is_attached) in samples.labelled("causeway_fast_path_attached{at=\"") {
        line(&format!("  {at}"), if is_attached == 0.0 { "taken off" } else { "attached" }.to_owned());
    }
    line("packets seen, by outcome", String::new());
    for (_, name) in OUTCOMES {
        line(&format!("  {name}"), format!("{:.0}", samples.outcome(name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_counts_a_packet_between_two_allocations_at_both() {
        let text = "# HELP x\n\
            causeway_relayed_packets_total{direction=\"from_client\"} 60\n\
            causeway_relayed_packets_total{direction=\"to_client\"} 40\n\
            causeway_fast_path_packets_total{outcome=\"forwarded_up\"} 30\n\
            causeway_fast_path_packets_total{outcome=\"forwarded_between\"} 30\n\
            causeway_fast_path_attached{at=\"lo/tc\"} 1\n\
            causeway_fast_path_attached{at=\"eth0/xdp\"} 0\n\
            causeway_fast_path_flows 3\n\
            causeway_fast_path_flows_max 64\n";
        let told = report(&Samples::of(text));
        assert!(told.contains("90.0 %") && told.contains("3 of 64"), "{told}");
        let row = |name: &str| told.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
        assert!(row("lo/tc").ends_with("attached") && row("eth0/xdp").ends_with("taken off"), "{told}");
        let none = report(&Samples::of("causeway_fast_path_flows_max 0\n"));
        assert!(none.starts_with("no fast path"), "{none}");
    }
}
