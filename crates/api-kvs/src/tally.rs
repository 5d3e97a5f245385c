//! Counts by a word, for metrics: the words are the program's own, so there are few.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Counts by word.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    /// With these words at nought, so that a metric has them from the start.
    pub(crate) fn of(words: &[&'static str]) -> Self {
        Self(Mutex::new(words.iter().map(|word| (*word, 0)).collect()))
    }

    /// One more.
    pub(crate) fn note(&self, word: &'static str) {
        *self.0.lock().entry(word).or_default() += 1;
    }

    /// All of them.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(word, count)| (*word, *count)).collect()
    }
}
