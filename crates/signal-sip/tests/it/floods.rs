//! Clients that send as much as they can: they are told so, and nothing grows.

use causeway_call_core::{CallLimits, RegistrarLimits};
use causeway_signal_sip::SipSettings;
use causeway_switchboard::SwitchboardSettings;

use crate::world::World;

/// As fast as the tests can: the rate is another limit's test.
fn unhurried() -> SipSettings {
    SipSettings { messages_per_sec: 100_000, ..SipSettings::default() }
}

#[tokio::test]
async fn registering_again_and_again_keeps_one_binding() {
    let world = World::with(unhurried(), SwitchboardSettings::default()).await;
    let mut bob = world.client("bob").await;
    for _ in 0..500 {
        bob.registered("*").await;
    }
    assert_eq!(world.board.counts().registrations, 1);
    // Another contact each time: so many as one connection may have, and no more.
    let bindings_max = RegistrarLimits::default().bindings_per_connection_max;
    for number in 1..200 {
        let token = bob.token("*");
        let request = bob.request("REGISTER", "bob").with("Authorization", token);
        bob.says(&request.with("Contact", format!("<sip:b{number}@b.invalid>;expires=600"))).await;
        bob.status(if number < bindings_max { 200 } else { 403 }).await;
    }
    assert_eq!(world.board.counts().registrations, bindings_max);
    bob.close().await;
    world.until(|world| world.board.is_empty()).await;
}

#[tokio::test]
async fn calling_again_and_again_makes_as_many_calls_as_a_client_may_have() {
    let world = World::with(unhurried(), SwitchboardSettings::default()).await;
    let (mut eve, mut bob) = (world.client("eve").await, world.client("bob").await);
    bob.registered("*").await;
    let legs_max = CallLimits::default().legs_per_connection_max;
    for number in 0..200 {
        let token = eve.token("*");
        let invite = eve.invite("bob").with("Authorization", token);
        eve.says(&invite).await;
        eve.status(100).await;
        if number < legs_max {
            bob.asked("INVITE").await;
        } else {
            eve.status(486).await;
        }
    }
    assert_eq!(world.board.counts().calls, legs_max);
    drop(eve);
    drop(bob);
    world.until(|world| world.board.is_empty()).await;
}

#[tokio::test]
async fn calls_that_nobody_may_place_end_the_connection() {
    let world = World::with(unhurried(), SwitchboardSettings::default()).await;
    let mut bob = world.client("bob").await;
    bob.registered("*").await;
    let mut eve = world.client("eve").await;
    let refusals_max = SipSettings::default().refusals_max;
    for _ in 0..refusals_max {
        let invite = eve.invite("bob");
        eve.says(&invite).await;
        eve.status(100).await;
        eve.status(401).await;
    }
    assert_eq!(eve.next().await, Err(1008));
    assert_eq!(world.board.counts().calls, 0);
}

#[tokio::test]
async fn what_belongs_to_no_call_and_what_cannot_be_read_leaves_nothing() {
    let world = World::with(unhurried(), SwitchboardSettings::default()).await;
    let mut eve = world.client("eve").await;
    for _ in 0..30 {
        for (method, status) in [("CANCEL", 481), ("BYE", 481), ("INFO", 481), ("SUBSCRIBE", 489), ("PUBLISH", 405)] {
            let request = eve.request(method, "bob");
            eve.says(&request).await;
            eve.status(status).await;
        }
        let ack = eve.request("ACK", "bob");
        eve.says(&ack).await;
        eve.raw("SIP/2.0 200 OK\r\n\r\n").await;
        eve.raw("no SIP at all").await;
    }
    let request = eve.request("OPTIONS", "eve");
    eve.says(&request).await;
    eve.status(200).await;
    assert_eq!(world.service.figures().dropped, 90);
    assert_eq!((world.board.counts().calls, world.board.counts().registrations), (0, 0));
    eve.close().await;
    world.until(|world| world.board.is_empty()).await;
}
