//! One pass over one transport: what a client does, step by step, each with its time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use causeway_turn_client::{
    AllocateOptions, Allocation, ClientConfig, Outcome, Output, Received, Refusal, Request, RetransmitSchedule,
    TurnClient,
};
use causeway_types::{AddressFamily, ClientTransport, Now};

use super::{
    Credentials,
    link::{self, Destination, Incoming, Link},
    trouble::Trouble,
};

/// The smallest number a channel may have.
const CHANNEL: u16 = 0x4000;
/// How often data is sent before it counts as lost: it is not retransmitted by anybody else.
const DATA_ATTEMPTS: u32 = 5;
/// Payload of the data step.
const SMALL: usize = 32;
/// Payload of the step that finds paths which drop large packets; a full-sized media packet.
pub(super) const LARGE: usize = 1200;

/// The steps, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// TCP connection, TLS or DTLS handshake.
    Connect,
    Binding,
    /// With its challenge.
    Allocate,
    Permission,
    Channel,
    /// Both ways, once as ChannelData and once as an indication.
    Data,
    /// The same with a full-sized packet.
    LargeData,
    /// Ends the allocations.
    Refresh,
}

impl Step {
    pub(super) const ALL: [Self; 8] = [
        Self::Connect,
        Self::Binding,
        Self::Allocate,
        Self::Permission,
        Self::Channel,
        Self::Data,
        Self::LargeData,
        Self::Refresh,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Binding => "binding",
            Self::Allocate => "allocate",
            Self::Permission => "permission",
            Self::Channel => "channel",
            Self::Data => "data",
            Self::LargeData => "1200 B",
            Self::Refresh => "refresh",
        }
    }
}

/// Whether a packet that is sent straight to the relayed address comes through: two allocations of one server may
/// reach each other inside it, while its relay ports are closed to everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// It came.
    Arrived,
    /// It did not. The server's firewall, or this machine's network, which may let no UDP out.
    Lost,
    /// The server does not let this machine be a peer.
    Refused,
}

/// How a pass went.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) times: Vec<(Step, Duration)>,
    pub(super) failure: Option<(Step, Trouble)>,
    /// The client as the server sees it.
    pub(super) mapped: Option<SocketAddr>,
    pub(super) allocation: Option<Allocation>,
    pub(super) realm: Option<String>,
    /// Only one allocation was granted, so data went from it to itself.
    pub(super) to_itself: bool,
    /// The name has an address of the other family too.
    pub(super) is_optional: bool,
    /// Tried with UDP passes only.
    pub(super) outside: Option<Outside>,
    /// For DTLS passes to the same server.
    pub(super) intermediates: Vec<rustls::pki_types::CertificateDer<'static>>,
}

/// What the table and the exit code say of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Failed,
    /// This machine has no route to the address, and the name has another one.
    Skipped,
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Report {
    pub(super) fn verdict(&self) -> Verdict {
        match &self.failure {
            None => Verdict::Good,
            Some((_, trouble)) if self.is_optional && trouble.is_no_route() => Verdict::Skipped,
            Some(_) => Verdict::Failed,
        }
    }

    fn step<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Option<T> {
        let start = Instant::now();
        match work(self) {
            Ok(value) => {
                self.times.push((step, start.elapsed()));
                Some(value)
            }
            Err(trouble) => {
                self.failure = Some((step, trouble));
                None
            }
        }
    }
}

/// Runs every step until one fails. Without credentials, that is after Binding.
pub(super) fn run(to: &Destination, credentials: Option<&Credentials>, seeds: [[u8; 32]; 2]) -> Report {
    let mut report = Report::default();
    let _done = steps(&mut report, to, credentials, seeds);
    report
}

