//! [`TurnClient`]: inputs, outputs and timers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_stun_codec::{
    Class, Fingerprint, Kind, Message, MessageBuilder, Method, TransactionId, attributes::Software, classify,
};
use causeway_types::Now;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    config::ClientConfig,
    io::{Ignored, Output, Received},
    request::{Allocation, Outcome, Request, RequestId},
    session::Session,
    stream::{NextFrame, StreamBuffer},
    transaction::{Due, Transaction},
};

/// What a timer is for; its order makes equal deadlines fire in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Transaction(TransactionId),
    /// Prolong the allocation.
    Refresh,
    /// Prolong permissions and channels.
    Peers,
    /// The allocation's lifetime has run out.
    Expiry,
}

/// One client: its five-tuple's requests, its allocation, and what keeps that alive.
pub struct TurnClient {
    pub(crate) config: ClientConfig,
    rng: ChaCha12Rng,
    now: Option<Instant>,
    next_id: u64,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) transactions: BTreeMap<TransactionId, Transaction>,
    timers: BTreeSet<(Instant, Timer)>,
    /// Deadlines of the timers that exist once.
    pub(crate) deadlines: BTreeMap<Timer, Instant>,
    pub(crate) outputs: VecDeque<Output>,
    stream: StreamBuffer,
    pub(crate) allocation: Option<Allocation>,
    pub(crate) dont_fragment: bool,
    pub(crate) permitted: BTreeSet<IpAddr>,
    pub(crate) peer_by_channel: BTreeMap<u16, SocketAddr>,
    pub(crate) channel_by_peer: BTreeMap<SocketAddr, u16>,
}

impl std::fmt::Debug for TurnClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pending = self.transactions.len();
        f.debug_struct("TurnClient")
            .field("allocation", &self.allocation)
            .field("pending", &pending)
            .finish_non_exhaustive()
    }
}

