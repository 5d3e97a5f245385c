use std::net::{Ipv4Addr, Ipv6Addr};

use causeway_types::SPECIAL_RANGES;
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn policy(allow: &[&str], deny: &[&str]) -> PeerPolicy {
    let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("a network")).collect();
    PeerPolicy::new(PeerPolicyConfig {
        allow: nets(allow),
        deny: nets(deny),
        own_relays: vec![(ip("198.51.100.7"), 49152..=65535)],
        own_services: vec!["127.0.0.1:8080".parse().expect("addr"), "0.0.0.0:3478".parse().expect("addr")],
        local_addresses: vec![ip("9.9.9.9")],
    })
}

/// Every way to write an IPv4 address inside an IPv6 one.
fn embeddings(v4: Ipv4Addr) -> Vec<IpAddr> {
    let bits = u128::from(v4.to_bits());
    let make = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
    vec![
        IpAddr::V4(v4),
        make(bits | 0xffff_0000_0000),
        make(bits),
        make(bits | 0xffff_0000_0000_0000),
        make(bits | 0x0064_ff9b << 96),
        make(bits | 0x0064_ff9b_0001 << 80),
        make(0x2002 << 112 | bits << 80 | 1),
        make(0x2001_0000 << 96 | (!bits & 0xffff_ffff)),
    ]
}

#[test]
fn every_special_range_is_refused_in_every_embedding() {
    let policy = policy(&[], &[]);
    for range in SPECIAL_RANGES {
        let forms = match range.first {
            IpAddr::V4(first) => {
                let last = first.to_bits() | u32::MAX.checked_shr(u32::from(range.prefix_len)).unwrap_or(0);
                [embeddings(first), embeddings(Ipv4Addr::from_bits(last))].concat()
            }
            IpAddr::V6(_) => vec![range.first],
        };
        for form in forms.into_iter().filter(|form| *form != ip("198.51.100.7")) {
            assert!(matches!(policy.check_ip(form), Verdict::Refused(_)), "{form} ({range})");
            assert!(matches!(policy.check_address(SocketAddr::new(form, 80)), Verdict::Refused(_)), "{form}:80");
        }
    }
}

#[test]
fn the_metadata_address_is_refused_by_name() {
    let Verdict::Refused(rule) = policy(&[], &[]).check_ip(ip("169.254.169.254")) else { panic!("not refused") };
    assert_eq!(&*rule, "default: link-local (cloud metadata) 169.254.0.0/16");
}

#[test]
fn the_longest_explicit_prefix_wins_and_deny_wins_ties() {
    let policy =
        policy(&["10.0.0.0/8", "10.1.2.3/32", "192.168.0.0/16"], &["10.1.0.0/16", "192.168.0.0/16", "8.8.8.0/24"]);
    assert_eq!(policy.check_ip(ip("10.9.9.9")), Verdict::Allowed);
    assert_eq!(policy.check_ip(ip("10.1.9.9")), Verdict::Refused("deny-peer 10.1.0.0/16".into()));
    assert_eq!(policy.check_ip(ip("10.1.2.3")), Verdict::Allowed);
    assert_eq!(policy.check_ip(ip("192.168.1.1")), Verdict::Refused("deny-peer 192.168.0.0/16".into()));
    assert_eq!(policy.check_ip(ip("8.8.8.8")), Verdict::Refused("deny-peer 8.8.8.0/24".into()));
    assert_eq!(policy.check_ip(ip("8.8.4.4")), Verdict::Allowed);
}

#[test]
fn allowing_a_range_does_not_open_its_embedded_forms() {
    let policy = policy(&["127.0.0.0/8"], &[]);
    assert_eq!(policy.check_address("127.0.0.1:5000".parse().unwrap()), Verdict::Allowed);
    assert!(matches!(policy.check_ip(ip("::ffff:127.0.0.1")), Verdict::Refused(_)));
    let policy = self::policy(&["::1/128"], &[]);
    assert_eq!(policy.check_address("[::1]:5000".parse().unwrap()), Verdict::Allowed);
}

#[test]
fn own_services_stay_closed_whatever_is_allowed() {
    let policy = policy(&["127.0.0.0/8", "198.51.100.0/24", "::/0", "0.0.0.0/0"], &[]);
    for peer in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "127.5.5.5:3478", "198.51.100.7:3478", "9.9.9.9:3478"] {
        let verdict = policy.check_address(peer.parse().unwrap());
        assert_eq!(verdict, Verdict::Refused("always: causeway's own service".into()), "{peer}");
    }
    assert_eq!(policy.check_ip(ip("127.0.0.1")), Verdict::AllowedExceptServices);
    assert_eq!(policy.check_address("127.0.0.1:8081".parse().unwrap()), Verdict::Allowed);
}

#[test]
fn an_own_relayed_address_is_open_to_relayed_traffic_only() {
    let policy = policy(&[], &[]);
    assert_eq!(policy.check_ip(ip("198.51.100.7")), Verdict::OwnRelayOnly);
    assert_eq!(policy.check_address("198.51.100.7:50000".parse().unwrap()), Verdict::OwnRelayOnly);
    assert!(matches!(policy.check_address("198.51.100.7:22".parse().unwrap()), Verdict::Refused(_)));
    assert!(matches!(policy.check_ip(ip("9.9.9.9")), Verdict::Refused(_)));
}

/// The simplest statement of the rules, written apart from the code above.
fn reference(allow: &[IpNet], deny: &[IpNet], ip: IpAddr) -> bool {
    let best =
        |nets: &[IpNet]| nets.iter().filter(|n| n.contains(&ip)).map(|n| i32::from(n.prefix_len())).max().unwrap_or(-1);
    let (allow, deny) = (best(allow), best(deny));
    if deny >= 0 && deny >= allow {
        return false;
    }
    allow >= 0 || special_range(ip).is_none()
}

proptest! {
    #[test]
    fn agrees_with_the_reference_model(
        allow in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..4),
        deny in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..4),
        pick in 0_usize..8, flip in any::<u32>(), embed in 0_usize..8,
    ) {
        let net = |(bits, len): &(u32, u8)| IpNet::new(IpAddr::V4(Ipv4Addr::from_bits(*bits)), *len).expect("length");
        let (allow, deny): (Vec<_>, Vec<_>) = (allow.iter().map(net).collect(), deny.iter().map(net).collect());
        // Half of the addresses come from the networks themselves, or almost nothing would match.
        let base = allow.iter().chain(&deny).nth(pick).map_or(flip, |n| match n.addr() {
            IpAddr::V4(ip) => ip.to_bits() ^ (flip & u32::MAX.checked_shr(u32::from(n.prefix_len())).unwrap_or(0)),
            IpAddr::V6(_) => flip,
        });
        let v4 = Ipv4Addr::from_bits(base);
        let form = embeddings(v4)[embed];
        let policy = PeerPolicy::new(PeerPolicyConfig { allow: allow.clone(), deny: deny.clone(), ..Default::default() });
        let expected = CanonicalIp::new(form).views().all(|view| reference(&allow, &deny, view));
        let verdict = policy.check_ip(form);
        let open = !matches!(verdict, Verdict::Refused(_));
        prop_assert_eq!(open, expected, "{} {:?}", form, verdict);
    }
}
