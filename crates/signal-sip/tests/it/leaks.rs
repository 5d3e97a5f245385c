//! Many clients and calls that end in every way: nothing is left of them.

use futures_util::future::join_all;

use crate::world::{Client, World};

/// Pairs of a caller and a callee.
const PAIRS: usize = 100;

/// How a call ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// In the middle of the call.
    BothLost,
    Cancelled,
    Declined,
    CallerLost,
    CalleeLost,
}

const ENDINGS: [Ending; 5] =
    [Ending::BothLost, Ending::Cancelled, Ending::Declined, Ending::CallerLost, Ending::CalleeLost];

#[tokio::test]
async fn nothing_is_left_of_two_hundred_calls() {
    let world = World::new().await;
    // The first call of each pair is hung up; the second ends in some way.
    join_all((0..PAIRS).map(|pair| {
        let world = &world;
        async move {
            let (mut alice, mut bob) = pair_of(world, pair).await;
            call(&mut alice, &mut bob).await;
            let ending = ENDINGS[pair % ENDINGS.len()];
            ends(alice, bob, ending).await;
        }
    }))
    .await;
    world.until(|world| world.service.figures().connections == 0 && world.board.is_empty()).await;
    assert!(world.places.is_empty());
}

async fn pair_of(world: &World, pair: usize) -> (Client, Client) {
    let (mut alice, mut bob) = (world.client(&format!("alice{pair}")).await, world.client(&format!("bob{pair}")).await);
    alice.registered("*").await;
    bob.registered("*").await;
    (alice, bob)
}

/// A call that is answered and hung up.
async fn call(alice: &mut Client, bob: &mut Client) {
    let token = alice.token("*");
    let invite = alice.invite(&bob.name).with("Authorization", token);
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = bob.asked("INVITE").await;
    bob.answers(&ring, 180).await;
    alice.status(180).await;
    bob.answers(&ring, 200).await;
    bob.asked("ACK").await;
    let answer = alice.status(200).await;
    for method in ["ACK", "BYE"] {
        let request = alice.inside(method, &invite, &answer);
        alice.says(&request).await;
    }
    alice.status(200).await;
    let bye = bob.asked("BYE").await;
    bob.answers(&bye, 200).await;
}

/// A call that ends before it is answered, or by the loss of a party.
async fn ends(mut alice: Client, mut bob: Client, ending: Ending) {
    let token = alice.token("*");
    let invite = alice.invite(&bob.name).with("Authorization", token);
    alice.says(&invite).await;
    alice.status(100).await;
    let ring = bob.asked("INVITE").await;
    bob.answers(&ring, 180).await;
    alice.status(180).await;
    match ending {
        Ending::CallerLost => {
            drop(alice);
            bob.asked("CANCEL").await;
        }
        Ending::CalleeLost => {
            drop(bob);
            alice.status(480).await;
        }
        Ending::Declined => {
            bob.answers(&ring, 603).await;
            alice.status(603).await;
        }
        Ending::Cancelled => {
            let mut cancel = alice.request("CANCEL", &bob.name);
            for (name, value) in &mut cancel.headers {
                if name != "CSeq" {
                    *value = invite.header(name).expect("an INVITE has what its CANCEL has").to_owned();
                }
            }
            alice.says(&cancel).await;
            alice.status(200).await;
            alice.status(487).await;
            bob.asked("CANCEL").await;
        }
        Ending::BothLost => {
            bob.answers(&ring, 200).await;
            bob.asked("ACK").await;
            let answer = alice.status(200).await;
            let ack = alice.inside("ACK", &invite, &answer);
            alice.says(&ack).await;
            drop((alice, bob));
        }
    }
}
