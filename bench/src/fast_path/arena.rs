//! The networks in which is measured: the loopback, and a link as between two hosts.

use std::{net::Ipv4Addr, rc::Rc};

use anyhow::Result;
use causeway_bench::space::Space;

use crate::subject::{Place, Spaces};

/// One kind of network, twice: nothing of the fast path is near the plain one.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) name: &'static str,
    pub(crate) fast: Place,
    pub(crate) plain: Place,
    /// Whether the path in user space is compared here.
    pub(crate) has_forwarder: bool,
}

impl Arena {
    /// Everything on one host.
    pub(crate) fn loopback() -> Result<Self> {
        let place = || -> Result<Place> {
            let space = Rc::new(Space::new()?);
            Ok(Place { spaces: Some(Spaces { server: Rc::clone(&space), generator: space }), ..Place::here() })
        };
        Ok(Self { name: "loopback", fast: place()?, plain: place()?, has_forwarder: true })
    }

    /// The servers one host each; clients and peers another, beyond a virtual Ethernet link to either.
    pub(crate) fn link() -> Result<Self> {
        let generator = Rc::new(Space::new()?);
        let fast = link(&generator, 1)?;
        let plain = link(&generator, 2)?;
        Ok(Self { name: "virtual Ethernet", fast, plain, has_forwarder: false })
    }
}

/// A host behind link `n`: 198.18.n.1, its peers at 198.18.n.3, clients everywhere in 198.19.n.0/24 and above.
fn link(generator: &Rc<Space>, n: u8) -> Result<Place> {
    let server = Rc::new(Space::new()?);
    generator.link(&format!("link{n}"), &server, "eth0")?;
    generator.ip(&format!("addr add 198.18.{n}.2/24 dev link{n}"))?;
    generator.ip(&format!("addr add 198.18.{n}.3/24 dev link{n}"))?;
    server.ip(&format!("addr add 198.18.{n}.1/24 dev eth0"))?;
    let clients = Ipv4Addr::new(198, 19, 64 * n, 0);
    // Any of these is an address of the generator's.
    generator.ip(&format!("route add local {clients}/18 dev lo"))?;
    server.ip(&format!("route add {clients}/18 via 198.18.{n}.2"))?;
    let own = Ipv4Addr::new(198, 18, n, 1).into();
    Ok(Place {
        causeway_ip: own,
        coturn_ip: own,
        peer_ip: Ipv4Addr::new(198, 18, n, 3).into(),
        clients,
        spaces: Some(Spaces { server, generator: Rc::clone(generator) }),
    })
}
