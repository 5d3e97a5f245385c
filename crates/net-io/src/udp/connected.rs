//! A second socket for one destination, which only sends.
//!
//! A datagram from an open socket costs the kernel a look for the route each time, and wakes the epoll that the socket is
//! watched by, since a sent datagram makes room to write. A connected socket keeps the route, and this one is not
//! watched. To the other side it is the same address and port as the open socket.
//!
//! So that everything still *arrives* at the open socket, this one is bound to the same port of a multicast address that
//! nobody ever joins: nothing that is addressed to us can be meant for it. Linux leaves the source address of such a
//! socket open until it is connected, and keeps it when the socket is connected again; so the first connection is one
//! for which the source can be chosen. ICMP errors are for the source address, so they find the open socket, too.
//!
//! Little of that is written in a manual, which is why [`ConnectedSender::check`] tries it out.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{UdpOptions, UdpSocket, send, set_dont_fragment};

/// Each family's first multicast address; both are reserved for good (RFC 5771 §4, RFC 4291 §2.7.1).
const NOWHERE_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 0);
const NOWHERE_V6: Ipv6Addr = Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0);
/// For what never arrives: the kernel makes its least of it.
const RECEIVE_BUFFER: usize = 1;
/// How long a datagram may take on the loopback interface.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// A non-blocking UDP socket that sends to one address and hears nothing.
#[derive(Debug)]
pub struct ConnectedSender {
    socket: Socket,
    segmentation: AtomicBool,
}

impl ConnectedSender {
    /// Opens a socket whose datagrams come from `source`, like those of the open socket that is bound there, and go to
    /// `to`. `options` are those of the open socket; only what concerns ports and sending counts.
    ///
    /// # Errors
    /// As socket(2), bind(2) and connect(2). `AddrNotAvailable` where `source` cannot be had as source address.
    pub fn open(source: SocketAddr, to: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        // Several clients have one listener; another server of this host may use the same port of another address.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(options.reuse_port)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        set_dont_fragment(socket.as_fd(), to.is_ipv4(), false)?;
        match source.ip() {
            IpAddr::V4(ip) => {
                // A datagram to a multicast address has the source that is asked for here.
                let nowhere = SocketAddr::from((NOWHERE_V4, source.port()));
                socket.bind(&nowhere.into())?;
                socket.set_multicast_if_v4(&ip)?;
                socket.connect(&nowhere.into())?;
            }
            IpAddr::V6(ip) => {
                // To oneself, one's own address is the source of choice (RFC 6724 §5, rule 1).
                let own = SocketAddr::from((ip, source.port()));
                if address_towards(own)? != ip {
                    return Err(io::ErrorKind::AddrNotAvailable.into());
                }
                socket.set_only_v6(true)?;
                socket.bind(&SocketAddr::from((NOWHERE_V6, source.port())).into())?;
                socket.connect(&own.into())?;
            }
        }
        socket.connect(&to.into())?;
        Ok(Self { socket, segmentation: AtomicBool::new(true) })
    }

    /// Whether this kernel does what such a socket depends on, tried out on the loopback interface: its datagrams have to
    /// come from the address of the open socket, and answers to reach that one.
    ///
    /// # Errors
    /// It does not, or the family is not there at all.
    pub fn check(v4: bool) -> io::Result<()> {
        let (own, other) = if v4 {
            // A source that the kernel would not choose by itself.
            (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            (IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST))
        };
        let options = UdpOptions { reuse_port: false, receive_buffer: 4096, send_buffer: 4096, report_errors: false };
        let open = UdpSocket::bind((own, 0).into(), options)?;
        let peer = UdpSocket::bind((other, 0).into(), options)?;
        let sender = Self::open(open.local_addr(), peer.local_addr(), options)?;
        sender.send(&[IoSlice::new(b"there")], None)?;
        if source_of_next(&peer)? != open.local_addr() {
            return Err(io::Error::other("a connected sender has another source address than asked for"));
        }
        peer.send(open.local_addr(), None, &[IoSlice::new(b"back")], None)?;
        source_of_next(&open).map(drop)
    }

    /// Sends the bytes of `parts`, one after the other, as one datagram, or with `segment_len` as datagrams of that size
    /// (the last may be shorter).
    ///
    /// # Errors
    /// As [`UdpSocket::send`].
    pub fn send(&self, parts: &[IoSlice<'_>], segment_len: Option<u16>) -> io::Result<()> {
        let Err(error) = send::send(self.socket.as_fd(), None, None, parts, segment_len) else { return Ok(()) };
        if segment_len.is_some() && send::is_no_segmentation(&error) {
            self.segmentation.store(false, Ordering::Relaxed);
        }
        Err(error)
    }

    /// Whether sends with `segment_len` are worth trying.
    #[must_use]
    pub fn can_segment(&self) -> bool {
        self.segmentation.load(Ordering::Relaxed)
    }
}

/// The source address that the system chooses towards `to`.
fn address_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.connect(&to.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(local.ip())
}

fn source_of_next(socket: &UdpSocket) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + CHECK_PATIENCE;
    let mut buffer = [0; 64];
    loop {
        match socket.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            received => return received.map(|received| received.from),
        }
    }
}
