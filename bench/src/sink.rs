//! Receivers that cost next to nothing: their socket refuses every datagram, and the kernel counts what it refused.
//!
//! The generator has one processor. Were it to read what it counts, it would be slower than the servers it loads.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use anyhow::{Context, Result, bail};
use socket2::{SockFilter, SockRef};

/// `return 0`, as a classic socket filter: keep nothing of the datagram (linux/filter.h, BPF_RET | BPF_K).
const REFUSE_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Of the namespace this thread is in.
const UDP_TABLE: &str = "/proc/thread-self/net/udp";

/// How often the kernel's table is read until it is complete.
const TABLE_READS: usize = 50;

/// Sockets that only count.
#[derive(Debug)]
pub(crate) struct Sinks {
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
}

impl Sinks {
    /// Turns `sockets` into sinks until [`Self::end`].
    pub(crate) fn new(sockets: &[UdpSocket]) -> Result<Self> {
        let sockets: Vec<UdpSocket> = sockets.iter().map(UdpSocket::try_clone).collect::<Result<_, _>>()?;
        for socket in &sockets {
            SockRef::from(socket).attach_filter(&[REFUSE_ALL]).context("the socket takes no filter")?;
        }
        let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
        Ok(Self { sockets, addresses })
    }

    /// Makes receivers of them again.
    pub(crate) fn end(self) -> Result<()> {
        for socket in &self.sockets {
            SockRef::from(socket).detach_filter()?;
        }
        Ok(())
    }

    /// How many datagrams have arrived at all of them since they were opened.
    pub(crate) fn count(&self) -> Result<u64> {
        // The kernel writes its table piece by piece, and skips lines when sockets close in between.
        (0..TABLE_READS)
            .find_map(|_| self.try_count().transpose())
            .unwrap_or_else(|| bail!("{UDP_TABLE} does not list all sockets"))
    }

    fn try_count(&self) -> Result<Option<u64>> {
        let text = fs::read_to_string(UDP_TABLE).with_context(|| format!("{UDP_TABLE} cannot be read"))?;
        let drops: HashMap<SocketAddr, u64> = text.lines().skip(1).filter_map(drops_of).collect();
        Ok(self.addresses.iter().map(|address| drops.get(address).copied()).sum())
    }
}

/// Local address and drop counter of one line of `/proc/net/udp`.
fn drops_of(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_whitespace();
    let (ip, port) = fields.nth(1)?.split_once(':')?;
    // The address is printed as a number of this machine's byte order.
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let address = SocketAddr::new(IpAddr::from(ip), u16::from_str_radix(port, 16).ok()?);
    Some((address, fields.next_back()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "  712: 0400007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 99 2 00 4711";
        assert_eq!(drops_of(line), Some(("127.0.0.4:54321".parse().unwrap(), 4711)));
        assert_eq!(drops_of("  sl  local_address rem_address"), None);
    }

    #[test]
    fn what_a_sink_refuses_is_counted() {
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sinks = Sinks::new(&[sink.try_clone().unwrap()]).unwrap();
        for _ in 0..5 {
            sender.send_to(b"x", sink.local_addr().unwrap()).unwrap();
        }
        assert_eq!(sinks.count().unwrap(), 5);
        sinks.end().unwrap();
        sender.send_to(b"y", sink.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 8];
        assert_eq!((sink.recv(&mut buffer).unwrap(), buffer[0]), (1, b'y'), "it receives again");
    }
}
