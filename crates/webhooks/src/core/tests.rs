//! In virtual time.

use causeway_types::{Secret, UnixTime};

use super::*;

const PROJECT: ProjectId = ProjectId(1);
const HOOK: WebhookId = WebhookId(1);

#[test]
fn events_of_a_session_wait_for_each_other_and_those_of_others_go_on() {
    let mut world = World::new(&["a1", "a2", "b3", "b4"]);
    assert_eq!(world.posted(), [1, 3], "the first of each session");
    world.fail(1);
    world.take(3);
    assert_eq!(world.posted(), [4]);
    world.take(4);
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(0)), "the first event was not taken yet");
    world.pass(RETRY_FIRST * 2);
    assert_eq!(world.posted(), [1]);
    world.take(1);
    assert_eq!(world.posted(), [2]);
    world.take(2);
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(4)));
}

#[test]
fn an_event_without_session_holds_up_nobody() {
    let mut world = World::new(&["1", "2"]);
    assert_eq!(world.posted(), [1, 2]);
    world.fail(1);
    world.take(2);
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(0)));
}

#[test]
fn pauses_double_with_jitter_up_to_an_hour_and_after_a_day_the_next_event_has_its_turn() {
    let mut world = World::new(&["a1", "a2"]);
    let began = world.now;
    let mut pauses = Vec::new();
    let mut posted = world.posted();
    while posted == [1] {
        let before = world.now;
        world.fail(1);
        posted = world.posted();
        if posted.is_empty() {
            world.now = world.core.poll_timeout().expect("a retry");
            pauses.push(world.now - before);
            world.core.handle_timeout(world.now);
            posted = world.posted();
        }
    }
    assert_eq!((posted, world.given_up.clone()), (vec![2], vec![1]));
    assert!(world.now - began > GIVE_UP_AFTER - RETRY_LONGEST * 2 && world.now - began <= GIVE_UP_AFTER);
    for (index, pause) in pauses.iter().enumerate() {
        let doubled = RETRY_FIRST.saturating_mul(1 << index.min(20)).min(RETRY_LONGEST);
        assert!(*pause >= doubled * 3 / 4 && *pause <= doubled * 5 / 4, "{index}: {pause:?}");
    }
    let longest: Vec<_> = pauses.iter().filter(|pause| **pause > RETRY_LONGEST / 2).collect();
    assert!(longest.windows(2).any(|two| two[0] != two[1]), "no jitter");
    assert_eq!(world.cursor, Cursor(1));
}

#[test]
fn posts_and_events_in_memory_are_bounded_and_everything_comes_in_the_end() {
    let names: Vec<String> = (1..=2000).map(|number| number.to_string()).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut seen: Vec<u64> = Vec::new();
    loop {
        let posted = world.posted();
        assert!(posted.len() <= POSTS_PER_WEBHOOK_MAX);
        assert!(world.core.pending() <= WINDOW_MAX);
        let Some(first) = posted.first().copied() else { break };
        seen.extend(&posted);
        assert!(first > 0);
        posted.into_iter().for_each(|cursor| world.take(cursor));
    }
    assert_eq!(seen, (1..=2000).collect::<Vec<_>>());
    assert_eq!(world.cursor, Cursor(2000));
}

#[test]
fn unwanted_names_are_passed_over() {
    let mut world = World::new(&[]);
    world.webhook.events = vec!["wanted".to_owned()];
    world.core.handle_webhooks(&[world.webhook.clone()]);
    world.keep("a1", "other");
    world.keep("a2", "wanted");
    world.keep("a3", "other");
    assert_eq!(world.posted(), [2]);
    assert_eq!(world.cursor, Cursor(1));
    world.take(2);
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(3)));
}

#[test]
fn a_disabled_webhook_is_silent_and_goes_on_where_it_stopped() {
    let mut world = World::new(&["a1", "a2"]);
    assert_eq!(world.posted(), [1]);
    world.take(1);
    assert_eq!(world.posted(), [2]);
    world.webhook.is_disabled = true;
    world.core.handle_webhooks(&[world.webhook.clone()]);
    world.take(2);
    world.keep("a3", "event");
    assert_eq!(world.posted(), Vec::<u64>::new());
    world.webhook.is_disabled = false;
    world.core.handle_webhooks(&[world.webhook.clone()]);
    assert_eq!(world.posted(), [2], "its answer came after the switch: at least once");
}

