//! What is posted when: order per session, retries, the cursor. Sans-IO: no socket, clock or store.
//!
//! It knows only what this server is to post: while another server posts for the database it knows no webhook.
//!
//! One input, then [`DeliveryCore::poll_output`] until `None`. A session's events are a *lane*: its next event is posted
//! when the one before it was taken or given up; other lanes go on meanwhile. An event without session is a lane of its
//! own. A webhook's place lies before its oldest event that is neither taken nor given up. What the log says of attempts by
//! an earlier process, or another server, counts: a retry goes on where it stood.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_app::{EventPlace, KeptEvent, ProjectId, Tried, Webhook, WebhookId};
use causeway_types::{Now, UnixTime};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Events of one webhook in memory: taken ones make room for the next.
pub(crate) const WINDOW_MAX: usize = 500;
/// Events read from the store at once.
pub(crate) const READ_MAX: u32 = 100;
/// Posts of one webhook under way.
pub(crate) const POSTS_PER_WEBHOOK_MAX: usize = 8;
/// First pause before a retry; it doubles up to the longest.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest pause between retries, before jitter.
pub(crate) const RETRY_LONGEST: Duration = Duration::from_secs(3600);
/// An event that was not taken for so long is given up.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);
/// Pause after a store that did not answer.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Read kept events and answer with [`DeliveryCore::handle_events`].
    Read { life: Life, after: EventPlace },
    /// Post and answer with [`DeliveryCore::handle_outcome`].
    Post { life: Life, event: Arc<KeptEvent>, attempt: u32 },
    /// Remember how far the webhook is in its run.
    Move { webhook: WebhookId, run: u32, to: EventPlace },
    /// The event was not taken for a day.
    GaveUp { webhook: WebhookId, event: Arc<KeptEvent> },
    /// The receiver said that it is gone for good (410).
    Disable { webhook: WebhookId },
}

/// Which life of which webhook: a replay begins a new one, and answers to the old one count no more. No two lives of a
/// process have the same epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) webhook: WebhookId,
    pub(crate) epoch: u64,
}

/// How a post ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Failed,
    Gone,
}

/// A session's id, or the place of an event without session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Alone(EventPlace),
    Session(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Read,
    Lane(LaneKey),
}

/// An event that is neither taken nor given up.
#[derive(Debug)]
struct Waiting {
    event: Arc<KeptEvent>,
    /// Begun so far.
    attempts: u32,
    /// For how long it was tried when it came to this process.
    tried_for: Duration,
    /// When it came with attempts, or when its first attempt here failed.
    since: Option<Instant>,
    /// Not before.
    due: Option<Instant>,
}

type Lane = VecDeque<Waiting>;

#[derive(Debug)]
struct Hook {
    project: ProjectId,
    names: Vec<String>,
    is_disabled: bool,
    run: u32,
    epoch: u64,
    read_to: EventPlace,
    told: EventPlace,
    is_reading: bool,
    may_have_more: bool,
    lanes: BTreeMap<LaneKey, Lane>,
    /// Lanes whose first event may be posted, oldest first.
    ready: BTreeSet<(EventPlace, LaneKey)>,
    pending: BTreeSet<EventPlace>,
    under_way: usize,
}

/// The state of all deliveries.
#[derive(Debug)]
pub(crate) struct DeliveryCore {
    hooks: BTreeMap<WebhookId, Hook>,
    wakes: BTreeSet<(Instant, Life, Wake)>,
    outputs: VecDeque<Output>,
    epochs: u64,
    random: ChaCha12Rng,
}

