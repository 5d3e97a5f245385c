use causeway_app::{Cursor, ProjectId};
use causeway_types::{ClientTransport, TrafficCount};
use proptest::prelude::*;

use super::*;
use crate::redis::fixtures::{LIFETIME, NOW, ended, leg, refreshed, session, traffic};

const PREFIX: &str = "turn/realm/example.test/user/alice/allocation/000000000000000007/";
const LEG: &str = "type=UDP, local=127.0.0.1:3478, remote=127.0.0.1:5000, ssl=NONE, cipher=NONE";

fn record(event: DomainEvent) -> EventRecord {
    EventRecord { cursor: Cursor(1), at: NOW, project: ProjectId::DEFAULT, event }
}

/// Commands as lines; the list of own keys is left out.
fn lines(commands: &[Command]) -> Vec<String> {
    let short = |key: &str| key.strip_prefix(PREFIX).unwrap_or(key).to_owned();
    let line = |command: &Command| match command {
        Command::Set { key, value, expires_in } => Some(format!("S{} {} {value}", expires_in.as_secs(), short(key))),
        Command::Publish { channel, value } => Some(format!("P {} {value}", short(channel))),
        Command::Delete { key } => Some(format!("D {}", short(key))),
        Command::Own { .. } | Command::Disown { .. } => None,
    };
    commands.iter().filter_map(line).collect()
}

fn rendered(ledger: &mut Ledger, event: DomainEvent) -> Vec<String> {
    let mut commands = Vec::new();
    ledger.render(&record(event), &mut commands);
    lines(&commands)
}

#[test]
fn a_session_is_told_in_coturns_order() {
    let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
    assert_eq!(
        rendered(&mut ledger, DomainEvent::SessionStarted(Arc::clone(&alice))),
        [format!("S630 status new lifetime=600, {LEG}"), format!("P status new lifetime=600, {LEG}")]
    );
    assert_eq!(
        rendered(&mut ledger, refreshed(&alice, 777)),
        [format!("S807 status refreshed lifetime=777, {LEG}"), format!("P status refreshed lifetime=777, {LEG}")]
    );
    assert_eq!(
        rendered(&mut ledger, traffic(&alice, 1024)),
        [
            "P traffic rcvp=1024, rcvb=14336, sentp=1024, sentb=14336",
            "P traffic/peer rcvp=1024, rcvb=10240, sentp=1024, sentb=10240"
        ]
    );
    assert_eq!(
        rendered(&mut ledger, refreshed(&alice, 0)),
        [format!("S30 status refreshed lifetime=0, {LEG}"), format!("P status refreshed lifetime=0, {LEG}")]
    );
    assert_eq!(
        rendered(&mut ledger, ended(&alice, 1030)),
        [
            "P traffic rcvp=6, rcvb=84, sentp=6, sentb=84",
            "P traffic/peer rcvp=6, rcvb=60, sentp=6, sentb=60",
            "D status",
            "P status deleted",
            "P total_traffic rcvp=1030, rcvb=14420, sentp=1030, sentb=14420",
            "P total_traffic/peer rcvp=1030, rcvb=10300, sentp=1030, sentb=10300",
        ]
    );
}

#[test]
fn what_peers_sent_is_what_the_server_received_from_them() {
    let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
    let DomainEvent::SessionEnded { session, reason, duration, mut traffic, messages } = ended(&alice, 1) else {
        unreachable!("the fixture makes that event")
    };
    traffic.to_client = TrafficCount { packets: 5, bytes: 500 };
    let told = rendered(&mut ledger, DomainEvent::SessionEnded { session, reason, duration, traffic, messages });
    assert_eq!(told[5], "P total_traffic/peer rcvp=5, rcvb=500, sentp=1, sentb=10");
}

#[test]
fn a_new_path_changes_the_remote_address_of_the_next_status() {
    let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
    rendered(&mut ledger, DomainEvent::SessionStarted(Arc::clone(&alice)));
    let to = leg(ClientTransport::Udp, "127.0.0.1:3478", "127.0.0.1:6000");
    let moved = DomainEvent::SessionPathChanged { session: Arc::clone(&alice), from: alice.five_tuple, to };
    assert!(rendered(&mut ledger, moved).is_empty());
    let mut commands = Vec::new();
    ledger.rewrite(NOW, &mut commands);
    assert!(lines(&commands)[0].contains("remote=127.0.0.1:6000"));
}

