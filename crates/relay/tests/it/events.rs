//! What the data plane tells the control plane, over real sockets.

use causeway_types::{ClientSecurity, ClientTransport, RelayEvent, TrafficCount, TrafficCounters};
use rustls::CipherSuite;

use crate::{
    client::{Client, PATIENCE},
    server::{Server, start},
};

/// Takes events until `wanted` finds one.
fn event<T>(server: &Server, wanted: impl Fn(&RelayEvent) -> Option<T>) -> T {
    loop {
        let event = server.handle.events().recv_timeout(PATIENCE).expect("an event");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

fn security_of(server: &Server, client: &mut Client) -> Option<ClientSecurity> {
    client.allocate(false);
    event(server, |event| {
        let RelayEvent::AllocationCreated { security, .. } = event else { return None };
        Some(*security)
    })
}

#[test]
fn the_cipher_suite_is_told_as_openssl_names_it() {
    let server = start();
    for (suite, version, cipher) in [
        (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ] {
        let mut client = Client::tls_with(&server, |offered| offered == suite);
        assert_eq!(security_of(&server, &mut client), Some(ClientSecurity { version, cipher }));
    }
    let mut client = Client::new(&server, ClientTransport::Dtls, false);
    let told = security_of(&server, &mut client).expect("a DTLS session");
    assert_eq!(told.version, "DTLSv1.2");
    assert!(told.cipher.starts_with("ECDHE-ECDSA-"), "{told:?}");
    for transport in [ClientTransport::Udp, ClientTransport::Tcp] {
        assert_eq!(security_of(&server, &mut Client::new(&server, transport, false)), None);
    }
}

#[test]
fn figures_of_relayed_bursts_are_told_on_the_way_and_exact_at_the_end() {
    for transport in [ClientTransport::Udp, ClientTransport::Tls] {
        let server = start();
        let mut alice = Client::new(&server, transport, false);
        let mut bob = Client::new(&server, transport, false);
        let (near, far) = (alice.allocate(false), bob.allocate(false));
        alice.bind_channel(0x4000, far);
        bob.bind_channel(0x4000, near);
        let rounds = 1100_u64;
        for _ in 0..rounds {
            for _ in 0..2 {
                alice.send_channel(0x4000, &[7; 101]);
            }
            for _ in 0..2 {
                assert!(bob.receive_channel(PATIENCE).is_some());
            }
        }
        let before = server.handle.allocations();
        let id = before.iter().find(|a| a.relayed[0] == Some(near)).expect("alice's").id;
        assert!(server.handle.terminate(id));
        let reports = std::cell::Cell::new(0);
        let (traffic, messages) = event(&server, |event| {
            if matches!(event, RelayEvent::TrafficCounted { allocation, .. } if *allocation == id) {
                reports.set(reports.get() + 1);
            }
            let RelayEvent::AllocationEnded { allocation, traffic, messages, .. } = event else { return None };
            (*allocation == id).then_some((*traffic, *messages))
        });
        let message = if transport == ClientTransport::Udp { 105 } else { 108 };
        let from_client = TrafficCount { packets: 2 * rounds, bytes: 2 * rounds * 101 };
        assert_eq!(traffic, TrafficCounters { from_client, to_client: TrafficCount::default() });
        // Over UDP the tests' client may have repeated a request.
        let control = messages.from_client.packets - 2 * rounds;
        assert!((2..=6).contains(&control), "{messages:?}");
        let control_bytes = messages.from_client.bytes.checked_sub(2 * rounds * message);
        assert!(control_bytes.is_some_and(|n| (100 * control..200 * control).contains(&n)), "{messages:?}");
        assert_eq!(reports.get(), (4 * rounds + control + messages.to_client.packets) / 4096);
    }
}
