//! Calls between connections.

use causeway_sip_core::Message;

use crate::world::{Client, HOST, SDP, World};

/// A call that was answered: alice, bob, her INVITE, its 200, and his side's INVITE.
async fn talking(world: &World) -> (Client, Client, Message, Message, Message) {
    let (mut alice, mut bob) = (world.client("alice").await, world.client("bob").await);
    bob.registered("*").await;
    let invite = alice.invite("bob").with("Authorization", "Bearer alice|bob|no|t").with("X-Order", "42");
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = bob.asked("INVITE").await;
    bob.answers(&ring, 100).await;
    bob.answers(&ring, 180).await;
    alice.status(180).await;
    bob.answers(&ring, 200).await;
    bob.asked("ACK").await;
    let answer = alice.status(200).await;
    let ack = alice.inside("ACK", &invite, &answer);
    alice.says(&ack).await;
    (alice, bob, invite, answer, ring)
}

#[tokio::test]
async fn a_call_rings_is_answered_and_ends() {
    let world = World::new().await;
    let (mut alice, mut bob, invite, answer, ring) = talking(&world).await;
    assert_eq!(answer.body, SDP);
    // What is a secret of one side stays there; what is the application's passes.
    assert_eq!((ring.header("Authorization"), ring.header("X-Order")), (None, Some("42")));
    assert_ne!(ring.call_id(), invite.call_id());
    let from = ring.address("From").unwrap().uri;
    assert_eq!((from.user.as_str(), from.host.as_str()), ("alice", HOST));
    assert_eq!(ring.request_uri().unwrap().user, "bobx");
    let bye = alice.inside("BYE", &invite, &answer);
    alice.says(&bye).await;
    alice.status(200).await;
    let bye = bob.asked("BYE").await;
    assert_eq!(bye.header("Reason"), None);
    bob.answers(&bye, 200).await;
    world.until(|world| world.board.counts().calls == 0).await;
}

#[tokio::test]
async fn a_socket_that_dies_ends_the_call_for_the_other() {
    let world = World::new().await;
    let (alice, mut bob, ..) = talking(&world).await;
    drop(alice);
    bob.asked("BYE").await;
    assert_eq!(world.board.counts().calls, 0);
}

#[tokio::test]
async fn a_third_connection_cannot_speak_in_a_dialogue() {
    let world = World::new().await;
    let (mut alice, _bob, invite, answer, _) = talking(&world).await;
    let mut eve = world.client("eve").await;
    let bye = alice.inside("BYE", &invite, &answer);
    eve.says(&bye).await;
    eve.status(481).await;
    assert_eq!(world.board.counts().calls, 1);
}

#[tokio::test]
async fn whom_a_client_may_call_is_in_its_token() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    bob.registered("*").await;
    for (credentials, to, status) in [
        (None, "bob", 401),
        (Some("Bearer alice|eve,b*|no|t"), "carol", 403),
        (Some("Bearer alice||no|t"), "bob", 403),
        (Some("Bearer eve|*|no|t"), "bob", 403),
        (Some("Bearer alice|*|no|t"), "carol", 480),
        (Some("Bearer alice|*|no|t"), "bob@zzz.webrtc-1-2-0.aculabcloud.net", 403),
        (Some("Bearer alice|*|no|t"), "bob@webrtc-1-2-0.aculabcloud.net", 404),
    ] {
        let mut alice = world.client("alice").await;
        let invite = alice.invite(to);
        let invite = match credentials {
            Some(value) => invite.with("Authorization", value),
            None => invite,
        };
        alice.says(&invite).await;
        alice.status(100).await;
        alice.status(status).await;
    }
    let mut alice = world.client("alice").await;
    let invite = alice.invite("bob").with("Authorization", "Bearer alice|eve,b*|no|t");
    alice.says(&invite).await;
    alice.status(100).await;
    bob.asked("INVITE").await;
}

