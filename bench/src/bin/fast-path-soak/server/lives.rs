//! Allocations and channels that come and go at random, and the requests this takes.

use std::{cmp::Reverse, time::Duration};

use anyhow::{Context, Result, bail};
use causeway_bench::turn::Answer;
use causeway_credentials::turn_rest;

use super::{
    api::{Done, How, Job},
    clock::unix_now,
    crowd::{Allocation, Asked, Channel, Count, Crowd},
    subject::SECRET,
    verdict::{Bounds, nanos},
};

/// Lifetime of a permission (RFC 8656 §9).
const PERMISSION: Duration = Duration::from_secs(300);
/// Times of user names are told to the second, and the server's to the millisecond.
const CREDENTIAL_GRAIN: Duration = Duration::from_millis(2);
/// How much longer than planned a credential lasts that something else is to end first.
const SPARE_SECS: u64 = 120;
/// A credential is too late for an allocation when it ends within this time.
const TOO_LATE: Duration = Duration::from_secs(2);
/// An unanswered request goes out again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const SENT_MAX: u32 = 60;
const CHALLENGES_MAX: u32 = 3;
/// How long packets go on after the end, and how long nothing comes then, at most.
const LINGER_SECS: (f64, f64) = (0.2, 1.0);
const AWAY_SECS_MAX: f64 = 0.4;
/// Channels are bound again within this time, or left to run out.
const REBIND_SECS: (f64, f64) = (20.0, 250.0);
/// First channel number (RFC 8656 §12), and how many numbers are used in turn.
const NUMBER_MIN: u16 = 0x4000;
const NUMBERS: usize = 0x0fff;

/// How an allocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its credential.
    Expire,
    /// By a Refresh with a lifetime of 0.
    Release,
    /// Over the API.
    By(How),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// A client's next allocation.
    Begin(usize),
    /// Of an allocation.
    Refresh(usize),
    /// Of a channel of an allocation.
    Rebind(usize, usize),
    End(usize),
    /// The last packet for an allocation that is over has been sent.
    Rest(usize),
}

/// A request of a client for its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Allocate,
    /// One of its channels.
    Bind(usize),
    Refresh,
    Release,
}

