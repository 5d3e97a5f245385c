//! The HTTP listeners: plain and TLS, HTTP/1.1 and HTTP/2, one set of routes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use causeway_api_http::{OverTls, Requester};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
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

/// Connections at once over both listeners.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a TLS handshake, and the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(requester);
        if let Some(tls) = tls {
            request.extensions_mut().insert(tls);
        }
        request
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended early");
    }
}
