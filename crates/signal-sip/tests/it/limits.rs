//! Every limit at its value and one past it.

use std::time::Duration;

use causeway_call_core::{CallLimits, RegistrarLimits};
use causeway_signal_sip::{LimitReached, SipSettings};
use causeway_switchboard::SwitchboardSettings;

use crate::world::{SDP, World};

fn reached(world: &World, limit: LimitReached) -> u64 {
    let figures = world.service.figures();
    LimitReached::ALL.iter().zip(figures.limits).find(|(known, _)| **known == limit).map_or(0, |(_, n)| n)
}

async fn world(settings: SipSettings) -> World {
    World::with(settings, SwitchboardSettings::default()).await
}

#[tokio::test]
async fn connections_are_counted_and_given_back() {
    let world = world(SipSettings { connections_max: 2, ..SipSettings::default() }).await;
    let first = world.client("a").await;
    let _second = world.client("b").await;
    assert!(world.socket("/sip").await.is_err());
    assert_eq!(reached(&world, LimitReached::Connections), 1);
    first.close().await;
    world.until(|world| world.service.figures().connections == 1).await;
    assert!(world.socket("/sip").await.is_ok());
}

#[tokio::test]
async fn connections_are_counted_per_source_which_has_a_network_of_ipv6() {
    for (same, another) in [
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], "192.0.2.2"),
        (["2001:db8::1", "2001:db8::2:0:0:1", "2001:db8::ffff"], "2001:db8:0:1::1"),
    ] {
        let world = world(SipSettings { connections_per_address_max: 2, ..SipSettings::default() }).await;
        let [first, second, third] = same;
        let held = world.socket_from("/sip", first).await.unwrap();
        let _held_too = world.socket_from("/sip", second).await.unwrap();
        assert!(world.socket_from("/sip", third).await.is_err(), "{third}");
        assert_eq!(reached(&world, LimitReached::ConnectionsPerAddress), 1);
        let _elsewhere = world.socket_from("/sip", another).await.unwrap();
        drop(held);
        world.until(|world| world.service.figures().connections == 2).await;
        assert!(world.socket_from("/sip", third).await.is_ok(), "{third}");
    }
}

