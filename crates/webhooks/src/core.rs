//! What is posted when: order per session, retries, the cursor. Sans-IO: no socket, clock or store.
//!
//! One input, then [`DeliveryCore::poll_output`] until `None`. A session's events are a *lane*: its next event is posted
//! when the one before it was taken or given up; other lanes go on meanwhile. An event without session is a lane of its
//! own. The cursor of a webhook lies before its oldest event that is neither taken nor given up.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_app::{Cursor, ProjectId, StoredEvent, Webhook, WebhookId};
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
    Read { place: Place, project: ProjectId, after: Cursor },
    /// Post and answer with [`DeliveryCore::handle_outcome`].
    Post { place: Place, event: Arc<StoredEvent>, attempt: u32 },
    /// Remember how far the webhook is.
    MoveCursor { webhook: WebhookId, to: Cursor },
    /// The event was not taken for a day.
    GaveUp { webhook: WebhookId, cursor: Cursor },
    /// The receiver said that it is gone for good (410).
    Disable { webhook: WebhookId },
}

/// Which life of which webhook: a replay begins a new one, and answers to the old one count no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) webhook: WebhookId,
    pub(crate) epoch: u32,
}

/// How a post ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Failed,
    Gone,
}

/// A session's id, or the cursor of an event without session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Alone(Cursor),
    Session(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Read,
    Lane(LaneKey),
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Arc<StoredEvent>>,
    /// Of the first event in the queue.
    attempts: u32,
    first_attempt: Option<Instant>,
}

#[derive(Debug)]
struct Hook {
    project: ProjectId,
    names: Vec<String>,
    is_disabled: bool,
    epoch: u32,
    read_to: Cursor,
    told: Cursor,
    is_reading: bool,
    may_have_more: bool,
    lanes: BTreeMap<LaneKey, Lane>,
    /// Lanes whose first event may be posted, oldest first.
    ready: BTreeSet<(Cursor, LaneKey)>,
    pending: BTreeSet<Cursor>,
    under_way: usize,
}

/// The state of all deliveries.
#[derive(Debug)]
pub(crate) struct DeliveryCore {
    hooks: BTreeMap<WebhookId, Hook>,
    wakes: BTreeSet<(Instant, Place, Wake)>,
    outputs: VecDeque<Output>,
    random: ChaCha12Rng,
}

impl DeliveryCore {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            hooks: BTreeMap::new(),
            wakes: BTreeSet::new(),
            outputs: VecDeque::new(),
            random: ChaCha12Rng::from_seed(seed),
        }
    }

    /// Every webhook there is, as stored. One that is new here begins at its cursor.
    pub(crate) fn handle_webhooks(&mut self, webhooks: &[Webhook]) {
        self.hooks.retain(|id, _| webhooks.iter().any(|webhook| webhook.id == *id));
        for webhook in webhooks {
            let hook = self.hooks.entry(webhook.id).or_insert_with(|| Hook::new(webhook));
            hook.names.clone_from(&webhook.events);
            if hook.is_disabled != webhook.is_disabled {
                hook.is_disabled = webhook.is_disabled;
                hook.begin_anew(hook.told);
            }
            pump(webhook.id, hook, &mut self.outputs);
        }
    }

    /// More events of a project are kept.
    pub(crate) fn handle_kept(&mut self, project: ProjectId) {
        for (id, hook) in self.hooks.iter_mut().filter(|(_, hook)| hook.project == project) {
            hook.may_have_more = true;
            pump(*id, hook, &mut self.outputs);
        }
    }

    /// The answer to [`Output::Read`].
    pub(crate) fn handle_events(&mut self, place: Place, events: Vec<StoredEvent>) {
        let Some(hook) = living(&mut self.hooks, place) else { return };
        hook.is_reading = false;
        hook.may_have_more |= events.len() >= READ_MAX as usize;
        for event in events {
            hook.add(event);
        }
        pump(place.webhook, hook, &mut self.outputs);
    }

    /// The store did not answer [`Output::Read`].
    pub(crate) fn handle_read_failure(&mut self, now: Instant, place: Place) {
        if living(&mut self.hooks, place).is_some() {
            self.wakes.insert((now + READ_PAUSE, place, Wake::Read));
        }
    }

    /// The answer to [`Output::Post`].
    pub(crate) fn handle_outcome(&mut self, now: Instant, place: Place, event: &StoredEvent, outcome: Outcome) {
        let pause_share = self.random.next_u32();
        let Some(hook) = living(&mut self.hooks, place) else { return };
        hook.under_way -= 1;
        let key = LaneKey::of(event);
        match outcome {
            Outcome::Taken => hook.finish(&key),
            Outcome::Gone => {
                hook.is_disabled = true;
                hook.begin_anew(hook.told);
                self.outputs.push_back(Output::Disable { webhook: place.webhook });
            }
            Outcome::Failed => {
                let Some(lane) = hook.lanes.get_mut(&key) else { return };
                let first = *lane.first_attempt.get_or_insert(now);
                let next = now + pause(lane.attempts, pause_share);
                if next.saturating_duration_since(first) > GIVE_UP_AFTER {
                    self.outputs.push_back(Output::GaveUp { webhook: place.webhook, cursor: event.cursor });
                    hook.finish(&key);
                } else {
                    self.wakes.insert((next, place, Wake::Lane(key)));
                }
            }
        }
        pump(place.webhook, hook, &mut self.outputs);
    }

    /// Everything after `after` is posted once more; whether the webhook is there.
    pub(crate) fn handle_replay(&mut self, webhook: WebhookId, after: Cursor) -> bool {
        let Some(hook) = self.hooks.get_mut(&webhook) else { return false };
        hook.begin_anew(after);
        hook.told = after;
        self.outputs.push_back(Output::MoveCursor { webhook, to: after });
        pump(webhook, hook, &mut self.outputs);
        true
    }

    /// Retries what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, place, wake)) = self.wakes.pop_first() {
            if due > now {
                self.wakes.insert((due, place, wake));
                return;
            }
            let Some(hook) = living(&mut self.hooks, place) else { continue };
            match wake {
                Wake::Read => {
                    hook.is_reading = false;
                    hook.may_have_more = true;
                }
                Wake::Lane(key) => hook.make_ready(&key),
            }
            pump(place.webhook, hook, &mut self.outputs);
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
}

