//! The WebSocket: from the upgrade to the last frame.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        FromRequestParts, Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, close_code},
    },
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::requester;
use causeway_app::ClientPlace;
use causeway_signal_core::Pace;
use causeway_switchboard::{Inbox, ToClient};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    VertoLimit, VertoService, VertoStore,
    client::{Client, Write, traits},
    service::Seat,
    sessions::{Control, Left},
};

/// How long one frame may take to be written.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Buffers of a connection: most are idle, and frames are rare.
const BUFFER_BYTES: usize = 2 * 1024;
/// Messages of the rest of the server that may wait: one of each kind is enough.
const CONTROLS_MAX: usize = 4;
/// Longest reconnect token that is looked at.
const TOKEN_BYTES_MAX: usize = 64;

/// Takes an upgrade; anything else is told what is here.
pub(crate) async fn upgrade<S: VertoStore>(State(service): State<Arc<VertoService<S>>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        let text = "a WebSocket for voice clients: JSON-RPC in text frames\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], text).into_response();
    };
    if *service.draining.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server drains\n").into_response();
    }
    let address = requester(&parts.extensions);
    let seat = match service.seat(address) {
        Ok(seat) => seat,
        Err(limit) => {
            service.counters.limit(limit);
            return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
        }
    };
    let token = reconnect_token(parts.uri.query().unwrap_or_default());
    let bytes_max = service.settings.frame_bytes_max;
    upgrade
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * bytes_max)
        .on_upgrade(move |socket| serve(socket, service, token, seat))
}

/// Takes an upgrade of any other path, as the application's `host` option may name it; the request comes back if it is none.
/// Other families' WebSockets offer a subprotocol, sign their query, or live under `/api/`.
///
/// # Errors
/// The request, when it is somebody else's.
pub async fn take<S: VertoStore>(service: &Arc<VertoService<S>>, request: Request) -> Result<Response, Box<Request>> {
    let headers = request.headers();
    let wants_socket = headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let is_ours = wants_socket
        && request.method() == Method::GET
        && !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)
        && !request.uri().path().starts_with("/api/")
        && !request.uri().query().is_some_and(|query| query.contains("X-Amz-"));
    if is_ours { Ok(upgrade(State(Arc::clone(service)), request).await) } else { Err(Box::new(request)) }
}

/// `voice_sdk_id` of the query; every other parameter is ignored.
fn reconnect_token(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("voice_sdk_id="))?;
    let is_token = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (is_token && (1..=TOKEN_BYTES_MAX).contains(&value.len())).then(|| value.to_owned())
}

async fn serve<S: VertoStore>(
    mut socket: WebSocket,
    service: Arc<VertoService<S>>,
    token: Option<String>,
    seat: Seat<S>,
) {
    let (connection, inbox) = service.board.connect(traits(service.settings.resumable_for));
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let draining = service.draining.subscribe();
    let address = seat.address();
    let (places, id) = (Arc::clone(&service.places), connection.id());
    places.put(id, ClientPlace { dialect: "verto", address, user_agent: None });
    let client = Client::new(service, connection, address, token, control);
    let mut wire = Wire { client, inbox, controls, draining, frames: Pace::default() };
    let over = wire.hold(&mut socket).await;
    let close = |code, reason| Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) });
    let frame = match over {
        Over::Gone => {
            wire.client.gone();
            None
        }
        Over::Resumable(code, reason) => {
            wire.client.gone();
            close(code, reason)
        }
        Over::Ended(code, reason) => {
            wire.client.ended();
            close(code, reason)
        }
        Over::Taken(to) => {
            wire.client.hand_over(to);
            close(close_code::NORMAL, "taken over")
        }
    };
    places.remove(id);
    drop(seat);
    // The client may be gone already, or read nothing; it was told as far as it could be.
    if frame.is_some() && matches!(timeout(WRITE_PATIENCE, socket.send(Frame::Close(frame))).await, Ok(Ok(()))) {
        let last_words = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _is_acknowledged = timeout(Duration::from_secs(1), last_words).await;
    }
}