#[tokio::test]
async fn a_client_that_floods_is_read_no_faster_and_still_answered() {
    let world = world(SipSettings { messages_per_sec: 10, ..SipSettings::default() }).await;
    let mut bob = world.client("bob").await;
    for _ in 0..15 {
        let request = bob.request("OPTIONS", "bob");
        bob.says(&request).await;
    }
    for _ in 0..15 {
        bob.status(200).await;
    }
    assert!(reached(&world, LimitReached::Messages) >= 1);
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_its_connection() {
    let world = world(SipSettings { message_bytes_max: 2000, ..SipSettings::default() }).await;
    let mut bob = world.client("bob").await;
    let request = bob.request("OPTIONS", "bob");
    let room = 2000 - request.to_text().len() - "X-Fill: \r\n".len();
    bob.says(&request.clone().with("X-Fill", "x".repeat(room))).await;
    bob.status(200).await;
    bob.says(&request.with("X-Fill", "x".repeat(room + 1))).await;
    assert_eq!(bob.next().await, Err(1009));
    assert_eq!(reached(&world, LimitReached::MessageBytes), 1);
}

#[tokio::test]
async fn requests_that_prove_nothing_end_the_connection() {
    let world = world(SipSettings { refusals_max: 3, ..SipSettings::default() }).await;
    let mut bob = world.client("bob").await;
    for _ in 0..3 {
        let request = bob.register(600);
        bob.says(&request).await;
        bob.status(401).await;
    }
    assert_eq!(bob.next().await, Err(1008));
    assert_eq!(reached(&world, LimitReached::Refusals), 1);
}

#[tokio::test]
async fn registrations_and_calls_have_limits() {
    let board = SwitchboardSettings {
        calls: CallLimits { legs_per_connection_max: 1, ..CallLimits::default() },
        registrations: RegistrarLimits { bindings_per_grant_max: 1, ..RegistrarLimits::default() },
        ..SwitchboardSettings::default()
    };
    let world = World::with(SipSettings::default(), board).await;
    let (mut bob, mut again) = (world.client("bob").await, world.client("bob").await);
    bob.registered("*").await;
    let request = again.request("REGISTER", "bob").with("Contact", "<sip:other@b.invalid>;expires=600");
    let request = request.with("Authorization", "Bearer bob|*|yes|token-bob");
    again.says(&request).await;
    again.status(403).await;
    assert_eq!(reached(&world, LimitReached::Registrations), 1);
    for status in [180, 486] {
        let invite = again.invite("bob").with("Authorization", "Bearer bob|*|yes|token-bob");
        again.says(&invite).await;
        again.status(100).await;
        if status == 180 {
            let ring = bob.asked("INVITE").await;
            bob.answers(&ring, 180).await;
        }
        again.status(status).await;
    }
    assert_eq!(reached(&world, LimitReached::Calls), 1);
}

#[tokio::test]
async fn a_session_description_and_headers_have_a_longest_size() {
    let room = 64;
    let calls = CallLimits {
        description_bytes_max: SDP.len() + room,
        headers_bytes_max: "X-Fill".len() + room,
        ..CallLimits::default()
    };
    let world =
        World::with(SipSettings::default(), SwitchboardSettings { calls, ..SwitchboardSettings::default() }).await;
    let mut bob = world.client("bob").await;
    bob.registered("*").await;
    for (more_description, more_headers, status) in [(room, room, 180), (room + 1, 0, 413), (0, room + 1, 413)] {
        let mut alice = world.client("alice").await;
        let line = format!("{SDP}{}", "a".repeat(more_description));
        let contact = alice.contact();
        let invite = alice.request("INVITE", "bob").with("Contact", contact).with_body("application/sdp", &line);
        let invite = invite.with("X-Fill", "x".repeat(more_headers));
        let invite = invite.with("Authorization", "Bearer alice|*|no|t");
        alice.says(&invite).await;
        alice.status(100).await;
        if status == 180 {
            let ring = bob.asked("INVITE").await;
            assert_eq!((ring.body.len(), ring.header("X-Fill").map(str::len)), (line.len(), Some(room)));
            bob.answers(&ring, 180).await;
        }
        alice.status(status).await;
    }
}

#[tokio::test]
async fn calls_and_registrations_of_the_whole_server_have_limits() {
    let board = SwitchboardSettings {
        calls: CallLimits { calls_max: 1, ..CallLimits::default() },
        registrations: RegistrarLimits { bindings_max: 1, ..RegistrarLimits::default() },
        ..SwitchboardSettings::default()
    };
    let world = World::with(SipSettings::default(), board).await;
    let (mut bob, mut carol) = (world.client("bob").await, world.client("carol").await);
    bob.registered("*").await;
    let token = carol.token("*");
    let request = carol.register(600).with("Authorization", token);
    carol.says(&request).await;
    carol.status(503).await;
    assert_eq!(reached(&world, LimitReached::Registrations), 1);
    let mut callers = Vec::new();
    for status in [180, 503] {
        let mut alice = world.client("alice").await;
        let invite = alice.invite("bob").with("Authorization", "Bearer alice|*|no|t");
        alice.says(&invite).await;
        alice.status(100).await;
        if status == 180 {
            let ring = bob.asked("INVITE").await;
            bob.answers(&ring, 180).await;
        }
        alice.status(status).await;
        // The first call goes on while the second is tried.
        callers.push(alice);
    }
    assert_eq!(reached(&world, LimitReached::Calls), 1);
}

#[tokio::test]
async fn relay_credentials_have_a_quota_per_key() {
    let world = world(SipSettings { ice_per_key_per_sec: 1, ..SipSettings::default() }).await;
    for (name, status) in [("a", 200), ("b", 503)] {
        let mut client = world.client(name).await;
        let request = client.request("OPTIONS", "webrtc-1-2-0.aculabcloud.net").with("X-AculabTurnRequest", "1");
        client.says(&request).await;
        client.status(status).await;
    }
    assert_eq!(reached(&world, LimitReached::IcePerKey), 1);
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_waits_for_calls() {
    let world = world(SipSettings { drain_spread: Duration::from_millis(200), ..SipSettings::default() }).await;
    let (mut alice, mut bob, mut idle) =
        (world.client("alice").await, world.client("bob").await, world.client("carol").await);
    idle.registered("*").await;
    bob.registered("*").await;
    let invite = alice.invite("bob").with("Authorization", "Bearer alice|*|no|t");
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = bob.asked("INVITE").await;
    world.service.drain();
    assert_eq!(idle.next().await, Err(1001));
    assert!(world.socket("/sip").await.is_err());
    bob.answers(&ring, 486).await;
    bob.asked("ACK").await;
    assert_eq!(bob.next().await, Err(1001));
    alice.status(486).await;
    assert_eq!(alice.next().await, Err(1001));
}

#[tokio::test]
async fn one_connection_waits_for_so_many_decisions_and_no_more() {
    let calls = CallLimits { legs_per_connection_max: 100, ..CallLimits::default() };
    let world =
        World::with(SipSettings::default(), SwitchboardSettings { calls, ..SwitchboardSettings::default() }).await;
    let mut alice = world.client("alice").await;
    for _ in 0..8 {
        let invite = alice.invite("silent@sip-1-2-0.aculab.com");
        alice.says(&invite).await;
        alice.status(100).await;
        alice.status(180).await;
    }
    let invite = alice.invite("silent@sip-1-2-0.aculab.com");
    alice.says(&invite).await;
    alice.status(100).await;
    alice.status(503).await;
    assert_eq!(reached(&world, LimitReached::ServiceCalls), 1);
    world.until(|world| world.answers.decided.load(std::sync::atomic::Ordering::Relaxed) == 8).await;
}