/// `None` when a step failed; the report says which.
fn steps(
    report: &mut Report,
    to: &Destination,
    credentials: Option<&Credentials>,
    [first_seed, second_seed]: [[u8; 32]; 2],
) -> Option<()> {
    let mut first = report.step(Step::Connect, |_| Endpoint::open(to, credentials, first_seed))?;
    report.intermediates = first.link.intermediates();
    report.step(Step::Binding, |report| {
        let outcome = first.request(Request::Binding)?;
        let Outcome::Mapped(address) = outcome else { return Err(Trouble::Outcome(outcome)) };
        report.mapped = Some(address);
        Ok(())
    })?;
    if credentials.is_none() {
        return Some(());
    }
    let own = report.step(Step::Allocate, |report| {
        let allocation = first.allocate();
        report.realm = first.client.realm().map(str::to_owned);
        let allocation = allocation?;
        let own = first_address(&allocation)?;
        report.allocation = Some(allocation);
        Ok(own)
    })?;
    // Not timed: it is the same step once more.
    let second = match Endpoint::open_second(to, credentials, second_seed, own) {
        Ok(second) => second,
        Err(trouble) => {
            report.failure = Some((Step::Allocate, trouble));
            return None;
        }
    };
    report.to_itself = second.is_none();
    let mut pair = Pair { first, second, own };
    report.step(Step::Permission, |_| pair.permit())?;
    report.step(Step::Channel, |_| pair.bind())?;
    report.step(Step::Data, |_| pair.exchange(SMALL))?;
    report.step(Step::LargeData, |_| pair.exchange(LARGE))?;
    let same_family = |mapped: &SocketAddr| mapped.is_ipv4() == pair.own.is_ipv4();
    if let Some(mapped) = report.mapped.filter(same_family).filter(|_| to.transport == ClientTransport::Udp) {
        // Not a step: it says as much about this machine's network as about the server.
        report.outside = pair.first.reach_from_outside(pair.own, mapped).ok();
    }
    report.step(Step::Refresh, |_| pair.end())
}

fn first_address(allocation: &Allocation) -> Result<SocketAddr, Trouble> {
    allocation.relayed.first().copied().ok_or(Trouble::Outcome(Outcome::Unusable))
}

/// Two allocations that talk to each other, or one that talks to itself.
struct Pair {
    first: Endpoint,
    /// With its relayed address.
    second: Option<(Endpoint, SocketAddr)>,
    /// The first one's relayed address.
    own: SocketAddr,
}

impl Pair {
    fn other(&self) -> SocketAddr {
        self.second.as_ref().map_or(self.own, |(_, address)| *address)
    }

    fn permit(&mut self) -> Result<(), Trouble> {
        let peers = vec![self.other().ip()];
        self.first.expect(Request::CreatePermission { peers }, &Outcome::Permitted)?;
        match &mut self.second {
            Some((second, _)) => {
                let peers = vec![self.own.ip()];
                second.expect(Request::CreatePermission { peers }, &Outcome::Permitted)
            }
            None => Ok(()),
        }
    }

    fn bind(&mut self) -> Result<(), Trouble> {
        let peer = self.other();
        self.first.expect(Request::ChannelBind { number: CHANNEL, peer }, &Outcome::ChannelBound)
    }

    /// Over the first one's channel, and back as an indication.
    fn exchange(&mut self, len: usize) -> Result<(), Trouble> {
        let (own, other) = (self.own, self.other());
        match &mut self.second {
            Some((second, _)) => {
                carry(&mut self.first, other, second, own, len)?;
                carry(second, own, &mut self.first, other, len)
            }
            None => self.first.carry_to_itself(own, len),
        }
    }

    fn end(&mut self) -> Result<(), Trouble> {
        let second = self.second.as_mut().map(|(second, _)| second);
        for endpoint in std::iter::once(&mut self.first).chain(second) {
            let lifetime = Duration::ZERO;
            endpoint.expect(Request::Refresh { lifetime: Some(lifetime) }, &Outcome::Refreshed { lifetime })?;
        }
        Ok(())
    }
}

