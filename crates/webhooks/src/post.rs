//! One post: resolve, judge, connect to the judged address, send, read the status.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use causeway_app::{StoredEvent, Webhook};
use causeway_types::UnixTime;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{address::AddressPolicy, signature::sign};

/// Longest URL.
pub const URL_BYTES_MAX: usize = 2048;
/// Read of an answer's body, so that a connection ends in order; the rest is thrown away.
const ANSWER_BYTES_MAX: usize = 1024;

/// How posts are made.
#[derive(Clone, Debug)]
pub struct PostSettings {
    /// Where to.
    pub policy: AddressPolicy,
    /// Whether `http:` URLs are taken: only for tests and closed networks.
    pub allow_http: bool,
    /// From resolving to the end of the answer.
    pub timeout: Duration,
    /// Certificates to trust besides those of the system.
    pub trusted: Vec<CertificateDer<'static>>,
}

/// Makes posts.
#[derive(Clone)]
pub(crate) struct Poster {
    settings: Arc<PostSettings>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poster").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A URL in the parts that matter.
#[derive(Clone, Debug)]
struct Target {
    is_https: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl PostSettings {
    /// Why no events can be posted to `url`. A name is judged when it is resolved, an address at once.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn check_url(&self, url: &str) -> Result<(), String> {
        let target = self.target(url)?;
        match target.host.parse() {
            Ok(ip) => self.policy.judge(SocketAddr::new(ip, target.port)),
            Err(_) => Ok(()),
        }
    }

    fn target(&self, url: &str) -> Result<Target, String> {
        let advice = || "write a URL like https://example.com/hooks".to_owned();
        if url.len() > URL_BYTES_MAX {
            return Err(format!("at most {URL_BYTES_MAX} bytes"));
        }
        let uri: Uri = url.parse().map_err(|_| advice())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.allow_http => false,
            Some("http") => return Err("only https: is posted to".to_owned()),
            _ => return Err(advice()),
        };
        let authority = uri.authority().ok_or_else(advice)?;
        if authority.as_str().contains('@') {
            return Err("a URL with a user or password is not taken".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(advice());
        }
        Ok(Target {
            is_https,
            host,
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl Poster {
    pub(crate) fn new(settings: PostSettings) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(settings.trusted.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { settings: Arc::new(settings), tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) fn settings(&self) -> &PostSettings {
        &self.settings
    }

    /// Posts; the status of the answer, or why there is none. Redirects are answers like any other.
    pub(crate) async fn post(
        &self,
        webhook: &Webhook,
        event: &StoredEvent,
        attempt: u32,
        at: UnixTime,
    ) -> Result<u16, String> {
        match timeout(self.settings.timeout, self.post_in_time(webhook, event, attempt, at)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} s", self.settings.timeout.as_secs_f32())),
        }
    }

    async fn post_in_time(
        &self,
        webhook: &Webhook,
        event: &StoredEvent,
        attempt: u32,
        at: UnixTime,
    ) -> Result<u16, String> {
        let headers = [
            ("user-agent", "causeway-webhooks/1".to_owned()),
            ("causeway-event", event.name.clone()),
            ("causeway-delivery", format!("{}-{}", webhook.id.0, event.cursor.0)),
            ("causeway-attempt", attempt.to_string()),
            ("causeway-signature", sign(&webhook.secrets, at, &event.body)),
        ];
        self.send(&webhook.url, &headers, event.body.clone()).await
    }

    /// Posts a JSON body with these headers; the status of the answer, or why there is none.
    pub(crate) async fn send(&self, url: &str, headers: &[(&str, String)], body: String) -> Result<u16, String> {
        self.ask(url, headers, body, ANSWER_BYTES_MAX).await.map(|(status, _)| status)
    }

    /// Posts a JSON body with these headers; the status of the answer and the beginning of its body, at least so many bytes
    /// where there are as many, or why there is none.
    pub(crate) async fn ask(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: String,
        read_max: usize,
    ) -> Result<(u16, Vec<u8>), String> {
        let target = self.settings.target(url)?;
        let request = Request::post(&target.path)
            .header(header::HOST, &target.authority)
            .header(header::CONTENT_TYPE, "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        let stream = self.connect(&target).await?;
        if !target.is_https {
            return exchange(stream, request, read_max).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
        exchange(stream, request, read_max).await
    }

    /// Resolves once, judges every address, and connects to one that was judged.
    async fn connect(&self, target: &Target) -> Result<TcpStream, String> {
        let resolved = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let addresses: Vec<SocketAddr> =
            resolved.map_err(|error| format!("the name is not resolved: {error}"))?.collect();
        for address in &addresses {
            self.settings.policy.judge(*address)?;
        }
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("no connection to {address}: {error}"),
            }
        }
        Err(last)
    }
}

async fn exchange<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
    request: Request<Full<Bytes>>,
    read_max: usize,
) -> Result<(u16, Vec<u8>), String> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(16 * 1024).handshake(TokioIo::new(stream)).await.map_err(text)?;
    // The connection is polled here and ends here: nothing is left behind when the time is over.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(async move {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while read.len() < read_max {
            let Some(Ok(frame)) = body.frame().await else { break };
            if let Some(data) = frame.data_ref() {
                read.extend_from_slice(data);
            }
        }
        Ok((status, read))
    });
    tokio::select! {
        biased;
        status = answered.as_mut() => status,
        // However it ended: an answer that came before, as of a receiver that just hangs up, is still there to read.
        ended = connection.as_mut() => answered.await.map_err(|error| ended.err().map_or(error, text)),
    }
}

fn text(error: hyper::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests;
