//! Peer scopes: members only, on every path, and as soon as membership changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use causeway_stun_codec::{
    Method,
    attributes::{AdditionalAddressFamily, Lifetime, MobilityTicket, RequestedAddressFamily},
};
use causeway_turn_core::{
    ConnectOutcome, DropReason, Forward, GrantLimits, IcmpError, Output, RelayId, SCOPE_MEMBERS_MAX, ScopeKind,
};
use causeway_types::{AddressFamily, ClientTransport, RelayEvent, ScopeId};
use proptest::prelude::*;

use crate::world::{Client, User, World, addr, goes_to};

const ROOM: ScopeId = ScopeId(7);
const OTHER: ScopeId = ScopeId(8);
const RELAYED: ScopeKind = ScopeKind::Relayed;
const MAPPED: ScopeKind = ScopeKind::Mapped;

impl World {
    fn member(&mut self, scope: ScopeId, address: &str, kind: ScopeKind, present: bool) {
        self.server.handle_scope(self.now, scope, addr(address), kind, present);
        self.drain();
    }

    /// What the shell was told of memberships, and forgets.
    fn told_members(&mut self) -> Vec<(ScopeId, String, ScopeKind, bool)> {
        let told = |output: &Output| {
            let Output::ScopeMember { scope, address, kind, present } = output else { return None };
            Some((*scope, address.to_string(), *kind, *present))
        };
        let found = self.others.iter().filter_map(told).collect();
        self.others.clear();
        found
    }

    fn refusals(&self) -> usize {
        let by_scope = |event: &&RelayEvent| matches!(event, RelayEvent::PeerRefused { rule, .. } if &**rule == "peer_scope: room");
        self.events.iter().filter(by_scope).count()
    }
}

/// Alice may reach her room only.
fn world() -> World {
    let mut world = World::new();
    world.users[0].limits.scope = Some(ROOM);
    world
}

#[test]
fn nobody_is_reached_in_an_empty_room() {
    let mut world = world();
    let mut alice = world.allocated();
    alice.permit(&mut world, &["8.8.8.8:1"]).refused(403);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").refused(403);
    assert_eq!(world.refusals(), 2);
    assert_eq!(alice.say(&mut world, "8.8.8.8:1", b"x"), Forward::Nothing);
    assert_eq!(world.peer_says(0, "8.8.8.8:1", 1), Forward::Nothing);
    let mut bob = world.client("bob", ClientTransport::Udp, "203.0.113.20:5000");
    bob.allocate(&mut world, |b| b).granted();
    bob.permit(&mut world, &["8.8.8.8:1"]).granted();
}

#[test]
fn a_relayed_member_is_reached_at_its_port_and_a_mapped_one_at_any() {
    let mut world = world();
    let mut alice = world.allocated();
    world.member(ROOM, "8.8.8.8:7000", RELAYED, true);
    world.member(ROOM, "8.8.4.4:0", MAPPED, true);
    world.member(OTHER, "1.1.1.1:0", MAPPED, true);
    alice.permit(&mut world, &["1.1.1.1:0"]).refused(403);
    alice.permit(&mut world, &["8.8.8.8:0", "1.1.1.1:0"]).refused(403);
    assert_eq!(alice.say(&mut world, "8.8.8.8:7000", b"x"), Forward::Nothing, "all of them or none");
    alice.permit(&mut world, &["8.8.8.8:1", "8.8.4.4:1"]).granted();
    alice.bind(&mut world, 0x4000, "8.8.8.8:7001").refused(403);
    alice.bind(&mut world, 0x4000, "8.8.8.8:7000").granted();
    alice.bind(&mut world, 0x4001, "8.8.4.4:7001").granted();

    let before = world.drops(DropReason::PeerScope);
    assert!(goes_to(alice.say(&mut world, "8.8.8.8:7000", b"x"), "8.8.8.8:7000"));
    assert_eq!(alice.say(&mut world, "8.8.8.8:7001", b"x"), Forward::Nothing);
    assert!(goes_to(alice.say(&mut world, "8.8.4.4:9", b"x"), "8.8.4.4:9"));
    assert!(matches!(world.peer_says(0, "8.8.8.8:7000", 1), Forward::ToClient { .. }));
    assert_eq!(world.peer_says(0, "8.8.8.8:7001", 1), Forward::Nothing);
    assert!(matches!(world.peer_says(0, "8.8.4.4:9", 1), Forward::ToClient { .. }));
    assert_eq!(world.drops(DropReason::PeerScope) - before, 2);
}