#[tokio::test]
async fn what_the_callee_answers_is_what_the_caller_hears() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.client("alice").await, world.client("bob").await);
    bob.registered("*").await;
    for (said, heard) in [
        (404, 404),
        (410, 404),
        (480, 480),
        (486, 486),
        (600, 486),
        (603, 603),
        (487, 487),
        (488, 488),
        (408, 408),
        (403, 403),
        (500, 500),
        (503, 503),
        (606, 488),
        (302, 500),
    ] {
        let invite = alice.invite("bob").with("Authorization", "Bearer alice|*|no|t");
        alice.says(&invite).await;
        alice.status(100).await;
        let ring = bob.asked("INVITE").await;
        bob.answers(&ring, said).await;
        bob.asked("ACK").await;
        alice.status(heard).await;
        let ack = Message::request("ACK", &format!("sip:bob@{HOST};transport=tcp"))
            .with("Via", invite.header("Via").unwrap())
            .with("From", invite.header("From").unwrap())
            .with("To", invite.header("To").unwrap())
            .with("Call-ID", invite.call_id())
            .with("CSeq", format!("{} ACK", invite.cseq().unwrap().number));
        alice.says(&ack).await;
    }
    assert_eq!(world.service.figures().dropped, 0);
}

#[tokio::test]
async fn a_caller_that_cancels_is_told_so_and_the_callee_stops_ringing() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.client("alice").await, world.client("bob").await);
    bob.registered("*").await;
    let invite = alice.invite("bob").with("Authorization", "Bearer alice|*|no|t");
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = bob.asked("INVITE").await;
    bob.answers(&ring, 180).await;
    alice.status(180).await;
    let mut cancel = Message::request("CANCEL", &format!("sip:bob@{HOST};transport=tcp"));
    for name in ["Via", "From", "To", "Call-ID"] {
        cancel = cancel.with(name, invite.header(name).unwrap());
    }
    let cancel = cancel.with("CSeq", format!("{} CANCEL", invite.cseq().unwrap().number));
    alice.says(&cancel).await;
    alice.status(200).await;
    alice.status(487).await;
    let cancel = bob.asked("CANCEL").await;
    bob.answers(&cancel, 200).await;
    bob.answers(&ring, 487).await;
    bob.asked("ACK").await;
    world.until(|world| world.board.counts().calls == 0).await;
}

#[tokio::test]
async fn the_newest_binding_of_a_key_rings_and_all_of_a_user() {
    let world = World::new().await;
    let mut alice = world.client("alice").await;
    let (mut old, mut new) = (world.client("bob").await, world.client("bob").await);
    old.registered("*").await;
    // Another client object has another Contact.
    let request = new.request("REGISTER", "bob").with("Contact", "<sip:second@bob.invalid;transport=ws>;expires=600");
    let request = request.with("Authorization", "Bearer bob|*|yes|t2");
    new.says(&request).await;
    assert_eq!(new.status(200).await.list("Contact").len(), 2);
    let invite = alice.invite("bob").with("Authorization", "Bearer alice|*|no|t");
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = new.asked("INVITE").await;
    assert_eq!(ring.request_uri().unwrap().user, "second");
    new.answers(&ring, 486).await;
    alice.status(486).await;

    let mut caller = world.client_at("carol", "example.test").await;
    let invite = caller.invite("bob").with("Authorization", "Bearer carol|*|no|t");
    caller.says(&invite).await;
    caller.status(100).await;
    new.asked("ACK").await;
    new.asked("INVITE").await;
    old.asked("INVITE").await;
}

#[tokio::test]
async fn a_service_name_leads_to_a_client_or_nowhere() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.client("alice").await, world.client("bob").await);
    bob.registered("*").await;
    for (service, status) in [("desk", 180), ("nothing", 404)] {
        let invite = alice.invite(&format!("{service}@sip-1-2-0.aculab.com"));
        alice.says(&invite).await;
        alice.status(100).await;
        if service == "desk" {
            let ring = bob.asked("INVITE").await;
            bob.answers(&ring, 180).await;
        }
        alice.status(status).await;
    }
}

#[tokio::test]
async fn a_service_call_waits_for_a_decision_and_goes_where_that_says() {
    let world = World::new().await;
    let (mut alice, mut bob, mut carol) =
        (world.client("alice").await, world.client("bob").await, world.client("carol").await);
    bob.registered("*").await;
    carol.registered("*").await;
    let invite = alice.invite("asked@sip-1-2-0.aculab.com").with("X-To", "bob, carol");
    alice.says(&invite).await;
    alice.status(100).await;
    alice.status(180).await;
    let (ring, other) = (bob.asked("INVITE").await, carol.asked("INVITE").await);
    assert_eq!(ring.address("From").unwrap().uri.user, "alice");
    bob.answers(&ring, 200).await;
    bob.asked("ACK").await;
    alice.status(200).await;
    // Without a provisional answer there is nothing to cancel yet.
    carol.answers(&other, 180).await;
    carol.asked("CANCEL").await;
    assert_eq!(*world.answers.services.lock(), ["asked"]);
    // Nobody is there, somebody says no, and a name that nobody has.
    for (to, status) in [(Some("dave"), 480), (None, 486), (Some(""), 480)] {
        let mut alice = world.client("alice").await;
        let invite = alice.invite("asked@sip-1-2-0.aculab.com");
        let invite = match to {
            Some(to) => invite.with("X-To", to),
            None => invite,
        };
        alice.says(&invite).await;
        alice.status(100).await;
        alice.status(180).await;
        alice.status(status).await;
    }
}

