//! Who is asked next.

use std::collections::VecDeque;

use crate::{BindingRef, HangupCause, Identity, RingRule};

/// The bindings of one callee that were not asked yet, newest first.
#[derive(Debug)]
struct Line {
    identity: Identity,
    waiting: VecDeque<BindingRef>,
}

/// What is left to try for a call, and the best reason so far for its failure.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    lines: Vec<Line>,
    cause: Option<HangupCause>,
}

impl Hunt {
    /// Bindings come newest first per identity, as they were located.
    pub(crate) fn new(bindings: Vec<BindingRef>) -> Self {
        let mut hunt = Self::default();
        for binding in bindings {
            match hunt.lines.iter_mut().find(|line| line.identity == binding.identity) {
                Some(line) => line.waiting.push_back(binding),
                None => {
                    hunt.lines.push(Line { identity: binding.identity.clone(), waiting: VecDeque::from([binding]) })
                }
            }
        }
        hunt
    }

    /// The first to ask.
    pub(crate) fn start(&mut self, rule: RingRule, ringing_max: usize) -> Vec<BindingRef> {
        let mut asked = Vec::new();
        for line in &mut self.lines {
            let n = match rule {
                RingRule::Newest => 1,
                RingRule::All => line.waiting.len(),
            };
            asked.extend(line.waiting.drain(..n.min(line.waiting.len())));
        }
        asked.truncate(ringing_max);
        asked
    }

    /// A device went without an answer: the next of the same callee.
    pub(crate) fn next(&mut self, gone: &Identity) -> Option<BindingRef> {
        self.lines.iter_mut().find(|line| line.identity == *gone)?.waiting.pop_front()
    }

    /// A device did not take the call, for this reason.
    pub(crate) fn note(&mut self, cause: HangupCause) {
        if self.cause.is_none_or(|known| cause.weight() > known.weight()) {
            self.cause = Some(cause);
        }
    }

    /// What the caller is told when all are through.
    pub(crate) fn verdict(&self) -> HangupCause {
        self.cause.unwrap_or(HangupCause::NotRegistered)
    }
}