#[test]
fn who_leaves_is_out_at_once_and_who_comes_back_is_in_again() {
    let mut world = world();
    let mut alice = world.allocated();
    for (peer, kind) in [("8.8.8.8:7000", RELAYED), ("8.8.4.4:0", MAPPED)] {
        world.member(ROOM, peer, kind, true);
        let peer = if kind == RELAYED { peer } else { "8.8.4.4:5" };
        alice.bind(&mut world, if kind == RELAYED { 0x4000 } else { 0x4001 }, peer).granted();
    }
    for present in [true, false, true] {
        world.member(ROOM, "8.8.8.8:7000", RELAYED, present);
        world.member(ROOM, "8.8.4.4:1234", MAPPED, present);
        for (channel, peer) in [(0x4000, "8.8.8.8:7000"), (0x4001, "8.8.4.4:5")] {
            assert_eq!(goes_to(alice.say_on(&mut world, channel, b"x"), peer), present);
            assert_eq!(goes_to(alice.say(&mut world, peer, b"x"), peer), present);
            assert_eq!(matches!(world.peer_says(0, peer, 1), Forward::ToClient { .. }), present);
            let sent = world.sent.len();
            let unreachable = IcmpError { icmp_type: 3, icmp_code: 1, error_data: 0 };
            world.server.handle_icmp(world.now, RelayId(0), addr(peer), unreachable);
            world.drain();
            assert_eq!(world.sent.len() > sent, present, "an ICMP error is news of a peer, too");
        }
    }
}

#[test]
fn tcp_peers_are_judged_both_ways_and_a_live_connection_ends_with_the_membership() {
    let mut world = world();
    let mut alice = world.allocated_tcp();
    alice.connect(&mut world, "8.8.8.8:80");
    world.last_reply().refused(403);
    world.member(ROOM, "8.8.8.8:80", RELAYED, true);
    alice.permit(&mut world, &["8.8.8.8:0"]).granted();
    assert_eq!(world.server.handle_peer_accepted(world.now, RelayId(0), addr("8.8.8.8:81")), None);
    world.drain();
    assert_eq!(world.drops(DropReason::PeerScope), 1);
    let accepted = world.server.handle_peer_accepted(world.now, RelayId(0), addr("8.8.8.8:80")).expect("a connection");
    world.drain();
    world.last_reply();

    world.member(ROOM, "8.8.4.4:80", RELAYED, true);
    alice.connect(&mut world, "8.8.4.4:80");
    let connecting = world.connecting().expect("a connection");
    world.others.clear();
    world.member(ROOM, "8.8.8.8:80", RELAYED, false);
    let closes =
        |output: &Output, id| matches!(output, Output::ClosePeerConnection { connection } if *connection == id);
    assert!(matches!(&world.others[..], [output] if closes(output, accepted)));
    // One that is being made is given up, and the client told.
    world.member(ROOM, "8.8.4.4:80", RELAYED, false);
    assert!(closes(&world.others[1], connecting));
    world.last_reply().refused(447);
    world.connected(connecting, ConnectOutcome::Connected);
    assert!(closes(&world.others[2], connecting), "a late success is closed");
}

