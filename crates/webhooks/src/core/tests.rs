//! In virtual time.

use causeway_app::{Cursor, StoredEvent};
use causeway_types::Secret;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
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
    assert_eq!((world.posted(), world.place), (Vec::<u64>::new(), EventPlace(0)), "the first event was not taken yet");
    world.pass(RETRY_FIRST * 2);
    assert_eq!(world.posted(), [1]);
    world.take(1);
    assert_eq!(world.posted(), [2]);
    world.take(2);
    assert_eq!((world.posted(), world.place), (Vec::<u64>::new(), EventPlace(4)));
}

#[test]
fn an_event_without_session_holds_up_nobody() {
    let mut world = World::new(&["1", "2"]);
    assert_eq!(world.posted(), [1, 2]);
    world.fail(1);
    world.take(2);
    assert_eq!((world.posted(), world.place), (Vec::<u64>::new(), EventPlace(0)));
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
    assert_eq!(world.place, EventPlace(1));
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
        posted.into_iter().for_each(|place| world.take(place));
    }
    assert_eq!(seen, (1..=2000).collect::<Vec<_>>());
    assert_eq!(world.place, EventPlace(2000));
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
    assert_eq!(world.place, EventPlace(1));
    world.take(2);
    assert_eq!((world.posted(), world.place), (Vec::<u64>::new(), EventPlace(3)));
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
fn a_replay_posts_everything_after_its_place_once_more_and_answers_to_the_run_before_count_no_more() {
    let mut world = World::new(&["a1", "a2", "a3"]);
    for place in 1..=2 {
        assert_eq!(world.posted(), [place]);
        world.take(place);
    }
    assert_eq!((world.posted(), world.place), (vec![3], EventPlace(2)));
    (world.webhook.run, world.webhook.place) = (1, EventPlace(1));
    world.core.handle_webhooks(&[world.webhook.clone()]);
    let before = world.under_way.remove(&3).expect("it is under way");
    assert_eq!(world.posted(), [2]);
    world.core.handle_outcome(world.now, before.0, &before.1, Outcome::Taken);
    world.take(2);
    assert_eq!((world.posted(), world.place, world.run), (vec![3], EventPlace(2), 1));
    world.take(3);
    assert_eq!((world.posted(), world.place), (Vec::<u64>::new(), EventPlace(3)));
}

#[test]
fn another_process_goes_on_with_the_count_the_pause_and_the_day_of_the_one_before() {
    let hour = Duration::from_secs(3600);
    let mut world = World::new(&[]);
    let tried = |attempts, first: Duration, last: Duration| Tried {
        attempts,
        first_at: UnixTime::from_millis(NOW.as_millis() - u64::try_from(first.as_millis()).expect("small")),
        last_at: UnixTime::from_millis(NOW.as_millis() - u64::try_from(last.as_millis()).expect("small")),
        is_taken: false,
    };
    world.keep_tried("a1", tried(3, Duration::from_secs(17), Duration::from_secs(2)));
    world.keep_tried("a2", tried(1, hour, hour));
    world.keep_tried("b3", tried(30, hour * 24, hour / 2));
    world.keep_tried("c4", Tried { is_taken: true, ..tried(1, hour, hour) });
    assert_eq!(world.posted(), Vec::<u64>::new(), "no pause is over");
    // The pause behind a third failure is 15 to 25 seconds; two of them have passed.
    world.pass(Duration::from_secs(12));
    assert_eq!(world.posted(), Vec::<u64>::new());
    world.pass(Duration::from_secs(11));
    assert_eq!((world.posted(), world.attempt), (vec![1], 4));
    world.fail(1);
    world.pass(Duration::from_secs(50));
    assert_eq!((world.posted(), world.attempt), (vec![1], 5));
    world.take(1);
    assert_eq!((world.posted(), world.attempt), (vec![2], 2), "its pause was over long ago");
    world.take(2);
    world.pass(hour);
    assert_eq!((world.posted(), world.attempt), (vec![3], 31));
    world.fail(3);
    assert_eq!((world.posted(), world.given_up.clone()), (Vec::<u64>::new(), vec![3]), "its day is over");
    assert_eq!(world.place, EventPlace(4), "what was taken before is not posted again");
}

