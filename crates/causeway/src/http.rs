//! The HTTP listeners: plain and TLS, HTTP/1.1 and HTTP/2, one set of routes.

mod under_way;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use causeway_api_http::{OverTls, Requester};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use self::under_way::UnderWay;

/// Connections at once over both listeners.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a TLS handshake, and the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may be without a request under way. Between two requests of HTTP/1.1 [`PATIENCE`] is over sooner.
const QUIET: Duration = Duration::from_secs(30);
/// How long a quiet connection may take to end in order.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A bound listener.
#[derive(Debug)]
pub(crate) struct HttpListener {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl HttpListener {
    /// Binds; with TLS when a configuration is given.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> anyhow::Result<Self> {
        use anyhow::Context;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} (HTTP)"))?;
        Ok(Self { listener, tls })
    }

    /// Where, and whether with TLS.
    pub(crate) fn bound(&self) -> anyhow::Result<(SocketAddr, bool)> {
        Ok((self.listener.local_addr()?, self.tls.is_some()))
    }

    /// Serves until `stop` changes; a full server leaves connections in the accept queue.
    pub(crate) async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let acceptor = self.tls.map(TlsAcceptor::from);
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.changed() => return,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, or a connection gone before it was taken: try again shortly.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
            tokio::spawn(async move {
                let requester = Requester(peer.ip());
                match acceptor {
                    None => answer(stream, requester, None, router, stop).await,
                    Some(acceptor) => {
                        if let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await {
                            answer(stream, requester, Some(OverTls), router, stop).await;
                        }
                    }
                }
                drop(permit);
            });
        }
    }
}

/// One connection until it ends, or until `stop` changes and its request is answered.
async fn answer<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
    requester: Requester,
    tls: Option<OverTls>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new());
    let under_way = UnderWay::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(requester);
        if let Some(tls) = tls {
            request.extensions_mut().insert(tls);
        }
        let one = under_way.begin();
        let answered = router.clone().oneshot(request);
        async move { answered.await.map(|response| response.map(|body| Body::new(one.until_the_end_of(body)))) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        // Whoever connects and asks for nothing would hold one of few places for ever.
        () = under_way.none_for(QUIET) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const HTTP2_AND_NOTHING_ELSE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

    #[tokio::test(start_paused = true)]
    async fn whoever_connects_and_asks_for_nothing_is_let_go() {
        for said in [&b""[..], b"PRI * HT", HTTP2_AND_NOTHING_ELSE] {
            let (mut client, server) = duplex(4096);
            let (_stop, stopped) = watch::channel(false);
            client.write_all(said).await.unwrap();
            let began = Instant::now();
            let requester = Requester(Ipv4Addr::LOCALHOST.into());
            let answered = answer(server, requester, None, Router::new(), stopped);
            timeout(2 * QUIET, answered).await.unwrap_or_else(|_| panic!("it is held after {said:?}"));
            assert!(began.elapsed() >= QUIET, "{said:?}");
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
        }
    }
}
