//! A database made here, read by the real reader.

use std::{collections::BTreeMap, io::Write, net::Ipv4Addr};

use super::*;

#[test]
fn an_address_is_found_by_its_network_with_place_and_country() {
    let berlin = entry(Some((52.52, 13.4)), Some("DE"));
    let oslo = entry(None, Some("NO"));
    let file = written(&database(&[([203, 0, 113, 0], 24, berlin), ([198, 51, 0, 0], 16, oslo)]));
    let locator = open(file.path()).expect("a database");
    let place = |text: &str| locator.locate(text.parse().expect("an address"));
    let berlin = Place { coordinates: Some((52.52, 13.4)), country: Some("DE".to_owned()) };
    assert_eq!(place("203.0.113.0"), Some(berlin.clone()));
    assert_eq!(place("203.0.113.255"), Some(berlin));
    assert_eq!(place("198.51.7.9"), Some(Place { coordinates: None, country: Some("NO".to_owned()) }));
    for elsewhere in ["203.0.112.255", "203.0.114.0", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(place(elsewhere), None, "{elsewhere}");
    }
}

#[test]
fn what_is_no_database_is_told_at_once() {
    assert!(open(written(b"not a database").path()).is_err());
    assert!(open(Path::new("/nonexistent.mmdb")).is_err());
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

/// A record in the shape of GeoLite2 City.
fn entry(coordinates: Option<(f64, f64)>, country: Option<&str>) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some((latitude, longitude)) = coordinates {
        fields.push(("location", map(&[("latitude", double(latitude)), ("longitude", double(longitude))])));
    }
    if let Some(code) = country {
        fields.push(("country", map(&[("iso_code", text(code))])));
    }
    map(&fields)
}

/// A database of IPv4 networks with 24-bit records (MaxMind DB format, version 2.0).
fn database(networks: &[([u8; 4], u8, Vec<u8>)]) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::new();
    let mut tree: Vec<[Option<Child>; 2]> = vec![[None, None]];
    for (address, length, record) in networks {
        let bits = Ipv4Addr::from(*address).to_bits();
        let mut node = 0;
        for depth in 0..*length {
            let side = usize::from(bits & (1 << (31 - depth)) != 0);
            let is_last = depth + 1 == *length;
            node = match tree[node][side] {
                _ if is_last => {
                    tree[node][side] = Some(Child::Data(data.len()));
                    node
                }
                Some(Child::Node(next)) => next,
                _ => {
                    tree.push([None, None]);
                    let next = tree.len() - 1;
                    tree[node][side] = Some(Child::Node(next));
                    next
                }
            };
        }
        data.extend(record);
    }
    let count = tree.len();
    let number = |child: Option<Child>| match child {
        None => count,
        Some(Child::Node(index)) => index,
        Some(Child::Data(offset)) => count + 16 + offset,
    };
    let mut file: Vec<u8> = Vec::new();
    for child in tree.into_iter().flatten() {
        file.extend_from_slice(&u32::try_from(number(child)).expect("few").to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend(data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", uint(5, 2)),
        ("binary_format_minor_version", uint(5, 0)),
        ("build_epoch", uint(9, 1_790_000_000)),
        ("database_type", text("GeoLite2-City")),
        ("description", map(&[])),
        ("ip_version", uint(5, 4)),
        ("languages", vec![0x00, 0x04]),
        ("node_count", uint(6, u64::try_from(count).expect("few"))),
        ("record_size", uint(5, 24)),
    ]));
    file
}

#[derive(Clone, Copy)]
enum Child {
    Node(usize),
    Data(usize),
}

/// A type's number above 7 has a byte of its own.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let size = u8::try_from(size).ok().filter(|size| *size < 29).expect("short");
    if kind > 7 { vec![size, kind - 7] } else { vec![kind << 5 | size] }
}

fn text(text: &str) -> Vec<u8> {
    [control(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn double(number: f64) -> Vec<u8> {
    [control(3, 8), number.to_be_bytes().to_vec()].concat()
}

fn uint(kind: u8, number: u64) -> Vec<u8> {
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [control(kind, bytes.len()), bytes].concat()
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let sorted: BTreeMap<&str, &Vec<u8>> = fields.iter().map(|(name, value)| (*name, value)).collect();
    let pairs = sorted.into_iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    control(7, fields.len()).into_iter().chain(pairs).collect()
}