impl DeliveryCore {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            hooks: BTreeMap::new(),
            wakes: BTreeSet::new(),
            outputs: VecDeque::new(),
            epochs: 0,
            random: ChaCha12Rng::from_seed(seed),
        }
    }

    /// Every webhook there is, as stored; none when this server is not to post. One that is new here, or was switched or
    /// replayed, begins at its place.
    pub(crate) fn handle_webhooks(&mut self, webhooks: &[Webhook]) {
        self.hooks.retain(|id, _| webhooks.iter().any(|webhook| webhook.id == *id));
        for webhook in webhooks {
            let is_as_before = |hook: &Hook| hook.is_disabled == webhook.is_disabled && hook.run == webhook.run;
            if !self.hooks.get(&webhook.id).is_some_and(is_as_before) {
                self.epochs += 1;
                let mut hook = Hook::new(webhook, self.epochs);
                if let Some(before) = self.hooks.get(&webhook.id).filter(|before| before.run == webhook.run) {
                    // What was finished since the store was read need not come again.
                    hook.read_to = hook.read_to.max(before.told);
                    hook.told = hook.read_to;
                }
                self.hooks.insert(webhook.id, hook);
            }
            let Some(hook) = self.hooks.get_mut(&webhook.id) else { continue };
            hook.names.clone_from(&webhook.events);
            pump(webhook.id, hook, &mut self.outputs);
        }
    }

    /// This server is not to post any more: everything is forgotten, what was not done yet too.
    pub(crate) fn handle_dismissal(&mut self) {
        self.hooks.clear();
        self.wakes.clear();
        self.outputs.clear();
    }

    /// More events are kept, of a project or perhaps of any.
    pub(crate) fn handle_kept(&mut self, project: Option<ProjectId>) {
        let concerned = |hook: &Hook| project.is_none_or(|project| hook.project == project);
        for (id, hook) in self.hooks.iter_mut().filter(|(_, hook)| concerned(hook)) {
            hook.may_have_more = true;
            pump(*id, hook, &mut self.outputs);
        }
    }

    /// The answer to [`Output::Read`].
    pub(crate) fn handle_events(&mut self, now: Now, life: Life, events: Vec<KeptEvent>) {
        let share = self.random.next_u32();
        let Some(hook) = living(&mut self.hooks, life) else { return };
        hook.is_reading = false;
        hook.may_have_more |= events.len() >= READ_MAX as usize;
        for event in events {
            if let Some((due, key)) = hook.add(now, event, share) {
                self.wakes.insert((due, life, Wake::Lane(key)));
            }
        }
        pump(life.webhook, hook, &mut self.outputs);
    }

    /// The store did not answer [`Output::Read`].
    pub(crate) fn handle_read_failure(&mut self, now: Instant, life: Life) {
        if living(&mut self.hooks, life).is_some() {
            self.wakes.insert((now + READ_PAUSE, life, Wake::Read));
        }
    }

    /// The answer to [`Output::Post`].
    pub(crate) fn handle_outcome(&mut self, now: Instant, life: Life, event: &KeptEvent, outcome: Outcome) {
        let pause_share = self.random.next_u32();
        let Some(hook) = living(&mut self.hooks, life) else { return };
        hook.under_way -= 1;
        let key = LaneKey::of(event);
        match outcome {
            Outcome::Taken => self.finish(now, life, &key),
            Outcome::Gone => {
                hook.is_disabled = true;
                hook.forget();
                self.epochs += 1;
                hook.epoch = self.epochs;
                self.outputs.push_back(Output::Disable { webhook: life.webhook });
            }
            Outcome::Failed => {
                let Some(waiting) = hook.lanes.get_mut(&key).and_then(VecDeque::front_mut) else { return };
                let since = *waiting.since.get_or_insert(now);
                let next = now + pause(waiting.attempts, pause_share);
                if waiting.tried_for + next.saturating_duration_since(since) > GIVE_UP_AFTER {
                    let event = Arc::clone(&waiting.event);
                    self.outputs.push_back(Output::GaveUp { webhook: life.webhook, event });
                    self.finish(now, life, &key);
                } else {
                    self.wakes.insert((next, life, Wake::Lane(key)));
                }
            }
        }
        if let Some(hook) = self.hooks.get_mut(&life.webhook) {
            pump(life.webhook, hook, &mut self.outputs);
        }
    }

    /// Retries what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, life, wake)) = self.wakes.pop_first() {
            if due > now {
                self.wakes.insert((due, life, wake));
                return;
            }
            let Some(hook) = living(&mut self.hooks, life) else { continue };
            match wake {
                Wake::Read => {
                    hook.is_reading = false;
                    hook.may_have_more = true;
                }
                Wake::Lane(key) => hook.make_ready(&key),
            }
            pump(life.webhook, hook, &mut self.outputs);
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wakes.first().map(|(due, _, _)| *due)
    }

    /// The next thing to do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Events that wait, over all webhooks.
    pub(crate) fn pending(&self) -> usize {
        self.hooks.values().map(|hook| hook.pending.len()).sum()
    }

    /// The first event of a lane is taken or given up; the next has its turn, now or when its own pause is over.
    fn finish(&mut self, now: Instant, life: Life, key: &LaneKey) {
        let Some(hook) = living(&mut self.hooks, life) else { return };
        if let Some(due) = hook.finish(now, key) {
            self.wakes.insert((due, life, Wake::Lane(key.clone())));
        }
    }
}

impl LaneKey {
    fn of(kept: &KeptEvent) -> Self {
        if kept.event.session.is_empty() { Self::Alone(kept.place) } else { Self::Session(kept.event.session.clone()) }
    }
}

