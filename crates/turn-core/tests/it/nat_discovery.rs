//! NAT behaviour discovery (RFC 5780 §6.1) and what classic clients get of it.

use causeway_stun_codec::{
    AttributeType, Class, MessageBuilder, Method,
    attributes::{ChangeRequest, ChangedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort, SourceAddress},
};
use causeway_turn_core::NatDiscoveryGrid;
use causeway_types::ClientTransport;

use crate::world::{SERVER, World, addr, config};

fn grid() -> World {
    let mut settings = config();
    settings.nat_discovery = vec![NatDiscoveryGrid { primary: addr(SERVER), alternate: addr("198.51.100.8:3479") }];
    World::with(settings)
}

fn binding(world: &mut World) -> MessageBuilder {
    MessageBuilder::new(Class::Request, Method::BINDING, world.next_id())
}

#[test]
fn a_grid_answers_with_other_address_and_from_the_address_asked_for() {
    for (change_ip, change_port, from) in [
        (false, false, SERVER),
        (true, false, "198.51.100.8:3478"),
        (false, true, "198.51.100.7:3479"),
        (true, true, "198.51.100.8:3479"),
    ] {
        let mut world = grid();
        let alice = world.alice();
        let request = binding(&mut world).attribute(&ChangeRequest { change_ip, change_port }).finish();
        world.feed(alice.leg, &request);
        let source = world.sent.last().unwrap().source;
        assert_eq!(source.unwrap_or_else(|| addr(SERVER)), addr(from));
        let reply = world.last_reply().granted();
        assert_eq!(reply.message().attribute::<ResponseOrigin>().unwrap().unwrap().0, addr(from));
        assert_eq!(reply.message().attribute::<OtherAddress>().unwrap().unwrap().0, addr("198.51.100.8:3479"));
    }
}

#[test]
fn change_request_without_a_second_address_gets_420() {
    let change = ChangeRequest { change_ip: true, change_port: false };
    let mut world = World::new();
    let alice = world.alice();
    let request = binding(&mut world).attribute(&change).finish();
    alice.send(&mut world, &request).refused(420);
    // Over a stream there is no other address to answer from.
    let mut world = grid();
    let alice = world.client("alice", ClientTransport::Tcp, "203.0.113.10:5000");
    let request = binding(&mut world).attribute(&change).finish();
    alice.send(&mut world, &request).refused(420);
}

#[test]
fn response_port_moves_the_answer_and_excludes_padding() {
    let mut world = grid();
    let alice = world.alice();
    let request = binding(&mut world).attribute(&ResponsePort(7777)).finish();
    world.feed(alice.leg, &request);
    assert_eq!(world.sent.pop().unwrap().to, Some(addr("203.0.113.10:7777")));
    let request = binding(&mut world).attribute(&ResponsePort(7777)).attribute(&Padding(&[0; 64])).finish();
    alice.send(&mut world, &request).refused(400);
}

#[test]
fn classic_clients_learn_source_and_changed_address_of_a_grid() {
    let mut world = grid();
    let alice = world.alice();
    let mut request = binding(&mut world).finish();
    request[4..20].copy_from_slice(&[0xab; 16]);
    let reply = alice.send(&mut world, &request).granted();
    assert_eq!(reply.message().attribute::<SourceAddress>().unwrap().unwrap().0, addr(SERVER));
    assert_eq!(reply.message().attribute::<ChangedAddress>().unwrap().unwrap().0, addr("198.51.100.8:3479"));
    assert!(!reply.has(AttributeType::OTHER_ADDRESS));
}
