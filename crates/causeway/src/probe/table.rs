//! The table a person reads.

use std::{net::SocketAddr, time::Duration};

use causeway_types::ClientTransport;

use super::pass::{Report, Step};

/// Prints rows as passes end, so the widths are settled before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    server_width: usize,
}

impl Table {
    /// For these servers.
    pub(super) fn new(servers: impl Iterator<Item = SocketAddr>) -> Self {
        Self { server_width: servers.map(|server| server.to_string().len()).max().unwrap_or(0).max("server".len()) }
    }

    pub(super) fn header(self) -> String {
        let mut line = format!("{:<9}  {:<width$}", "transport", "server", width = self.server_width);
        for step in Step::ALL {
            line.push_str(&format!("  {:>width$}", step.as_str(), width = width(step)));
        }
        line.push_str("  result\n");
        line
    }

    /// Times in milliseconds; "-" for what does not apply, nothing for what was not reached.
    pub(super) fn row(self, transport: ClientTransport, server: SocketAddr, report: &Report) -> String {
        let (name, server) = (transport.as_str(), server.to_string());
        let mut line = format!("{name:<9}  {server:<width$}", width = self.server_width);
        for step in Step::ALL {
            let time = report.times.iter().find(|(done, _)| *done == step);
            let failed = report.failure.as_ref().is_some_and(|(failed, _)| *failed == step);
            let cell = match time {
                _ if failed => report.verdict().as_str().to_owned(),
                Some(_) if step == Step::Connect && transport == ClientTransport::Udp => "-".to_owned(),
                Some((_, time)) => millis(*time),
                None => String::new(),
            };
            line.push_str(&format!("  {cell:>width$}", width = width(step)));
        }
        line.push_str(&format!("  {}\n", report.verdict().as_str()));
        line
    }
}

fn width(step: Step) -> usize {
    step.as_str().len().max("failed".len())
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.1}") } else { format!("{millis:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::trouble::Trouble;

    #[test]
    fn columns_stand_under_their_titles() {
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        let table = Table::new([server].into_iter());
        let times = vec![
            (Step::Connect, Duration::from_micros(40)),
            (Step::Binding, Duration::from_micros(1250)),
            (Step::Allocate, Duration::from_millis(2345)),
        ];
        let mut report = Report { times, ..Report::default() };
        let good = table.row(ClientTransport::Udp, server, &report);
        report.failure = Some((Step::Permission, Trouble::Closed));
        let bad = table.row(ClientTransport::Tcp, server, &report);
        report.times.clear();
        report.failure = Some((Step::Connect, Trouble::Io(std::io::ErrorKind::NetworkUnreachable.into())));
        let unreachable = table.row(ClientTransport::Tcp, server, &report);
        report.is_optional = true;
        let skipped = table.row(ClientTransport::Tcp, server, &report);
        let text = [table.header(), good, bad, unreachable, skipped].concat();
        assert_eq!(
            text,
            "\
transport  server          connect  binding  allocate  permission  channel    data  1200 B  refresh  result
udp        192.0.2.1:3478        -      1.2      2345                                                ok
tcp        192.0.2.1:3478      0.0      1.2      2345      failed                                    failed
tcp        192.0.2.1:3478   failed                                                                   failed
tcp        192.0.2.1:3478  skipped                                                                   skipped
"
        );
    }
}