#[test]
fn the_shell_is_told_of_every_address_that_comes_moves_and_goes() {
    let mut world = world();
    let mut alice = world.alice();
    let dual = AdditionalAddressFamily(Ok(AddressFamily::V6));
    let reply = alice.allocate(&mut world, |b| b.attribute(&dual).attribute(&MobilityTicket(&[]))).granted();
    let ticket = reply.message().attribute::<MobilityTicket<'_>>().unwrap().unwrap().0.to_vec();
    let relays: Vec<String> = reply.relays().iter().map(SocketAddr::to_string).collect();
    let (home, away) = (String::from("203.0.113.10:5000"), String::from("203.0.113.99:7"));
    let told = |address: &String, kind, present| (ROOM, address.clone(), kind, present);
    let came = [told(&relays[0], RELAYED, true), told(&relays[1], RELAYED, true), told(&home, MAPPED, true)];
    assert_eq!(world.told_members(), came);

    let mut moved = world.client("alice", ClientTransport::Udp, &away);
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&MobilityTicket(&ticket))).granted();
    assert_eq!(world.told_members(), [told(&home, MAPPED, false), told(&away, MAPPED, true)]);

    let v6 = RequestedAddressFamily(Ok(AddressFamily::V6));
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0)).attribute(&v6)).granted();
    assert_eq!(world.told_members(), [told(&relays[1], RELAYED, false)]);
    moved.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).granted();
    assert_eq!(world.told_members(), [told(&relays[0], RELAYED, false), told(&away, MAPPED, false)]);
}

#[test]
fn new_limits_move_an_allocation_to_another_room() {
    let mut world = world();
    let mut alice = world.allocated();
    world.member(ROOM, "8.8.8.8:0", MAPPED, true);
    world.member(OTHER, "8.8.4.4:0", MAPPED, true);
    alice.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    world.told_members();
    let limit = |world: &mut World, alice: &Client, scope| {
        let limited = world.server.limit_user(world.now, "alice", GrantLimits { scope, ..GrantLimits::default() });
        world.drain();
        assert_eq!(limited, 1);
        goes_to(alice.say_on(world, 0x4000, b"x"), "8.8.8.8:1")
    };
    assert!(!limit(&mut world, &alice, Some(OTHER)));
    let told: Vec<_> =
        world.told_members().into_iter().map(|(scope, _, kind, present)| (scope, kind, present)).collect();
    let expected = [(ROOM, RELAYED, false), (ROOM, MAPPED, false), (OTHER, RELAYED, true), (OTHER, MAPPED, true)];
    assert_eq!(told, expected);
    assert!(limit(&mut world, &alice, Some(ROOM)));
    assert!(!limit(&mut world, &alice, Some(OTHER)));
    assert!(limit(&mut world, &alice, None), "no room, no bounds");
    world.member(ROOM, "8.8.8.8:0", MAPPED, false);
    assert!(goes_to(alice.say_on(&mut world, 0x4000, b"x"), "8.8.8.8:1"));
    alice.permit(&mut world, &["1.1.1.1:0"]).granted();
    // Ended by limits that name yet another room, it leaves the one it was in.
    assert!(!limit(&mut world, &alice, Some(ROOM)));
    world.others.clear();
    let client_ip = Some("203.0.113.77".parse().unwrap());
    world.server.limit_user(
        world.now,
        "alice",
        GrantLimits { client_ip, scope: Some(OTHER), ..GrantLimits::default() },
    );
    world.drain();
    let told: Vec<_> =
        world.told_members().into_iter().map(|(scope, _, kind, present)| (scope, kind, present)).collect();
    assert_eq!(told, [(ROOM, RELAYED, false), (ROOM, MAPPED, false)]);
    world.member(OTHER, "8.8.4.4:0", MAPPED, false);
    assert_eq!(world.server.scope_count(), 0, "nothing is kept of a room that is over");
}

#[test]
fn a_member_without_bounds_is_reached_and_reaches_anybody() {
    let mut world = world();
    world.users[1].limits.member_of = Some(ROOM);
    let mut alice = world.allocated();
    let mut bob = world.client("bob", ClientTransport::Udp, "203.0.113.20:5000");
    world.told_members();
    bob.allocate(&mut world, |b| b).granted();
    let home = String::from("203.0.113.20:5000");
    let told = world.told_members();
    assert_eq!(told[1], (ROOM, home.clone(), MAPPED, true));
    bob.bind(&mut world, 0x4000, "8.8.8.8:1").granted();
    world.member(ROOM, &told[0].1, RELAYED, true);
    alice.bind(&mut world, 0x4000, &told[0].1).granted();
    alice.permit(&mut world, &["8.8.8.8:1"]).refused(403);
    let limits = GrantLimits { member_of: Some(OTHER), ..GrantLimits::default() };
    world.server.limit_user(world.now, "bob", limits);
    world.drain();
    let changes: Vec<_> =
        world.told_members().into_iter().map(|(scope, _, kind, present)| (scope, kind, present)).collect();
    let expected = [(ROOM, RELAYED, false), (ROOM, MAPPED, false), (OTHER, RELAYED, true), (OTHER, MAPPED, true)];
    assert_eq!(changes, expected);
    bob.request(&mut world, Method::REFRESH, |b| b.attribute(&Lifetime(0))).granted();
    assert_eq!(world.told_members()[1], (OTHER, home, MAPPED, false));
}

