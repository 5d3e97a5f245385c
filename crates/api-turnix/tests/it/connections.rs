//! What happens on one connection: requests in a row, upgrades, slow and broken bodies.

use tokio::io::AsyncWriteExt;

use crate::world::{FORM, MINT, World, head_of, read_answer};

const UPGRADE: &str = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                       HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n";

#[tokio::test]
async fn a_connection_serves_many_requests_and_one_upgrade_offer_does_not_end_it() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    for more in [UPGRADE, "Content-Length: 0\r\n", "", UPGRADE] {
        stream.write_all(head_of("POST", MINT, more).as_bytes()).await.expect("an open connection");
        let answer = read_answer(&mut stream, false).await;
        assert!(answer.bytes.starts_with("HTTP/1.1 200 OK\r\n"), "{more:?}: {}", answer.bytes);
        assert_eq!((answer.header("upgrade"), answer.header("connection")), (None, None), "{more:?}");
    }
    assert_eq!(world.records().len(), 4);
}

#[tokio::test]
async fn requests_may_be_sent_before_the_answers_are_read() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    let one = head_of("POST", MINT, "");
    stream.write_all(one.repeat(3).as_bytes()).await.expect("an open connection");
    for _ in 0..3 {
        // Answers may arrive together: read them one byte past the other.
        let mut first = String::new();
        while !first.ends_with("\"local\"}") {
            let mut byte = [0];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await.expect("an answer");
            first.push(char::from(byte[0]));
        }
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    }
}

#[tokio::test]
async fn a_refused_request_with_a_body_is_answered_and_the_connection_goes_on() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    let body = "x".repeat(16 * 1024);
    let head = format!("POST {MINT} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 16384\r\n\r\n");
    for _ in 0..3 {
        stream.write_all([head.as_str(), &body].concat().as_bytes()).await.expect("an open connection");
        read_answer(&mut stream, false).await.assert_error(401, "missing_token");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_read_before_it_is_refused() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    for size in [16 * 1024 + 1, 100_000, 1_000_000] {
        let head = head_of("POST", MINT, &format!("Content-Type: {FORM}\r\nContent-Length: {size}\r\n"));
        let request = [head.as_bytes(), "x".repeat(size).as_bytes()].concat();
        stream.write_all(&request).await.expect("all of it is taken, and the connection goes on");
        read_answer(&mut stream, false).await.assert_error(413, "body_too_large");
    }
    let exactly = format!("extra={}", "x".repeat(16 * 1024 - 6));
    assert_eq!(world.post(MINT, Some(FORM), exactly).await.status, 200, "16 KiB are taken");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_malformed() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    let head = head_of("POST", MINT, &format!("Content-Type: {FORM}\r\nContent-Length: 100\r\n"));
    stream.write_all(format!("{head}room=de").as_bytes()).await.expect("an open connection");
    stream.shutdown().await.expect("an open connection");
    read_answer(&mut stream, false).await.assert_error(400, "malformed_body");
    assert!(world.records().is_empty());
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let world = World::start().await;
    let mut stream = world.connect().await;
    let head = head_of("POST", MINT, &format!("Content-Type: {FORM}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"));
    stream.write_all(head.as_bytes()).await.expect("an open connection");
    let mut interim = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut interim).await.expect("an interim answer");
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"room=demo").await.expect("an open connection");
    assert_eq!(read_answer(&mut stream, false).await.status, 200);
    assert_eq!(world.last_record().room.expect("a room").as_str(), "demo");
}
