//! UDP with receive and send offload (UDP_GRO, UDP_SEGMENT), destination address and the error queue.
//!
//! Sends take a list of slices, so that a header can be put before, or left out of, every segment without a copy.

mod connected;
mod send;

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{Domain, Protocol, Socket, Type};

pub use connected::ConnectedSender;

use send::Destination;

use crate::address::RawAddress;

/// Most segments the kernel takes in one send (UDP_MAX_SEGMENTS of older kernels).
pub const SEGMENTS_MAX: usize = 64;

/// Most receives of one [`UdpSocket::receive_many`].
pub const RECEIVES_MAX: usize = 32;

/// How a socket is opened.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// Several sockets share the port; the kernel spreads five-tuples over them.
    pub reuse_port: bool,
    /// Asked-for receive buffer, bytes; the system's maximum may cut it.
    pub receive_buffer: usize,
    /// Asked-for send buffer, bytes.
    pub send_buffer: usize,
    /// ICMP errors are put on the socket's error queue.
    pub report_errors: bool,
}

/// A non-blocking UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    /// Bound to an unspecified address: source and destination address travel with each datagram.
    wildcard: bool,
    segmentation: AtomicBool,
}

/// One receive: one datagram, or several of one size that came together.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes in all.
    pub len: usize,
    /// Size of each datagram but the last, which may be shorter.
    pub segment_len: usize,
    /// Where they came from.
    pub from: SocketAddr,
    /// Which of our addresses they went to; only known on wildcard sockets.
    pub to: Option<IpAddr>,
}

/// An ICMP error for something this socket sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReport {
    /// Where the datagram was going; port 0 when the system itself found it too large for the path.
    pub peer: SocketAddr,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// The next hop's MTU where the error names one, else 0.
    pub mtu: u32,
}

impl IcmpReport {
    /// What a router would have said, had the system not known the path's MTU already: fragmentation needed (RFC 792), or
    /// packet too big (RFC 4443 §3.2).
    const fn too_big(peer: SocketAddr, mtu: u32) -> Self {
        let (icmp_type, icmp_code) = if peer.is_ipv4() { (3, 4) } else { (2, 0) };
        Self { peer, icmp_type, icmp_code, mtu }
    }
}

/// Ancillary data, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control<const N: usize>([u8; N]);

/// Room for a segment size and a local address, which is all a receive or a send carries.
const CONTROL_LEN: usize = 64;

