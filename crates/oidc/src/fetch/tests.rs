//! Against a server of the tests' own, on a port of its own.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::issuer::Issuer;

/// What one request to a server that answers so gives.
async fn answered(answer: Vec<u8>) -> Result<Answer, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://127.0.0.1:{}", listener.local_addr().expect("it is bound").port());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await.expect("a request");
        // Whoever has read enough hangs up.
        stream.write_all(&answer).await.ok();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let issuer: Issuer = url.parse().expect("an issuer");
    let endpoint = issuer.endpoint(&format!("{url}/keys?a=b")).expect("on this host");
    let fetched = Fetcher::new().expect("TLS starts").get(&endpoint, Some("token")).await;
    let request = served.await.expect("it served");
    assert!(request.starts_with("GET /keys?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer token\r\n"), "{request}");
    fetched
}

fn with_body(len: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + len, b' ');
    answer
}

#[tokio::test]
async fn an_answer_has_a_longest_length() {
    let most = answered(with_body(ANSWER_BYTES_MAX)).await.unwrap();
    assert_eq!((most.status, most.body.len()), (StatusCode::OK, ANSWER_BYTES_MAX));
    assert!(answered(with_body(ANSWER_BYTES_MAX + 1)).await.unwrap_err().contains("not read"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let to = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
    assert_eq!(answered(to).await.unwrap().status, StatusCode::FOUND);
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    assert!(answered(b"SSH-2.0-OpenSSH\r\n".to_vec()).await.is_err());
    assert!(answered(Vec::new()).await.is_err(), "hung up");
    assert!(answered(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec()).await.is_err());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    tokio::time::pause();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://127.0.0.1:{}", listener.local_addr().expect("it is bound").port());
    let endpoint = url.parse::<Issuer>().expect("an issuer").endpoint(&url).expect("on this host");
    let fetched = Fetcher::new().expect("TLS starts").get(&endpoint, None).await;
    assert!(fetched.unwrap_err().contains("no answer within 10 s"));
}
