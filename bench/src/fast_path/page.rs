//! The figures as tables, and the page they go to.

use std::fmt::Write as _;

use causeway_bench::machine::Machine;

use crate::{
    latency::Latency,
    plan::Effort,
    report::{DISTURBED, printed, thousands, verdict},
};

/// How it was measured; part of the page.
const METHOD: &str = include_str!("method.md");

/// Of one way to relay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Processor time of the whole machine for a packet, beyond what it takes without a relay.
    pub(crate) micros: f64,
    /// The pace.
    pub(crate) packets_per_sec: f64,
}

/// One kind of packets, two ways.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) payload_len: usize,
    /// What causeway is compared with.
    pub(crate) beside: &'static str,
    pub(crate) causeway: Cost,
    pub(crate) other: Cost,
    /// The target; some rows only explain others.
    pub(crate) ratio_max: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        printed(self.causeway.micros / self.other.micros)
    }

    /// The target, and whether it is met.
    fn judged(&self) -> (String, &'static str) {
        match self.ratio_max {
            Some(max) => (format!("≤ {max}"), verdict(self.ratio() <= max)),
            None => ("–".to_owned(), ""),
        }
    }

    /// One line while the bench runs.
    pub(crate) fn line(&self) -> String {
        let (target, verdict) = self.judged();
        format!(
            "{:<62} {:>4} B {:>6.2} : {:>5.2} µs  ratio {:.2} {target} {verdict}  {} : {} a second",
            self.name,
            self.payload_len,
            self.causeway.micros,
            self.other.micros,
            self.ratio(),
            thousands(self.causeway.packets_per_sec),
            thousands(self.other.packets_per_sec),
        )
    }

    fn text(&self) -> String {
        let (target, verdict) = self.judged();
        format!(
            "| {} | {} | {} | {:.2} µs | {:.2} µs | {:.2} | {target} | {verdict} | {} | {} |",
            self.name,
            self.payload_len,
            self.beside,
            self.causeway.micros,
            self.other.micros,
            self.ratio(),
            thousands(self.causeway.packets_per_sec),
            thousands(self.other.packets_per_sec),
        )
    }

    fn shortfall(&self) -> Option<String> {
        let max = self.ratio_max.filter(|max| self.ratio() > *max)?;
        let (name, len, ratio) = (&self.name, self.payload_len, self.ratio());
        Some(format!("{name}, {len} bytes: {ratio:.2} of the processor time of {} instead of {max}.", self.beside))
    }
}

/// How much later packets arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delay {
    pub(crate) name: &'static str,
    pub(crate) packets_per_sec: f64,
    pub(crate) direct: Latency,
    pub(crate) causeway: Latency,
    pub(crate) coturn: Latency,
}

impl Delay {
    /// Name, causeway and coturn, both beyond what it takes without them.
    fn quantiles(&self) -> [(&'static str, f64, f64); 3] {
        let added = |figure: fn(&Latency) -> f64| {
            (figure(&self.causeway) - figure(&self.direct), figure(&self.coturn) - figure(&self.direct))
        };
        let [(a, b), (c, d), (e, f)] = [added(|l| l.p50_micros), added(|l| l.p99_micros), added(|l| l.p999_micros)];
        [("p50", a, b), ("p99", c, d), ("p99.9", e, f)]
    }

    fn p999_ratio(&self) -> f64 {
        let [_, _, (_, causeway, coturn)] = self.quantiles();
        // A packet is not earlier for being relayed, whatever two runs show.
        printed(causeway.max(0.0) / coturn)
    }

    /// One line while the bench runs.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{}: added at {} a second:", self.name, thousands(self.packets_per_sec));
        for (name, causeway, coturn) in self.quantiles() {
            write!(line, "  {name} {causeway:.1} : {coturn:.1} µs").expect("writing to a string cannot fail");
        }
        line
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, causeway, coturn) in self.quantiles() {
            let target = match name {
                "p99.9" => {
                    let ratio = self.p999_ratio();
                    format!("{ratio:.2} | ≤ {} | {} |", super::DELAY_MAX, self.verdict())
                }
                _ => format!("{:.2} | – | |", causeway / coturn),
            };
            writeln!(
                text,
                "| {}, {} packets a second: {name} | {causeway:.1} µs | {coturn:.1} µs | {target}",
                self.name,
                thousands(self.packets_per_sec)
            )
            .expect("writing to a string cannot fail");
        }
        text
    }

    fn is_met(&self) -> bool {
        // Where coturn adds nothing there is nothing to be a part of.
        self.p999_ratio() <= super::DELAY_MAX
    }

    fn verdict(&self) -> &'static str {
        verdict(self.is_met())
    }

    fn shortfall(&self) -> Option<String> {
        (!self.is_met()).then(|| {
            format!(
                "{}: the 99.9th percentile adds {:.2} of coturn's delay instead of {}.",
                self.name,
                self.p999_ratio(),
                super::DELAY_MAX
            )
        })
    }
}

