//! Sending, by whatever socket: one datagram with the least the kernel can be asked, or a burst that it cuts.

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use super::{CONTROL_LEN, Control};
use crate::address::RawAddress;

/// Datagrams up to this size are put together before they are sent.
const GATHER_MAX: usize = 2048;

/// An address as the kernel reads it.
pub(super) struct Destination {
    raw: RawAddress,
    len: libc::socklen_t,
}

impl Destination {
    pub(super) fn new(to: SocketAddr) -> Self {
        let (raw, len) = RawAddress::new(to);
        Self { raw, len }
    }

    /// Pointer and length for a system call; a connected socket needs neither.
    const fn of(to: Option<&Self>) -> (*const RawAddress, libc::socklen_t) {
        match to {
            Some(to) => (ptr::from_ref(&to.raw), to.len),
            None => (ptr::null(), 0),
        }
    }
}

/// Sends the bytes of `parts`, one after the other: to `to`, or where the socket is connected to; as one datagram, or
/// with `segment_len` as datagrams of that size. `source` is the source address of a wildcard socket.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    to: Option<&Destination>,
    source: Option<IpAddr>,
    parts: &[IoSlice<'_>],
    segment_len: Option<u16>,
) -> io::Result<()> {
    if segment_len.is_none() && source.is_none() {
        return plain(socket, to, parts);
    }
    let mut control = Control([0; CONTROL_LEN]);
    let mut used = 0;
    if let Some(len) = segment_len {
        used += put_control(&mut control, used, libc::IPPROTO_UDP, libc::UDP_SEGMENT, &len.to_ne_bytes());
    }
    match source {
        Some(IpAddr::V4(ip)) => {
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&ip.octets());
            used += put_control(&mut control, used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
        Some(IpAddr::V6(ip)) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip.octets());
            used += put_control(&mut control, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
        None => {}
    }
    let mut header = list(to, parts);
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = used;
    message(socket, &header)
}

/// Whether a failed burst says that kernel or device know no segmentation at all.
pub(super) fn is_no_segmentation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP))
}

/// One datagram, and nothing to say beside it: several small parts are put together here, since for the kernel an
/// address and one buffer are much less work than a message header with a list of buffers.
fn plain(socket: BorrowedFd<'_>, to: Option<&Destination>, parts: &[IoSlice<'_>]) -> io::Result<()> {
    if let [whole] = parts {
        return bytes(socket, to, whole.as_ptr(), whole.len());
    }
    let mut room = [MaybeUninit::<u8>::uninit(); GATHER_MAX];
    let mut len = 0;
    for part in parts {
        let Some(free) = room.get_mut(len..len + part.len()) else {
            return message(socket, &list(to, parts));
        };
        // SAFETY: `free` is exactly as long as `part`, and bytes may be written to maybe-uninitialised bytes.
        unsafe { ptr::copy_nonoverlapping(part.as_ptr(), free.as_mut_ptr().cast::<u8>(), part.len()) };
        len += part.len();
    }
    bytes(socket, to, room.as_ptr().cast(), len)
}

/// sendto(2) of `len` bytes at `at`, which the callers have written and keep alive through the call.
fn bytes(socket: BorrowedFd<'_>, to: Option<&Destination>, at: *const u8, len: usize) -> io::Result<()> {
    let (name, name_len) = Destination::of(to);
    retry_once(|| {
        // SAFETY: `at` leads to `len` written bytes, and `name` is null or holds an address of `name_len` bytes that
        // outlives the call; the kernel checks both ranges and only reads.
        let n = unsafe { libc::syscall(libc::SYS_sendto, socket.as_raw_fd(), at, len, 0, name, name_len) };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}

/// A header over `parts`; it is only good while both arguments live.
fn list(to: Option<&Destination>, parts: &[IoSlice<'_>]) -> libc::msghdr {
    let (name, name_len) = Destination::of(to);
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = name.cast_mut().cast();
    header.msg_namelen = name_len;
    // IoSlice has the layout of iovec by documented guarantee; the kernel does not write through it here.
    header.msg_iov = parts.as_ptr().cast_mut().cast();
    header.msg_iovlen = parts.len();
    header
}

/// sendmsg(2), past the C library: its wrapper is a thread cancellation point, which costs as much as our own code.
fn message(socket: BorrowedFd<'_>, header: &libc::msghdr) -> io::Result<()> {
    retry_once(|| {
        // SAFETY: the callers' headers only point to memory that outlives this call, with its true length.
        let n = unsafe { libc::syscall(libc::SYS_sendmsg, socket.as_raw_fd(), ptr::from_ref(header), 0) };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}

/// An ICMP error for an earlier datagram is told once in place of sending the next one; a second try sends it.
fn retry_once(send: impl Fn() -> io::Result<()>) -> io::Result<()> {
    send().or_else(|error| if is_pending_error(&error) { send() } else { Err(error) })
}

fn is_pending_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

/// Writes a control message at `offset` and returns the space it takes.
fn put_control<const N: usize>(
    control: &mut Control<N>,
    offset: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: &[u8],
) -> usize {
    let data_len = u32::try_from(data.len()).unwrap_or(0);
    // SAFETY: pure arithmetic.
    let (space, len) = unsafe { (libc::CMSG_SPACE(data_len) as usize, libc::CMSG_LEN(data_len) as usize) };
    let Some(room) = control.0.get_mut(offset..offset + space) else { return 0 };
    let header = libc::cmsghdr { cmsg_len: len, cmsg_level: level, cmsg_type: kind };
    // SAFETY: `room` is `space` bytes, aligned to 8 because `Control` is and every CMSG_SPACE is a multiple of 8; it
    // holds the header and, CMSG_LEN(0) bytes further on, the data.
    unsafe {
        let at = room.as_mut_ptr().cast::<libc::cmsghdr>();
        at.write(header);
        ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(at), data.len());
    }
    space
}