impl Crowd<'_> {
    pub(super) fn begin_all(&mut self) {
        for client in 0..self.clients.len() {
            let at = self.random_nanos(0.0, self.plan.ramp_secs);
            self.agenda.push(Reverse((at, Deed::Begin(client))));
        }
    }

    /// Ends what lives by Refresh; what ends already is waited for.
    pub(super) fn end_all(&mut self) -> Result<()> {
        self.is_ending = true;
        for client in 0..self.clients.len() {
            let allocation = self.clients.get(client).and_then(|client| client.allocation);
            let Some(allocation) = allocation.and_then(|index| self.allocations.get_mut(index)) else { continue };
            if !std::mem::replace(&mut allocation.is_ending, true) {
                allocation.end = End::Release;
                self.ask(client, Ask::Release)?;
            }
        }
        Ok(())
    }

    pub(super) fn follow_agenda(&mut self) -> Result<()> {
        let now = self.clock.now();
        while let Some(Reverse((due, deed))) = self.agenda.peek().copied()
            && due <= now
        {
            self.agenda.pop();
            match deed {
                Deed::Begin(client) if !self.is_ending => self.begin(client)?,
                Deed::Begin(_) => {}
                Deed::Refresh(allocation) => self.ask_unless_over(allocation, Ask::Refresh)?,
                Deed::Rebind(allocation, channel) => self.ask_unless_over(allocation, Ask::Bind(channel))?,
                Deed::End(allocation) => self.end(allocation)?,
                Deed::Rest(allocation) => self.rest(allocation),
            }
        }
        Ok(())
    }

    fn begin(&mut self, client: usize) -> Result<()> {
        let (least, most) = self.plan.life_secs_at(self.clock.now());
        let life_secs = least * (most / least).powf(self.dice.part());
        let end = match self.dice.below(10) {
            0..4 => End::Expire,
            4..7 => End::Release,
            7..9 => End::By(How::Revoke),
            _ => End::By(How::Close),
        };
        let ends = (unix_now() + Duration::from_secs_f64(life_secs)).as_secs() + 1;
        let (at, life) = match end {
            End::Expire => (ends, self.life_of_credential(ends)),
            End::Release | End::By(_) => (ends + SPARE_SECS, Bounds::OPEN),
        };
        let index = self.allocations.len();
        let username = format!("{at}:soak-{}-{index}", self.thread);
        let who = self.clients.get_mut(client).context("a client")?;
        who.requests.again_as(&username, &turn_rest::password(SECRET, &username));
        who.allocation = Some(index);
        let first = who.n_allocations * self.plan.channels_each;
        who.n_allocations += 1;
        let number = |peer: usize| NUMBER_MIN + u16::try_from((first + peer) % NUMBERS).unwrap_or(0);
        let channel = |peer| Channel { number: number(peer), peer, life: Bounds::OPEN, is_heard: false, place: None };
        self.allocations.push(Allocation {
            client,
            username,
            end,
            is_ending: false,
            relayed: None,
            life,
            channels: (0..self.plan.channels_each).map(channel).collect(),
            up: Count::default(),
            down: Count::default(),
        });
        let now = self.clock.now();
        let due = if end == End::Expire { life.by.max(now) } else { now + nanos(Duration::from_secs_f64(life_secs)) };
        self.agenda.push(Reverse((due, Deed::End(index))));
        if self.dice.below(4) == 0 {
            let at = now + self.random_nanos(0.0, life_secs);
            self.agenda.push(Reverse((at, Deed::Refresh(index))));
        }
        self.ask(client, Ask::Allocate)
    }

    fn life_of_credential(&self, ends: u64) -> Bounds {
        let at = self.clock.of_unix(ends).saturating_add_signed(self.plan.shift_nanos);
        Bounds { not_before: at, by: at + nanos(CREDENTIAL_GRAIN) }
    }

    /// It ends now, or has ended.
    fn end(&mut self, index: usize) -> Result<()> {
        let now = self.clock.now();
        let Some(allocation) = self.allocations.get_mut(index) else { return Ok(()) };
        if std::mem::replace(&mut allocation.is_ending, true) {
            return Ok(());
        }
        match allocation.end {
            End::Expire => {
                self.tally.expired += u64::from(allocation.relayed.is_some());
                self.over(index);
            }
            End::Release => {
                let client = allocation.client;
                self.ask(client, Ask::Release)?;
            }
            End::By(how) => {
                allocation.life.not_before = now;
                let username = allocation.username.clone();
                self.jobs.send(Job { allocation: index, how, username }).context("the API's thread has failed")?;
            }
        }
        Ok(())
    }

    /// The API's thread has done its job.
    pub(super) fn was_done(&mut self, done: Done) {
        let Some(allocation) = self.allocations.get_mut(done.allocation) else { return };
        allocation.life = Bounds { not_before: done.asked_at, by: done.answered_at };
        match allocation.end {
            End::By(How::Revoke) => self.tally.revoked += 1,
            End::By(How::Close) => self.tally.closed += 1,
            End::Expire | End::Release => {}
        }
        self.over(done.allocation);
    }

    /// Its end is known: packets go on for a while.
    fn over(&mut self, index: usize) {
        let linger = if self.is_ending { 0 } else { self.random_nanos(LINGER_SECS.0, LINGER_SECS.1) };
        self.agenda.push(Reverse((self.clock.now() + linger, Deed::Rest(index))));
    }

    fn rest(&mut self, index: usize) {
        let Some(allocation) = self.allocations.get(index) else { return };
        let client = allocation.client;
        for channel in 0..allocation.channels.len() {
            self.leave_place(index, channel);
        }
        let Some(who) = self.clients.get_mut(client) else { return };
        who.allocation = None;
        who.asked = None;
        who.to_ask.clear();
        let away = self.clock.now() + self.random_nanos(0.0, AWAY_SECS_MAX);
        self.agenda.push(Reverse((away, Deed::Begin(client))));
    }

    fn ask_unless_over(&mut self, index: usize, ask: Ask) -> Result<()> {
        match self.allocations.get(index) {
            Some(allocation) if !allocation.is_ending => self.ask(allocation.client, ask),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks as soon as what was asked before is answered.
    fn ask(&mut self, client: usize, ask: Ask) -> Result<()> {
        let who = self.clients.get_mut(client).context("a client")?;
        if ask == Ask::Release {
            who.to_ask.clear();
        }
        who.to_ask.push_back(ask);
        self.ask_next(client)
    }

    fn ask_next(&mut self, client: usize) -> Result<()> {
        let who = self.clients.get_mut(client).context("a client")?;
        if who.asked.is_some() {
            return Ok(());
        }
        let Some(ask) = who.to_ask.pop_front() else { return Ok(()) };
        self.send_request(client, ask, 0)
    }

    fn send_request(&mut self, client: usize, ask: Ask, n_challenges: u32) -> Result<()> {
        let now = self.clock.now();
        let who = self.clients.get_mut(client).context("a client")?;
        let allocation = who.allocation.and_then(|index| self.allocations.get_mut(index)).context("its allocation")?;
        let bytes = match ask {
            Ask::Allocate => who.requests.allocate(),
            Ask::Refresh => who.requests.refresh(),
            Ask::Release => {
                allocation.life.not_before = allocation.life.not_before.min(now);
                who.requests.release()
            }
            Ask::Bind(channel) => {
                let channel = allocation.channels.get_mut(channel).context("a channel")?;
                // From here on it may be renewed at any moment.
                channel.life.by = u64::MAX;
                let (_, peer) = self.peers.get(channel.peer).context("a peer")?;
                who.requests.bind(channel.number, *peer)
            }
        };
        who.socket.send(&bytes).context("a request")?;
        let again_at = now + nanos(AGAIN_AFTER);
        who.asked = Some(Asked { ask, bytes, at: now, again_at, n_sent: 1, n_challenges });
        Ok(())
    }

    /// Requests that were not answered in time go out again.
    pub(super) fn ask_again(&mut self, now: u64) -> Result<()> {
        for client in &mut self.clients {
            let Some(asked) = client.asked.as_mut().filter(|asked| asked.again_at <= now) else { continue };
            asked.again_at = now + nanos(AGAIN_AFTER);
            asked.n_sent += 1;
            self.tally.requests_repeated += 1;
            if asked.n_sent > SENT_MAX {
                bail!("{:?} is not answered", asked.ask);
            }
            client.socket.send(&asked.bytes).context("a request")?;
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, client: usize, answer: Answer) -> Result<()> {
        let now = self.clock.now();
        let Some(who) = self.clients.get_mut(client) else { return Ok(()) };
        let Some(index) = who.allocation else { return Ok(()) };
        let Some(asked) = who.asked.take() else { return Ok(()) };
        match answer {
            Answer::Success(relayed) => self.granted(index, &asked, relayed, now)?,
            Answer::Challenge(nonce) if asked.n_challenges < CHALLENGES_MAX => {
                who.requests.challenged(nonce);
                return self.send_request(client, asked.ask, asked.n_challenges + 1);
            }
            Answer::Challenge(_) => self.refused(index, &asked, 401, now),
            Answer::Refused(code) => self.refused(index, &asked, code, now),
        }
        self.ask_next(client)
    }

    fn granted(&mut self, index: usize, asked: &Asked, relayed: Option<std::net::SocketAddr>, now: u64) -> Result<()> {
        let allocation = self.allocations.get_mut(index).context("an allocation")?;
        match asked.ask {
            Ask::Allocate => {
                allocation.relayed = Some(relayed.context("no relayed address in the answer")?);
                self.tally.allocations += 1;
                if !allocation.is_ending {
                    let who = self.clients.get_mut(allocation.client).context("a client")?;
                    who.to_ask.extend((0..allocation.channels.len()).map(Ask::Bind));
                }
            }
            Ask::Refresh => self.tally.allocations_refreshed += 1,
            Ask::Release => {
                allocation.life.by = now;
                self.tally.released += 1;
                self.over(index);
            }
            Ask::Bind(channel) => self.bound(index, channel, asked, now),
        }
        Ok(())
    }

    fn bound(&mut self, index: usize, number: usize, asked: &Asked, now: u64) {
        let Some(channel) = self.allocations.get_mut(index).and_then(|a| a.channels.get_mut(number)) else { return };
        // A second copy may still be on its way.
        let by = if asked.n_sent > 1 { u64::MAX } else { now + nanos(PERMISSION) };
        channel.life = Bounds { not_before: asked.at + nanos(PERMISSION), by };
        if channel.place.is_none() {
            channel.place = Some(self.places.len());
            self.places.push((index, number));
            self.tally.bound += 1;
        } else {
            self.tally.rebound += 1;
        }
        if self.dice.below(10) < 8 {
            let at = now + self.random_nanos(REBIND_SECS.0, REBIND_SECS.1);
            self.agenda.push(Reverse((at, Deed::Rebind(index, number))));
        }
    }

    /// An allocation that is over refuses everything.
    fn refused(&mut self, index: usize, asked: &Asked, code: u16, now: u64) {
        let Some(allocation) = self.allocations.get_mut(index) else { return };
        let soon = allocation.life.not_before <= now.saturating_add(nanos(TOO_LATE));
        match asked.ask {
            // A copy of it was answered with success, or the credential was faster.
            Ask::Release if code == 437 && (asked.n_sent > 1 || allocation.life.by <= now) => {
                allocation.life.by = allocation.life.by.min(now);
                self.tally.released += 1;
                self.over(index);
            }
            Ask::Release | Ask::Allocate if code == 401 && allocation.relayed.is_none() && soon => {
                // It waits for its end, with nothing to carry.
                if asked.ask == Ask::Release {
                    self.over(index);
                }
            }
            Ask::Allocate | Ask::Bind(_) | Ask::Refresh | Ask::Release => {
                if !(allocation.is_ending || soon) {
                    self.tally.fault(format_args!("{:?} was refused with {code}", asked.ask));
                }
                if asked.ask == Ask::Release {
                    self.over(index);
                }
            }
        }
    }

    fn leave_place(&mut self, index: usize, channel: usize) {
        let Some(left) = self.allocations.get_mut(index).and_then(|a| a.channels.get_mut(channel)) else { return };
        let Some(place) = left.place.take() else { return };
        if left.life.by < self.clock.now() {
            self.tally.ran_out += 1;
        }
        self.places.swap_remove(place);
        let Some((index, channel)) = self.places.get(place).copied() else { return };
        if let Some(moved) = self.allocations.get_mut(index).and_then(|a| a.channels.get_mut(channel)) {
            moved.place = Some(place);
        }
    }

    fn random_nanos(&mut self, least_secs: f64, most_secs: f64) -> u64 {
        nanos(Duration::from_secs_f64(least_secs + (most_secs - least_secs) * self.dice.part()))
    }
}