impl TurnClient {
    /// A client that has sent nothing yet. All randomness (transaction ids) grows from `seed`.
    #[must_use]
    pub fn new(config: ClientConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: ChaCha12Rng::from_seed(seed),
            now: None,
            next_id: 0,
            session: None,
            transactions: BTreeMap::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            outputs: VecDeque::new(),
            stream: StreamBuffer::default(),
            allocation: None,
            dont_fragment: false,
            permitted: BTreeSet::new(),
            peer_by_channel: BTreeMap::new(),
            channel_by_peer: BTreeMap::new(),
        }
    }

    /// Asks the server for something. Requests may overlap; each ends with one [`Output::Done`].
    pub fn handle_request(&mut self, now: Now, request: Request) -> RequestId {
        self.enter(now);
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.send_request(now, Some(id), request, 0);
        id
    }

    /// A datagram from the server (UDP, or a DTLS record's content).
    pub fn handle_datagram<'a>(&mut self, now: Now, bytes: &'a [u8]) -> Received<'a> {
        self.enter(now);
        self.message(now, bytes)
    }

    /// The next bytes of the stream from the server (TCP, or TLS plaintext). Data of peers becomes [`Output::Data`].
    pub fn handle_stream(&mut self, now: Now, bytes: &[u8]) {
        self.enter(now);
        self.stream.push(bytes);
        loop {
            match self.stream.next_frame() {
                NextFrame::Incomplete => return,
                NextFrame::Broken => {
                    self.outputs.push_back(Output::StreamBroken);
                    return self.end_all(now);
                }
                NextFrame::Message(message) => match self.message(now, &message) {
                    Received::Data { peer, via, data } => {
                        self.outputs.push_back(Output::Data { peer, via, data: data.to_vec() });
                    }
                    Received::Icmp { peer, icmp } => self.outputs.push_back(Output::Icmp { peer, icmp }),
                    Received::Answer | Received::Ignored(_) => {}
                },
            }
        }
    }

    /// The connection or association to the server has ended, and with it the allocation.
    pub fn handle_closed(&mut self, now: Now) {
        self.enter(now);
        self.end_all(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.enter(now);
        while let Some(&(due, timer)) = self.timers.first() {
            if due > now.mono {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Transaction(id) => self.transaction_due(now, id),
                Timer::Refresh | Timer::Peers | Timer::Expiry => {
                    self.deadlines.remove(&timer);
                    self.keep_alive_due(now, timer);
                }
            }
        }
    }

    /// When [`TurnClient::handle_timeout`] is to be called next. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The allocation, while it is known to live.
    #[must_use]
    pub const fn allocation(&self) -> Option<&Allocation> {
        self.allocation.as_ref()
    }

    /// The channel bound to `peer`.
    #[must_use]
    pub fn channel_to(&self, peer: SocketAddr) -> Option<u16> {
        self.channel_by_peer.get(&peer).copied()
    }

    /// The peer that `channel` is bound to.
    #[must_use]
    pub fn peer_of(&self, channel: u16) -> Option<SocketAddr> {
        self.peer_by_channel.get(&channel).copied()
    }

    /// Whether a request has not come to its end.
    #[must_use]
    pub fn is_pending(&self, id: RequestId) -> bool {
        self.transactions.values().any(|transaction| transaction.id == Some(id))
    }

    /// The realm of the last challenge.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.realm.as_str())
    }

    /// One input, then drain; time never runs backwards.
    fn enter(&mut self, now: Now) {
        debug_assert!(self.outputs.is_empty(), "drain the outputs before the next input");
        debug_assert!(self.now.is_none_or(|before| before <= now.mono), "time runs backwards");
        self.now = Some(now.mono);
    }

    /// Builds, signs and sends. A Binding is signed only when it was challenged.
    pub(crate) fn send_request(&mut self, now: Now, id: Option<RequestId>, request: Request, challenges: u32) {
        let transaction_id = TransactionId(self.random_bytes());
        let signs = challenges > 0 || request.method() != Method::BINDING;
        let signed = self.session.clone().filter(|_| signs);
        let software = self.config.software.as_deref().map(Software);
        let builder = MessageBuilder::new(Class::Request, request.method(), transaction_id).maybe(software.as_ref());
        let builder = request.write(builder);
        let builder = match &signed {
            Some(session) => session.sign(builder),
            None => builder,
        };
        let bytes = if self.config.fingerprint { builder.fingerprint().finish() } else { builder.finish() };
        let (kept, wait) = if self.config.transport.is_datagram() {
            (bytes.clone(), self.config.schedule.wait_after(1))
        } else {
            (Vec::new(), self.config.schedule.stream_timeout)
        };
        self.outputs.push_back(Output::Transmit(bytes));
        let due = now.mono + wait;
        let transaction = Transaction::new(id, request, kept, signed, challenges, due);
        self.timers.insert((due, Timer::Transaction(transaction_id)));
        self.transactions.insert(transaction_id, transaction);
    }

    /// Takes a transaction out with its timer.
    pub(crate) fn take_transaction(&mut self, id: TransactionId) -> Option<Transaction> {
        let transaction = self.transactions.remove(&id)?;
        self.timers.remove(&(transaction.due, Timer::Transaction(id)));
        Some(transaction)
    }

    /// Tells whoever asked.
    pub(crate) fn finish(&mut self, id: Option<RequestId>, request: Request, outcome: Outcome) {
        match (id, &outcome) {
            (Some(id), _) => self.outputs.push_back(Output::Done { id, outcome }),
            (None, Outcome::Refreshed { .. } | Outcome::Permitted | Outcome::ChannelBound) => {}
            (None, _) => self.outputs.push_back(Output::KeepAliveFailed { request, outcome }),
        }
    }

    /// Sets, moves or clears a timer that exists once.
    pub(crate) fn set_deadline(&mut self, timer: Timer, due: Option<Instant>) {
        if let Some(before) = self.deadlines.remove(&timer) {
            self.timers.remove(&(before, timer));
        }
        if let Some(due) = due {
            self.deadlines.insert(timer, due);
            self.timers.insert((due, timer));
        }
    }

    /// Forgets the allocation and what hung on it.
    pub(crate) fn forget_allocation(&mut self) {
        self.allocation = None;
        self.dont_fragment = false;
        self.permitted.clear();
        self.peer_by_channel.clear();
        self.channel_by_peer.clear();
        for timer in [Timer::Refresh, Timer::Peers, Timer::Expiry] {
            self.set_deadline(timer, None);
        }
    }

    pub(crate) fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn message<'a>(&mut self, now: Now, bytes: &'a [u8]) -> Received<'a> {
        match classify(bytes) {
            Kind::ChannelData => return self.channel_data(bytes),
            Kind::Stun => {}
            Kind::Dtls | Kind::Other => return Received::Ignored(Ignored::Malformed),
        }
        let Ok(message) = Message::parse(bytes) else { return Received::Ignored(Ignored::Malformed) };
        if message.fingerprint() == Fingerprint::Invalid {
            return Received::Ignored(Ignored::Fingerprint);
        }
        match message.class() {
            Class::Success | Class::Error => self.answer(now, &message),
            Class::Indication => Self::indication(&message),
            Class::Request => Received::Ignored(Ignored::NotForClient),
        }
    }

    fn transaction_due(&mut self, now: Now, id: TransactionId) {
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        match transaction.advance(&self.config.schedule) {
            Due::Retransmit => {
                // A late call must not make the copies follow each other without a pause.
                transaction.due = transaction.due.max(now.mono + Duration::from_millis(1));
                self.timers.insert((transaction.due, Timer::Transaction(id)));
                self.outputs.push_back(Output::Transmit(transaction.bytes.clone()));
            }
            Due::GiveUp => {
                let outcome = transaction.timed_out();
                let Some(transaction) = self.take_transaction(id) else { return };
                self.finish(transaction.id, transaction.request, outcome);
            }
        }
    }

    fn end_all(&mut self, _now: Now) {
        self.forget_allocation();
        for (id, transaction) in std::mem::take(&mut self.transactions) {
            self.timers.remove(&(transaction.due, Timer::Transaction(id)));
            self.finish(transaction.id, transaction.request, Outcome::Closed);
        }
    }
}