#[test]
fn a_room_takes_1024_addresses_and_one_more_stays_outside() {
    let mut world = world();
    let mut alice = world.allocated();
    for n in 0..u16::try_from(SCOPE_MEMBERS_MAX).unwrap() {
        let [high, low] = n.to_be_bytes();
        world.member(ROOM, &format!("8.8.{high}.{low}:0"), MAPPED, true);
    }
    world.member(ROOM, "9.9.9.9:0", MAPPED, true);
    alice.permit(&mut world, &["9.9.9.9:0"]).refused(403);
    alice.permit(&mut world, &["8.8.3.255:0"]).granted();
}

#[test]
fn every_way_to_write_an_address_names_the_same_member() {
    let mut world = world();
    let mut alice = world.allocated();
    world.member(ROOM, "[::ffff:8.8.8.8]:7000", RELAYED, true);
    alice.bind(&mut world, 0x4000, "8.8.8.8:7000").granted();
    world.member(ROOM, "8.8.8.8:7000", RELAYED, false);
    assert_eq!(alice.say_on(&mut world, 0x4000, b"x"), Forward::Nothing);
}

const PEERS: [&str; 5] = ["8.8.8.8:1", "8.8.8.8:2", "8.8.4.4:1", "8.8.4.4:2", "1.1.1.1:1"];
const SCOPES: [ScopeId; 2] = [ROOM, OTHER];
const CHANNELS: [u16; 2] = [0x4000, 0x4001];

#[derive(Clone, Copy, Debug)]
enum Step {
    Member { scope: usize, peer: usize, kind: ScopeKind, present: bool },
    Permit { client: usize, peer: usize },
    Bind { client: usize, channel: usize, peer: usize },
    Say { client: usize, peer: usize },
    SayOn { client: usize, channel: usize },
    Hear { client: usize, peer: usize },
    Rescope { client: usize, scope: Option<usize> },
}

fn step() -> impl Strategy<Value = Step> {
    let (client, peer) = (0_usize..3, 0_usize..5);
    let kind = prop_oneof![Just(RELAYED), Just(MAPPED)];
    prop_oneof![
        6 => (0_usize..2, peer.clone(), kind, any::<bool>())
            .prop_map(|(scope, peer, kind, present)| Step::Member { scope, peer, kind, present }),
        2 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Step::Permit { client, peer }),
        2 => (client.clone(), 0_usize..2, peer.clone())
            .prop_map(|(client, channel, peer)| Step::Bind { client, channel, peer }),
        2 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Step::Say { client, peer }),
        4 => (client.clone(), 0_usize..2).prop_map(|(client, channel)| Step::SayOn { client, channel }),
        4 => (client.clone(), peer).prop_map(|(client, peer)| Step::Hear { client, peer }),
        1 => (client, proptest::option::of(0_usize..2)).prop_map(|(client, scope)| Step::Rescope { client, scope }),
    ]
}

/// Sets, and a question asked of them each time.
#[derive(Debug, Default)]
struct Model {
    members: BTreeSet<(ScopeId, ScopeKind, SocketAddr)>,
    scopes: [Option<ScopeId>; 3],
    permitted: [BTreeSet<IpAddr>; 3],
    bound: [BTreeMap<u16, SocketAddr>; 3],
}

