//! Two clients of one switchboard, in real time.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{AccountId, CallEventKind, Header, LegMessage, Party, PresenceKind, Target};

use super::*;
use crate::connection::Placing;

const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };

#[derive(Default)]
struct Heard {
    calls: Mutex<Vec<CallEventKind>>,
    presence: Mutex<Vec<PresenceKind>>,
}

impl CallListener for Heard {
    fn call(&self, event: CallEvent) {
        self.calls.lock().push(event.kind);
    }

    fn presence(&self, change: PresenceChange) {
        self.presence.lock().push(change.kind);
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

fn placing(from: &str, to: &str) -> Placing {
    Placing {
        from: Party { identity: identity(from), display: Arc::from("") },
        target: Target::Identities(vec![identity(to)]),
        offer: Arc::from("v=0\r\nm=audio 9 X 0\r\n"),
        is_trickling: false,
        headers: Vec::<Header>::new(),
        ring: RingRule::Newest,
        ring_for: None,
    }
}

fn board(settings: SwitchboardSettings) -> (Arc<Switchboard>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (Switchboard::new(settings, [1; 32], Arc::<Heard>::clone(&heard)), heard)
}

#[tokio::test]
async fn two_clients_find_each_other_talk_and_part() {
    let (board, heard) = board(SwitchboardSettings::default());
    let (alice, mut alice_inbox) = board.connect(TRAITS);
    let (bob, mut bob_inbox) = board.connect(TRAITS);
    bob.register(identity("bob"), "b", Duration::from_secs(60), true).unwrap();
    let leg = alice.dial(placing("alice", "bob")).unwrap();
    let invite = bob_inbox.recv().await.unwrap();
    assert!(matches!(invite.message, LegMessage::Invite { .. }));
    bob.answer(invite.leg, Arc::from("v=0\r\n"), Vec::new(), false).unwrap();
    assert!(matches!(alice_inbox.recv().await.unwrap().message, LegMessage::Answered { .. }));
    assert_eq!((board.counts().calls, board.counts().registrations), (1, 1));
    alice.hang_up(leg, HangupCause::Normal).unwrap();
    assert_eq!(bob_inbox.recv().await.unwrap().message, LegMessage::Ended { cause: HangupCause::Normal });
    drop(bob);
    assert_eq!(board.counts(), Counts { connections: 1, ..Counts::default() });
    assert_eq!(*heard.presence.lock(), [PresenceKind::Appeared, PresenceKind::ConnectionLost]);
    assert!(matches!(heard.calls.lock().last(), Some(CallEventKind::Ended { .. })));
    assert!(bob_inbox.recv().await.is_none(), "an inbox ends with its connection");
}

#[tokio::test]
async fn a_client_that_does_not_listen_is_cut_off_and_its_calls_with_it() {
    let (board, _) = board(SwitchboardSettings { inbox_max: 2, ..SwitchboardSettings::default() });
    let (bob, bob_inbox) = board.connect(TRAITS);
    bob.register(identity("bob"), "b", Duration::from_secs(60), true).unwrap();
    let mut callers = Vec::new();
    for n in 0..3 {
        let (caller, inbox) = board.connect(TRAITS);
        caller.dial(placing(&format!("c{n}"), "bob")).unwrap();
        callers.push((caller, inbox));
    }
    assert_eq!((board.counts().slow_clients, board.counts().registrations, board.counts().calls), (1, 0, 0));
    for (_, inbox) in &mut callers {
        let heard = inbox.recv().await.unwrap().message;
        assert_eq!(heard, LegMessage::Ended { cause: HangupCause::ConnectionLost });
    }
    drop(bob_inbox);
    assert_eq!(bob.hang_up(LegId(1), HangupCause::Normal), Err(Refusal::NoSuchLeg));
}

#[tokio::test]
async fn deadlines_are_kept_without_any_input() {
    let calls = CallLimits { ring_max: Duration::from_millis(50), ..CallLimits::default() };
    let (board, _) = board(SwitchboardSettings { calls, ..SwitchboardSettings::default() });
    let clock = board.keep_time();
    let (alice, mut inbox) = board.connect(TRAITS);
    let (bob, _bob_inbox) = board.connect(TRAITS);
    bob.register(identity("bob"), "b", Duration::from_secs(60), true).unwrap();
    alice.dial(placing("alice", "bob")).unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), inbox.recv()).await;
    assert_eq!(heard.unwrap().unwrap().message, LegMessage::Ended { cause: HangupCause::NoAnswer });
    clock.abort();
}

#[tokio::test]
async fn a_revocation_takes_bindings_and_calls() {
    let (board, heard) = board(SwitchboardSettings::default());
    let (alice, mut alice_inbox) = board.connect(TRAITS);
    let (bob, _bob_inbox) = board.connect(TRAITS);
    bob.register(identity("bob"), "b", Duration::from_secs(60), true).unwrap();
    alice.register(identity("alice"), "a", Duration::from_secs(60), true).unwrap();
    alice.dial(placing("alice", "bob")).unwrap();
    assert_eq!(board.revoke(|binding| &*binding.identity.name == "bob"), 1);
    assert_eq!(alice_inbox.recv().await.unwrap().message, LegMessage::Ended { cause: HangupCause::Administrative });
    assert_eq!((board.counts().registrations, board.counts().calls), (1, 0));
    assert_eq!(heard.presence.lock().last(), Some(&PresenceKind::Revoked));
}

#[tokio::test]
async fn a_shutdown_ends_calls_and_inboxes() {
    let (board, _) = board(SwitchboardSettings::default());
    let (alice, mut inbox) = board.connect(TRAITS);
    alice.dial(Placing { target: Target::Parked, ..placing("alice", "") }).unwrap();
    board.shut_down();
    let mut heard = Vec::new();
    while let Some(told) = inbox.recv().await {
        heard.push(told.message);
    }
    assert_eq!(heard, [LegMessage::Parked, LegMessage::Ended { cause: HangupCause::Shutdown }]);
}