impl Waiting {
    fn new(now: Now, event: KeptEvent, share: u32) -> Self {
        let (attempts, tried_for, since, due) = match event.tried {
            None => (0, Duration::ZERO, None, None),
            Some(Tried { attempts, first_at, last_at, .. }) => {
                let passed = |at: UnixTime| now.unix.saturating_since(at);
                let left = pause(attempts, share).saturating_sub(passed(last_at));
                (attempts, passed(first_at), Some(now.mono), Some(now.mono + left))
            }
        };
        Self { event: Arc::new(event), attempts, tried_for, since, due }
    }
}

impl Hook {
    fn new(webhook: &Webhook, epoch: u64) -> Self {
        Self {
            project: webhook.project,
            names: webhook.events.clone(),
            is_disabled: webhook.is_disabled,
            run: webhook.run,
            epoch,
            read_to: webhook.place,
            told: webhook.place,
            is_reading: false,
            may_have_more: true,
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            pending: BTreeSet::new(),
            under_way: 0,
        }
    }

    /// Forgets what is in memory and would read on from where it stands.
    fn forget(&mut self) {
        self.read_to = self.told;
        self.is_reading = false;
        self.may_have_more = true;
        self.lanes.clear();
        self.ready.clear();
        self.pending.clear();
        self.under_way = 0;
    }

    /// When its lane is to be looked at, if that is later.
    fn add(&mut self, now: Now, event: KeptEvent, share: u32) -> Option<(Instant, LaneKey)> {
        self.read_to = self.read_to.max(event.place);
        let is_wanted = self.names.is_empty() || self.names.contains(&event.event.name);
        if !is_wanted || event.tried.is_some_and(|tried| tried.is_taken) {
            return None;
        }
        let key = LaneKey::of(&event);
        self.pending.insert(event.place);
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.push_back(Waiting::new(now, event, share));
        if lane.len() > 1 {
            return None;
        }
        self.begin(now.mono, &key).map(|due| (due, key))
    }

    /// Makes a lane's first event ready, or says when it is.
    fn begin(&mut self, now: Instant, key: &LaneKey) -> Option<Instant> {
        let due = self.lanes.get(key)?.front()?.due.filter(|due| *due > now);
        if due.is_none() {
            self.make_ready(key);
        }
        due
    }

    fn make_ready(&mut self, key: &LaneKey) {
        if let Some(waiting) = self.lanes.get(key).and_then(VecDeque::front) {
            self.ready.insert((waiting.event.place, key.clone()));
        }
    }

    /// The first event of a lane is taken or given up; when the next is due, if that is later.
    fn finish(&mut self, now: Instant, key: &LaneKey) -> Option<Instant> {
        let lane = self.lanes.get_mut(key)?;
        if let Some(waiting) = lane.pop_front() {
            self.pending.remove(&waiting.event.place);
        }
        if lane.is_empty() {
            self.lanes.remove(key);
            return None;
        }
        self.begin(now, key)
    }
}

fn living(hooks: &mut BTreeMap<WebhookId, Hook>, life: Life) -> Option<&mut Hook> {
    hooks.get_mut(&life.webhook).filter(|hook| hook.epoch == life.epoch)
}

/// Reads, posts and moves the webhook's place as far as limits allow.
fn pump(webhook: WebhookId, hook: &mut Hook, outputs: &mut VecDeque<Output>) {
    let life = Life { webhook, epoch: hook.epoch };
    if hook.is_disabled {
        return;
    }
    if !hook.is_reading && hook.may_have_more && hook.pending.len() + READ_MAX as usize <= WINDOW_MAX {
        hook.is_reading = true;
        hook.may_have_more = false;
        outputs.push_back(Output::Read { life, after: hook.read_to });
    }
    while hook.under_way < POSTS_PER_WEBHOOK_MAX {
        let Some((_, key)) = hook.ready.pop_first() else { break };
        let Some(waiting) = hook.lanes.get_mut(&key).and_then(VecDeque::front_mut) else { continue };
        waiting.attempts = waiting.attempts.saturating_add(1);
        hook.under_way += 1;
        outputs.push_back(Output::Post { life, event: Arc::clone(&waiting.event), attempt: waiting.attempts });
    }
    let done = hook.pending.first().map_or(hook.read_to, |oldest| EventPlace(oldest.0 - 1));
    if done > hook.told {
        hook.told = done;
        outputs.push_back(Output::Move { webhook, run: hook.run, to: done });
    }
}

/// The pause behind the `attempt`th failure: doubled each time, then between three and five quarters of it.
fn pause(attempt: u32, share: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(RETRY_LONGEST);
    doubled * 3 / 4 + (doubled / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