impl Model {
    fn reaches(&self, client: usize, peer: SocketAddr) -> bool {
        let Some(scope) = self.scopes[client] else { return true };
        self.members.iter().any(|(s, kind, address)| {
            *s == scope && if *kind == MAPPED { address.ip() == peer.ip() } else { *address == peer }
        })
    }

    fn reaches_ip(&self, client: usize, ip: IpAddr) -> bool {
        let Some(scope) = self.scopes[client] else { return true };
        self.members.iter().any(|(s, _, address)| *s == scope && address.ip() == ip)
    }

    fn passes(&self, client: usize, peer: SocketAddr) -> bool {
        self.permitted[client].contains(&peer.ip()) && self.reaches(client, peer)
    }

    fn bind(&mut self, client: usize, number: u16, peer: SocketAddr) -> Option<u16> {
        if !self.reaches(client, peer) {
            return Some(403);
        }
        let bound = &mut self.bound[client];
        if bound.iter().any(|(n, p)| (*n == number) != (*p == peer)) {
            return Some(400);
        }
        bound.insert(number, peer);
        self.permitted[client].insert(peer.ip());
        None
    }
}

fn run(steps: &[Step]) {
    let mut world = world();
    world.users[1].limits.scope = Some(OTHER);
    world.users.push(User { name: "carol", limits: GrantLimits::default(), ..world.users[0].clone() });
    let mut model = Model { scopes: [Some(ROOM), Some(OTHER), None], ..Model::default() };
    let names = ["alice", "bob", "carol"];
    let mut clients: Vec<Client> = names
        .iter()
        .zip(10..)
        .map(|(name, host)| world.client(name, ClientTransport::Udp, &format!("203.0.113.{host}:5000")))
        .collect();
    for client in &mut clients {
        client.allocate(&mut world, |b| b).granted();
    }
    for step in steps {
        match *step {
            Step::Member { scope, peer, kind, present } => {
                world.member(SCOPES[scope], PEERS[peer], kind, present);
                let port = if kind == MAPPED { 0 } else { addr(PEERS[peer]).port() };
                let member = (SCOPES[scope], kind, SocketAddr::new(addr(PEERS[peer]).ip(), port));
                if present {
                    model.members.insert(member)
                } else {
                    model.members.remove(&member)
                };
            }
            Step::Permit { client, peer } => {
                let ip = addr(PEERS[peer]).ip();
                let granted = model.reaches_ip(client, ip);
                assert_eq!(clients[client].permit(&mut world, &[PEERS[peer]]).code(), (!granted).then_some(403));
                if granted {
                    model.permitted[client].insert(ip);
                }
            }
            Step::Bind { client, channel, peer } => {
                let expected = model.bind(client, CHANNELS[channel], addr(PEERS[peer]));
                assert_eq!(clients[client].bind(&mut world, CHANNELS[channel], PEERS[peer]).code(), expected);
            }
            Step::Say { client, peer } => {
                let sent = goes_to(clients[client].say(&mut world, PEERS[peer], b"x"), PEERS[peer]);
                assert_eq!(sent, model.passes(client, addr(PEERS[peer])));
            }
            Step::SayOn { client, channel } => {
                let forward = clients[client].say_on(&mut world, CHANNELS[channel], b"x");
                let bound = model.bound[client].get(&CHANNELS[channel]);
                let expected = bound.filter(|peer| model.passes(client, **peer)).copied();
                let sent = if let Forward::ToPeer { peer, .. } = forward { Some(peer) } else { None };
                assert_eq!(sent, expected);
            }
            Step::Hear { client, peer } => {
                let relay = u32::try_from(client).expect("few clients");
                let heard = matches!(world.peer_says(relay, PEERS[peer], 1), Forward::ToClient { .. });
                assert_eq!(heard, model.passes(client, addr(PEERS[peer])));
            }
            Step::Rescope { client, scope } => {
                model.scopes[client] = scope.map(|scope| SCOPES[scope]);
                let limits = GrantLimits { scope: model.scopes[client], ..GrantLimits::default() };
                assert_eq!(world.server.limit_user(world.now, names[client], limits), 1);
                world.drain();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scope_opens_what_a_simple_model_opens(steps in proptest::collection::vec(step(), 1..80)) {
        run(&steps);
    }
}
