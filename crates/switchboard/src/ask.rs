//! Questions between servers, about what one of them owns: a command for a call goes to the call's server.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use causeway_app::{Cluster, NodeAddress};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::{Switchboard, letter::Letter};

/// How long another server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions of this server that wait; one more is refused.
const WAITING_MAX: usize = 4096;
/// Questions of others that are answered at once; one more is not answered.
const ANSWERED_AT_ONCE: usize = 256;
/// Where it is posted who owns what.
const SHELF: &str = "owned";
/// What there is of each kind, on all servers.
const LISTS: &str = "lists";

/// Answers questions of other servers.
pub trait Answerer: Send + Sync + 'static {
    /// An answer.
    fn answer(&self, question: String) -> Pin<Box<dyn Future<Output = String> + Send>>;
}

/// Another server owns it and does not answer, or nobody can say who does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server that owns this does not answer")]
pub struct OwnerSilent;

/// Questions under way, of this server and of others.
pub(crate) struct Questions {
    answerer: Mutex<Option<Arc<dyn Answerer>>>,
    answering: Arc<Semaphore>,
    waiting: Mutex<BTreeMap<u64, (NodeAddress, oneshot::Sender<String>)>>,
    next: AtomicU64,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            answerer: Mutex::default(),
            answering: Arc::new(Semaphore::new(ANSWERED_AT_ONCE)),
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").field("waiting", &self.waiting.lock().len()).finish_non_exhaustive()
    }
}

/// A question that waits; it is forgotten with this.
struct Waiting<'a> {
    questions: &'a Questions,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.questions.waiting.lock().remove(&self.id);
    }
}

impl Questions {
    async fn ask(&self, cluster: &dyn Cluster, node: &NodeAddress, question: String) -> Result<String, OwnerSilent> {
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting { questions: self, id: self.next.fetch_add(1, Ordering::Relaxed) };
        {
            let mut all = self.waiting.lock();
            if all.len() >= WAITING_MAX {
                return Err(OwnerSilent);
            }
            all.insert(waiting.id, (Arc::clone(node), sender));
        }
        let letter = Letter::ask(waiting.id, question).write().ok_or(OwnerSilent)?;
        cluster.send(node, letter);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(OwnerSilent),
        }
    }

    /// Another server asks.
    pub(crate) fn asked(&self, cluster: &Arc<dyn Cluster>, from: &NodeAddress, id: u64, question: String) {
        let Some(answerer) = self.answerer.lock().clone() else { return };
        let Ok(place) = Arc::clone(&self.answering).try_acquire_owned() else {
            tracing::warn!(node = %from, "too many questions of other servers: one is not answered");
            return;
        };
        let (cluster, from) = (Arc::clone(cluster), Arc::clone(from));
        tokio::spawn(async move {
            let answer = answerer.answer(question).await;
            if let Some(letter) = Letter::reply(id, answer).write() {
                cluster.send(&from, letter);
            }
            drop(place);
        });
    }

    /// A server answers; only the one that was asked may.
    pub(crate) fn replied(&self, from: &NodeAddress, id: u64, answer: String) {
        let mut waiting = self.waiting.lock();
        if waiting.get(&id).is_some_and(|(node, _)| node == from)
            && let Some((_, sender)) = waiting.remove(&id)
        {
            // Whoever asked may have given up.
            let _is_awaited = sender.send(answer);
        }
    }

    /// Nobody waits for a server that is gone.
    pub(crate) fn lost(&self, node: &NodeAddress) {
        self.waiting.lock().retain(|_, (asked, _)| asked != node);
    }
}

impl Switchboard {
    /// Who answers questions of other servers.
    pub fn answer_with(&self, answerer: Arc<dyn Answerer>) {
        if let Some(links) = self.links.get() {
            *links.asked.answerer.lock() = Some(answerer);
        }
    }

    /// This server owns something, or not any more: others find it by its name.
    pub fn own(&self, what: &str, is_own: bool) {
        if let Some(links) = self.links.get() {
            links.cluster.post(SHELF, what, 0, is_own.then(String::new));
        }
    }

    /// An entry of this server in a list that others can read, or with none takes it back.
    pub fn show(&self, list: &str, entry: u64, text: Option<String>) {
        if let Some(links) = self.links.get() {
            links.cluster.post(LISTS, list, entry, text);
        }
    }

    /// What the other living servers have in a list, in no order.
    ///
    /// # Errors
    /// [`OwnerSilent`] when they cannot be asked.
    pub async fn shown_elsewhere(&self, list: &str) -> Result<Vec<String>, OwnerSilent> {
        let Some(links) = self.links.get() else { return Ok(Vec::new()) };
        let posted = links.cluster.posted(LISTS, Some(list)).await.map_err(|_| OwnerSilent)?;
        Ok(posted.into_iter().map(|posted| posted.text).collect())
    }

    /// Asks the other server that owns something; none when no living one does.
    ///
    /// # Errors
    /// [`OwnerSilent`].
    pub async fn ask_owner(&self, what: &str, question: String) -> Result<Option<String>, OwnerSilent> {
        let Some(links) = self.links.get() else { return Ok(None) };
        let posted = links.cluster.posted(SHELF, Some(what)).await.map_err(|_| OwnerSilent)?;
        let Some(owner) = posted.into_iter().next() else { return Ok(None) };
        links.asked.ask(&*links.cluster, &owner.node, question).await.map(Some)
    }
}
