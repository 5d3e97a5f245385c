//! Which server posts: the decisions about a lease that lies in the store. Sans-IO.
//!
//! No server compares its clock with another's: one that waits takes the lease when it saw no renewal for
//! [`TAKE_OVER_AFTER`], and the holder stops posting when its last renewal is [`HOLD_FOR`] ago, which is sooner.

use std::time::{Duration, Instant};

use causeway_app::Lease;

/// A holder whose renewals do not reach the store stops so long after the last one.
pub(crate) const HOLD_FOR: Duration = Duration::from_secs(4);
/// A lease that was not renewed for so long is taken.
pub(crate) const TAKE_OVER_AFTER: Duration = Duration::from_secs(6);

/// What this server knows of the lease.
#[derive(Debug)]
pub(crate) struct LeaseWatch {
    name: String,
    /// Held, and since when it is renewed.
    held: Option<(Lease, Instant)>,
    /// Another's, and since when it is as it is.
    seen: Option<(Lease, Instant)>,
}

impl LeaseWatch {
    pub(crate) const fn new(name: String) -> Self {
        Self { name, held: None, seen: None }
    }

    /// Takes what the store has; whether to take or renew it. A process that was killed had this server's name: its
    /// lease need not be waited for.
    pub(crate) fn judge(&mut self, now: Instant, lease: &Lease) -> bool {
        if lease.holder.is_empty() || lease.holder == self.name {
            return true;
        }
        self.held = None;
        match &self.seen {
            Some((seen, since)) if seen == lease => now.saturating_duration_since(*since) >= TAKE_OVER_AFTER,
            Some(_) | None => {
                self.seen = Some((lease.clone(), now));
                false
            }
        }
    }

    /// It was asked for at `began`: this server has it now, or another was faster.
    pub(crate) fn handle_answer(&mut self, began: Instant, taken: Option<Lease>) {
        self.held = taken.map(|lease| (lease, began));
    }

    /// Whether this server may post.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(_, since)| now.saturating_duration_since(*since) < HOLD_FOR)
    }

    /// What is held, to give it back.
    pub(crate) fn held(&self) -> Option<&Lease> {
        self.held.as_ref().map(|(lease, _)| lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row in the store, and servers that ask for it by turns.
    struct World {
        row: Lease,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self { row: Lease::default(), now: Instant::now() }
        }

        fn turn(&mut self, watch: &mut LeaseWatch) -> bool {
            let seen = self.row.clone();
            if watch.judge(self.now, &seen) {
                self.row = Lease { holder: watch.name.clone(), renewals: seen.renewals + 1 };
                watch.handle_answer(self.now, Some(self.row.clone()));
            }
            watch.holds(self.now)
        }
    }

    fn watch(name: &str) -> LeaseWatch {
        LeaseWatch::new(name.to_owned())
    }

    #[test]
    fn the_first_to_ask_posts_as_long_as_it_renews() {
        let (mut world, mut one, mut two) = (World::new(), watch("one"), watch("two"));
        for _ in 0..100 {
            assert!(world.turn(&mut one) && !world.turn(&mut two));
            world.now += Duration::from_secs(1);
        }
    }

    #[test]
    fn a_holder_that_cannot_renew_stops_before_another_begins() {
        let (mut world, mut one, mut two) = (World::new(), watch("one"), watch("two"));
        assert!(world.turn(&mut one) && !world.turn(&mut two));
        let began = world.now;
        while !world.turn(&mut two) {
            world.now += Duration::from_millis(100);
        }
        assert!(!one.holds(world.now) && world.now - began >= TAKE_OVER_AFTER);
        assert!(!world.turn(&mut one), "it waits like anybody");
    }

    #[test]
    fn what_was_given_back_or_was_a_killed_process_of_the_same_server_is_taken_at_once() {
        let (mut world, mut one, mut two) = (World::new(), watch("one"), watch("two"));
        assert!(world.turn(&mut one));
        assert!(world.turn(&mut watch("one")), "the next process of the server");
        world.row.holder.clear();
        assert!(world.turn(&mut two));
    }

    #[test]
    fn a_faster_server_wins() {
        let (mut world, mut one) = (World::new(), watch("one"));
        assert!(one.judge(world.now, &world.row));
        world.row = Lease { holder: "two".to_owned(), renewals: 1 };
        one.handle_answer(world.now, None);
        assert!(!one.holds(world.now) && !world.turn(&mut one));
    }
}
