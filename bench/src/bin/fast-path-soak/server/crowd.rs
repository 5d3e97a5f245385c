//! The clients, peers and packets of one thread: nothing of it is shared.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use causeway_bench::turn::Requests;
use causeway_net_io::{Epoll, Events, Interest};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{
    Plan,
    api::{Done, Job},
    clock::Clock,
    lives::{Ask, Deed, End},
    subject::Subject,
    traffic::Packet,
    verdict::{Bounds, nanos},
};
use crate::ledger::Dice;

/// Packets sent between two looks at what has arrived.
const SENDS_PER_TURN: usize = 16;
const RECEIVES_PER_SOCKET: usize = 64;
/// How often what did not arrive is looked through.
const SWEEP_EVERY: Duration = Duration::from_millis(10);
/// The end must not take longer than this.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Faults that are told; all are counted.
const TOLD_MAX: usize = 10;

/// Packets and payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += u64::try_from(len).unwrap_or(0);
    }
}

/// An allocation, and what it has carried. It is kept after its end, for the account.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: usize,
    /// Nobody else has this one.
    pub(super) username: String,
    pub(super) end: End,
    /// Whether it is being ended, or over.
    pub(super) is_ending: bool,
    /// Once it is granted.
    pub(super) relayed: Option<SocketAddr>,
    pub(super) life: Bounds,
    pub(super) channels: Vec<Channel>,
    /// What came out at peers.
    pub(super) up: Count,
    /// What came out at its client.
    pub(super) down: Count,
}

/// A channel that was asked for.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) number: u16,
    pub(super) peer: usize,
    /// Of its permission.
    pub(super) life: Bounds,
    /// Whether anything of the client's came out.
    pub(super) is_heard: bool,
    /// Its place among those that packets go through.
    pub(super) place: Option<usize>,
}

impl Allocation {
    /// When a channel of it ends.
    pub(super) fn bounds(&self, channel: usize) -> Bounds {
        self.channels.get(channel).map_or(self.life, |channel| self.life.or(channel.life))
    }
}

/// A client: one socket, one allocation after the other.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: UdpSocket,
    pub(super) requests: Requests,
    pub(super) allocation: Option<usize>,
    pub(super) n_allocations: usize,
    pub(super) asked: Option<Asked>,
    pub(super) to_ask: VecDeque<Ask>,
}

/// A request without answer so far.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) bytes: Vec<u8>,
    /// When it went out first.
    pub(super) at: u64,
    pub(super) again_at: u64,
    pub(super) n_sent: u32,
    pub(super) n_challenges: u32,
}

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) arrived: u64,
    /// Not relayed, since the channel was over.
    pub(super) refused: u64,
    /// Not relayed; the channel ended meanwhile.
    pub(super) raced: u64,
    /// Relayed to who was given the port of the allocation that it was for.
    pub(super) inherited: u64,
    pub(super) allocations: u64,
    pub(super) allocations_refreshed: u64,
    pub(super) bound: u64,
    pub(super) rebound: u64,
    /// Channels left to their permission's end.
    pub(super) ran_out: u64,
    pub(super) expired: u64,
    pub(super) released: u64,
    pub(super) revoked: u64,
    pub(super) closed: u64,
    pub(super) requests_repeated: u64,
    pub(super) faults: u64,
    pub(super) told: Vec<String>,
}

impl Tally {
    /// Adds what another thread has seen.
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.refused += other.refused;
        self.raced += other.raced;
        self.inherited += other.inherited;
        self.allocations += other.allocations;
        self.allocations_refreshed += other.allocations_refreshed;
        self.bound += other.bound;
        self.rebound += other.rebound;
        self.ran_out += other.ran_out;
        self.expired += other.expired;
        self.released += other.released;
        self.revoked += other.revoked;
        self.closed += other.closed;
        self.requests_repeated += other.requests_repeated;
        self.faults += other.faults;
        self.told.extend(other.told);
    }

    pub(super) fn fault(&mut self, what: std::fmt::Arguments<'_>) {
        self.faults += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what.to_string());
        }
    }
}

/// What others may know while it goes on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) packets: AtomicU64,
    /// Channels that packets go through.
    pub(super) channels: AtomicU64,
}

