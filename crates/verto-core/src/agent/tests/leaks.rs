//! Thousands of calls that go every way a client can take them, and clients that send what makes no sense: nothing is left.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{OFFER, World, invite};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
const STEPS: u32 = 20_000;

/// Numbers that look random and are the same each time (Knuth's multiplier).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

fn about(call: &str, more: &Value) -> Value {
    let mut params = json!({"sessid": "s", "sdp": OFFER, "dialogParams": {"callID": call}});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    params
}

/// Calls that a client knows: those it placed, and those it was told of.
fn known(world: &mut World, client: u64, placed: &[String]) -> Vec<String> {
    let told = world.heard(client, "telnyx_rtc.invite");
    let told = told.iter().filter_map(|frame| frame["params"]["callID"].as_str().map(str::to_owned));
    told.chain(placed.iter().cloned()).collect()
}

fn step(world: &mut World, dice: &mut Dice, client: u64, call: &str) {
    let act = dice.roll(10);
    let (method, more) = match act {
        0..3 => ("answer", json!({})),
        3..6 => {
            let cause =
                dice.pick(&["USER_BUSY", "NORMAL_CLEARING", "CALL_REJECTED", "NO_ANSWER", "LOSE_RACE", "nonsense"]);
            ("bye", json!({"cause": cause}))
        }
        6 => ("modify", json!({"action": dice.pick(&["hold", "unhold", "toggleHold", "updateMedia", "else"])})),
        7 => ("info", json!({"dtmf": "5"})),
        8 => ("candidate", json!({"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMLineIndex": 0})),
        _ => ("ringing", json!({})),
    };
    let answer = world.request(client, &format!("telnyx_rtc.{method}"), about(call, &more));
    // A new description is answered when the other party has answered it.
    let is_answered = answer["result"].is_object() || answer["error"].is_object();
    assert!(is_answered || method == "modify", "{method}: {answer}");
}

#[test]
fn nothing_is_left_of_thousands_of_calls_that_end_in_every_way() {
    let mut world = World::new();
    let mut dice = Dice(7);
    let mut clients: Vec<(u64, Vec<String>)> = NAMES.iter().map(|name| (world.login(name), Vec::new())).collect();
    let mut placed = 0_u32;
    for _ in 0..STEPS {
        let index = dice.roll(clients.len());
        let (client, own) = clients[index].clone();
        match dice.roll(12) {
            0..3 if !world.client(client).is_closed => {
                let call = format!("call-{placed}");
                let to = dice.pick(&["alice", "bob", "carol", "dave", "nobody"]);
                placed += 1;
                world.request(client, "telnyx_rtc.invite", invite(&call, to));
                clients[index].1.push(call);
            }
            // The client goes with all that it knows, or was silent for too long, and another comes.
            _ if world.client(client).is_closed || dice.roll(300) == 0 => {
                world.drop_client(client);
                clients[index] = (world.login(NAMES[index]), Vec::new());
            }
            3 if dice.roll(10) == 0 => world.advance(Duration::from_secs(7)),
            _ => {
                let calls = known(&mut world, client, &own);
                let recent = calls.len().saturating_sub(6);
                if let Some(call) = calls[recent..].get(dice.roll(6)) {
                    step(&mut world, &mut dice, client, call);
                }
            }
        }
        // What was heard long ago is nothing to look through.
        let heard = &mut world.client(clients[index].0).heard;
        let old = heard.len().saturating_sub(60);
        heard.drain(..old);
        let own = &mut clients[index].1;
        let old = own.len().saturating_sub(6);
        own.drain(..old);
        for client in world.clients.values() {
            assert!(client.agent.dialog_count() <= 16, "calls that are over stay");
        }
    }
    assert!(placed > 4_000, "{placed} calls");
    // Whoever talks yet is told to end it by the longest duration; whoever rings, by the time to ring.
    for _ in 0..10 {
        world.advance(Duration::from_secs(20 * 3600));
    }
    for (client, _) in clients {
        let client = world.drop_client(client);
        assert!(client.is_closed || client.agent.is_idle(), "an agent keeps something of calls that are over");
    }
    world.advance(Duration::from_secs(100));
    assert!(world.calls.is_empty(), "{} calls, {} legs", world.calls.call_count(), world.calls.leg_count());
    assert!(world.registrar.is_empty());
}

#[test]
fn frames_that_make_no_sense_are_answered_and_leave_nothing() {
    let mut world = World::new();
    let (alice, mallory) = (world.login("alice"), world.login("mallory"));
    let bob = world.login("bob");
    world.request(alice, "telnyx_rtc.invite", invite("call-a", "bob"));
    let theirs = world.heard(bob, "telnyx_rtc.invite")[0]["params"]["callID"].as_str().expect("a text").to_owned();
    for n in 0..2_000 {
        for text in ["", "{", "[]", "null", "\"x\"", "{\"jsonrpc\":\"2.0\"}", "#SPX", "{\"id\":1,\"result\":{}}"] {
            world.says_text(mallory, text);
        }
        for call in [theirs.as_str(), "call-a", "", "../..", &n.to_string()] {
            for method in ["answer", "bye", "modify", "info", "candidate", "endOfCandidates", "ringing", "media"] {
                let params = about(call, &json!({"action": "hold", "dtmf": "1", "candidate": "candidate:1"}));
                let answer = world.request(mallory, &format!("telnyx_rtc.{method}"), params);
                let is_harmless = method == "bye" || answer["error"]["code"].is_i64() || answer["result"].is_object();
                assert!(is_harmless, "{method} of {call}: {answer}");
            }
        }
        world.client(mallory).heard.clear();
    }
    assert!(world.client(mallory).agent.is_idle());
    assert!(!world.client(mallory).is_closed);
    assert!(world.heard(alice, "telnyx_rtc.bye").is_empty() && world.heard(bob, "telnyx_rtc.bye").is_empty());
    assert_eq!((world.calls.call_count(), world.calls.leg_count()), (1, 2), "the call of others goes on");
    world.request(bob, "telnyx_rtc.answer", about(&theirs, &json!({})));
    assert_eq!(world.heard(alice, "telnyx_rtc.answer").len(), 1);
}
