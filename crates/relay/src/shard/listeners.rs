//! The listening sockets of one shard; every shard has its own on the same addresses.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use causeway_net_io::{Epoll, Interest, UdpOptions, UdpSocket, tcp};
use causeway_types::ClientTransport;

use crate::{
    handle::{BoundAddress, StartError},
    leg::Token,
    settings::RelaySettings,
};

/// Listeners take bursts of many clients at once.
const LISTENER_BUFFER: usize = 4 << 20;
/// Every shard has a listener at the same address.
pub(super) const LISTENER_OPTIONS: UdpOptions = UdpOptions {
    reuse_port: true,
    receive_buffer: LISTENER_BUFFER,
    send_buffer: LISTENER_BUFFER,
    report_errors: false,
};

/// All listeners of one shard.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) udp: Vec<UdpListener>,
    pub(crate) tcp: Vec<StreamListener>,
}

/// A UDP listener.
#[derive(Debug)]
pub(crate) struct UdpListener {
    pub(crate) socket: UdpSocket,
    /// DTLS is spoken here too, told apart by the first byte.
    pub(crate) dtls: bool,
    /// How many receives to try at the next wake-up.
    pub(crate) hint: u8,
}

/// A TCP listener.
#[derive(Debug)]
pub(crate) struct StreamListener {
    pub(crate) socket: TcpListener,
    pub(crate) local: SocketAddr,
    pub(crate) tls: bool,
}

impl Listeners {
    pub(crate) fn bind(settings: &RelaySettings) -> Result<Self, StartError> {
        let mut all = Self { udp: Vec::new(), tcp: Vec::new() };
        let plain = settings.turn_listen.iter().map(|address| (address, false));
        let tls = settings.turn_tls_listen.iter().map(|address| (address, true));
        for (address, tls) in plain.chain(tls) {
            let (socket, listener) =
                if address.port() == 0 { bind_anywhere(*address)? } else { bind_both(*address, *address)? };
            let local = socket.local_addr();
            all.udp.push(UdpListener { socket, dtls: tls, hint: 1 });
            all.tcp.push(StreamListener { socket: listener, local, tls });
        }
        Ok(all)
    }

    pub(crate) fn register(&self, epoll: &Epoll) -> io::Result<()> {
        for (index, listener) in self.udp.iter().enumerate() {
            epoll.add(&listener.socket, Token::Udp(index).bits(), Interest::Read)?;
        }
        for (index, listener) in self.tcp.iter().enumerate() {
            epoll.add(&listener.socket, Token::Tcp(index).bits(), Interest::Read)?;
        }
        Ok(())
    }

    pub(crate) fn plain_addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter(|l| !l.tls).map(|l| l.local).collect()
    }

    pub(crate) fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter(|l| l.tls).map(|l| l.local).collect()
    }

    pub(crate) fn bound(&self) -> Vec<BoundAddress> {
        let transports = |tls| match tls {
            true => [ClientTransport::Dtls, ClientTransport::Tls],
            false => [ClientTransport::Udp, ClientTransport::Tcp],
        };
        self.tcp
            .iter()
            .flat_map(|l| transports(l.tls).map(|transport| BoundAddress { address: l.local, transport }))
            .collect()
    }
}

/// UDP and TCP at `address`, which stands for what was `asked` for.
fn bind_both(asked: SocketAddr, address: SocketAddr) -> Result<(UdpSocket, TcpListener), StartError> {
    let error = |transport| move |source| StartError::Listen { address: asked, transport, source };
    let socket = UdpSocket::bind(address, LISTENER_OPTIONS).map_err(error("UDP"))?;
    let listener = tcp::listen(socket.local_addr()).map_err(error("TCP"))?;
    Ok((socket, listener))
}

/// The same at any port. Between finding a free one and taking it, somebody else may have been given it.
fn bind_anywhere(asked: SocketAddr) -> Result<(UdpSocket, TcpListener), StartError> {
    const TRIES: usize = 8;
    let find = || free_port(asked).map_err(|source| StartError::Listen { address: asked, transport: "UDP", source });
    for _ in 1..TRIES {
        match bind_both(asked, find()?) {
            Err(StartError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    bind_both(asked, find()?)
}

/// A port nobody listens on, for UDP and TCP. Asked for with `SO_REUSEPORT` the kernel might give one that another
/// server of the same user shares.
fn free_port(address: SocketAddr) -> io::Result<SocketAddr> {
    const TRIES: usize = 32;
    let mut last = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..TRIES {
        let udp = std::net::UdpSocket::bind(address)?;
        let found = udp.local_addr()?;
        last = TcpListener::bind(found).map(|_| found);
        if last.is_ok() {
            break;
        }
    }
    last
}
