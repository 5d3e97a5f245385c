//! What a node posts for others to find: a hash per name on a shelf, and a set of the names of each shelf.
//!
//! The node keeps its own entries, so that they can be written again whenever Redis was away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use causeway_app::{NodeAddress, Posted};
use parking_lot::Mutex;
use tokio::sync::Notify;

const ENTRIES: &str = "causeway:cluster:posted:";
const NAMES: &str = "causeway:cluster:names:";

/// Takes an entry back, and the name with the last one.
const TAKE_BACK: &str = "redis.call('HDEL', KEYS[1], ARGV[1]) \
     if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[2]) end return 1";

/// Which entry: shelf, name, number.
type Key = (Arc<str>, Arc<str>, u64);

#[derive(Debug, Default)]
struct Entries {
    held: BTreeMap<Key, Arc<str>>,
    /// To be written, as `held` says.
    changed: BTreeSet<Key>,
}

/// This node's entries.
#[derive(Debug, Default)]
pub(super) struct Board {
    entries: Mutex<Entries>,
    notify: Notify,
}

impl Board {
    pub(super) fn post(&self, shelf: &str, name: &str, entry: u64, text: Option<String>) {
        let key: Key = (Arc::from(shelf), Arc::from(name), entry);
        let mut entries = self.entries.lock();
        match text {
            Some(text) => entries.held.insert(key.clone(), Arc::from(text)),
            None => entries.held.remove(&key),
        };
        entries.changed.insert(key);
        drop(entries);
        self.notify.notify_one();
    }

    /// Waits until there is something to write.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Everything is to be written once more.
    pub(super) fn write_again(&self) {
        let mut entries = self.entries.lock();
        let all: Vec<Key> = entries.held.keys().cloned().collect();
        entries.changed.extend(all);
        drop(entries);
        self.notify.notify_one();
    }

    /// What could not be written before may be now.
    pub(super) fn try_again(&self) {
        if !self.entries.lock().changed.is_empty() {
            self.notify.notify_one();
        }
    }

    /// Some of what is to be written.
    pub(super) fn take(&self, max: usize) -> Vec<Key> {
        let mut entries = self.entries.lock();
        let mut taken = Vec::new();
        while let Some(key) = entries.changed.pop_first() {
            taken.push(key);
            if taken.len() == max {
                break;
            }
        }
        if !entries.changed.is_empty() {
            self.notify.notify_one();
        }
        taken
    }

    /// It was not written. [`Self::try_again`] says when to try once more.
    pub(super) fn put_back(&self, keys: Vec<Key>) {
        self.entries.lock().changed.extend(keys);
    }

    /// Writes these; none for nothing.
    pub(super) fn pipe(&self, node: &NodeAddress, keys: &[Key], lasts: Duration) -> Option<redis::Pipeline> {
        let entries = self.entries.lock();
        let mut pipe = redis::pipe();
        for key in keys {
            let (shelf, name, entry) = key;
            let (hash, names, field) = (hash(shelf, name), format!("{NAMES}{shelf}"), format!("{node}#{entry}"));
            match entries.held.get(key) {
                Some(text) => {
                    pipe.cmd("HSET").arg(&hash).arg(field).arg(&**text).ignore();
                    pipe.cmd("EXPIRE").arg(&hash).arg(lasts.as_secs()).ignore();
                    pipe.cmd("SADD").arg(&names).arg(&**name).ignore();
                    pipe.cmd("EXPIRE").arg(&names).arg(lasts.as_secs()).ignore();
                }
                None => take_back(&mut pipe, hash, names, &field, name),
            }
        }
        (!keys.is_empty()).then_some(pipe)
    }

    /// Takes everything back; none for nothing.
    pub(super) fn take_back(&self, node: &NodeAddress) -> Option<redis::Pipeline> {
        let mut entries = self.entries.lock();
        let mut keys = std::mem::take(&mut entries.changed);
        keys.extend(std::mem::take(&mut entries.held).into_keys());
        drop(entries);
        self.pipe(node, &keys.into_iter().collect::<Vec<_>>(), Duration::ZERO)
    }

    pub(super) fn ask_names(shelf: &str) -> redis::Pipeline {
        let mut pipe = redis::pipe();
        pipe.cmd("SMEMBERS").arg(format!("{NAMES}{shelf}"));
        pipe
    }

    pub(super) fn ask_entries(shelf: &str, names: &[String]) -> redis::Pipeline {
        let mut pipe = redis::pipe();
        for name in names {
            pipe.cmd("HGETALL").arg(hash(shelf, name));
        }
        pipe
    }

    /// An entry as Redis has it.
    pub(super) fn read(name: &str, field: &str, text: String) -> Option<Posted> {
        let (node, entry) = field.rsplit_once('#')?;
        Some(Posted { node: Arc::from(node), name: name.to_owned(), entry: entry.parse().ok()?, text })
    }

    /// Removes entries of nodes that are gone; none for nothing.
    pub(super) fn forget<'a>(shelf: &str, dead: impl Iterator<Item = &'a Posted>) -> Option<redis::Pipeline> {
        let mut pipe = redis::pipe();
        for Posted { node, name, entry, .. } in dead {
            take_back(&mut pipe, hash(shelf, name), format!("{NAMES}{shelf}"), &format!("{node}#{entry}"), name);
        }
        (!pipe.is_empty()).then_some(pipe)
    }
}

fn hash(shelf: &str, name: &str) -> String {
    format!("{ENTRIES}{shelf}:{name}")
}

fn take_back(pipe: &mut redis::Pipeline, hash: String, names: String, field: &str, name: &str) {
    pipe.cmd("EVAL").arg(TAKE_BACK).arg(2).arg(hash).arg(names).arg(field).arg(name).ignore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_written_later_as_it_is_then() {
        let (board, node) = (Board::default(), NodeAddress::from("a/1"));
        board.post("1", "ann", 7, Some("here".to_owned()));
        let taken = board.take(10);
        assert_eq!(taken.len(), 1);
        board.put_back(taken);
        board.post("1", "ann", 7, None);
        let taken = board.take(10);
        assert_eq!(taken.len(), 1);
        let pipe = board.pipe(&node, &taken, Duration::from_secs(9)).unwrap();
        let packed = String::from_utf8(pipe.get_packed_pipeline()).unwrap();
        assert!(packed.contains("HDEL") && packed.contains("a/1#7") && !packed.contains("HSET"), "{packed}");
        assert!(board.pipe(&node, &board.take(10), Duration::ZERO).is_none());
    }

    #[test]
    fn after_an_absence_everything_is_written_in_portions() {
        let board = Board::default();
        for entry in 0..5 {
            board.post("1", "ann", entry, Some("here".to_owned()));
        }
        assert_eq!(board.take(10).len(), 5);
        board.write_again();
        assert_eq!([board.take(2).len(), board.take(2).len(), board.take(2).len(), board.take(2).len()], [2, 2, 1, 0]);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let read = Board::read("ann", "name#with/1#7", "here".to_owned()).unwrap();
        let (node, name) = (Arc::from("name#with/1"), "ann".to_owned());
        assert_eq!(read, Posted { node, name, entry: 7, text: "here".to_owned() });
        assert_eq!(Board::read("ann", "nonsense", String::new()), None);
    }
}
