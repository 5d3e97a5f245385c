//! Against a listener of our own: plain and TLS, silent and strange.

use causeway_app::{Cursor, EventPlace, ProjectId, WebhookId};
use causeway_types::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{NoAnswer, Question};

const AT: UnixTime = UnixTime::from_secs(1_790_000_000);

#[tokio::test]
async fn a_post_over_tls_reaches_a_trusted_receiver_and_no_other() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    });
    let url = format!("https://localhost:{port}/hooks");
    let trusting = Poster::new(PostSettings { trusted: vec![certificate], ..settings() }).expect("TLS");
    assert_eq!(trusting.post(&webhook(&url), &event(), 1, AT).await, Ok(200));
    let strict = Poster::new(settings()).expect("TLS");
    let refused = strict.post(&webhook(&url), &event(), 1, AT).await.expect_err("not trusted");
    assert!(refused.starts_with("TLS: "), "{refused}");
    receiver.abort();
}

#[tokio::test]
async fn a_silent_receiver_is_given_its_time_and_an_endless_answer_is_cut_off() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("bound"));
    let poster = Poster::new(settings()).expect("TLS");
    let failed = poster.post(&webhook(&url), &event(), 1, AT).await.expect_err("no answer");
    assert!(failed.starts_with("no answer within"), "{failed}");

    let endless = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", endless.local_addr().expect("bound"));
    let receiver = tokio::spawn(async move {
        let (stream, _) = endless.accept().await.expect("a connection");
        let text = format!("HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n{}", "x".repeat(4096));
        answer(stream, &text).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(poster.post(&webhook(&url), &event(), 1, AT).await, Ok(500));
    receiver.abort();
}

#[tokio::test]
async fn a_name_that_leads_to_a_closed_address_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let poster = Poster::new(PostSettings { policy: AddressPolicy::default(), ..settings() }).expect("TLS");
    for host in ["localhost", "127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        let refused = poster.post(&webhook(&url), &event(), 1, AT).await.expect_err("refused");
        assert!(refused.contains("is refused"), "{host}: {refused}");
    }
}

#[tokio::test]
async fn a_question_takes_a_success_of_bounded_size_and_nothing_else() {
    let poster = Poster::new(settings()).expect("TLS");
    let full = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for (answered, expected) in [
        (full("200 OK", "12345678"), Ok(b"12345678".to_vec())),
        (full("200 OK", "123456789"), Err(NoAnswer::TooLong)),
        (full("302 Found", "{}"), Err(NoAnswer::Status(302))),
        (full("500 No", "{}"), Err(NoAnswer::Status(500))),
        (String::new(), Err(NoAnswer::Late)),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let is_late = answered.is_empty();
        let receiver = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            if is_late {
                let _held = stream;
                return std::future::pending().await;
            }
            answer(stream, &answered).await;
        });
        let patience = if is_late { Duration::from_millis(50) } else { Duration::from_secs(20) };
        assert_eq!(poster.question(question(&url, patience)).await, expected);
        receiver.abort();
    }
    let closed = Poster::new(PostSettings { policy: AddressPolicy::default(), ..settings() }).expect("TLS");
    let refused = closed.question(question("http://127.0.0.1:9/", Duration::from_secs(20))).await;
    assert!(matches!(&refused, Err(NoAnswer::Failed(why)) if why.contains("is refused")), "{refused:?}");
}

fn question(url: &str, patience: Duration) -> Question<'_> {
    let (body, id) = ("{}".to_owned(), "1".to_owned());
    Question { url, secrets: &[], event: "call.service", id, body, patience, answer_bytes_max: 8 }
}

/// Reads a request's head and body, then answers.
async fn answer<I: AsyncRead + AsyncWrite + Unpin>(mut stream: I, text: &str) {
    let mut read = Vec::new();
    while !read.ends_with(b"{}") && stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {}
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
}

fn settings() -> PostSettings {
    let allow = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network")).to_vec();
    PostSettings {
        policy: AddressPolicy { allow, own: Vec::new() },
        allow_http: true,
        timeout: Duration::from_millis(1500),
        trusted: Vec::new(),
    }
}

fn webhook(url: &str) -> Webhook {
    Webhook {
        id: WebhookId(1),
        project: ProjectId(1),
        url: url.to_owned(),
        secrets: vec![Secret::new("s".to_owned())],
        events: Vec::new(),
        created_at: AT,
        place: EventPlace(0),
        delivered_to: Cursor(0),
        run: 0,
        is_disabled: false,
    }
}

fn event() -> StoredEvent {
    StoredEvent {
        cursor: Cursor(1),
        project: ProjectId(1),
        session: String::new(),
        name: "room.opened".to_owned(),
        at: AT,
        body: "{}".to_owned(),
    }
}