/// All of one thread.
#[derive(Debug)]
pub(super) struct Crowd<'a> {
    pub(super) plan: &'a Plan,
    pub(super) thread: usize,
    pub(super) clock: Clock,
    pub(super) clients: Vec<Client>,
    pub(super) peers: Vec<(UdpSocket, SocketAddr)>,
    pub(super) allocations: Vec<Allocation>,
    /// Allocations and channels that packets go through.
    pub(super) places: Vec<(usize, usize)>,
    pub(super) agenda: BinaryHeap<Reverse<(u64, Deed)>>,
    pub(super) jobs: Sender<Job>,
    done: Receiver<Done>,
    pub(super) sequence: u64,
    /// Not out so far, by their numbers.
    pub(super) under_way: BTreeMap<u64, Packet>,
    /// Those before were overtaken.
    pub(super) overtaken_before: u64,
    /// Those under way that should come out soon.
    pub(super) n_expected: usize,
    next_send: u64,
    next_sweep: u64,
    pub(super) dice: Dice,
    pub(super) tally: Tally,
    pub(super) is_ending: bool,
    progress: &'a Progress,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        subject: &Subject,
        thread: usize,
        clock: Clock,
        (jobs, done): (Sender<Job>, Receiver<Done>),
        progress: &'a Progress,
    ) -> Result<Self> {
        let client = || -> Result<Client> {
            Ok(Client {
                socket: subject.client()?,
                requests: Requests::new(),
                allocation: None,
                n_allocations: 0,
                asked: None,
                to_ask: VecDeque::new(),
            })
        };
        let peers = subject.peers(thread, plan.channels_each)?;
        let with_address = |socket: UdpSocket| -> Result<_> {
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        Ok(Self {
            plan,
            thread,
            clock,
            clients: (0..plan.clients_each).map(|_| client()).collect::<Result<_>>()?,
            peers: peers.into_iter().map(with_address).collect::<Result<_>>()?,
            allocations: Vec::new(),
            places: Vec::new(),
            agenda: BinaryHeap::new(),
            jobs,
            done,
            sequence: 0,
            under_way: BTreeMap::new(),
            overtaken_before: 0,
            n_expected: 0,
            next_send: 0,
            next_sweep: 0,
            dice: Dice::new(u64::try_from(thread)? + 1),
            tally: Tally::default(),
            is_ending: false,
            progress,
        })
    }

    /// Goes on until `stop`, ends everything, and gives the account.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Result<(Tally, Vec<Allocation>)> {
        keep_to_processor(self.thread)?;
        let epoll = Epoll::new()?;
        let sockets =
            self.clients.iter().map(|client| &client.socket).chain(self.peers.iter().map(|(socket, _)| socket));
        for (index, socket) in sockets.enumerate() {
            epoll.add(socket, u64::try_from(index)?, Interest::Read)?;
        }
        self.begin_all();
        let mut events = Events::with_capacity(256);
        let mut end_by = u64::MAX;
        while !self.is_over() {
            if !self.is_ending && stop.load(SeqCst) {
                end_by = self.clock.now() + nanos(END_PATIENCE);
                self.end_all()?;
            }
            if self.clock.now() > end_by {
                bail!("allocations do not come to their end");
            }
            while let Ok(done) = self.done.try_recv() {
                self.was_done(done);
            }
            self.follow_agenda()?;
            let is_due = self.send_some()?;
            epoll.wait(&mut events, Some(Duration::from_millis(u64::from(!is_due))))?;
            for event in (0..events.len()).filter_map(|index| events.event(index)) {
                self.receive(usize::try_from(event.token)?)?;
            }
            let now = self.clock.now();
            if now >= self.next_sweep {
                self.next_sweep = now + nanos(SWEEP_EVERY);
                self.sweep(now);
                self.ask_again(now)?;
                self.progress.packets.store(self.tally.sent, SeqCst);
                self.progress.channels.store(u64::try_from(self.places.len())?, SeqCst);
            }
        }
        Ok((self.tally, self.allocations))
    }

    fn is_over(&self) -> bool {
        let is_idle = |client: &Client| client.allocation.is_none();
        self.is_ending && self.under_way.is_empty() && self.clients.iter().all(is_idle)
    }

    /// Sends what is due; whether more is.
    fn send_some(&mut self) -> Result<bool> {
        let now = self.clock.now();
        let pause = 1_000_000_000 / self.plan.packets_per_sec_each.max(1);
        // What could not be sent in time is not made up for at once.
        self.next_send = self.next_send.max(now.saturating_sub(pause * 64));
        for _ in 0..SENDS_PER_TURN {
            if self.next_send > now || !self.may_send() {
                return Ok(false);
            }
            self.next_send += pause;
            self.send_one()?;
        }
        Ok(true)
    }

    /// What waits at one socket.
    fn receive(&mut self, index: usize) -> Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..RECEIVES_PER_SOCKET {
            let peer = index.checked_sub(self.clients.len());
            let socket = match peer {
                Some(peer) => self.peers.get(peer).map(|(socket, _)| socket),
                None => self.clients.get(index).map(|client| &client.socket),
            };
            let (len, from) = match socket.context("a token of ours")?.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a socket of ours"),
            };
            let datagram = buffer.get(..len).unwrap_or_default();
            match peer {
                Some(peer) => self.arrived_at_peer(peer, from, datagram),
                None => self.arrived_at_client(index, datagram)?,
            }
        }
        Ok(())
    }
}

/// Keeps this thread to a processor, so that the kernel looks at its packets in their order.
fn keep_to_processor(thread: usize) -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|index| allowed.is_set(*index)).collect();
    let processor = processors.get(thread % processors.len().max(1)).context("no processor")?;
    let mut only = CpuSet::new();
    only.set(*processor);
    Ok(sched_setaffinity(None, &only)?)
}
