//! The WebSocket: from the upgrade to the last frame (RFC 7118 §4).

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, close_code},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_call_core::LegTraits;
use causeway_signal_core::Pace;
use causeway_switchboard::{Inbox, ToClient};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    LimitReached, SipService,
    client::{Client, Over},
    page::Note,
    service::Seat,
};

/// How often the server pings; a client that answered none in between is gone.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// How long one frame may take to be written.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Buffers of a connection: most are idle, and messages are rare.
const BUFFER_BYTES: usize = 2 * 1024;
/// What browsers' SIP libraries can do: everything inside a description, transfers by themselves.
pub(crate) const TRAITS: LegTraits = LegTraits { takes_candidates: false, takes_transfer: true, grace: None };

/// Takes an upgrade that offers the subprotocol `sip`.
pub(crate) async fn upgrade(
    State(service): State<Arc<SipService>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let text = "SIP over WebSocket: connect with the subprotocol sip\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], text).into_response();
    };
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offers_sip = offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim() == "sip");
    if !offers_sip {
        return (StatusCode::BAD_REQUEST, "the subprotocol sip is not offered\n").into_response();
    }
    if *service.draining.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server drains\n").into_response();
    }
    let address = causeway_api_http::requester(request.extensions());
    let seat = match service.seat(address) {
        Ok(seat) => seat,
        Err(limit) => {
            service.counters.limit(limit);
            return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
        }
    };
    let bytes_max = service.settings.message_bytes_max;
    upgrade
        .protocols(["sip"])
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * bytes_max)
        .on_upgrade(move |socket| serve(socket, service, address, seat))
}

async fn serve(mut socket: WebSocket, service: Arc<SipService>, address: Option<IpAddr>, seat: Seat) {
    let Ok((connection, inbox, agent)) = service.connect(TRAITS) else { return };
    let mut draining = service.draining.subscribe();
    let mut notes = service.post.open(connection.id());
    let mut client = Client::new(Arc::clone(&service), connection, agent, address);
    let mut pulse = Pulse { frames: Pace::default(), is_heard: true, ping_at: Instant::now() + PING_INTERVAL };
    let over = pulse.hold(&mut socket, &mut client, inbox, &mut notes, &mut draining).await;
    client.gone();
    drop((client, seat));
    if let Over::Close(code, reason) = over {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // The client may be gone already, or read nothing; it was told as far as it could be.
        if let Ok(Ok(())) = timeout(WRITE_PATIENCE, socket.send(Frame::Close(Some(frame)))).await {
            let last_words = async { while let Some(Ok(_)) = socket.recv().await {} };
            let _is_acknowledged = timeout(Duration::from_secs(1), last_words).await;
        }
    }
}

/// What happened on a connection.
enum Step {
    Frame(Option<Result<Frame, axum::Error>>),
    Told(Option<Box<ToClient>>),
    Noted(Option<Box<Note>>),
    Time,
    Drain,
}

struct Pulse {
    frames: Pace,
    /// Whether anything came since the last ping.
    is_heard: bool,
    ping_at: Instant,
}

impl Pulse {
    async fn hold(
        &mut self,
        socket: &mut WebSocket,
        client: &mut Client,
        mut inbox: Inbox,
        notes: &mut mpsc::Receiver<Box<Note>>,
        draining: &mut watch::Receiver<bool>,
    ) -> Over {
        loop {
            let wake = client.deadline().map_or(self.ping_at, |at| at.min(self.ping_at));
            let step = tokio::select! {
                told = inbox.recv() => Step::Told(told),
                note = notes.recv() => Step::Noted(note),
                frame = socket.recv() => Step::Frame(frame),
                () = tokio::time::sleep_until(wake.into()) => Step::Time,
                // The sender lives in the service, which this task holds.
                _ = draining.changed() => Step::Drain,
            };
            let is_over = match step {
                Step::Told(Some(told)) => {
                    client.told(*told);
                    None
                }
                Step::Noted(note) => {
                    // The box is open for as long as the client is.
                    note.into_iter().for_each(|note| client.noted(*note));
                    None
                }
                Step::Told(None) => Some(Over::Close(close_code::POLICY, "cut off")),
                Step::Frame(frame) => self.hear(client, frame).await,
                Step::Time => self.time(socket, client).await,
                Step::Drain => {
                    client.drain();
                    None
                }
            };
            if let Some(over) = is_over.or(Self::flush(socket, client).await) {
                return over;
            }
        }
    }

    async fn hear(&mut self, client: &mut Client, frame: Option<Result<Frame, axum::Error>>) -> Option<Over> {
        self.is_heard = true;
        let text = match frame {
            None | Some(Ok(Frame::Close(_))) => return Some(Over::Gone),
            Some(Err(error)) => return Some(fault(client, &error)),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => return None,
            Some(Ok(Frame::Text(text))) => text,
            // RFC 7118 §5.3 has servers take both.
            Some(Ok(Frame::Binary(bytes))) => match Utf8Bytes::try_from(bytes) {
                Ok(text) => text,
                Err(_) => return Some(Over::Close(close_code::INVALID, "a message is text")),
            },
        };
        let (service, per_sec) = (client.service(), client.service().settings.messages_per_sec);
        service.counters.messages.fetch_add(1, Ordering::Relaxed);
        if !self.frames.take(Instant::now(), per_sec) {
            service.counters.limit(LimitReached::Messages);
            while !self.frames.take(Instant::now(), per_sec) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        client.heard(&text);
        None
    }

    async fn time(&mut self, socket: &mut WebSocket, client: &mut Client) -> Option<Over> {
        client.wake();
        if Instant::now() < self.ping_at {
            return None;
        }
        if !std::mem::take(&mut self.is_heard) {
            return Some(Over::Close(close_code::POLICY, "no answer to pings"));
        }
        self.ping_at = Instant::now() + PING_INTERVAL;
        write(socket, Frame::Ping(axum::body::Bytes::new())).await
    }

    /// Everything the client's side wants, until it wants nothing more.
    async fn flush(socket: &mut WebSocket, client: &mut Client) -> Option<Over> {
        while let Some(text) = client.next().await {
            if let Some(over) = write(socket, Frame::Text(text.into())).await {
                return Some(over);
            }
        }
        client.over()
    }
}

async fn write(socket: &mut WebSocket, frame: Frame) -> Option<Over> {
    match timeout(WRITE_PATIENCE, socket.send(frame)).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) | Err(_) => Some(Over::Gone),
    }
}

/// A frame that cannot be read ends a connection; one that is too large is told so.
fn fault(client: &Client, error: &axum::Error) -> Over {
    if error.to_string().contains("too long") {
        client.service().counters.limit(LimitReached::MessageBytes);
        Over::Close(close_code::SIZE, "message too large")
    } else {
        Over::Gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, B, C, D, F: Future>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_held_by_a_small_task() {
        // Twenty thousand of them are to be held; what a request needs while it is answered is not theirs to keep.
        assert!(bytes_of(serve) <= 4096, "{}", bytes_of(serve));
    }
}
