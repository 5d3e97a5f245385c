//! A random walk: any order of inputs, also wrong and crossing ones, keeps the invariants and leaves nothing behind.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::world::{RESUMING, SIP, World, connection, dial, identity, text};
use crate::{
    Candidate, Dial, HangupCause, Info, LegId, LegMessage, LegRoute, LegTraits, Progress, Refusal, RingRule, Target,
};

const CLIENTS: u64 = 5;

/// What a client says about a leg, which may be another's or none.
#[derive(Clone, Copy, Debug)]
enum Says {
    Ringing,
    Early,
    Answer { is_trickling: bool },
    HangUp,
    Candidate,
    EndOfCandidates,
    Reoffer,
    Reanswer,
    Refuse,
    Hold(bool),
    Digit,
    Transfer(u64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Register(u64),
    Dial { from: u64, to: u64, is_parked: bool, is_trickling: bool, to_all: bool },
    Says { client: u64, leg: usize, what: Says },
    Redirect { leg: usize, to: u64 },
    Cut(u64),
    Resume(u64),
    Wait(u64),
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        1 => Just(Says::Ringing),
        1 => Just(Says::Early),
        4 => any::<bool>().prop_map(|is_trickling| Says::Answer { is_trickling }),
        1 => Just(Says::HangUp),
        1 => Just(Says::Candidate),
        1 => Just(Says::EndOfCandidates),
        2 => Just(Says::Reoffer),
        2 => Just(Says::Reanswer),
        1 => Just(Says::Refuse),
        1 => any::<bool>().prop_map(Says::Hold),
        1 => Just(Says::Digit),
        1 => (1..=CLIENTS).prop_map(Says::Transfer),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let client = 1..=CLIENTS;
    let dial =
        (client.clone(), client.clone(), any::<[bool; 4]>()).prop_map(|(from, to, [a, b, is_trickling, to_all])| {
            Step::Dial { from, to, is_parked: a && b, is_trickling, to_all }
        });
    prop_oneof![
        2 => client.clone().prop_map(Step::Register),
        3 => dial,
        12 => (client.clone(), 0_usize..8, says()).prop_map(|(client, leg, what)| Step::Says { client, leg, what }),
        1 => (0_usize..8, client.clone()).prop_map(|(leg, to)| Step::Redirect { leg, to }),
        1 => client.clone().prop_map(Step::Cut),
        1 => client.prop_map(Step::Resume),
        1 => (0_u64..70).prop_map(Step::Wait),
    ]
}

fn traits(client: u64) -> LegTraits {
    if client.is_multiple_of(2) { SIP } else { RESUMING }
}

fn name(client: u64) -> String {
    format!("c{}", client % 3)
}

fn speak(world: &mut World, client: u64, leg: LegId, what: Says) -> Result<(), Refusal> {
    let (now, from) = (world.now, connection(client));
    let server = &mut world.server;
    match what {
        Says::Ringing => server.handle_progress(now, from, leg, Progress::Ringing),
        Says::Early => server.handle_progress(now, from, leg, Progress::Early { answer: text("v=0\n") }),
        Says::Answer { is_trickling } => server.handle_answer(now, from, leg, text("v=0\n"), Vec::new(), is_trickling),
        Says::HangUp => server.handle_hangup(now, from, leg, HangupCause::Normal),
        Says::Candidate => {
            let candidate = Candidate { line: text("candidate:1"), mid: None, media_index: None };
            server.handle_candidate(from, leg, candidate)
        }
        Says::EndOfCandidates => server.handle_end_of_candidates(now, from, leg),
        Says::Reoffer => server.handle_reoffer(now, from, leg, text("offer")),
        Says::Reanswer => server.handle_reanswer(now, from, leg, text("answer")),
        Says::Refuse => server.handle_reoffer_refused(from, leg, HangupCause::IncompatibleMedia),
        Says::Hold(is_held) => server.handle_hold(now, from, leg, is_held),
        Says::Digit => {
            let digit = Info::Dtmf { digits: text("1"), duration: Duration::from_millis(100) };
            server.handle_info(now, from, leg, digit)
        }
        Says::Transfer(to) => server.handle_transfer(now, from, leg, identity(&name(to)), None),
    }
}

/// Does a step. Refused ones changed nothing, which [`check`] sees.
fn take(world: &mut World, legs: &mut Vec<LegId>, step: Step) -> Result<(), Refusal> {
    // The newest legs first, so that most steps are about calls that are there.
    let at = |legs: &[LegId], index: usize| legs.iter().rev().nth(index).copied().unwrap_or(LegId(0));
    let outcome = match step {
        Step::Register(client) => {
            world.register(&name(client), client, traits(client));
            Ok(())
        }
        Step::Dial { from, to, is_parked, is_trickling, to_all } => {
            let call = dial(&name(from), from, &name(to), traits(from));
            let target = if is_parked { Target::Parked } else { call.target.clone() };
            let ring = if to_all { RingRule::All } else { RingRule::Newest };
            world.dial_as(Dial { target, is_trickling, ring, ..call }).map(|leg| legs.push(leg))
        }
        Step::Says { client, leg, what } => {
            let leg = at(legs, leg);
            // Half of what is said comes from the leg's own client.
            let owner = world.server.leg(leg).map(|view| view.connection.number);
            speak(world, owner.filter(|_| client > 2).unwrap_or(client), leg, what)
        }
        Step::Redirect { leg, to } => {
            let to = vec![identity(&name(to))];
            world.server.handle_redirect(world.now, at(legs, leg), to, RingRule::All, None)
        }
        Step::Cut(client) => {
            world.cut(client);
            Ok(())
        }
        Step::Resume(client) => {
            let route = LegRoute { connection: connection(client), traits: traits(client) };
            world.server.handle_connection_resumed(world.now, connection(client), route);
            Ok(())
        }
        Step::Wait(secs) => {
            world.advance(Duration::from_secs(secs));
            Ok(())
        }
    };
    world.drain();
    for (_, leg, message) in &world.said {
        if matches!(message, LegMessage::Invite { .. }) && !legs.contains(leg) {
            legs.push(*leg);
        }
    }
    outcome
}

/// What holds whatever happened.
fn check(world: &World) {
    let mut seen = BTreeSet::new();
    for call in world.server.calls() {
        for leg in &call.legs {
            assert!(seen.insert(*leg), "a leg of two calls");
            let view = world.server.leg(*leg).expect("a call's leg is there");
            assert_eq!(view.call, call.id);
            assert!(world.server.legs_on(view.connection).contains(leg));
            if let Some(other) = view.other {
                let back = world.server.leg(other).expect("the other party's leg is there").other;
                assert_eq!(back, Some(*leg), "each is the other's other");
            }
        }
        assert!(call.phase != "ringing" || call.legs.len() > 1, "a call that rings nowhere");
    }
    assert_eq!(seen.len(), world.server.leg_count(), "every leg belongs to a call");
}

/// After its end a leg is told nothing.
fn check_silence_after_the_end(world: &World) {
    let mut ended = BTreeSet::new();
    for (_, leg, message) in &world.said {
        assert!(!ended.contains(leg), "{message:?} after the end");
        if matches!(message, LegMessage::Ended { .. }) {
            ended.insert(*leg);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_inputs_ends_with_nothing_kept(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut legs = Vec::new();
        for step in steps {
            let calls = world.server.call_count();
            if take(&mut world, &mut legs, step).is_err() {
                prop_assert_eq!(world.server.call_count(), calls, "a refusal changes nothing");
            }
            check(&world);
        }
        for client in 1..=CLIENTS {
            world.cut(client);
        }
        world.advance(Duration::from_secs(3600));
        check_silence_after_the_end(&world);
        world.assert_nothing_is_kept();
        prop_assert!(world.registrar.is_empty());
    }
}