impl UdpSocket {
    /// Opens and binds a socket.
    ///
    /// # Errors
    /// The address is taken or not ours, or the system is out of descriptors.
    pub fn bind(address: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.set_recv_buffer_size(options.receive_buffer)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        let wildcard = address.ip().is_unspecified();
        let this = Self { socket, local: address, wildcard, segmentation: AtomicBool::new(true) };
        // Without GRO every datagram simply comes alone.
        let gro = this.set_option(libc::IPPROTO_UDP, libc::UDP_GRO, 1);
        drop(gro);
        let v4 = address.is_ipv4();
        if wildcard {
            let (level, name) =
                if v4 { (libc::IPPROTO_IP, libc::IP_PKTINFO) } else { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) };
            this.set_option(level, name, 1)?;
        }
        if options.report_errors {
            let (level, name) =
                if v4 { (libc::IPPROTO_IP, libc::IP_RECVERR) } else { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) };
            this.set_option(level, name, 1)?;
        }
        this.set_dont_fragment(false)?;
        this.socket.bind(&address.into())?;
        if address.port() != 0 {
            return Ok(this);
        }
        let local = this.socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { local, ..this })
    }

    /// The bound address.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether the socket is bound to an unspecified address.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Sets or clears the don't-fragment bit for what is sent from here on.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_dont_fragment(&self, on: bool) -> io::Result<()> {
        set_dont_fragment(self.as_fd(), self.local.is_ipv4(), on)
    }

    /// Receives into `buffer`; 64 KiB hold whatever GRO merges.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; another error may be an ICMP answer to an earlier send.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut name = RawAddress::zeroed();
        let mut control = Control([0; CONTROL_LEN]);
        let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut header = message_header(&mut name, &mut iov, &mut control);
        // SAFETY: `header` points to locals that outlive the call, with their true lengths. Past the C library, as in
        // `send::message`.
        let n = unsafe { libc::syscall(libc::SYS_recvmsg, self.socket.as_raw_fd(), &raw mut header, 0) };
        let len = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        received_of(&header, len).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Receives what waits, up to `max` times and [`RECEIVES_MAX`], with one system call. The receive that is told of at
    /// place `i` of `received` is in `buffer` from `i * stride` on, and may take all of its `stride` bytes.
    ///
    /// # Errors
    /// As [`Self::receive`], and then nothing was received.
    pub fn receive_many(
        &self,
        buffer: &mut [u8],
        stride: usize,
        max: usize,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        received.clear();
        let mut names = [const { MaybeUninit::<RawAddress>::uninit() }; RECEIVES_MAX];
        let mut controls = [const { MaybeUninit::<Control<CONTROL_LEN>>::uninit() }; RECEIVES_MAX];
        let mut iovs = [const { MaybeUninit::<libc::iovec>::uninit() }; RECEIVES_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; RECEIVES_MAX];
        let rooms = names.iter_mut().zip(&mut controls).zip(&mut iovs).zip(&mut headers);
        let mut n_rooms: libc::c_uint = 0;
        for (slot, (((name, control), iov), header)) in buffer.chunks_exact_mut(stride).take(max).zip(rooms) {
            let iov = iov.write(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: stride });
            let control = control.write(Control([0; CONTROL_LEN]));
            let msg_hdr = message_header(name.write(RawAddress::zeroed()), iov, control);
            header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
            n_rooms += 1;
        }
        let (fd, first) = (self.socket.as_raw_fd(), headers.as_mut_ptr());
        // SAFETY: the first `n_rooms` headers are written and point to locals and to separate parts of `buffer`, with
        // their true lengths; all of it outlives the call. Without a time limit the last argument is null.
        let n = unsafe { libc::syscall(libc::SYS_recvmmsg, fd, first, n_rooms, 0, ptr::null::<libc::timespec>()) };
        let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        for header in headers.get(..n).unwrap_or_default() {
            // SAFETY: the kernel fills no more headers than it was given, and those were written above.
            let header = unsafe { header.assume_init_ref() };
            let len = usize::try_from(header.msg_len).unwrap_or(0);
            let nothing = Received { len: 0, segment_len: 0, from: self.local, to: None };
            received.push(received_of(&header.msg_hdr, len).unwrap_or(nothing));
        }
        Ok(())
    }

    /// Sends the bytes of `parts`, one after the other, to `to`: as one datagram, or with `segment_len` as datagrams of
    /// that size (the last may be shorter). `source` chooses the source address on a wildcard socket.
    ///
    /// # Errors
    /// `WouldBlock` when the send queue is full. With `segment_len` any other error may only say that these segments do
    /// not fit this route: send them one by one. [`Self::can_segment`] turns false when kernel or device refuse
    /// segmentation altogether.
    pub fn send(
        &self,
        to: SocketAddr,
        source: Option<IpAddr>,
        parts: &[IoSlice<'_>],
        segment_len: Option<u16>,
    ) -> io::Result<()> {
        let to = Destination::new(to);
        let source = source.filter(|_| self.wildcard);
        let Err(error) = send::send(self.as_fd(), Some(&to), source, parts, segment_len) else { return Ok(()) };
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

    /// Takes one ICMP error off the error queue; `None` when it is empty or holds something else.
    pub fn take_icmp(&self) -> Option<IcmpReport> {
        let mut name = RawAddress::zeroed();
        let mut control = Control([0; 256]);
        let mut buffer = [0_u8; 64];
        let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut header = message_header(&mut name, &mut iov, &mut control);
        // SAFETY: as in `receive`.
        let n = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE) };
        if n < 0 {
            return None;
        }
        let peer = name.to_socket_addr()?;
        let mut report = None;
        for_each_control(&header, |level, kind, data| {
            if !matches!((level, kind), (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR))
            {
                return;
            }
            // struct sock_extended_err: errno (4), origin (1), type (1), code (1), pad (1), info (4), data (4).
            let Some(&[e0, e1, e2, e3, origin, icmp_type, icmp_code, _, i0, i1, i2, i3]) = data.first_chunk::<12>()
            else {
                return;
            };
            let (errno, mtu) = (i32::from_ne_bytes([e0, e1, e2, e3]), u32::from_ne_bytes([i0, i1, i2, i3]));
            report = match origin {
                libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
                    Some(IcmpReport { peer, icmp_type, icmp_code, mtu })
                }
                libc::SO_EE_ORIGIN_LOCAL if errno == libc::EMSGSIZE => Some(IcmpReport::too_big(peer, mtu)),
                _ => None,
            };
        });
        report
    }

    fn set_option(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        set_option(self.socket.as_fd(), level, name, value)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes every plain write to `socket` leave as datagrams of `segment_len` bytes, the last may be shorter.
///
/// # Errors
/// The kernel knows no segmentation offload.
pub fn segment_writes(socket: &impl AsFd, segment_len: u16) -> io::Result<()> {
    set_option(socket.as_fd(), libc::IPPROTO_UDP, libc::UDP_SEGMENT, libc::c_int::from(segment_len))
}

fn set_dont_fragment(socket: BorrowedFd<'_>, v4: bool, on: bool) -> io::Result<()> {
    if v4 {
        let value = if on { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
    } else {
        let value = if on { libc::IPV6_PMTUDISC_DO } else { libc::IPV6_PMTUDISC_DONT };
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, value)
    }
}

fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: `value` is a live int of the stated length.
    let n = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a header that the kernel has just filled says about the `len` bytes that came with it.
fn received_of(header: &libc::msghdr, len: usize) -> Option<Received> {
    // SAFETY: `msg_name` is what `message_header` made of a `RawAddress`, which is still there.
    let name = unsafe { header.msg_name.cast::<RawAddress>().as_ref() }?;
    let mut received = Received { len, segment_len: len, from: name.to_socket_addr()?, to: None };
    for_each_control(header, |level, kind, data| match (level, kind) {
        (libc::IPPROTO_UDP, libc::UDP_GRO) => {
            if let Some(bytes) = data.first_chunk::<4>() {
                received.segment_len = usize::try_from(i32::from_ne_bytes(*bytes)).unwrap_or(len).max(1);
            }
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // struct in_pktinfo: interface (4), local address (4), header's destination address (4).
            if let Some(bytes) = data.get(8..12).and_then(|b| b.first_chunk::<4>()) {
                received.to = Some(IpAddr::V4(Ipv4Addr::from(*bytes)));
            }
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            if let Some(bytes) = data.first_chunk::<16>() {
                received.to = Some(IpAddr::V6(Ipv6Addr::from(*bytes)));
            }
        }
        _ => {}
    });
    Some(received)
}

fn message_header<const N: usize>(
    name: &mut RawAddress,
    iov: &mut libc::iovec,
    control: &mut Control<N>,
) -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = ptr::from_mut(name).cast();
    header.msg_namelen = libc::socklen_t::try_from(size_of::<RawAddress>()).unwrap_or(0);
    header.msg_iov = ptr::from_mut(iov);
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    header
}

/// Calls `visit` with level, type and data of each control message of a header the kernel has just filled.
fn for_each_control(header: &libc::msghdr, mut visit: impl FnMut(libc::c_int, libc::c_int, &[u8])) {
    // SAFETY: the kernel wrote `msg_controllen` bytes of well-formed control messages into the buffer that `msg_control`
    // points to, and that buffer outlives this call; the CMSG functions stay within it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = at.as_ref() {
            let data = libc::CMSG_DATA(at);
            let head = usize::try_from(data.offset_from(at.cast())).unwrap_or(0);
            let len = control.cmsg_len.saturating_sub(head);
            visit(control.cmsg_level, control.cmsg_type, std::slice::from_raw_parts(data, len));
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
}

#[cfg(test)]
mod tests;