impl LaneKey {
    fn of(event: &StoredEvent) -> Self {
        if event.session.is_empty() { Self::Alone(event.cursor) } else { Self::Session(event.session.clone()) }
    }
}

impl Hook {
    fn new(webhook: &Webhook) -> Self {
        Self {
            project: webhook.project,
            names: webhook.events.clone(),
            is_disabled: webhook.is_disabled,
            epoch: 0,
            read_to: webhook.cursor,
            told: webhook.cursor,
            is_reading: false,
            may_have_more: true,
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            pending: BTreeSet::new(),
            under_way: 0,
        }
    }

    /// Forgets what is in memory and reads on after `after`.
    fn begin_anew(&mut self, after: Cursor) {
        self.epoch += 1;
        self.read_to = after;
        self.is_reading = false;
        self.may_have_more = true;
        self.lanes.clear();
        self.ready.clear();
        self.pending.clear();
        self.under_way = 0;
    }

    fn add(&mut self, event: StoredEvent) {
        self.read_to = self.read_to.max(event.cursor);
        if !self.names.is_empty() && !self.names.contains(&event.name) {
            return;
        }
        let key = LaneKey::of(&event);
        self.pending.insert(event.cursor);
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.queue.push_back(Arc::new(event));
        if lane.queue.len() == 1 {
            self.make_ready(&key);
        }
    }

    fn make_ready(&mut self, key: &LaneKey) {
        let first = self.lanes.get(key).and_then(|lane| lane.queue.front());
        if let Some(event) = first {
            self.ready.insert((event.cursor, key.clone()));
        }
    }

    /// The first event of a lane is taken or given up.
    fn finish(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(event) = lane.queue.pop_front() {
            self.pending.remove(&event.cursor);
        }
        lane.attempts = 0;
        lane.first_attempt = None;
        if lane.queue.is_empty() {
            self.lanes.remove(key);
        } else {
            self.make_ready(key);
        }
    }
}

fn living(hooks: &mut BTreeMap<WebhookId, Hook>, place: Place) -> Option<&mut Hook> {
    hooks.get_mut(&place.webhook).filter(|hook| hook.epoch == place.epoch)
}

/// Reads, posts and moves the cursor as far as limits allow.
fn pump(webhook: WebhookId, hook: &mut Hook, outputs: &mut VecDeque<Output>) {
    let place = Place { webhook, epoch: hook.epoch };
    if hook.is_disabled {
        return;
    }
    if !hook.is_reading && hook.may_have_more && hook.pending.len() + READ_MAX as usize <= WINDOW_MAX {
        hook.is_reading = true;
        hook.may_have_more = false;
        outputs.push_back(Output::Read { place, project: hook.project, after: hook.read_to });
    }
    while hook.under_way < POSTS_PER_WEBHOOK_MAX {
        let Some((_, key)) = hook.ready.pop_first() else { break };
        let Some(lane) = hook.lanes.get_mut(&key) else { continue };
        let Some(event) = lane.queue.front().map(Arc::clone) else { continue };
        lane.attempts += 1;
        hook.under_way += 1;
        outputs.push_back(Output::Post { place, event, attempt: lane.attempts });
    }
    let done = hook.pending.first().map_or(hook.read_to, |oldest| Cursor(oldest.0 - 1));
    if done > hook.told {
        hook.told = done;
        outputs.push_back(Output::MoveCursor { webhook, to: done });
    }
}

/// The pause behind the `attempt`th failure: doubled each time, then between three and five quarters of it.
fn pause(attempt: u32, share: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(RETRY_LONGEST);
    doubled * 3 / 4 + (doubled / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
