//! Which interfaces the program sits at.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// Interfaces that carry one of `addresses`; a wildcard is carried by every interface. The loopback is always among them:
/// whatever this host says to itself comes by there.
pub(crate) fn carrying(addresses: &[SocketAddr]) -> std::io::Result<BTreeSet<String>> {
    let mut by_name: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut chosen = BTreeSet::new();
    for interface in if_addrs::get_if_addrs()? {
        if interface.is_loopback() {
            chosen.insert(interface.name.clone());
        }
        by_name.entry(interface.name.clone()).or_default().push(interface.ip());
    }
    for (name, carried) in by_name {
        let carries = |wanted: &SocketAddr| match wanted.ip() {
            any if any.is_unspecified() => true,
            one => carried.contains(&one),
        };
        if addresses.iter().any(carries) {
            chosen.insert(name);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_always_there_and_an_address_nobody_has_adds_nothing() {
        let only = carrying(&["192.0.2.77:3478".parse().expect("an address")]).expect("interfaces");
        let all = carrying(&["0.0.0.0:3478".parse().expect("an address")]).expect("interfaces");
        assert!(only.contains("lo") && only.is_subset(&all), "{only:?} {all:?}");
    }
}
