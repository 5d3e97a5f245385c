//! What is asked of a provider, and when.

use std::net::SocketAddr;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn oidc(port: u16) -> Oidc {
    Oidc::new(OidcSettings {
        issuer: format!("http://127.0.0.1:{port}").parse().expect("an issuer"),
        client_id: "console".to_owned(),
        client_secret: None,
        redirect_uri: "http://127.0.0.1:8080/api/v1/auth/oidc/callback".to_owned(),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        name: "Example ID".to_owned(),
    })
    .expect("TLS starts")
}

/// Serves metadata until it is aborted.
async fn provider(names_itself: bool) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let base = format!("http://127.0.0.1:{port}");
    let body = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/auth?tenant=1"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "authorization_response_iss_parameter_supported": names_itself,
    })
    .to_string();
    let serve = async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.expect("a request") > 0, "the caller closed without asking");
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        }
    };
    (port, tokio::spawn(serve))
}

/// A port where nobody listens.
async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn answer(flow: &str, state: &str) -> ProviderAnswer {
    ProviderAnswer { flow: flow.to_owned(), state: state.to_owned(), ..ProviderAnswer::default() }
}

#[tokio::test]
async fn the_way_to_the_provider_carries_what_ties_the_answer_to_the_browser() {
    let (port, server) = provider(false).await;
    let oidc = oidc(port);
    let departure = oidc.begin(NOW).await.unwrap();
    let flow = Flow::resume(departure.flow.expose(), NOW).unwrap();
    let url = departure.url;
    assert!(
        url.starts_with(&format!("http://127.0.0.1:{port}/auth?tenant=1&response_type=code&client_id=console&")),
        "{url}"
    );
    for part in [
        format!("&state={}", flow.state()),
        format!("&nonce={}", flow.nonce()),
        format!("&code_challenge={}&code_challenge_method=S256", flow.challenge()),
        "&scope=openid+email".to_owned(),
    ] {
        assert!(url.contains(&part), "{url}");
    }
    assert!(!url.contains(flow.verifier().expose()), "the verifier stays here");
    assert_ne!(oidc.begin(NOW).await.unwrap().flow.expose(), departure.flow.expose());
    assert_eq!(oidc.figures(), Figures { answered: 1, failed: 0 }, "metadata is believed for a while");
    server.abort();
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_once_and_then_left_alone() {
    let oidc = oidc(nobody().await);
    for _ in 0..5 {
        assert!(matches!(oidc.begin(NOW).await, Err(ProviderError::Unreachable(_))));
    }
    assert_eq!(oidc.figures(), Figures { answered: 0, failed: 1 });
}

#[tokio::test]
async fn sixteen_requests_are_under_way_at_most() {
    let oidc = oidc(nobody().await);
    let mut held: Vec<_> = (1..REQUESTS_AT_ONCE_MAX).map(|_| oidc.permit().unwrap()).collect();
    assert!(matches!(oidc.look_up().await, Err(ProviderError::Unreachable(_))), "the sixteenth");
    held.push(oidc.permit().unwrap());
    assert!(matches!(oidc.look_up().await, Err(ProviderError::Busy)), "the seventeenth");
    assert_eq!(oidc.figures().failed, 1);
}

#[tokio::test]
async fn an_answer_of_no_flow_asks_the_provider_nothing() {
    let oidc = oidc(nobody().await);
    let flow = Flow::begin([7; 32], NOW);
    let kept = flow.kept();
    let late = UnixTime::from_secs(NOW.as_secs() + 600);
    for (flow, state, now) in [
        ("", flow.state(), NOW),
        (kept.expose(), String::new(), NOW),
        (kept.expose(), Flow::begin([8; 32], NOW).state(), NOW),
        (kept.expose(), flow.state(), late),
    ] {
        assert_eq!(oidc.finish(&answer(flow, &state), now).await, Err(ProviderError::Stale));
    }
    assert_eq!(oidc.figures(), Figures::default());
}

#[tokio::test]
async fn an_answer_names_its_issuer_where_the_provider_does() {
    let flow = Flow::begin([7; 32], NOW);
    let mut brought = answer(flow.kept().expose(), &flow.state());
    brought.error = Some("access_denied\r\n<b>".to_owned());
    let denied = Err(ProviderError::Denied("access_deniedb".to_owned()));
    for names_itself in [false, true] {
        let (port, server) = provider(names_itself).await;
        let oidc = oidc(port);
        brought.issuer = None;
        let unnamed = oidc.finish(&brought, NOW).await;
        if names_itself {
            assert!(matches!(unnamed, Err(ProviderError::Refused(_))))
        } else {
            assert_eq!(unnamed, denied)
        }
        brought.issuer = Some("http://evil.example".to_owned());
        assert!(matches!(oidc.finish(&brought, NOW).await, Err(ProviderError::Refused(_))));
        brought.issuer = Some(format!("http://127.0.0.1:{port}"));
        assert_eq!(oidc.finish(&brought, NOW).await, denied);
        server.abort();
    }
}

#[tokio::test]
async fn an_answer_without_code_is_refused() {
    let (port, server) = provider(false).await;
    let oidc = oidc(port);
    let flow = Flow::begin([7; 32], NOW);
    for code in [None, Some(String::new()), Some("a".repeat(CODE_BYTES_MAX + 1))] {
        let brought = ProviderAnswer { code, ..answer(flow.kept().expose(), &flow.state()) };
        assert!(matches!(oidc.finish(&brought, NOW).await, Err(ProviderError::Refused(_))));
    }
    assert_eq!(oidc.figures().answered, 1, "metadata only");
    server.abort();
}
