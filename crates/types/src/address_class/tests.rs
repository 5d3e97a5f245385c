use super::*;

fn embedded(text: &str) -> Option<String> {
    CanonicalIp::new(text.parse().expect("an address")).embedded.map(|ip| ip.to_string())
}

#[test]
fn every_embedding_of_the_metadata_address_is_unwrapped() {
    for text in [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
    ] {
        assert_eq!(embedded(text).as_deref(), Some("169.254.169.254"), "{text}");
    }
    for text in ["2606:4700::1111", "::", "::1"] {
        assert_eq!(embedded(text), None, "{text}");
    }
}

#[test]
fn first_and_last_address_of_each_range_are_in_it_and_their_neighbours_are_named_otherwise() {
    for range in SPECIAL_RANGES {
        assert!(range.contains(range.first), "{range}");
        if let IpAddr::V4(first) = range.first {
            let last = first.to_bits() | u32::MAX.checked_shr(u32::from(range.prefix_len)).unwrap_or(0);
            assert!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(last))), "{range}");
            if let Some(after) = last.checked_add(1) {
                assert!(!range.contains(IpAddr::V4(Ipv4Addr::from_bits(after))), "{range}");
            }
        }
    }
}

#[test]
fn public_addresses_are_not_special() {
    for text in ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
    {
        assert_eq!(special_range(text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn metadata_services_of_the_large_clouds_are_special() {
    for text in [
        "169.254.169.254", // AWS, Google, Azure, DigitalOcean, Hetzner, OpenStack
        "169.254.170.2",   // AWS, containers
        "fd00:ec2::254",   // AWS
        "fd20:ce::254",    // Google
        "100.100.100.200", // Alibaba
        "192.0.0.192",     // Oracle
        "168.63.129.16",   // Azure host services
        "::ffff:168.63.129.16",
    ] {
        assert!(special_range(text.parse().unwrap()).is_some(), "{text}");
    }
    assert!(special_range("168.63.129.17".parse().unwrap()).is_none());
}