#[test]
fn a_dismissed_core_posts_nothing_and_begins_again_where_the_store_says() {
    let mut world = World::new(&["a1", "b2"]);
    assert_eq!(world.posted(), [1, 2]);
    let late = world.under_way.remove(&1).expect("it is under way");
    world.fail(2);
    world.core.handle_dismissal();
    world.pass(Duration::from_secs(3600));
    world.core.handle_kept(None);
    assert_eq!((world.posted(), world.core.pending()), (Vec::<u64>::new(), 0));
    world.core.handle_webhooks(&[world.webhook.clone()]);
    world.core.handle_outcome(world.now, late.0, &late.1, Outcome::Taken);
    assert_eq!((world.posted(), world.place), (vec![1, 2], EventPlace(0)), "an answer of before counts no more");
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
    began: Instant,
    now: Instant,
    webhook: Webhook,
    kept: Vec<KeptEvent>,
    under_way: BTreeMap<u64, (Life, Arc<KeptEvent>)>,
    place: EventPlace,
    run: u32,
    attempt: u32,
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
            place: EventPlace(0),
            delivered_to: Cursor(0),
            run: 0,
            is_disabled: false,
        };
        let began = Instant::now();
        let mut world = Self {
            core: DeliveryCore::new([7; 32]),
            began,
            now: began,
            webhook,
            kept: Vec::new(),
            under_way: BTreeMap::new(),
            place: EventPlace(0),
            run: 0,
            attempt: 0,
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
        self.core.handle_kept(Some(PROJECT));
    }

    fn keep_tried(&mut self, event: &str, tried: Tried) {
        self.kept.push(KeptEvent { tried: Some(tried), ..stored(event, "event") });
        self.core.handle_kept(None);
    }

    /// What is posted now.
    fn posted(&mut self) -> Vec<u64> {
        let mut posted = Vec::new();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Read { life, .. } if self.store_is_down => self.core.handle_read_failure(self.now, life),
                Output::Read { life, after } => {
                    let events = self.kept.iter().filter(|event| event.place > after).take(READ_MAX as usize);
                    let unix = NOW.saturating_add(self.now - self.began);
                    self.core.handle_events(Now { mono: self.now, unix }, life, events.cloned().collect());
                }
                Output::Post { life, event, attempt } => {
                    posted.push(event.place.0);
                    self.attempt = attempt;
                    self.under_way.insert(event.place.0, (life, event));
                }
                Output::Move { run, to, .. } => (self.run, self.place) = (run, to),
                Output::GaveUp { event, .. } => self.given_up.push(event.place.0),
                Output::Disable { .. } => self.disabled = true,
            }
        }
        posted
    }

    fn end(&mut self, place: u64, outcome: Outcome) {
        let (life, event) = self.under_way.remove(&place).expect("it is under way");
        self.core.handle_outcome(self.now, life, &event, outcome);
    }

    fn take(&mut self, place: u64) {
        self.end(place, Outcome::Taken);
    }

    fn fail(&mut self, place: u64) {
        self.end(place, Outcome::Failed);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
    }
}

/// Ids are not in the order of places.
fn stored(event: &str, name: &str) -> KeptEvent {
    let session: String = event.chars().filter(|c| c.is_alphabetic()).collect();
    let place = event.trim_start_matches(char::is_alphabetic).parse().expect("a number");
    let event = StoredEvent {
        cursor: Cursor(1_000_000 - place),
        project: PROJECT,
        session,
        name: name.to_owned(),
        at: NOW,
        body: "{}".to_owned(),
    };
    KeptEvent { place: EventPlace(place), event, tried: None }
}