#[test]
fn gone_disables() {
    let mut world = World::new(&["a1", "b2"]);
    assert_eq!(world.posted(), [1, 2]);
    world.end(1, Outcome::Gone);
    assert_eq!((world.posted(), world.disabled), (Vec::<u64>::new(), true));
}

#[test]
fn a_replay_posts_everything_after_its_cursor_once_more() {
    let mut world = World::new(&["a1", "a2", "a3"]);
    for cursor in 1..=3 {
        assert_eq!(world.posted(), [cursor]);
        world.take(cursor);
    }
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(3)));
    assert!(world.core.handle_replay(HOOK, Cursor(1)));
    assert_eq!((world.posted(), world.cursor), (vec![2], Cursor(1)));
    world.take(2);
    assert_eq!(world.posted(), [3]);
    world.take(3);
    assert_eq!((world.posted(), world.cursor), (Vec::<u64>::new(), Cursor(3)));
    assert!(!world.core.handle_replay(WebhookId(9), Cursor(1)));
}

#[test]
fn a_store_that_does_not_answer_is_asked_again() {
    let mut world = World::new(&[]);
    world.store_is_down = true;
    world.keep("a1", "event");
    assert_eq!(world.posted(), Vec::<u64>::new());
    world.store_is_down = false;
    world.pass(READ_PAUSE);
    assert_eq!(world.posted(), [1]);
}

/// One webhook, its kept events, and what the core said of them.
struct World {
    core: DeliveryCore,
    now: Instant,
    webhook: Webhook,
    kept: Vec<StoredEvent>,
    under_way: BTreeMap<u64, (Place, Arc<StoredEvent>)>,
    cursor: Cursor,
    given_up: Vec<u64>,
    disabled: bool,
    store_is_down: bool,
}

impl World {
    /// Events `a1` (session and cursor), or `1` for one without session.
    fn new(events: &[&str]) -> Self {
        let webhook = Webhook {
            id: HOOK,
            project: PROJECT,
            url: "https://example.com".to_owned(),
            secrets: vec![Secret::new("s".to_owned())],
            events: Vec::new(),
            created_at: UnixTime::default(),
            cursor: Cursor(0),
            is_disabled: false,
        };
        let mut world = Self {
            core: DeliveryCore::new([7; 32]),
            now: Instant::now(),
            webhook,
            kept: Vec::new(),
            under_way: BTreeMap::new(),
            cursor: Cursor(0),
            given_up: Vec::new(),
            disabled: false,
            store_is_down: false,
        };
        events.iter().for_each(|event| world.kept.push(stored(event, "event")));
        world.core.handle_webhooks(&[world.webhook.clone()]);
        world
    }

    fn keep(&mut self, event: &str, name: &str) {
        self.kept.push(stored(event, name));
        self.core.handle_kept(PROJECT);
    }

    /// What is posted now.
    fn posted(&mut self) -> Vec<u64> {
        let mut posted = Vec::new();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Read { place, .. } if self.store_is_down => self.core.handle_read_failure(self.now, place),
                Output::Read { place, after, .. } => {
                    let events = self.kept.iter().filter(|event| event.cursor > after).take(READ_MAX as usize);
                    self.core.handle_events(place, events.cloned().collect());
                }
                Output::Post { place, event, .. } => {
                    posted.push(event.cursor.0);
                    self.under_way.insert(event.cursor.0, (place, event));
                }
                Output::MoveCursor { to, .. } => self.cursor = to,
                Output::GaveUp { cursor, .. } => self.given_up.push(cursor.0),
                Output::Disable { .. } => self.disabled = true,
            }
        }
        posted
    }

    fn end(&mut self, cursor: u64, outcome: Outcome) {
        let (place, event) = self.under_way.remove(&cursor).expect("it is under way");
        self.core.handle_outcome(self.now, place, &event, outcome);
    }

    fn take(&mut self, cursor: u64) {
        self.end(cursor, Outcome::Taken);
    }

    fn fail(&mut self, cursor: u64) {
        self.end(cursor, Outcome::Failed);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
    }
}

fn stored(event: &str, name: &str) -> StoredEvent {
    let session: String = event.chars().filter(|c| c.is_alphabetic()).collect();
    let cursor = event.trim_start_matches(char::is_alphabetic).parse().expect("a number");
    StoredEvent {
        cursor: Cursor(cursor),
        project: PROJECT,
        session,
        name: name.to_owned(),
        at: UnixTime::default(),
        body: "{}".to_owned(),
    }
}