/// Why a connection is over.
enum Over {
    /// Its client is gone and may come back.
    Gone,
    /// The same, and it is told.
    Resumable(u16, &'static str),
    /// Its session is over too.
    Ended(u16, &'static str),
    /// A newer connection has the session.
    Taken(oneshot::Sender<Left>),
}

/// What happened on a connection.
enum Step {
    Frame(Option<Result<Frame, axum::Error>>),
    Told(Option<Box<ToClient>>),
    Control(Option<Control>),
    Time,
    Drain,
}

struct Wire<S> {
    client: Client<S>,
    inbox: Inbox,
    controls: mpsc::Receiver<Control>,
    draining: watch::Receiver<bool>,
    frames: Pace,
}

impl<S: VertoStore> Wire<S> {
    async fn hold(&mut self, socket: &mut WebSocket) -> Over {
        let mut is_draining = false;
        loop {
            let far = Instant::now() + Duration::from_secs(3600);
            let wake = self.client.deadline().unwrap_or(far);
            let step = tokio::select! {
                told = self.inbox.recv() => Step::Told(told),
                control = self.controls.recv() => Step::Control(control),
                frame = socket.recv() => Step::Frame(frame),
                () = tokio::time::sleep_until(wake.into()) => Step::Time,
                // The sender lives in the service, which this task holds.
                _ = self.draining.changed() => Step::Drain,
            };
            let over = match step {
                Step::Told(Some(told)) => {
                    self.client.told(*told);
                    None
                }
                Step::Told(None) => Some(Over::Ended(close_code::POLICY, "cut off")),
                Step::Control(Some(Control::HandOver(to))) => {
                    self.client.punt();
                    self.flush(socket).await;
                    return Over::Taken(to);
                }
                Step::Control(Some(Control::Punt)) => {
                    self.client.punt();
                    self.flush(socket).await;
                    return Over::Ended(close_code::POLICY, "sent away");
                }
                // The client holds the sender.
                Step::Control(None) => None,
                Step::Frame(frame) => self.hear(frame).await,
                Step::Time => self.client.wake().then_some(Over::Ended(close_code::POLICY, "not logged in")),
                Step::Drain => {
                    is_draining = true;
                    None
                }
            };
            if let Some(over) = self.flush(socket).await.or(over) {
                return over;
            }
            if is_draining && !self.client.has_calls() {
                return Over::Resumable(close_code::RESTART, "the server drains");
            }
        }
    }

    async fn hear(&mut self, frame: Option<Result<Frame, axum::Error>>) -> Option<Over> {
        let text = match frame {
            None | Some(Ok(Frame::Close(_))) => return Some(Over::Gone),
            Some(Err(error)) => return Some(self.fault(&error)),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => return None,
            Some(Ok(Frame::Binary(_))) => return Some(Over::Ended(close_code::UNSUPPORTED, "text frames only")),
            Some(Ok(Frame::Text(text))) => text,
        };
        let per_sec = self.client.service().settings.frames_per_sec;
        if !self.frames.take(Instant::now(), per_sec) {
            self.client.service().counters.limit(VertoLimit::Frames);
            while !self.frames.take(Instant::now(), per_sec) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.client.heard(&text);
        None
    }

    /// Everything the agent wants, until it wants nothing more.
    async fn flush(&mut self, socket: &mut WebSocket) -> Option<Over> {
        while let Some(wanted) = self.client.next().await {
            let over = match wanted {
                Write::Text(text) => write(socket, text).await,
                Write::Probe(bytes) => probe(socket, bytes).await,
                Write::Close => Some(Over::Resumable(close_code::AWAY, "no sign of life")),
            };
            if over.is_some() {
                return over;
            }
        }
        None
    }

    /// A frame that cannot be read ends a connection; one that is too large is told so.
    fn fault(&self, error: &axum::Error) -> Over {
        if error.to_string().contains("too long") {
            self.client.service().counters.limit(VertoLimit::FrameBytes);
            Over::Ended(close_code::SIZE, "frame too large")
        } else {
            Over::Gone
        }
    }
}

async fn write(socket: &mut WebSocket, text: String) -> Option<Over> {
    match timeout(WRITE_PATIENCE, socket.send(Frame::Text(text.into()))).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) | Err(_) => Some(Over::Gone),
    }
}

/// The bandwidth probe's own dots, and how long they took.
async fn probe(socket: &mut WebSocket, bytes: usize) -> Option<Over> {
    let start = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let n = left.min(1024);
        left -= n;
        if let Some(over) = write(socket, format!("#SPB{}", ".".repeat(n))).await {
            return Some(over);
        }
    }
    write(socket, format!("#SPD{}", start.elapsed().as_millis())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reconnect_token_is_found_among_parameters_that_are_ignored() {
        for (query, expected) in [
            ("voice_sdk_id=abc-_9", Some("abc-_9")),
            ("tenant=7&voice_sdk_id=x&canary=true", Some("x")),
            ("voice_sdk_id=", None),
            ("voice_sdk_id=a%20b", None),
            ("tenant=7", None),
            ("", None),
        ] {
            assert_eq!(reconnect_token(query).as_deref(), expected, "{query}");
        }
        assert_eq!(reconnect_token(&format!("voice_sdk_id={}", "a".repeat(65))), None);
    }
}
