//! Two switchboards and a cluster in memory.

use std::time::Duration;

use causeway_app::{Claiming, ClientPlace, ClusterUnavailable, Finding, Owner, Reading};
use causeway_call_core::{CallEvent, CallEventKind, LegTraits, Party, PresenceChange, RingRule, Target};

use super::*;
use crate::{CallListener, Connection, Inbox, Placing, SwitchboardSettings};

const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };

/// What every node posted, who listens, and whether anybody can be asked.
#[derive(Default)]
struct Net {
    posted: Mutex<BTreeMap<(String, String, NodeAddress, u64), String>>,
    boards: Mutex<BTreeMap<NodeAddress, Arc<Switchboard>>>,
    is_down: Mutex<bool>,
}

struct Member {
    net: Arc<Net>,
    own: NodeAddress,
    outbox: mpsc::UnboundedSender<(NodeAddress, Vec<u8>)>,
}

impl Cluster for Member {
    fn claim<'a>(&'a self, _: &'a str) -> Claiming<'a> {
        Box::pin(std::future::ready(Ok(Owner::Here)))
    }

    fn release(&self, _: &str) {}

    fn note(&self, _: &str, _: Duration) {}

    fn erase(&self, _: &str) {}

    fn has_note<'a>(&'a self, _: &'a str) -> Reading<'a> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn post(&self, shelf: &str, name: &str, entry: u64, text: Option<String>) {
        let key = (shelf.to_owned(), name.to_owned(), Arc::clone(&self.own), entry);
        let mut posted = self.net.posted.lock();
        match text {
            Some(text) => posted.insert(key, text),
            None => posted.remove(&key),
        };
    }

    fn posted<'a>(&'a self, shelf: &'a str, name: Option<&'a str>) -> Finding<'a> {
        let posted = self.net.posted.lock();
        let meant = posted.iter().filter(|((on, under, node, _), _)| {
            on == shelf && name.is_none_or(|name| name == under) && *node != self.own
        });
        let found = meant.map(|((_, name, node, entry), text)| Posted {
            node: Arc::clone(node),
            name: name.clone(),
            entry: *entry,
            text: text.clone(),
        });
        let answer = if *self.net.is_down.lock() { Err(ClusterUnavailable) } else { Ok(found.collect::<Vec<_>>()) };
        Box::pin(std::future::ready(answer))
    }

    fn send(&self, to: &NodeAddress, message: Vec<u8>) {
        self.outbox.send((Arc::clone(to), message)).expect("the net is there");
    }
}

/// Keeps the notes of invitations.
#[derive(Default)]
struct Notes(Mutex<Vec<Option<Arc<str>>>>);

impl CallListener for Notes {
    fn call(&self, event: CallEvent) {
        if let CallEventKind::Invited { note, .. } = event.kind {
            self.0.lock().push(note);
        }
    }

    fn presence(&self, _: PresenceChange) {}
}

