use super::*;
use crate::plan::LOADS;

/// A report in which causeway takes `cpu` of coturn's time for every packet.
fn report(cpu: f64, memory: f64, rate: f64) -> Report {
    let measured = |micros| Measured { cpu_micros_per_packet: micros, packets_per_sec: 500_000.0, busy: 1.0 };
    let made = |bytes, rate| Made {
        allocations_per_sec: rate,
        cpu_micros_per_allocation: 50.0,
        cpu_micros_per_end: 20.0,
        bytes_per_allocation: bytes,
    };
    let latency = |micros| Latency { p50_micros: micros, p99_micros: 2.0 * micros, p999_micros: 3.0 * micros };
    Report {
        machine: Machine { kernel: "6.1".to_owned(), processor: "Made Up 3000".to_owned(), n_processors: 2 },
        coturn_version: "4.6.1".to_owned(),
        effort: Effort { seconds: 1.0, rounds: 3, n_idle: 10_000, settle: std::time::Duration::ZERO },
        loads: LOADS
            .iter()
            .map(|planned| LoadResult {
                planned: *planned,
                measured: Both { causeway: measured(2.0 * cpu), coturn: measured(2.0) },
            })
            .collect(),
        latency: LatencyResult {
            packets_per_sec: 250_000.0,
            direct: latency(2.0),
            relayed: Both { causeway: latency(12.0), coturn: latency(22.0) },
        },
        idle: Both { causeway: made(memory, rate), coturn: made(10_000.0, 1000.0) },
        disturbance: 0.02,
    }
}

#[test]
fn every_load_has_its_rows_and_the_page_has_no_hole() {
    let page = report(0.3, 900.0, 9000.0).page();
    for planned in LOADS {
        let Load { n_allocations, payload_len, .. } = planned.load;
        let row = format!("| {} | {n_allocations} | {payload_len} | 0.60 µs | 2.00 µs | 0.30 |", planned.load.name());
        assert!(page.contains(&row), "{row} is missing in\n{page}");
    }
    assert!(page.contains("| p50 | 10.0 µs | 20.0 µs | 0.50 |"), "{page}");
    assert!(page.contains("| p99 | 20.0 µs | 40.0 µs | 0.50 |"), "{page}");
    assert!(!page.contains(['{', '}']), "{page}");
}

#[test]
fn a_target_just_met_is_met_and_one_just_missed_is_named() {
    assert_eq!(report(0.4, 2000.0, 4000.0).missed(), Vec::<String>::new());
    assert!(report(0.4, 2000.0, 4000.0).page().contains("every target is met"));
    let missed = report(0.91, 2100.0, 3990.0).missed();
    let n_targets = LOADS.iter().filter(|planned| planned.ratio_max.is_some()).count();
    assert_eq!(missed.len(), n_targets + 2, "{missed:?}");
    assert!(missed[0].starts_with("single packets to a peer, 1 allocations, 160 bytes: 0.91"), "{missed:?}");
    assert!(report(0.91, 900.0, 9000.0).page().contains("| ≤ 0.9 | falls short |"));
}

#[test]
fn a_server_that_waited_for_the_generator_could_do_more() {
    let mut report = report(0.5, 900.0, 9000.0);
    report.loads[0].measured.causeway.busy = 0.8;
    assert!(report.rate_table().contains("| 1 | 160 | > 500 000 | 500 000 | 1.00 |"), "{}", report.rate_table());
}

#[test]
fn large_figures_are_rounded_to_thousands() {
    assert_eq!(thousands(512_499.0), "512 000");
    assert_eq!(thousands(999_500.0), "1 000 000");
    assert_eq!(thousands(2_045_100.0), "2 045 000");
}

#[test]
fn a_machine_that_was_not_quiet_is_told_of() {
    let mut report = report(0.5, 900.0, 9000.0);
    assert!(report.page().contains("Other processes took 2 % of the processors' time meanwhile.\n"));
    report.disturbance = 0.2;
    assert!(report.page().contains("20 % of the processors' time meanwhile: too much"));
}
