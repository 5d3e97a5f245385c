//! The signalling WebSocket: from the signed upgrade to the last frame (`compat/aws-kvs.md#signalling`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use causeway_app::ChannelAction;
use causeway_credentials::sigv4;
use causeway_signal_core::{ChannelId, CloseReason, Pace, Peer};
use tokio::time::timeout;

use crate::{
    ApiState, KvsStore,
    arn::{is_client_id, is_reserved_client_id},
    call::dress,
    error::KvsError,
    fields::read_arn,
    frames::{self, FRAME_BYTES_MAX},
    hub::{Attached, FLOOD, MALFORMED},
    ice::attach_error,
    mailbox::{End, Event},
    signed::authenticate,
};

/// How often the server pings, and how long a peer may be silent after that.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long one frame may take to be written.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Buffers of a connection: most are idle, and frames are rare.
const BUFFER_BYTES: usize = 1024;
/// Frames of any kind per second; a peer that sends more is read no faster.
const FRAMES_PER_SEC: u32 = 200;

/// Takes upgrades of `/` that are signed as AWS clients sign; anything else goes on to the routes.
pub(crate) async fn upgrade<S: KvsStore>(
    State(state): State<Arc<ApiState<S>>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_ours(&request) {
        return next.run(request).await;
    }
    let (mut parts, _) = request.into_parts();
    let mut response = open(&state, &mut parts).await.unwrap_or_else(|error| {
        state.hub.refusals.note(error.name());
        error.into_response()
    });
    dress(&mut response, parts.extensions.get());
    response
}

fn is_ours(request: &Request) -> bool {
    let wants_socket = request
        .headers()
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    request.method() == Method::GET
        && request.uri().path() == "/"
        && wants_socket
        && request.uri().query().is_some_and(is_signed_query)
}

/// Whether a query is signed, or meant to be.
pub(crate) fn is_signed_query(query: &str) -> bool {
    query.contains("X-Amz-")
}

async fn open<S: KvsStore>(state: &Arc<ApiState<S>>, parts: &mut Parts) -> Result<Response, KvsError> {
    let key = authenticate(state, parts, b"").await?;
    let query = parts.uri.query().unwrap_or_default();
    let value =
        |name: &str| sigv4::query_value(query, name).map_err(|()| KvsError::invalid(format!("{name} is given twice.")));
    let arn = value("X-Amz-ChannelARN")?.ok_or_else(|| KvsError::invalid("X-Amz-ChannelARN must be given."))?;
    let arn = read_arn("X-Amz-ChannelARN", &arn)?;
    let client = value("X-Amz-ClientId")?;
    if client.as_deref().is_some_and(|id| !is_client_id(id) || is_reserved_client_id(id)) {
        return Err(KvsError::invalid("X-Amz-ClientId has a value that is not allowed."));
    }
    let (action, name) = match &client {
        Some(_) => (ChannelAction::ConnectAsViewer, "ConnectAsViewer"),
        None => (ChannelAction::ConnectAsMaster, "ConnectAsMaster"),
    };
    if !key.grant.allows(action, &arn.name) || client.is_some() && !key.grant.allows_client(client.as_deref()) {
        return Err(KvsError::access_denied(name));
    }
    let settings = &state.settings;
    let per_sec = settings.profile.connects_per_sec;
    if !state.rates.take(key.project, action, &arn.name, client.as_deref(), per_sec) {
        return Err(KvsError::too_fast());
    }
    if arn.region != settings.region || arn.account != settings.account {
        return Err(KvsError::not_found());
    }
    let channel = state.store.signal_channel(key.project, &arn.name).await?;
    let channel = channel.filter(|channel| arn.names(channel)).ok_or_else(KvsError::not_found)?;
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
    let upgrade = upgrade.map_err(|_| KvsError::invalid("The WebSocket handshake is incomplete."))?;
    let peer = client.map_or(Peer::Master, |id| Peer::Viewer(Arc::from(id)));
    let attached = state.hub.attach(ChannelId(channel.id.0), peer, channel.message_ttl).await.map_err(attach_error)?;
    Ok(upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * FRAME_BYTES_MAX)
        .on_upgrade(move |socket| serve(socket, attached)))
}

