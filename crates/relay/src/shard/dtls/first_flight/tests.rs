use std::sync::Arc;

use dimpl::{Dtls, Output};

use super::{super::cookie::expecting, *};

fn source() -> SocketAddr {
    "192.0.2.1:5000".parse().expect("an address")
}

fn doorkeeper(now: Instant) -> Doorkeeper {
    Doorkeeper::new(&super::super::config().expect("a configuration"), now).expect("randomness")
}

/// What a session has to say.
fn packets(session: &mut Dtls, now: Instant) -> Vec<Vec<u8>> {
    session.handle_timeout(now).expect("goes on");
    let (mut room, mut packets) = (vec![0; 20_000], Vec::new());
    loop {
        match session.poll_output(&mut room) {
            Output::Packet(packet) => packets.push(packet.to_vec()),
            Output::Timeout(_) => return packets,
            Output::PeerCert(_) | Output::KeyingMaterial(..) | _ => {}
        }
    }
}

/// A client of the library, and its first hello.
fn client(now: Instant, make: fn(Arc<dimpl::Config>, dimpl::DtlsCertificate, Instant) -> Dtls) -> (Dtls, Vec<u8>) {
    let config = Arc::new(dimpl::Config::builder().build().expect("a configuration"));
    let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
    let mut session = make(config, certificate, now);
    session.set_active(true);
    let hello = packets(&mut session, now).remove(0);
    (session, hello)
}

fn answer(judged: FirstFlight) -> Vec<u8> {
    match judged {
        FirstFlight::Answer(answer) => answer,
        other @ (FirstFlight::Proven(_) | FirstFlight::BadCookie | FirstFlight::Malformed) => panic!("{other:?}"),
    }
}

fn proven(judged: FirstFlight) -> Proven {
    match judged {
        FirstFlight::Proven(proven) => proven,
        other @ (FirstFlight::Answer(_) | FirstFlight::BadCookie | FirstFlight::Malformed) => panic!("{other:?}"),
    }
}

/// The client's second hello, after our answer to its first.
fn second_hello(session: &mut Dtls, now: Instant, answer: &[u8]) -> Vec<u8> {
    session.handle_packet(answer).expect("is understood");
    packets(session, now).remove(0)
}

#[test]
fn our_answers_are_the_librarys_byte_for_byte() {
    let now = Instant::now();
    let door = doorkeeper(now);
    for (make, new) in [
        (Dtls::new_12 as fn(_, _, _) -> _, Version::Dtls12),
        (Dtls::new_13, Version::Dtls13),
        (Dtls::new_auto, Version::Dtls13),
    ] {
        let (mut session, first) = client(now, make);
        let ours = answer(door.judge(now, source(), &first));
        let second = second_hello(&mut session, now, &ours);
        let proven = proven(door.judge(now, source(), &second));
        assert_eq!(proven.version, new);
        let config = Arc::new(super::super::config().expect("a configuration"));
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
        let mut server = match new {
            Version::Dtls12 => Dtls::new_12(config, certificate, now),
            Version::Dtls13 => Dtls::new_13(config, certificate, now),
        };
        expecting(Some(proven.cookie), || {
            server.handle_timeout(now).expect("starts");
            server.handle_packet(&first).expect("is understood");
            assert_eq!(packets(&mut server, now), [ours]);
            // And what the session is primed with instead is the hello itself, or all that counts of it.
            if new == Version::Dtls13 {
                assert_eq!(proven.primer, first);
            }
        });
    }
}

#[test]
fn a_cookie_from_another_address_or_time_opens_nothing() {
    let start = Instant::now();
    let door = doorkeeper(start);
    for make in [Dtls::new_12 as fn(_, _, _) -> _, Dtls::new_13] {
        let (mut session, first) = client(start, make);
        let second = second_hello(&mut session, start, &answer(door.judge(start, source(), &first)));
        proven(door.judge(start, source(), &second));
        let elsewhere = "192.0.2.1:5001".parse().expect("an address");
        assert!(matches!(door.judge(start, elsewhere, &second), FirstFlight::BadCookie));
        let later = start + std::time::Duration::from_secs(120);
        assert!(matches!(door.judge(later, source(), &second), FirstFlight::BadCookie));
    }
}

#[test]
fn answers_carry_the_hellos_record_number_and_are_no_larger_than_a_real_hello() {
    let now = Instant::now();
    let door = doorkeeper(now);
    for make in [Dtls::new_12 as fn(_, _, _) -> _, Dtls::new_13] {
        let (_, mut first) = client(now, make);
        first[10] = 9;
        let answer = answer(door.judge(now, source(), &first));
        assert_eq!(answer[5..11], [0, 0, 0, 0, 0, 9]);
        assert!(answer.len() <= first.len());
    }
}

#[test]
fn the_first_fragment_of_a_hello_is_answered_and_other_fragments_are_not() {
    let now = Instant::now();
    let door = doorkeeper(now);
    let (_, whole) = client(now, Dtls::new_13);
    let body = &whole[25..];
    let fragment = |range: std::ops::Range<usize>| {
        let mut bytes = hello::client_hello(0, 0, &body[range.clone()]);
        bytes[14..17].copy_from_slice(&whole[14..17]);
        bytes[19..22].copy_from_slice(&[0, 0, u8::try_from(range.start).expect("small")]);
        bytes
    };
    let answered = answer(door.judge(now, source(), &fragment(0..60)));
    assert_eq!(answered[13], HELLO_VERIFY_REQUEST, "in 1.2: nothing can be said of the rest");
    assert!(matches!(door.judge(now, source(), &fragment(60..100)), FirstFlight::Malformed));
    assert!(matches!(door.judge(now, source(), &fragment(0..20)), FirstFlight::Malformed));
}

#[test]
fn nothing_a_stranger_can_send_is_a_bug() {
    let now = Instant::now();
    let door = doorkeeper(now);
    for make in [Dtls::new_12 as fn(_, _, _) -> _, Dtls::new_13] {
        let (mut session, first) = client(now, make);
        let second = second_hello(&mut session, now, &answer(door.judge(now, source(), &first)));
        for hello in [first, second] {
            for len in 0..hello.len() {
                drop(door.judge(now, source(), &hello[..len]));
            }
            for at in 0..hello.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = hello.clone();
                    changed[at] = value;
                    drop(door.judge(now, source(), &changed));
                }
            }
        }
    }
}

#[test]
fn only_records_in_the_clear_are_renumbered() {
    let record = |content: u8, epoch: u8, number: u8, len: u8| {
        [vec![content, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number, 0, len], vec![7; usize::from(len)]].concat()
    };
    let mut datagram = [record(22, 0, 1, 5), record(20, 0, 2, 1), record(22, 1, 0, 40)].concat();
    renumber(&mut datagram, 0x0103);
    let mut expected = [record(22, 0, 4, 5), record(20, 0, 5, 1), record(22, 1, 0, 40)].concat();
    expected[9] = 1;
    expected[18 + 9] = 1;
    assert_eq!(datagram, expected);
    for mut other in [vec![], vec![22; 5], vec![0x2f; 40]] {
        let before = other.clone();
        renumber(&mut other, 1);
        assert_eq!(other, before);
    }
}