struct Node {
    board: Arc<Switchboard>,
    places: Arc<ClientPlaces>,
    notes: Arc<Notes>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Node {
    fn join(net: &Arc<Net>, name: &str) -> Self {
        let own: NodeAddress = Arc::from(name);
        let settings = SwitchboardSettings { node: node_of(name), ..SwitchboardSettings::default() };
        let notes = Arc::<Notes>::default();
        let board = Switchboard::new(settings, [1; 32], Arc::<Notes>::clone(&notes));
        let (outbox, mut letters) = mpsc::unbounded_channel::<(NodeAddress, Vec<u8>)>();
        let (carrier, from) = (Arc::clone(net), Arc::clone(&own));
        let carry = tokio::spawn(async move {
            while let Some((to, message)) = letters.recv().await {
                let receiver = carrier.boards.lock().get(&to).cloned();
                if let Some(receiver) = receiver {
                    receiver.heard(&from, &message);
                }
            }
        });
        net.boards.lock().insert(Arc::clone(&own), Arc::clone(&board));
        let places = Arc::<ClientPlaces>::default();
        let member = Member { net: Arc::clone(net), own, outbox };
        let tasks = vec![carry, board.join(Arc::new(member), Arc::clone(&places))];
        Self { board, places, notes, tasks }
    }

    fn phone(&self, name: &str) -> (Connection, Inbox) {
        let (connection, inbox) = self.board.connect(TRAITS);
        let place = ClientPlace { dialect: "sip", address: None, user_agent: Some(Arc::from("phone")) };
        self.places.put(connection.id(), place);
        connection.register(identity(name), &format!("sip:{name}"), Duration::from_secs(60), true).expect("room");
        (connection, inbox)
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(AccountId(1), name)
}

fn dial(from: &Connection, to: &str) -> LegId {
    let placing = Placing {
        from: Party { identity: identity("ann"), display: Arc::from("") },
        target: Target::Identities(vec![identity(to)]),
        offer: Arc::from("v=0\r\nm=audio 9 X 0\r\n"),
        is_trickling: false,
        headers: Vec::new(),
        ring: RingRule::Newest,
        ring_for: None,
    };
    from.dial(placing).expect("room")
}

async fn next(inbox: &mut Inbox) -> (LegId, LegMessage) {
    let told = tokio::time::timeout(Duration::from_secs(20), inbox.recv()).await;
    let told = told.expect("something is said").expect("the client is connected");
    (told.leg, told.message)
}

#[tokio::test]
async fn clients_of_two_servers_find_each_other_talk_and_part() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (ann, mut ann_inbox) = first.phone("ann");
    let (ben, mut ben_inbox) = second.phone("ben");
    dial(&ann, "ben");
    let (leg, invite) = next(&mut ben_inbox).await;
    assert!(matches!(invite, LegMessage::Invite { .. }));
    ben.answer(leg, Arc::from("v=0\r\n"), Vec::new(), false).unwrap();
    assert!(matches!(next(&mut ann_inbox).await.1, LegMessage::Answered { .. }));
    ben.hang_up(leg, HangupCause::Normal).unwrap();
    assert_eq!(next(&mut ann_inbox).await.1, LegMessage::Ended { cause: HangupCause::Normal });
    assert_eq!((first.board.counts().calls, second.board.leg(leg)), (0, None));
}

#[tokio::test]
async fn the_server_of_a_call_hears_what_the_callees_server_notes_of_it() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (ann, _ann_inbox) = first.phone("ann");
    let (ben, mut ben_inbox) = second.phone("ben");
    dial(&ann, "ben");
    next(&mut ben_inbox).await;
    second.places.put_note(ben.id(), Arc::from("of ben"));
    ben.register(identity("ben"), "sip:ben", Duration::from_secs(60), true).expect("room");
    dial(&ann, "ben");
    next(&mut ben_inbox).await;
    assert_eq!(*first.notes.0.lock(), [None, Some(Arc::from("of ben"))]);
}

#[tokio::test]
async fn a_list_has_what_the_other_servers_show_or_is_refused() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    second.board.show("list", 1, Some("old".to_owned()));
    second.board.show("list", 1, Some("one".to_owned()));
    second.board.show("list", 2, Some("two".to_owned()));
    second.board.show("other", 1, Some("three".to_owned()));
    assert_eq!(first.board.shown_elsewhere("list").await, Ok(vec!["one".to_owned(), "two".to_owned()]));
    assert_eq!(second.board.shown_elsewhere("list").await, Ok(Vec::new()), "its own are its own");
    second.board.show("list", 1, None);
    assert_eq!(first.board.shown_elsewhere("list").await, Ok(vec!["two".to_owned()]));
    *net.is_down.lock() = true;
    assert_eq!(first.board.shown_elsewhere("list").await, Err(crate::OwnerSilent));
    let alone = Switchboard::new(SwitchboardSettings::default(), [1; 32], Arc::<Notes>::default());
    assert_eq!(alone.shown_elsewhere("list").await, Ok(Vec::new()));
}

#[tokio::test]
async fn who_is_registered_is_known_everywhere_and_no_more_when_it_goes() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (ben, _inbox) = second.phone("ben");
    let seen = first.board.registrations_elsewhere(AccountId(1)).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((&*seen[0].client, seen[0].dialect, seen[0].user_agent.as_deref()), ("ben", "sip", Some("phone")));
    assert!(second.board.registrations_elsewhere(AccountId(1)).await.is_empty(), "its own are its own");
    assert!(first.board.registrations_elsewhere(AccountId(2)).await.is_empty(), "another account");
    assert_eq!(first.board.locate(&identity("ben")).await.len(), 1);
    drop(ben);
    assert!(first.board.locate(&identity("ben")).await.is_empty() && net.posted.lock().is_empty());
}