/// Why a connection is over.
enum Over {
    /// Its peer is gone.
    Gone,
    /// It is cut off, since nothing can be told to it: a word for the metric.
    CutOff(&'static str),
    /// It is told: a word for the metric, the code, the text.
    Close(&'static str, u16, &'static str),
}

/// One connection until it ends. Dropping `attached` tells the hub.
async fn serve(mut socket: WebSocket, attached: Attached) {
    let mut conversation =
        Conversation { frames: Pace::default(), heard: true, ping_at: Instant::now() + PING_INTERVAL };
    let over = conversation.hold(&mut socket, &attached).await;
    if let Over::CutOff(word) = over {
        attached.hub().closes.note(word);
    } else if let Over::Close(word, code, reason) = over {
        attached.hub().closes.note(word);
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // The peer may be gone already, or read nothing; it was told as far as it could be.
        if let Ok(Ok(())) = timeout(WRITE_PATIENCE, socket.send(Frame::Close(Some(frame)))).await {
            let last_words = async { while let Some(Ok(_)) = socket.recv().await {} };
            let _is_acknowledged = timeout(Duration::from_secs(1), last_words).await;
        }
    }
}

struct Conversation {
    frames: Pace,
    /// Whether anything came since the last ping.
    heard: bool,
    ping_at: Instant,
}

impl Conversation {
    async fn hold(&mut self, socket: &mut WebSocket, attached: &Attached) -> Over {
        loop {
            let step = tokio::select! {
                event = attached.next() => match event {
                    Ok(event) => write(socket, Frame::Text(render(event))).await,
                    Err(end) => Some(close(end)),
                },
                frame = socket.recv() => self.hear(attached, frame).await,
                () = tokio::time::sleep_until(self.ping_at.into()) => self.ping(socket).await,
            };
            if let Some(over) = step {
                return over;
            }
        }
    }

    async fn hear(&mut self, attached: &Attached, frame: Option<Result<Frame, axum::Error>>) -> Option<Over> {
        self.heard = true;
        match frame {
            None | Some(Ok(Frame::Close(_))) => return Some(Over::Gone),
            Some(Err(error)) => return Some(fault(&error)),
            Some(Ok(Frame::Text(text))) => hear_text(attached, &text),
            Some(Ok(Frame::Ping(_))) => attached.activity(),
            // Clients send text; the server's own pings are no sign of use.
            Some(Ok(Frame::Binary(_) | Frame::Pong(_))) => {}
        }
        if !self.frames.take(Instant::now(), FRAMES_PER_SEC) {
            attached.hub().notes.note(FLOOD);
            while !self.frames.take(Instant::now(), FRAMES_PER_SEC) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        None
    }

    async fn ping(&mut self, socket: &mut WebSocket) -> Option<Over> {
        if !std::mem::take(&mut self.heard) {
            return Some(Over::Close("silent", close_code::POLICY, "no answer to pings"));
        }
        self.ping_at = Instant::now() + PING_INTERVAL;
        write(socket, Frame::Ping(axum::body::Bytes::new())).await
    }
}

fn hear_text(attached: &Attached, text: &str) {
    match frames::read(text) {
        Ok(message) => attached.message(message),
        Err(bad) => {
            attached.hub().notes.note(MALFORMED);
            attached.activity();
            if let Some(correlation) = bad.correlation {
                attached.tell_bad_frame(correlation, bad.what);
            }
        }
    }
}

async fn write(socket: &mut WebSocket, frame: Frame) -> Option<Over> {
    match timeout(WRITE_PATIENCE, socket.send(frame)).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(Over::Gone),
        Err(_) => Some(Over::CutOff("too_slow")),
    }
}

fn render(event: Event) -> Utf8Bytes {
    match event {
        Event::Deliver { kind, sender, payload } => frames::deliver(kind, sender.as_deref(), &payload).into(),
        Event::Status { correlation, problem } => {
            let (error, description) = frames::problem(problem);
            frames::status(&correlation, error, description).into()
        }
        Event::BadFrame { correlation, what } => frames::status(&correlation, "InvalidArgumentException", what).into(),
        Event::GoAway => Utf8Bytes::from_static(frames::GO_AWAY),
        Event::RelaysChanged => Utf8Bytes::from_static(frames::RECONNECT_ICE_SERVER),
    }
}

fn close(end: End) -> Over {
    let (word, code, text) = match end {
        End::Closed(CloseReason::Superseded) => ("superseded", close_code::NORMAL, "superseded"),
        End::Closed(CloseReason::ChannelGone) => ("channel_deleted", close_code::NORMAL, "channel deleted"),
        End::Closed(CloseReason::Idle) => ("idle", close_code::AWAY, "idle"),
        End::Closed(CloseReason::TooOld) => ("too_old", close_code::AWAY, "lifetime over"),
        End::Closed(CloseReason::ServerEnds) => ("going_away", close_code::AWAY, "going away"),
        End::TooSlow => ("too_slow", close_code::POLICY, "too slow"),
    };
    Over::Close(word, code, text)
}

/// A frame that cannot be read ends a connection; one that is too large is told so.
fn fault(error: &axum::Error) -> Over {
    let is_too_large = error.to_string().contains("too long");
    if is_too_large { Over::Close("frame_too_large", close_code::SIZE, "frame too large") } else { Over::Gone }
}