/// Sends until it arrives. `to` is the receiver as the sender addresses it, `from` the sender as the receiver sees it.
fn carry(
    sender: &mut Endpoint,
    to: SocketAddr,
    receiver: &mut Endpoint,
    from: SocketAddr,
    len: usize,
) -> Result<(), Trouble> {
    let mut garbled = false;
    for _ in 0..DATA_ATTEMPTS {
        let sent = sender.send_data(to, len)?;
        let until = Instant::now() + receiver.timeout / DATA_ATTEMPTS;
        while let Some((peer, data)) = receiver.receive_data(until)? {
            if peer == from && data == sent {
                return Ok(());
            }
            garbled = true;
        }
    }
    Err(Trouble::NoData { len, garbled })
}

/// One connection with the client that speaks over it.
struct Endpoint {
    client: TurnClient,
    link: Link,
    timeout: Duration,
    outcome: Option<Outcome>,
    inbox: Vec<(SocketAddr, Vec<u8>)>,
    sent_count: u8,
}

impl Endpoint {
    fn open(to: &Destination, credentials: Option<&Credentials>, seed: [u8; 32]) -> Result<Self, Trouble> {
        let mut config = ClientConfig::new(to.transport);
        if let Some(Credentials { username, password }) = credentials {
            config = config.with_credentials(username, password.expose());
        }
        // The proportions of the RFC's schedule in the time of a step: 1 + 2 + 4 and 3 tenths.
        config.schedule = RetransmitSchedule {
            initial_timeout: to.timeout / 10,
            transmissions_max: 4,
            last_wait_factor: 3,
            stream_timeout: to.timeout,
        };
        Ok(Self {
            client: TurnClient::new(config, seed),
            link: Link::open(to)?,
            timeout: to.timeout,
            outcome: None,
            inbox: Vec::new(),
            sent_count: 0,
        })
    }

    /// The other end of the data steps; `None` when the user may hold one allocation only.
    fn open_second(
        to: &Destination,
        credentials: Option<&Credentials>,
        seed: [u8; 32],
        first: SocketAddr,
    ) -> Result<Option<(Self, SocketAddr)>, Trouble> {
        let mut second = Self::open(to, credentials, seed)?;
        let options = AllocateOptions { family: family_to_ask_for(first), ..AllocateOptions::default() };
        let outcome = second.request(Request::Allocate(options))?;
        if matches!(outcome, Outcome::Refused(Refusal { code: 486, .. })) {
            return Ok(None);
        }
        let Outcome::Allocated(allocation) = outcome else { return Err(Trouble::Outcome(outcome)) };
        let address = first_address(&allocation)?;
        Ok(Some((second, address)))
    }

    /// IPv6 is asked for when the server has no IPv4 relay.
    fn allocate(&mut self) -> Result<Allocation, Trouble> {
        let mut outcome = self.request(Request::Allocate(AllocateOptions::default()))?;
        if matches!(outcome, Outcome::Refused(Refusal { code: 440, .. })) {
            let family = Some(AddressFamily::V6);
            outcome = self.request(Request::Allocate(AllocateOptions { family, ..AllocateOptions::default() }))?;
        }
        if let Outcome::Allocated(allocation) = outcome { Ok(allocation) } else { Err(Trouble::Outcome(outcome)) }
    }

    fn expect(&mut self, request: Request, expected: &Outcome) -> Result<(), Trouble> {
        let outcome = self.request(request)?;
        if outcome == *expected { Ok(()) } else { Err(Trouble::Outcome(outcome)) }
    }

    /// Asks and waits; the client's own schedule ends the wait.
    fn request(&mut self, request: Request) -> Result<Outcome, Trouble> {
        self.client.handle_request(Now::read(), request);
        self.drain()?;
        loop {
            if let Some(outcome) = self.outcome.take() {
                return Ok(outcome);
            }
            self.wait(Instant::now() + self.timeout)?;
        }
    }

