//! One request to the provider: bounded in time and size, and no redirect is followed.

use std::{error::Error, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::issuer::Endpoint;

/// From resolving the name to the end of the answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What the provider answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Speaks HTTP/1.1, over TLS with the system's certificates.
#[derive(Clone)]
pub(crate) struct Fetcher {
    tls: TlsConnector,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

impl Fetcher {
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Gets a document; with `bearer` where that is asked for.
    pub(crate) async fn get(&self, from: &Endpoint, bearer: Option<&str>) -> Result<Answer, String> {
        let mut request = Request::get(&from.path);
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(from, request, Bytes::new()).await
    }

    /// Posts a form.
    pub(crate) async fn post(
        &self,
        to: &Endpoint,
        authorization: Option<String>,
        form: String,
    ) -> Result<Answer, String> {
        let mut request = Request::post(&to.path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.send(to, request, Bytes::from(form)).await
    }

    async fn send(&self, to: &Endpoint, request: hyper::http::request::Builder, body: Bytes) -> Result<Answer, String> {
        let request = request
            .header(header::HOST, &to.authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        match timeout(PATIENCE, self.send_in_time(to, request)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("{} gave no answer within {} s", to.authority, PATIENCE.as_secs())),
        }
    }

    async fn send_in_time(&self, to: &Endpoint, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let stream = connect(to).await?;
        if !to.is_https {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(to.host.clone()).map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| format!("TLS with {}: {error}", to.host))?;
        exchange(stream, request).await
    }
}

async fn connect(to: &Endpoint) -> Result<TcpStream, String> {
    let resolved = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
    let mut last = format!("{} has no address", to.host);
    for address in resolved.map_err(|error| format!("the name {} is not resolved: {error}", to.host))? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("no connection to {address}: {error}"),
        }
    }
    Err(last)
}

async fn exchange<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(64 * 1024).handshake(TokioIo::new(stream)).await.map_err(text)?;
    // The connection is polled here and ends here: nothing is left behind when the time is over.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(async move {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer is not read: {error}"))?.to_bytes();
        Ok(Answer { status, body })
    });
    tokio::select! {
        biased;
        answer = answered.as_mut() => answer,
        // However it ended: an answer that came before is still there to read.
        ended = connection.as_mut() => answered.await.map_err(|error| ended.err().map_or(error, text)),
    }
}

fn text(error: hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests;
