//! The loaded program against its model. They need root and a kernel that has the fast path; where it refuses, they say so.

use std::net::IpAddr;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use crate::{
    Entry, Outcome,
    model::{Model, ModelFlow, ModelVlan, Verdict},
    routes::Vlan,
};

const RELAY_PORTS: RangeInclusive<u16> = 50_000..=50_100;
const TC_NEXT: i32 = -1;
const TC_PASS: i32 = 0;
const TC_DROP: i32 = 2;
const TC_REDIRECT: i32 = 7;
const XDP_PASS: i32 = 2;
const XDP_REDIRECT: i32 = 4;
const ENTRIES: [Entry; 3] = [Entry::Tc, Entry::XdpDriver, Entry::XdpGeneric];
/// The kernel refuses a test run of less than Ethernet's and IP's header.
const RUN_MIN: usize = 54;
const LOOPBACK: Way = Way { interface: 1, mtu: 65_535, takes_frames: false };
const VLANS: [ModelVlan; 1] = [ModelVlan { device: 1, id: 5, interface: 9 }];

/// A loaded program, or why there is none here.
fn program() -> Option<FastPath> {
    program_of(64)
}

fn program_of(flows_max: u32) -> Option<FastPath> {
    let settings = Settings {
        mode: Mode::Xdp,
        interfaces: Vec::new(),
        addresses: Vec::new(),
        relay_ports: RELAY_PORTS,
        flows_max,
    };
    match FastPath::load(&settings) {
        Ok(path) => Some(path),
        // A verifier that refuses is a bug; a kernel without BPF, or a user without the right to it, is not.
        Err(Unavailable::Refused(why)) if why.contains("not permitted") || why.contains("not implemented") => {
            skipped(&why);
            None
        }
        Err(Unavailable::NotBuilt) => {
            skipped("built without clang");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

#[expect(clippy::print_stdout, reason = "a test that does nothing says why")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Writes a flow with ways of the test's own. It outlives every comparison.
fn place(path: &FastPath, flow: &ModelFlow, slot: u32) {
    let until = Instant::now() + Duration::from_secs(86_400);
    let placement = Placement { up: flow.up, down: flow.down, rate: 0 };
    let until = if flow.is_live { path.clock.nanos(until) } else { 1 };
    for (word, value) in path.record(slot).iter().zip(flow.flow.record(until, &placement, flow.open)) {
        word.store(value, Ordering::SeqCst);
    }
    if let Some(word) = path.record(slot).get(OPEN - 1) {
        word.store(u64::from(flow.is_seen), Ordering::SeqCst);
    }
    let mut held = path.held.lock();
    held.program.up.insert(flow.flow.up_key(), slot, 0).expect("room");
    held.program.down.insert(flow.flow.down_key(), slot, 0).expect("room");
}

/// Both directions.
fn open_for(now: Instant, secs: u64) -> Life {
    Life { until: now + Duration::from_secs(secs), open: Open { up: true, down: true } }
}

fn run(path: &FastPath, frame: &[u8]) -> (i32, Vec<u8>) {
    run_at(path, Entry::Tc, frame)
}

fn run_at(path: &FastPath, entry: Entry, frame: &[u8]) -> (i32, Vec<u8>) {
    let short = if frame[12..14] == [0x86, 0xdd] { RUN_MIN } else { RUN_MIN - 20 };
    if frame.len() < short {
        return (if entry == Entry::Tc { TC_NEXT } else { XDP_PASS }, frame.to_vec());
    }
    let mut room = vec![0; 8192];
    let (verdict, len) = path.test_run(entry, frame, &mut room).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    room.truncate(len);
    (verdict, room)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[derive(Clone, Copy, Debug)]
enum Check {
    Right,
    /// Of the pseudo-header alone, as a sender leaves it to the device.
    Unfinished,
    Is(u16),
}

/// An Ethernet frame with a UDP datagram.
#[derive(Clone, Debug)]
struct Frame {
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
    class: u8,
    hops: u8,
    check: Check,
    padding: usize,
    tag: Option<u16>,
}

impl Frame {
    fn new(from: SocketAddr, to: SocketAddr, payload: Vec<u8>) -> Self {
        Self { from, to, payload, class: 0, hops: 64, check: Check::Right, padding: 0, tag: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let udp_len = u16::try_from(8 + self.payload.len()).expect("short");
        let mut udp = Vec::new();
        for word in [self.from.port(), self.to.port(), udp_len, 0] {
            udp.extend_from_slice(&word.to_be_bytes());
        }
        udp.extend_from_slice(&self.payload);
        let mut pseudo = [self.from, self.to].map(|a| octets(a.ip())).concat();
        pseudo.extend_from_slice(&[0, 17]);
        pseudo.extend_from_slice(&udp_len.to_be_bytes());
        let unfinished = !finished(&pseudo);
        pseudo.extend_from_slice(&udp);
        let check = match self.check {
            Check::Right => finished(&pseudo),
            Check::Unfinished => unfinished,
            Check::Is(check) => check,
        };
        udp[6..8].copy_from_slice(&check.to_be_bytes());
        let mut frame: Vec<u8> = (1..13).collect();
        if let Some(tag) = self.tag {
            frame.extend_from_slice(&[0x81, 0]);
            frame.extend_from_slice(&tag.to_be_bytes());
        }
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend_from_slice(&[8, 0]);
                let mut ip = vec![0x45, self.class];
                ip.extend_from_slice(&(20 + udp_len).to_be_bytes());
                ip.extend_from_slice(&[0x12, 0x34, 0x40, 0, self.hops, 17, 0, 0]);
                ip.extend_from_slice(&from.octets());
                ip.extend_from_slice(&to.octets());
                let check = finished(&ip);
                ip[10..12].copy_from_slice(&check.to_be_bytes());
                frame.extend_from_slice(&ip);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend_from_slice(&[0x86, 0xdd, 0x60 | self.class >> 4, self.class << 4, 0, 0]);
                frame.extend_from_slice(&udp_len.to_be_bytes());
                frame.extend_from_slice(&[17, self.hops]);
                frame.extend_from_slice(&from.octets());
                frame.extend_from_slice(&to.octets());
            }
            _ => panic!("one family"),
        }
        frame.extend_from_slice(&udp);
        frame.resize(frame.len() + self.padding, 0);
        frame
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn finished(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(c.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !u16::try_from(sum).expect("folded") {
        0 => 0xffff,
        check => check,
    }
}

fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).expect("short");
    [&number.to_be_bytes()[..], &len.to_be_bytes(), data].concat()
}

/// Flows of every kind: to the loopback, to a network, of either family and mixed, between two allocations, over, unheard.
fn world() -> Model {
    let network = |interface| Way { interface, mtu: 1500, takes_frames: true };
    let taking_nothing = |interface| Way { takes_frames: false, ..network(interface) };
    let flow = |n: u16, client: &str, server: &str, relay: &str, peer: &str| ModelFlow {
        flow: Flow {
            client: address(client),
            server: address(server),
            channel: 0x4000 + n,
            relay: address(relay),
            advertised: address(relay).ip(),
            peer: address(peer),
            peer_relay: None,
        },
        up: LOOPBACK,
        down: LOOPBACK,
        is_live: true,
        open: Open { up: true, down: true },
        is_seen: true,
        from_client: (0, 0),
        to_client: (0, 0),
    };
    let (c4, s4, c6, s6) = ("192.0.2.9:4000", "192.0.2.1:3478", "[2001:db8::9]:4000", "[2001:db8::1]:3478");
    let (r4, r6) = (|port: u16| format!("192.0.2.1:{port}"), |port: u16| format!("[2001:db8::1]:{port}"));
    let (p4, p6) = ("192.0.2.77:6000", "[2001:db8::77]:6000");
    let mut flows = vec![
        flow(1, c4, s4, &r4(50_001), p4),
        ModelFlow { up: network(7), ..flow(2, c4, s4, &r4(50_002), p4) },
        flow(3, c6, s6, &r6(50_003), p6),
        ModelFlow { up: network(7), ..flow(4, c6, s6, &r6(50_004), p6) },
        ModelFlow { up: network(7), ..flow(5, c4, s4, &r6(50_005), p6) },
        ModelFlow { up: network(7), ..flow(6, c6, s6, &r4(50_006), p4) },
        // Towards the client by a network; its packets come by the loopback, so only those of the peer pass.
        ModelFlow { down: network(9), ..flow(7, c4, s4, &r4(50_007), p4) },
        ModelFlow { down: network(9), ..flow(8, c6, s6, &r4(50_008), p4) },
        ModelFlow { down: network(9), ..flow(9, c4, s4, &r6(50_009), p6) },
        ModelFlow { is_live: false, ..flow(10, c4, s4, &r4(50_010), p4) },
        ModelFlow { is_seen: false, ..flow(11, c4, s4, &r4(50_011), p4) },
        ModelFlow { open: Open { up: false, down: true }, ..flow(18, c4, s4, &r4(50_018), p4) },
        ModelFlow { open: Open { up: true, down: false }, ..flow(19, c4, s4, &r4(50_019), p4) },
        // Stays of its family on the loopback, or goes through the process.
        flow(12, c6, s6, &r4(50_012), p4),
        // Two that are each other's peers, behind a translated address.
        flow(13, c4, s4, &r4(50_013), "203.0.113.1:50014"),
        flow(14, "192.0.2.10:4000", s4, &r4(50_014), "203.0.113.1:50013"),
        // A listener's port among those of relays.
        flow(16, c4, "192.0.2.1:50099", &r4(50_016), "192.0.2.78:6000"),
        // Whose peer's allocation has no channel back.
        flow(15, c4, s4, &r4(50_015), "203.0.113.1:50017"),
        // Of a VLAN, to the same one, to another interface, or to one whose driver takes no frames.
        ModelFlow { down: network(9), up: network(9), ..flow(20, c4, s4, &r4(50_020), p4) },
        ModelFlow { down: network(9), up: network(7), ..flow(21, c4, s4, &r6(50_021), p6) },
        ModelFlow { up: taking_nothing(8), ..flow(22, c4, s4, &r4(50_022), p4) },
        // Each other's peers once more, in a VLAN.
        ModelFlow { down: network(9), ..flow(23, c4, s4, &r4(50_023), "203.0.113.1:50024") },
        ModelFlow { down: network(9), ..flow(24, "192.0.2.10:4000", s4, &r4(50_024), "203.0.113.1:50023") },
    ];
    for index in [14, 15, 17, 21, 22] {
        flows[index].flow.advertised = "203.0.113.1".parse().expect("an address");
        flows[index].flow.peer_relay = Some("192.0.2.1".parse().expect("an address"));
        flows[index].up = Way::default();
    }
    Model { relay_ports: RELAY_PORTS, flows, entry: Entry::Tc, vlans: VLANS.to_vec() }
}

fn both(entry: Entry) -> Option<(FastPath, Model)> {
    let (path, model) = (program()?, Model { entry, ..world() });
    for vlan in &model.vlans {
        let known = Vlan { device: vlan.device, id: vlan.id };
        path.held.lock().program.know_vlan(vlan.interface, known).expect("room");
    }
    for (slot, flow) in model.flows.iter().enumerate() {
        place(&path, flow, u32::try_from(slot).expect("few"));
    }
    Some((path, model))
}

/// One frame through both; every byte and every counter is the same.
fn compare(path: &FastPath, model: &mut Model, frame: &[u8]) -> Verdict {
    let expected = model.relay(frame, 1);
    let is_tc = model.entry == Entry::Tc;
    let (verdict, bytes) = run_at(path, model.entry, frame);
    let (wanted, out) = match &expected {
        Verdict::Next(_) => (if is_tc { TC_NEXT } else { XDP_PASS }, frame),
        Verdict::Here(_, out) => (TC_PASS, &out[..]),
        Verdict::Out(_, _, out) if is_tc => (TC_REDIRECT, &out[..]),
        Verdict::Out(_, _, out) => (XDP_REDIRECT, &out[..]),
    };
    assert_eq!((verdict, &bytes[..]), (wanted, out), "{expected:?} {:?} {frame:02x?}", model.entry);
    for (slot, flow) in model.flows.iter().enumerate() {
        let traffic = path.traffic(FlowId(u32::try_from(slot).expect("few")));
        assert_eq!((traffic.up_packets, traffic.up_bytes), flow.from_client, "{flow:?}");
        assert_eq!((traffic.down_packets, traffic.down_bytes), flow.to_client, "{flow:?}");
    }
    expected
}

/// A frame that one of the flows may take, in either direction.
fn frames() -> impl Strategy<Value = Frame> {
    let lens = prop_oneof![4 => 0..40_usize, 2 => 100..300_usize, 2 => 1200..1500_usize, 1 => 2030..2060_usize];
    let part = (0..world().flows.len(), any::<bool>(), lens, any::<u64>());
    let head = (any::<u8>(), prop_oneof![6 => Just(64_u8), 1 => any::<u8>()], 0..30_usize);
    let check = prop_oneof![
        6 => Just(Check::Right),
        1 => Just(Check::Is(0)),
        1 => Just(Check::Unfinished),
        1 => any::<u16>().prop_map(Check::Is)
    ];
    let tag =
        prop_oneof![4 => Just(None), 3 => Just(Some(5)), 1 => Just(Some(0x6005)), 1 => any::<u16>().prop_map(Some)];
    (part, head, check, tag).prop_map(|((index, up, len, seed), (class, hops, padding), check, tag)| {
        let model = world();
        let flow = model.flows.get(index).unwrap_or(&model.flows[0]).flow;
        let data: Vec<u8> =
            seed.to_ne_bytes().into_iter().cycle().zip(0..len).map(|(byte, at)| byte ^ at.to_ne_bytes()[0]).collect();
        let (from, to, payload) = if up {
            (flow.client, flow.server, channel_data(flow.channel, &data))
        } else {
            (flow.peer, flow.relay, data)
        };
        Frame { class, hops, check, padding, tag, ..Frame::new(from, to, payload) }
    })
}

/// How long each comparison lasts, as an environment variable.
const FUZZ_SECONDS: &str = "FAST_PATH_FUZZ_SECONDS";

/// The frames of a comparison: so many, and always the same; or others each time, for as long as the environment says.
struct Rounds {
    runner: TestRunner,
    left: u64,
    until: Option<Instant>,
    done: u64,
}

impl Rounds {
    fn new(n: u64) -> Self {
        let secs = std::env::var(FUZZ_SECONDS).ok().map(|text| text.parse().expect("seconds"));
        let until = secs.map(|secs| Instant::now() + Duration::from_secs(secs));
        let runner = if until.is_some() { TestRunner::default() } else { TestRunner::deterministic() };
        Self { runner, left: n, until, done: 0 }
    }

    fn next<S: Strategy>(&mut self, strategy: &S) -> Option<S::Value> {
        match self.until {
            Some(until) if Instant::now() > until => return None,
            None if self.done == self.left => return None,
            Some(_) | None => self.done += 1,
        }
        Some(strategy.new_tree(&mut self.runner).expect("a frame").current())
    }
}

impl Drop for Rounds {
    #[expect(clippy::print_stdout, reason = "a long run says how long")]
    fn drop(&mut self) {
        if self.until.is_some() {
            println!("{} frames compared", self.done);
        }
    }
}

#[test]
fn the_program_does_what_the_model_does_with_random_flows() {
    ENTRIES.iter().for_each(|entry| check_random_flows(*entry));
}

fn check_random_flows(entry: Entry) {
    let Some((path, mut model)) = both(entry) else { return };
    let mut met = BTreeSet::new();
    let (mut rounds, frames) = (Rounds::new(4000), frames());
    while let Some(frame) = rounds.next(&frames) {
        met.insert(match compare(&path, &mut model, &frame.bytes()) {
            Verdict::Next(outcome) => outcome,
            Verdict::Here(outcome, _) | Verdict::Out(outcome, ..) => Some(outcome),
        });
    }
    if rounds.until.is_some() {
        // Which are met, and in what order, is another matter each time.
        return;
    }
    use Outcome as O;
    for outcome in [
        O::ForwardedUp,
        O::ForwardedDown,
        O::ForwardedBetween,
        O::PassedForm,
        O::PassedUnknown,
        O::PassedExpired,
        O::PassedUnconfirmed,
        O::PassedFirst,
        O::PassedSize,
        O::PassedWay,
    ] {
        assert!(met.contains(&Some(outcome)), "never met {outcome:?} at {entry:?}");
    }
}

#[test]
fn a_byte_turned_anywhere_makes_no_difference_between_program_and_model() {
    ENTRIES.iter().for_each(|entry| check_turned_bytes(*entry));
}

fn check_turned_bytes(entry: Entry) {
    let Some((path, mut model)) = both(entry) else { return };
    let spots = (any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>(), any::<bool>());
    let (mut rounds, turned) = (Rounds::new(6000), (frames(), spots));
    while let Some((frame, (at, value, end, is_cut))) = rounds.next(&turned) {
        let mut bytes = frame.bytes();
        // Mostly the headers.
        let at = at.index(bytes.len().min(70));
        bytes[at] = value;
        if is_cut && value % 4 == 0 {
            bytes.truncate(RUN_MIN + end.index(bytes.len().saturating_sub(RUN_MIN).max(1)));
        }
        compare(&path, &mut model, &bytes);
    }
}

#[test]
fn garbage_passes_unharmed() {
    ENTRIES.iter().for_each(|entry| check_garbage(*entry));
}

fn check_garbage(entry: Entry) {
    let Some((path, mut model)) = both(entry) else { return };
    let kinds = prop_oneof![Just([8_u8, 0]), Just([0x86, 0xdd]), Just([0x81, 0]), any::<[u8; 2]>()];
    let strategy =
        (kinds, prop::collection::vec(any::<u8>(), RUN_MIN..200), prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()]);
    let mut rounds = Rounds::new(4000);
    while let Some((kind, mut bytes, first)) = rounds.next(&strategy) {
        bytes[12..14].copy_from_slice(&kind);
        if let Some(byte) = bytes.get_mut(14) {
            *byte = first;
        }
        compare(&path, &mut model, &bytes);
    }
}

#[test]
fn a_right_checksum_stays_right() {
    let Some((path, model)) = both(Entry::Tc) else { return };
    for flow in &model.flows[..9] {
        for (from, to, payload) in [
            (flow.flow.client, flow.flow.server, channel_data(flow.flow.channel, b"odd")),
            (flow.flow.peer, flow.flow.relay, b"payload".to_vec()),
        ] {
            let (verdict, bytes) = run(&path, &Frame::new(from, to, payload).bytes());
            if verdict == TC_NEXT {
                continue;
            }
            let v4 = bytes[12..14] == [8, 0];
            let udp = if v4 { &bytes[34..] } else { &bytes[54..] };
            let addresses = if v4 { &bytes[26..34] } else { &bytes[22..54] };
            let pseudo = [addresses, &[0, 17], &udp[4..6], udp].concat();
            // A sum over everything, checksum included, is all ones.
            assert_eq!(finished(&pseudo), 0xffff, "{flow:?}");
        }
    }
}

#[test]
fn a_bucket_lets_its_burst_through_and_counts_the_rest() {
    let Some(path) = program() else { return };
    let now = Instant::now();
    let flow = Flow {
        client: address("127.0.0.1:4000"),
        server: address("127.0.0.1:3478"),
        channel: 0x4001,
        relay: address("127.0.0.1:50001"),
        advertised: "127.0.0.1".parse().expect("an address"),
        peer: address("127.0.0.1:6000"),
        peer_relay: None,
    };
    let rate = path.limit(1000, now).expect("room");
    let id = path.insert(&flow, Some(rate), open_for(now, 60), now).expect("a way to oneself");
    let frame = Frame::new(flow.client, flow.server, channel_data(0x4001, &[0; 1000])).bytes();
    let verdicts: Vec<i32> = (0..70).map(|_| run(&path, &frame).0).collect();
    // 65536 bytes in the bucket: the packet that overdraws it still passes. A second or so would refill one.
    let passed = verdicts.iter().filter(|verdict| **verdict == TC_PASS).count();
    assert!((66..=68).contains(&passed), "{passed}");
    assert!(verdicts[passed..].iter().all(|verdict| *verdict == TC_DROP));
    let traffic = path.traffic(id);
    assert_eq!((traffic.up_packets, traffic.up_bytes), (passed as u64, passed as u64 * 1000));
    assert_eq!(traffic.up_over_rate, 70 - passed as u64);
}

#[test]
fn a_flow_ends_at_its_deadline_and_when_it_is_taken_back() {
    let Some(path) = program() else { return };
    let now = Instant::now();
    let flow = Flow {
        client: address("127.0.0.1:4000"),
        server: address("127.0.0.1:3478"),
        channel: 0x4001,
        relay: address("127.0.0.1:50001"),
        advertised: "127.0.0.1".parse().expect("an address"),
        peer: address("127.0.0.1:6000"),
        peer_relay: None,
    };
    let up = Frame::new(flow.client, flow.server, channel_data(0x4001, b"x")).bytes();
    let down = Frame::new(flow.peer, flow.relay, b"x".to_vec()).bytes();
    let id = path.insert(&flow, None, open_for(now, 60), now).expect("a way to oneself");
    assert!(path.is_current(id, &flow), "nothing moved");
    let elsewhere = Flow { peer: address("0.255.0.1:1"), ..flow };
    assert!(!path.is_current(id, &elsewhere), "that goes nowhere");
    assert!(path.insert(&flow, None, open_for(now, 60), now).is_none(), "held already");
    assert_eq!(run(&path, &down).0, TC_NEXT, "the client was not seen yet");
    assert_eq!((run(&path, &up).0, run(&path, &down).0), (TC_PASS, TC_PASS));
    path.set_life(id, open_for(Instant::now(), 0));
    assert_eq!((run(&path, &up).0, run(&path, &down).0), (TC_NEXT, TC_NEXT), "over");
    path.set_life(id, open_for(now, 60));
    assert_eq!((run(&path, &up).0, run(&path, &down).0), (TC_PASS, TC_PASS), "moved");
    let traffic = path.remove(id, &flow, now);
    assert_eq!((traffic.up_packets, traffic.down_packets), (2, 2));
    assert_eq!((run(&path, &up).0, run(&path, &down).0), (TC_NEXT, TC_NEXT), "taken back");
    assert_eq!(path.status().flows, 0);
    let again = path.insert(&flow, None, open_for(now, 60), now).expect("room");
    assert_ne!(again, id, "the record rests");
    assert_eq!(path.traffic(again), Traffic::default());
}

#[test]
fn a_channel_that_finds_no_room_stays_in_user_space_and_is_counted() {
    let Some(path) = program_of(2) else { return };
    let now = Instant::now();
    let flow = |n: u16| Flow {
        client: address("127.0.0.1:4000"),
        server: address("127.0.0.1:3478"),
        channel: 0x4000 + n,
        relay: address(&format!("127.0.0.1:{}", 50_000 + n)),
        advertised: "127.0.0.1".parse().expect("an address"),
        peer: address("127.0.0.1:6000"),
        peer_relay: None,
    };
    let frame = |n: u16| Frame::new(flow(n).client, flow(n).server, channel_data(flow(n).channel, b"x")).bytes();
    let placed: Vec<_> = (1..=3).map(|n| path.insert(&flow(n), None, open_for(now, 60), now)).collect();
    assert_eq!(placed.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!((path.status().flows, path.status().flows_refused), (2, 1));
    let verdicts = [1, 2, 3].map(|n| run(&path, &frame(n)).0);
    assert_eq!(verdicts, [TC_PASS, TC_PASS, TC_NEXT], "the third is the sockets'");
    // Room again, once the record has rested.
    path.remove(placed[0].expect("there is room"), &flow(1), now);
    assert!(path.insert(&flow(3), None, open_for(now, 60), now).is_none());
    assert!(path.insert(&flow(3), None, open_for(now, 60), now + REST).is_some());
    assert_eq!(path.status().flows_refused, 2);
}

#[test]
fn records_that_rested_serve_again_and_a_full_table_refuses() {
    let now = Instant::now();
    let mut slots = Slots::new(0, 2, 1);
    assert_eq!((slots.take(now), slots.take(now), slots.take(now)), (Some(0), Some(1), None));
    slots.give_back(0, now);
    assert_eq!(slots.take(now), None, "it rests");
    assert_eq!(slots.take(now + REST), Some(0));
    assert_eq!(slots.used, 2);
}