    /// A payload that is not sent twice.
    fn send_data(&mut self, to: SocketAddr, len: usize) -> Result<Vec<u8>, Trouble> {
        self.sent_count = self.sent_count.wrapping_add(1);
        let data = vec![self.sent_count; len];
        let mut message = Vec::with_capacity(len + 64);
        if self.client.write_data(to, &data, &mut message).is_err() {
            return Err(Trouble::NoData { len, garbled: false });
        }
        self.link.send(&message)?;
        Ok(data)
    }

    fn receive_data(&mut self, until: Instant) -> Result<Option<(SocketAddr, Vec<u8>)>, Trouble> {
        loop {
            if !self.inbox.is_empty() {
                return Ok(Some(self.inbox.remove(0)));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            self.wait(until)?;
        }
    }

    fn carry_to_itself(&mut self, own: SocketAddr, len: usize) -> Result<(), Trouble> {
        for _ in 0..DATA_ATTEMPTS {
            let sent = self.send_data(own, len)?;
            let until = Instant::now() + self.timeout / DATA_ATTEMPTS;
            while let Some((peer, data)) = self.receive_data(until)? {
                if peer == own && data == sent {
                    return Ok(());
                }
            }
        }
        Err(Trouble::NoData { len, garbled: false })
    }

    /// Plays the peer from this machine, which the server sees as `mapped`.
    fn reach_from_outside(&mut self, own: SocketAddr, mapped: SocketAddr) -> Result<Outside, Trouble> {
        let outcome = self.request(Request::CreatePermission { peers: vec![mapped.ip()] })?;
        if outcome != Outcome::Permitted {
            return Ok(Outside::Refused);
        }
        let Ok(peer) = link::udp(own) else { return Ok(Outside::Lost) };
        let data = [0xca; SMALL];
        for _ in 0..DATA_ATTEMPTS {
            // A refusal shows as silence.
            let _sent = peer.send(&data);
            let until = Instant::now() + self.timeout / (2 * DATA_ATTEMPTS);
            while let Some((_, received)) = self.receive_data(until)? {
                if received == data {
                    return Ok(Outside::Arrived);
                }
            }
        }
        Ok(Outside::Lost)
    }

    /// One wait for the server or a timer, at most until `until`.
    fn wait(&mut self, until: Instant) -> Result<(), Trouble> {
        let due = self.client.poll_timeout().map_or(until, |due| due.min(until));
        match self.link.receive(due)? {
            Incoming::Bytes(bytes) => self.feed(&bytes),
            Incoming::Silence => {}
            Incoming::Closed => {
                self.client.handle_closed(Now::read());
                self.drain()?;
                return Err(Trouble::Closed);
            }
        }
        self.drain()?;
        self.client.handle_timeout(Now::read());
        self.drain()
    }

    fn feed(&mut self, bytes: &[u8]) {
        let is_datagram = matches!(self.link, Link::Udp(_) | Link::Dtls(_));
        if !is_datagram {
            return self.client.handle_stream(Now::read(), bytes);
        }
        match self.client.handle_datagram(Now::read(), bytes) {
            Received::Data { peer, data, .. } => self.inbox.push((peer, data.to_vec())),
            Received::Icmp { .. } | Received::Answer | Received::Ignored(_) => {}
        }
    }

    fn drain(&mut self) -> Result<(), Trouble> {
        let mut broken = false;
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Transmit(bytes) => self.link.send(&bytes)?,
                Output::Done { outcome, .. } => self.outcome = Some(outcome),
                Output::Data { peer, data, .. } => self.inbox.push((peer, data)),
                Output::StreamBroken => broken = true,
                Output::Icmp { .. } | Output::KeepAliveFailed { .. } | Output::AllocationLost => {}
            }
        }
        if broken { Err(Trouble::NotTurn) } else { Ok(()) }
    }
}

/// IPv4 is what a server grants unasked (RFC 8656 §7.2); older ones do not know the attribute.
const fn family_to_ask_for(first: SocketAddr) -> Option<AddressFamily> {
    match first {
        SocketAddr::V4(_) => None,
        SocketAddr::V6(_) => Some(AddressFamily::V6),
    }
}