/// Everything one run has shown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) machine: Machine,
    /// Part of the server's processor that others took before or after.
    pub(crate) disturbance: f64,
    pub(crate) coturn_version: String,
    pub(crate) effort: Effort,
    pub(crate) rows: Vec<Row>,
    pub(crate) delays: Vec<Delay>,
}

impl Page {
    /// Every target that was missed, one sentence each.
    pub(crate) fn missed(&self) -> Vec<String> {
        let rows = self.rows.iter().filter_map(Row::shortfall);
        rows.chain(self.delays.iter().filter_map(Delay::shortfall)).collect()
    }

    fn quiet(&self) -> String {
        let advice = if self.disturbance > DISTURBED { ": too much for the figures to be good" } else { "" };
        format!("Before and after, others took {:.0} % of the server's processor{advice}.", self.disturbance * 100.0)
    }

    /// `docs/performance-fast-path.md`.
    pub(crate) fn text(&self) -> String {
        let Machine { kernel, processor, n_processors } = &self.machine;
        let mut rows = String::from(
            "| processor time of the whole machine per relayed packet | bytes | beside | causeway | it | ratio | target | | causeway, packets a second | it |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            rows = rows + &row.text() + "\n";
        }
        let mut delays = String::from(
            "| delay added at half of coturn's saturation | causeway | coturn | ratio | target | |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        delays.extend(self.delays.iter().map(Delay::text));
        let missed = match self.missed() {
            missed if missed.is_empty() => "In this run every target is met.\n".to_owned(),
            missed => {
                missed.iter().fold("Targets missed in this run:\n\n".to_owned(), |text, line| text + "- " + line + "\n")
            }
        };
        let method = METHOD
            .replace("{seconds}", &format!("{}", self.effort.seconds))
            .replace("{rounds}", &format!("{}", self.effort.rounds))
            .replace("{n}", &format!("{}", super::ALLOCATIONS));
        format!(
            "# Performance of the kernel fast path\n\n\
             Causeway with its [fast path](fast-path.md) (tc) and Debian's coturn on one machine, in one run. Written, as root, by\n\n\
             ```sh\nmake bench-fast-path\n```\n\n\
             Linux {kernel}, {n_processors} processors ({processor}), coturn {}. {}\n\n{rows}\n{delays}\n{missed}\n{method}",
            self.coturn_version,
            self.quiet()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(causeway: f64) -> Page {
        let cost = |micros| Cost { micros, packets_per_sec: 400_000.0 };
        let latency = |micros| Latency { p50_micros: micros, p99_micros: 2.0 * micros, p999_micros: 10.0 * micros };
        Page {
            disturbance: 0.02,
            machine: Machine { kernel: "6.1".to_owned(), processor: "Made Up 3000".to_owned(), n_processors: 2 },
            coturn_version: "4.6.1".to_owned(),
            effort: Effort { seconds: 1.0, rounds: 3, n_idle: 1, settle: std::time::Duration::ZERO },
            rows: vec![Row {
                name: "loopback: to a peer".to_owned(),
                payload_len: 160,
                beside: "coturn",
                causeway: cost(causeway),
                other: cost(4.0),
                ratio_max: Some(0.25),
            }],
            delays: vec![Delay {
                name: "loopback",
                packets_per_sec: 250_000.0,
                direct: latency(1.0),
                causeway: latency(1.0 + causeway),
                coturn: latency(11.0),
            }],
        }
    }

    #[test]
    fn a_target_just_met_is_met_and_one_just_missed_is_named() {
        assert_eq!(page(1.0).missed(), Vec::<String>::new());
        let text = page(1.0).text();
        assert!(
            text.contains("| loopback: to a peer | 160 | coturn | 1.00 µs | 4.00 µs | 0.25 | ≤ 0.25 | met |"),
            "{text}"
        );
        assert!(text.contains("p99.9 | 10.0 µs | 100.0 µs | 0.10 | ≤ 0.15 | met |"), "{text}");
        assert!(text.contains("every target is met") && !text.contains(['{', '}']), "{text}");
        assert!(text.contains("others took 2 % of the server's processor.\n"), "{text}");
        let missed = page(1.6).missed();
        assert_eq!(missed.len(), 2, "{missed:?}");
        assert!(missed[0].contains("0.40 of the processor time of coturn instead of 0.25"), "{missed:?}");
        assert!(page(1.6).text().contains("| falls short |"));
    }

    #[test]
    fn a_row_without_a_target_cannot_miss_it() {
        let mut page = page(1.0);
        page.rows[0].ratio_max = None;
        page.rows[0].causeway.micros = 40.0;
        assert_eq!(page.missed(), Vec::<String>::new());
        assert!(page.text().contains("| 40.00 µs | 4.00 µs | 10.00 | – |  | 400 000 |"), "{}", page.text());
    }

    #[test]
    fn a_packet_is_not_earlier_for_being_relayed() {
        let page = page(-0.5);
        assert_eq!(page.delays[0].p999_ratio(), 0.0);
    }
}