#[tokio::test]
async fn the_newest_rings_wherever_it_is_and_one_that_moved_rings_once() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (_old, _old_inbox) = first.phone("ben");
    let before = Now::read().unix;
    while Now::read().unix <= before {
        tokio::task::yield_now().await;
    }
    let (new, _new_inbox) = second.phone("ben");
    for node in [&first, &second] {
        let found = node.board.locate(&identity("ben")).await;
        let connections: Vec<ConnectionId> = found.iter().map(|found| found.route.connection).collect();
        assert_eq!(connections, [new.id()]);
    }
}

#[tokio::test]
async fn when_nobody_can_be_asked_own_clients_are_called_and_others_clearly_refused() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (ann, mut ann_inbox) = first.phone("ann");
    let (_near, mut near_inbox) = first.phone("near");
    let (_far, _far_inbox) = second.phone("far");
    *net.is_down.lock() = true;
    dial(&ann, "near");
    assert!(matches!(next(&mut near_inbox).await.1, LegMessage::Invite { .. }));
    dial(&ann, "far");
    assert_eq!(next(&mut ann_inbox).await.1, LegMessage::Ended { cause: HangupCause::Congestion });
    *net.is_down.lock() = false;
    dial(&ann, "nobody");
    assert_eq!(next(&mut ann_inbox).await.1, LegMessage::Ended { cause: HangupCause::NotRegistered });
}

#[tokio::test]
async fn a_server_that_is_given_up_hears_of_it_if_it_lives() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    let (ann, mut ann_inbox) = first.phone("ann");
    let (_ben, mut ben_inbox) = second.phone("ben");
    dial(&ann, "ben");
    assert!(matches!(next(&mut ben_inbox).await.1, LegMessage::Invite { .. }));
    first.board.node_lost(&Arc::from("b/1"));
    assert_eq!(next(&mut ann_inbox).await.1, LegMessage::Ended { cause: HangupCause::ConnectionLost });
    assert_eq!(next(&mut ben_inbox).await.1, LegMessage::Ended { cause: HangupCause::ConnectionLost });
    // They meet again with the next call.
    dial(&ann, "ben");
    assert!(matches!(next(&mut ben_inbox).await.1, LegMessage::Invite { .. }));
}

/// Says back what it is asked, but for `silence`.
struct Echo;

impl crate::Answerer for Echo {
    fn answer(&self, question: String) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> {
        Box::pin(async move {
            if question == "silence" {
                std::future::pending::<()>().await;
            }
            format!("{question}!")
        })
    }
}

#[tokio::test]
async fn what_a_server_owns_is_asked_there_until_it_is_gone() {
    let net = Arc::<Net>::default();
    let (first, second) = (Node::join(&net, "a/1"), Node::join(&net, "b/1"));
    second.board.answer_with(Arc::new(Echo));
    let ask = |question: &str| {
        let (board, question) = (Arc::clone(&first.board), question.to_owned());
        tokio::spawn(async move { board.ask_owner("leg-1", question).await })
    };
    assert_eq!(ask("hello").await.unwrap(), Ok(None), "nobody's");
    second.board.own("leg-1", true);
    assert_eq!(second.board.ask_owner("leg-1", "own".to_owned()).await, Ok(None), "its own is not elsewhere");
    for n in 0..100 {
        assert_eq!(ask(&format!("hello {n}")).await.unwrap(), Ok(Some(format!("hello {n}!"))));
    }

    // A question is under way when the other server goes; what a third one says to it is not believed.
    let waits = ask("silence");
    let links = first.board.links.get().unwrap();
    while format!("{:?}", links.asked) != "Questions { waiting: 1, .. }" {
        tokio::task::yield_now().await;
    }
    let forged = Letter::reply(100, "forged".to_owned()).write().unwrap();
    first.board.heard(&Arc::from("c/1"), &forged);
    first.board.node_lost(&Arc::from("b/1"));
    assert_eq!(waits.await.unwrap(), Err(crate::OwnerSilent));
    assert_eq!(format!("{:?}", links.asked), "Questions { waiting: 0, .. }");

    second.board.own("leg-1", false);
    assert_eq!(ask("hello").await.unwrap(), Ok(None), "given back");
    *net.is_down.lock() = true;
    assert_eq!(ask("hello").await.unwrap(), Err(crate::OwnerSilent), "nobody can be asked");
    assert!(net.posted.lock().is_empty());
}
