//! Posts to the collector: one connection each, tried again where OTLP/HTTP allows it.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::Endpoint;

/// From resolving the name to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the second, third … try. Short: meanwhile the queue fills.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];
/// Longest answer; it only says how many spans were refused.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Makes posts.
pub(crate) struct Poster {
    endpoint: Endpoint,
    tls: TlsConnector,
    /// Whether the last one was taken: only changes are told.
    is_well: AtomicBool,
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poster").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Poster {
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { endpoint, tls: TlsConnector::from(Arc::new(config)), is_well: AtomicBool::new(true) })
    }

    async fn post(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError> {
        let stream = TcpStream::connect(self.endpoint.host_and_port()).await?;
        if !self.endpoint.is_https {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(self.endpoint.host.clone())?;
        exchange(self.tls.connect(name, stream).await?, request).await
    }

    /// Tries until the collector answers for good, or the pauses are used up.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        head.uri = Uri::try_from(self.endpoint.path.as_str())?;
        head.headers.insert(header::HOST, self.endpoint.authority.parse()?);
        let mut pauses = PAUSES.iter();
        loop {
            let request = Request::from_parts(head.clone(), Full::new(body.clone()));
            let answered = match timeout(PATIENCE, self.post(request)).await {
                Ok(answered) => answered,
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs()).into()),
            };
            if !may_try_again(&answered) {
                return answered;
            }
            match pauses.next() {
                Some(pause) => sleep(*pause).await,
                None => return answered,
            }
        }
    }

    /// Tells the log when the collector begins or ceases to take traces.
    fn tell(&self, answered: &Result<Response<Bytes>, HttpError>) {
        let fault = match answered {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(error) => Some(with_cause(&**error)),
        };
        match (self.is_well.swap(fault.is_none(), Ordering::Relaxed), fault) {
            (true, Some(fault)) => {
                tracing::warn!(%fault, "the collector does not take traces; they are dropped and counted");
            }
            (false, None) => tracing::info!("traces go to the collector"),
            (true, None) | (false, Some(_)) => {}
        }
    }
}

impl HttpClient for Poster {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            let answered = self.send(request).await;
            self.tell(&answered);
            answered
        })
    }
}

/// OTLP/HTTP names the four statuses; a connection that fails may be better next time.
fn may_try_again(answered: &Result<Response<Bytes>, HttpError>) -> bool {
    match answered {
        Err(_) => true,
        Ok(response) => matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        ),
    }
}

async fn exchange<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection is polled here and ends here: nothing is left behind when the time is over.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok::<_, HttpError>(Response::from_parts(head, body))
    });
    tokio::select! {
        biased;
        answer = answered.as_mut() => answer,
        // However it ended: an answer that came before is still there to read.
        _ = connection.as_mut() => answered.await,
    }
}

fn with_cause(error: &(dyn Error + Send + Sync)) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