#[test]
fn rewritten_keys_expire_when_the_allocation_would_and_are_not_announced_again() {
    let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
    rendered(&mut ledger, DomainEvent::SessionStarted(alice));
    for (later, left) in [(0, 630), (100, 530), (629, 1), (10_000, 1)] {
        let mut commands = Vec::new();
        ledger.rewrite(NOW.saturating_add(Duration::from_secs(later)), &mut commands);
        assert_eq!(lines(&commands), [format!("S{left} status new lifetime=600, {LEG}")]);
    }
}

#[test]
fn a_session_whose_end_was_lost_goes_at_the_second_look_and_one_whose_start_was_lost_comes() {
    let (mut ledger, alice, bob) = (Ledger::default(), session(7, "alice"), session(8, "bob"));
    rendered(&mut ledger, DomainEvent::SessionStarted(alice));
    let live = [(Arc::clone(&bob), bob.five_tuple)];
    let sweep = |ledger: &mut Ledger| {
        let mut commands = Vec::new();
        ledger.sweep(&live, NOW, &mut commands);
        lines(&commands)
    };
    let first = sweep(&mut ledger);
    assert!(first.len() == 1 && first[0].contains("/bob/") && first[0].starts_with("S630 "), "{first:?}");
    assert!(ledger.has_suspects());
    assert_eq!(sweep(&mut ledger), ["D status", "P status deleted"]);
    assert!(sweep(&mut ledger).is_empty());
    assert!(!ledger.has_suspects());
}

#[test]
fn closing_removes_every_key() {
    let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
    rendered(&mut ledger, DomainEvent::SessionStarted(alice));
    let mut commands = Vec::new();
    ledger.close(&mut commands);
    assert_eq!(lines(&commands), ["D status", "P status deleted"]);
    assert!(ledger.status_keys().is_empty());
}

/// The four numbers of every line of one leaf, added up.
fn sum(lines: &[String], leaf: &str) -> [u64; 4] {
    let mut sum = [0; 4];
    for line in lines {
        let Some(numbers) = line.strip_prefix(&format!("P {leaf} ")) else { continue };
        for (total, part) in sum.iter_mut().zip(numbers.split(", ")) {
            *total += part.split_once('=').expect("name=number").1.parse::<u64>().expect("a number");
        }
    }
    sum
}

proptest! {
    #[test]
    fn intervals_add_up_to_the_totals_whichever_events_are_lost(
        reports in prop::collection::vec((1_u64..5000, any::<bool>()), 0..20),
        start_is_lost: bool,
    ) {
        let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
        let mut told = Vec::new();
        if !start_is_lost {
            told.extend(rendered(&mut ledger, DomainEvent::SessionStarted(Arc::clone(&alice))));
        }
        let mut packets = 0;
        for (more, is_lost) in reports {
            packets += more;
            if !is_lost {
                told.extend(rendered(&mut ledger, traffic(&alice, packets)));
            }
        }
        told.extend(rendered(&mut ledger, ended(&alice, packets + 1)));
        prop_assert_eq!(sum(&told, "traffic"), sum(&told, "total_traffic"));
        prop_assert_eq!(sum(&told, "traffic/peer"), sum(&told, "total_traffic/peer"));
        prop_assert_eq!(sum(&told, "total_traffic")[0], packets + 1);
        prop_assert!(ledger.status_keys().is_empty());
    }

    #[test]
    fn a_set_and_its_message_are_equal_and_outlive_the_allocation(lifetimes in prop::collection::vec(0_u64..4000, 1..10)) {
        let (mut ledger, alice) = (Ledger::default(), session(7, "alice"));
        for secs in lifetimes {
            let mut commands = Vec::new();
            ledger.render(&record(refreshed(&alice, secs)), &mut commands);
            let told: Vec<_> = commands.iter().filter(|command| !command.is_about_list()).collect();
            let [Command::Set { key, value, expires_in }, Command::Publish { channel, value: told }] = told[..] else {
                panic!("{told:?}")
            };
            prop_assert_eq!((key, value), (channel, told));
            prop_assert!(*expires_in > Duration::from_secs(secs) && *expires_in < Duration::from_secs(secs) + LIFETIME);
        }
    }
}
