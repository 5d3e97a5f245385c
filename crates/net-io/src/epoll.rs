//! Level-triggered epoll.
//!
//! Level-triggered on purpose: a socket that is read once per wake-up and still has data is reported again, so no read
//! is spent on learning that there is nothing more.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
}

/// What to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing but errors and hang-ups.
    None,
    /// Data to read.
    Read,
    /// Room to write.
    Write,
    /// Both.
    ReadWrite,
}

/// One report.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The token the descriptor was added with.
    pub token: u64,
    /// There is something to read, an end of stream included.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// An error is pending on the descriptor, or its error queue is not empty.
    pub error: bool,
    /// The other side is gone.
    pub hangup: bool,
}

/// A reusable buffer for reports.
#[derive(Debug)]
pub struct Events {
    raw: Vec<libc::epoll_event>,
    len: usize,
}

impl Events {
    /// Room for `capacity` reports per wake-up.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { raw: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)], len: 0 }
    }

    /// How many reports the last wait brought.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the last wait brought none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The report at `index`.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<Event> {
        let raw = self.raw.get(..self.len)?.get(index)?;
        let has = |bit: libc::c_int| raw.events & bit.cast_unsigned() != 0;
        Some(Event {
            token: raw.u64,
            readable: has(libc::EPOLLIN),
            writable: has(libc::EPOLLOUT),
            error: has(libc::EPOLLERR),
            hangup: has(libc::EPOLLHUP) || has(libc::EPOLLRDHUP),
        })
    }
}

impl Interest {
    const fn bits(self) -> u32 {
        let bits = match self {
            Self::None => 0,
            Self::Read => libc::EPOLLIN,
            Self::Write => libc::EPOLLOUT,
            Self::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        bits.cast_unsigned()
    }
}

impl Epoll {
    /// A new instance.
    ///
    /// # Errors
    /// The system is out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nothing else owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Adds `source` under `token`. It leaves by itself when it is closed.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    /// Changes what `source` is watched for.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn modify(&self, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// Stops watching `source`.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn remove(&self, source: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source, 0, Interest::None)
    }

    /// Waits until something is reported or `timeout` has passed (rounded up to a millisecond; `None` waits for ever).
    ///
    /// # Errors
    /// As epoll_wait(2); an interrupted wait is no error and reports nothing.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let millis = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let capacity = i32::try_from(events.raw.len()).unwrap_or(i32::MAX);
        // SAFETY: the pointer leads to `capacity` initialised events that live through the call.
        let n = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.raw.as_mut_ptr(), capacity, millis) };
        events.len = usize::try_from(n).unwrap_or(0);
        if n < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }

    fn control(&self, op: libc::c_int, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: both descriptors are open for the length of the call and `event` outlives it.
        let n = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, source.as_fd().as_raw_fd(), &raw mut event) };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