#[tokio::test]
async fn a_caller_may_give_up_while_a_service_call_is_decided() {
    let world = World::new().await;
    let mut alice = world.client("alice").await;
    let invite = alice.invite("silent@sip-1-2-0.aculab.com");
    alice.says(&invite).await;
    alice.status(100).await;
    alice.status(180).await;
    let mut cancel = Message::request("CANCEL", "sip:silent@sip-1-2-0.aculab.com;transport=tcp");
    for name in ["Via", "From", "To", "Call-ID"] {
        cancel = cancel.with(name, invite.header(name).unwrap());
    }
    let cancel = cancel.with("CSeq", format!("{} CANCEL", invite.cseq().unwrap().number));
    alice.says(&cancel).await;
    alice.status(200).await;
    alice.status(487).await;
    world.until(|world| world.board.counts().calls == 0).await;
}

/// A MESSAGE with a token that may write to everybody.
fn text(client: &mut Client, to: &str, token: &str) -> Message {
    client.request("MESSAGE", to).with("Authorization", token).with_body("text/plain", "hello")
}

#[tokio::test]
async fn a_text_reaches_whoever_is_registered_and_its_answer_the_sender() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.client("alice").await, world.client("bob").await);
    bob.registered("*").await;
    for (said, heard) in [(200, 200), (486, 486), (407, 403), (302, 480)] {
        let message = text(&mut alice, "bob", "Bearer alice|bob|no|t");
        alice.says(&message).await;
        let told = bob.asked("MESSAGE").await;
        let from = told.address("From").unwrap().uri;
        assert_eq!((from.user.as_str(), told.body.as_str(), told.header("Authorization")), ("alice", "hello", None));
        assert_eq!(
            (told.request_uri().unwrap().user.as_str(), told.header("Content-Type")),
            ("bobx", Some("text/plain"))
        );
        bob.answers(&told, said).await;
        alice.status(heard).await;
    }
    let message = text(&mut alice, "bob", "Bearer alice|bob|no|t");
    alice.says(&message).await;
    bob.asked("MESSAGE").await;
    bob.close().await;
    alice.status(480).await;
}

#[tokio::test]
async fn a_text_needs_what_a_call_needs() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    bob.registered("*").await;
    for (credentials, to, status) in [
        ("Basic none", "bob", 401),
        ("Bearer alice|eve,b*|no|t", "carol", 403),
        ("Bearer alice||no|t", "bob", 403),
        ("Bearer eve|*|no|t", "bob", 403),
        ("Bearer alice|*|no|t", "carol", 480),
        ("Bearer alice|*|no|t", "bob@zzz.webrtc-1-2-0.aculabcloud.net", 403),
        ("Bearer alice|*|no|t", "bob@sip-1-2-0.aculab.com", 404),
    ] {
        let mut alice = world.client("alice").await;
        let message = text(&mut alice, to, credentials);
        alice.says(&message).await;
        alice.status(status).await;
    }
}

#[tokio::test]
async fn a_text_goes_to_the_newest_place_of_a_key_and_to_all_of_a_user() {
    let world = World::new().await;
    let (mut old, mut new) = (world.client("bob").await, world.client("bob").await);
    old.registered("*").await;
    let request = new.request("REGISTER", "bob").with("Contact", "<sip:second@bob.invalid;transport=ws>;expires=600");
    let request = request.with("Authorization", "Bearer bob|*|yes|t2");
    new.says(&request).await;
    new.status(200).await;
    for (host, is_to_all) in [(HOST, false), ("example.test", true)] {
        let mut alice = world.client_at("alice", host).await;
        let message = text(&mut alice, "bob", "Bearer alice|*|no|t");
        alice.says(&message).await;
        let told = new.asked("MESSAGE").await;
        if is_to_all {
            // One that does not take it is waited out.
            new.answers(&told, 480).await;
            let told = old.asked("MESSAGE").await;
            old.answers(&told, 200).await;
        } else {
            new.answers(&told, 200).await;
        }
        alice.status(200).await;
    }
}
