use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::redis::fixtures::{leg, session};

const SECURITY: ClientSecurity = ClientSecurity { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" };

#[test]
fn status_values_are_those_coturn_writes() {
    let lifetime = Duration::from_secs(777);
    let udp = leg(ClientTransport::Udp, "127.0.0.1:13478", "127.0.0.1:52097");
    assert_eq!(
        status(Word::New, lifetime, &udp, None),
        "new lifetime=777, type=UDP, local=127.0.0.1:13478, remote=127.0.0.1:52097, ssl=NONE, cipher=NONE"
    );
    let tls = leg(ClientTransport::Tls, "127.0.0.1:13478", "127.0.0.1:48426");
    assert_eq!(
        status(Word::Refreshed, Duration::ZERO, &tls, Some(SECURITY)),
        "refreshed lifetime=0, type=TLS/TCP, local=127.0.0.1:13478, remote=127.0.0.1:48426, ssl=TLSv1.3, \
         cipher=TLS_AES_256_GCM_SHA384"
    );
    let v6 = leg(ClientTransport::Tcp, "[::1]:13478", "[::1]:35176");
    assert_eq!(
        status(Word::New, lifetime, &v6, None),
        "new lifetime=777, type=TCP, local=[::1]:13478, remote=[::1]:35176, ssl=NONE, cipher=NONE"
    );
    let dtls = leg(ClientTransport::Dtls, "127.0.0.1:1", "127.0.0.1:2");
    assert!(status(Word::New, lifetime, &dtls, Some(SECURITY)).contains(", type=DTLS, "));
}

#[test]
fn both_prefixes_and_all_five_leaves_are_written_as_coturn_writes_them() {
    let mut start = (*session(1, "1795310959:carol")).clone();
    start.number = 1_000_000_000_000_011;
    let head = "turn/realm/example.test/user/1795310959:carol/allocation/001000000000000011/";
    for (leaf, tail) in [
        (Leaf::Status, "status"),
        (Leaf::Traffic, "traffic"),
        (Leaf::PeerTraffic, "traffic/peer"),
        (Leaf::TotalTraffic, "total_traffic"),
        (Leaf::TotalPeerTraffic, "total_traffic/peer"),
    ] {
        assert_eq!(object(&start, leaf), format!("{head}{tail}"));
    }
    start.realm = Arc::from("");
    assert_eq!(object(&start, Leaf::Status), "turn/user/1795310959:carol/allocation/001000000000000011/status");
    start.username = Arc::from("");
    assert_eq!(object(&start, Leaf::Status), "turn/user//allocation/001000000000000011/status");
}

proptest! {
    #[test]
    fn a_key_is_read_back_from_both_ends_whatever_the_name(
        username in "\\PC{0,40}",
        realm in "[a-z.]{1,10}",
        number in 0..1_000_000_000_000_000_000_u64,
    ) {
        let mut start = (*session(1, &username)).clone();
        (start.number, start.realm) = (number, Arc::from(realm.as_str()));
        let key = object(&start, Leaf::Status);
        let (head, tail) = key.rsplit_once("/allocation/").expect("every key has it");
        prop_assert_eq!(head, format!("turn/realm/{realm}/user/{username}"));
        let digits = tail.strip_suffix("/status").expect("the leaf is last");
        prop_assert_eq!(digits.len(), 18);
        prop_assert_eq!(digits.parse::<u64>().expect("digits"), number);
    }

    #[test]
    fn traffic_is_four_numbers_in_coturns_order(a: u64, b: u64, c: u64, d: u64) {
        let text = traffic(TrafficCount { packets: a, bytes: b }, TrafficCount { packets: c, bytes: d });
        prop_assert_eq!(text, format!("rcvp={a}, rcvb={b}, sentp={c}, sentb={d}"));
    }
}
