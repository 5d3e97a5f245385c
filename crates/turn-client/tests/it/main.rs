//! The client against causeway's own server core, in virtual time.

mod server;

use std::time::Duration;

use causeway_turn_client::{
    AllocateOptions, AuthFeatures, ClientConfig, Outcome, Output, PortWish, Refusal, Request, Via,
};
use causeway_types::{AddressFamily, ClientTransport};
use server::World;

fn config(transport: ClientTransport) -> ClientConfig {
    ClientConfig::new(transport).with_credentials("alice", "wonder")
}

#[test]
fn a_full_pass_over_each_transport_and_with_each_way_to_sign() {
    for transport in [ClientTransport::Udp, ClientTransport::Tcp, ClientTransport::Tls, ClientTransport::Dtls] {
        for auth_features in [AuthFeatures::Offered, AuthFeatures::Classic] {
            let mut world = World::new(ClientConfig { auth_features, ..config(transport) });
            assert_eq!(world.ask(Request::Binding), Outcome::Mapped(world.client_address()));
            let Outcome::Allocated(allocation) = world.ask(Request::Allocate(AllocateOptions::default())) else {
                panic!("no allocation over {transport}");
            };
            let peer = server::peer();
            assert_eq!(world.ask(Request::CreatePermission { peers: vec![peer.ip()] }), Outcome::Permitted);
            assert_eq!(world.exchange(peer, b"one"), (Via::Indication, b"one".to_vec()));
            assert_eq!(world.ask(Request::ChannelBind { number: 0x4000, peer }), Outcome::ChannelBound);
            assert_eq!(world.exchange(peer, b"two"), (Via::Channel(0x4000), b"two".to_vec()));
            assert_eq!(
                world.ask(Request::Refresh { lifetime: Some(Duration::from_secs(700)) }),
                Outcome::Refreshed { lifetime: Duration::from_secs(700) }
            );
            assert_eq!(allocation.lifetime, Duration::from_secs(600));
            let ended = world.ask(Request::Refresh { lifetime: Some(Duration::ZERO) });
            assert_eq!(ended, Outcome::Refreshed { lifetime: Duration::ZERO });
            assert!(world.client.allocation().is_none());
        }
    }
}

#[test]
fn a_wrong_password_is_refused_with_401_after_the_challenge() {
    let mut world = World::new(ClientConfig::new(ClientTransport::Udp).with_credentials("alice", "wrong"));
    let outcome = world.ask(Request::Allocate(AllocateOptions::default()));
    assert!(matches!(outcome, Outcome::Refused(Refusal { code: 401, was_signed: true, .. })), "{outcome:?}");
}

#[test]
fn both_families_and_an_even_port_are_granted() {
    let mut world = World::new(config(ClientTransport::Udp));
    let options = AllocateOptions { additional_v6: true, ..AllocateOptions::default() };
    let Outcome::Allocated(allocation) = world.ask(Request::Allocate(options)) else { panic!("no allocation") };
    assert_eq!(allocation.relayed.len(), 2);
    assert!(allocation.relayed_of(AddressFamily::V6).is_some());
    let mut world = World::new(config(ClientTransport::Udp));
    let options = AllocateOptions { port: PortWish::EvenAndReserveNext, ..AllocateOptions::default() };
    let Outcome::Allocated(allocation) = world.ask(Request::Allocate(options)) else { panic!("no allocation") };
    assert!(allocation.reservation_token.is_some());
    assert_eq!(allocation.relayed[0].port() % 2, 0);
}

#[test]
fn a_peer_that_the_policy_refuses_gets_403() {
    let mut world = World::new(config(ClientTransport::Udp));
    world.ask(Request::Allocate(AllocateOptions::default()));
    let outcome = world.ask(Request::CreatePermission { peers: vec!["127.0.0.1".parse().unwrap()] });
    assert!(matches!(outcome, Outcome::Refused(Refusal { code: 403, .. })), "{outcome:?}");
}

#[test]
fn kept_alive_an_allocation_outlives_every_lifetime_and_the_nonce() {
    let mut world = World::new(ClientConfig { keep_alive: true, ..config(ClientTransport::Udp) });
    world.ask(Request::Allocate(AllocateOptions::default()));
    let peer = server::peer();
    world.ask(Request::CreatePermission { peers: vec![peer.ip()] });
    world.ask(Request::ChannelBind { number: 0x4000, peer });
    world.run_for(Duration::from_secs(3 * 3600));
    assert_eq!(world.told, Vec::<Output>::new());
    assert_eq!(world.exchange(peer, b"still"), (Via::Channel(0x4000), b"still".to_vec()));
}

#[test]
fn without_being_kept_alive_it_is_lost_at_its_end() {
    let mut world = World::new(config(ClientTransport::Udp));
    world.ask(Request::Allocate(AllocateOptions::default()));
    world.run_for(Duration::from_secs(599));
    assert!(world.client.allocation().is_some());
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.told, [Output::AllocationLost]);
    let outcome = world.ask(Request::Refresh { lifetime: None });
    assert!(matches!(outcome, Outcome::Refused(Refusal { code: 437, .. })), "{outcome:?}");
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes() {
    let run = || {
        let mut world = World::new(config(ClientTransport::Udp));
        world.ask(Request::Allocate(AllocateOptions::default()));
        world.ask(Request::ChannelBind { number: 0x4000, peer: server::peer() });
        world.sent
    };
    assert_eq!(run(), run());
}
