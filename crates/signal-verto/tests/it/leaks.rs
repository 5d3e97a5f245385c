//! Many clients and calls that end in every way: nothing is left of them.

use std::time::Duration;

use causeway_signal_verto::VertoSettings;
use futures_util::future::join_all;

use crate::world::{Client, World};

/// Pairs of a caller and a callee.
const PAIRS: usize = 40;

/// How a call ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Cancelled,
    Declined,
    /// In the middle of the call.
    BothLost,
    CallerLost,
    CalleeLost,
}

const ENDINGS: [Ending; 5] =
    [Ending::Cancelled, Ending::Declined, Ending::BothLost, Ending::CallerLost, Ending::CalleeLost];

#[tokio::test]
async fn nothing_is_left_of_clients_and_their_calls() {
    let settings = VertoSettings {
        resumable_for: Duration::from_millis(300),
        failed_logins_per_sec: 1000,
        ..VertoSettings::default()
    };
    let world = World::with(settings).await;
    join_all((0..PAIRS).map(|pair| {
        let world = &world;
        async move {
            let names = [format!("alice{pair}"), format!("bobby{pair}")];
            for name in &names {
                world.user(name).await;
            }
            let (mut alice, mut bob) = (world.logged_in(&names[0]).await, world.logged_in(&names[1]).await);
            call(&mut alice, &mut bob, &names[1]).await;
            ends(alice, bob, &names[1], ENDINGS[pair % ENDINGS.len()]).await;
        }
    }))
    .await;
    world.until("no connection", |world| world.service.figures().connections == 0).await;
    // Sessions wait for their clients, with their calls; then these are over too.
    world.until("an empty switchboard", |world| world.board.is_empty()).await;
    world.until("no voice call", |world| world.voice.is_quiet()).await;
    assert!(world.places.is_empty());
}

/// A call that is answered and hung up.
async fn call(alice: &mut Client, bob: &mut Client, to: &str) {
    alice.dial("first", to).await;
    let theirs = rings(bob).await;
    bob.about("answer", &theirs, "").await;
    alice.told("telnyx_rtc.answer").await;
    alice.about("bye", "first", "NORMAL_CLEARING").await;
    assert_eq!(bob.told("telnyx_rtc.bye").await["cause"], "NORMAL_CLEARING");
}

async fn rings(bob: &mut Client) -> String {
    let invite = bob.told("telnyx_rtc.invite").await;
    invite["callID"].as_str().expect("it has one").to_owned()
}

/// A call that ends before it is answered, or by the loss of a party.
async fn ends(mut alice: Client, mut bob: Client, to: &str, ending: Ending) {
    alice.dial("second", to).await;
    let theirs = rings(&mut bob).await;
    match ending {
        Ending::Cancelled => {
            alice.about("bye", "second", "USER_BUSY").await;
            assert_eq!(bob.told("telnyx_rtc.bye").await["cause"], "ORIGINATOR_CANCEL");
        }
        Ending::Declined => {
            bob.about("bye", &theirs, "CALL_REJECTED").await;
            assert_eq!(alice.told("telnyx_rtc.bye").await["cause"], "CALL_REJECTED");
        }
        Ending::BothLost => {
            bob.about("answer", &theirs, "").await;
            alice.told("telnyx_rtc.answer").await;
        }
        Ending::CallerLost => {
            drop(alice);
            bob.told("telnyx_rtc.bye").await;
            return bob.close().await;
        }
        Ending::CalleeLost => {
            drop(bob);
            alice.told("telnyx_rtc.bye").await;
            return alice.close().await;
        }
    }
    alice.close().await;
    bob.close().await;
}
