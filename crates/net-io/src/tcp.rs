//! TCP sockets as the relay needs them: many listeners on one port, and connections from a listener's own address.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
};

use socket2::{Domain, Protocol, Socket, Type};

/// A non-blocking listener; with `SO_REUSEPORT`, so that each thread has its own.
///
/// # Errors
/// The address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Starts a non-blocking connection to `peer` from `local`, which may be a listener's address (RFC 6062 §5.2). The
/// stream is writable when the attempt has ended; `TcpStream::take_error` then tells how.
///
/// # Errors
/// The attempt could not be started.
pub fn connect_from(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = open(local)?;
    match socket.connect(&peer.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
