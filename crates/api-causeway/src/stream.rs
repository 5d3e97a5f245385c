//! `GET /api/v1/events`: what happens in a project, as server-sent events (`docs/events.md#the-stream`).

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use causeway_api_http::{Access, ApiError, Claim, Gate, project};
use causeway_app::{Cursor, DomainEvent, EventFeed, FeedBatch, FeedReader, ProjectId, Scope, Store, StoredEvent};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Interval, MissedTickBehavior},
};

use crate::{
    ApiState,
    extract::{Asked, Caller},
};

mod query;

use query::{ResumeHeader, StreamQuery};

/// Streams open at once.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Streams of one project open at once, so that the others have room.
pub const EVENT_STREAMS_PER_PROJECT_MAX: usize = 128;
/// A comment shows after so long without an event that the connection lives; and so often the token is asked for again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events taken from the feed at once.
const BATCH_MAX: usize = 64;

/// What streams are made of.
pub struct EventStreams {
    feed: Arc<dyn EventFeed>,
    stopped: watch::Receiver<bool>,
    room: Arc<Semaphore>,
    by_project: Arc<Mutex<HashMap<ProjectId, usize>>>,
    heartbeat: Duration,
}

impl std::fmt::Debug for EventStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStreams").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl EventStreams {
    /// Over a feed; streams end when `stopped` becomes true.
    #[must_use]
    pub fn new(feed: Arc<dyn EventFeed>, stopped: watch::Receiver<bool>) -> Self {
        Self {
            feed,
            stopped,
            room: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            by_project: Arc::default(),
            heartbeat: HEARTBEAT,
        }
    }

    /// With another time between comments.
    #[must_use]
    pub fn with_heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// Room for one more stream of a project, until it is dropped.
    fn seat(&self, project: ProjectId) -> Option<Seat> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let mut by_project = self.by_project.lock();
        let held = by_project.entry(project).or_default();
        if *held >= EVENT_STREAMS_PER_PROJECT_MAX {
            return None;
        }
        *held += 1;
        Some(Seat { project, by_project: Arc::clone(&self.by_project), _permit: permit })
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        EVENT_STREAMS_MAX - self.room.available_permits()
    }
}

/// A stream's place.
struct Seat {
    project: ProjectId,
    by_project: Arc<Mutex<HashMap<ProjectId, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut by_project = self.by_project.lock();
        if let Some(held) = by_project.get_mut(&self.project) {
            *held -= 1;
            if *held == 0 {
                by_project.remove(&self.project);
            }
        }
    }
}

/// Follow events
///
/// Server-sent events that go on until the client leaves or the server stops. `event: gap` tells that events are lost.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(StreamQuery, ResumeHeader),
    responses((
        status = 200,
        description = "The stream: `id`, `event` and `data` of each event.",
        body = String,
        content_type = "text/event-stream",
    )),
)]
pub(crate) async fn follow<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Extension(claim): Extension<Claim>,
    headers: HeaderMap,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let types = asked.list("types").unwrap_or_default();
    if types.iter().any(|name| !DomainEvent::PUBLIC_NAMES.contains(&name.as_str())) {
        asked.fault("types", "bad_value", format!("types: any of {}", DomainEvent::PUBLIC_NAMES.join(", ")));
    }
    let named = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").to_owned());
    let after = named.filter(|id| !id.is_empty()).or_else(|| asked.text("after"));
    let after = after.and_then(|text| {
        let cursor = read_cursor(&text);
        if cursor.is_none() {
            asked.fault("after", "bad_cursor", "after, Last-Event-ID: the id of an event".to_owned());
        }
        cursor
    });
    asked.finish()?;
    let Some(seat) = state.events.seat(caller.project) else {
        let message = "too many event streams are open on this server or of this project; try again later";
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message).retry_after(15));
    };
    let heartbeat = state.events.heartbeat;
    let mut ask_again = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = EventStream {
        reader: state.events.feed.open(after, Arc::new(move |owner| owner == caller.project)),
        types,
        waiting: VecDeque::new(),
        stopped: state.events.stopped.clone(),
        is_over: false,
        ask_again,
        gate: Arc::clone(&state.gate),
        claim,
        project: project(&headers).map(str::to_owned),
        _seat: seat,
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(heartbeat)).into_response();
    // nginx would hold events back until its buffer is full.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The id of an event as it was given out.
pub(crate) fn read_cursor(text: &str) -> Option<Cursor> {
    let is_number = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok().map(Cursor) } else { None }
}

/// One open stream.
struct EventStream<S> {
    reader: Box<dyn FeedReader>,
    types: Vec<String>,
    /// At most one batch and a gap.
    waiting: VecDeque<Event>,
    stopped: watch::Receiver<bool>,
    is_over: bool,
    ask_again: Interval,
    gate: Arc<Gate<S>>,
    claim: Claim,
    project: Option<String>,
    _seat: Seat,
}

/// Why a stream goes on.
enum Woken {
    ByEvents(FeedBatch),
    ByTheEnd,
    ToAskAgain,
}

impl<S: Store> EventStream<S> {
    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_over {
                let batch = self.reader.take(BATCH_MAX)?;
                self.queue(&batch);
                continue;
            }
            let woken = tokio::select! {
                batch = self.reader.next(BATCH_MAX) => Woken::ByEvents(batch?),
                _ = self.stopped.wait_for(|stopped| *stopped) => Woken::ByTheEnd,
                _ = self.ask_again.tick() => Woken::ToAskAgain,
            };
            match woken {
                Woken::ByEvents(batch) => self.queue(&batch),
                Woken::ByTheEnd => self.is_over = true,
                Woken::ToAskAgain if self.may_go_on().await => {}
                Woken::ToAskAgain => return None,
            }
        }
    }

    /// Whether the token or the sign-in still counts. A store that does not answer ends nothing.
    async fn may_go_on(&self) -> bool {
        let asked = self.gate.identify(Some(&self.claim), self.project.as_deref(), Access::Scope(Scope::Read)).await;
        !asked.is_err_and(|error| matches!(error.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    fn queue(&mut self, batch: &FeedBatch) {
        if batch.has_gap {
            let resumes_after = batch.events.first().map_or(batch.read_to, |event| Cursor(event.cursor.0 - 1));
            let data = serde_json::json!({ "type": "gap", "resumesAfter": resumes_after.0.to_string() });
            self.waiting
                .push_back(Event::default().id(resumes_after.0.to_string()).event("gap").data(data.to_string()));
        }
        let wanted = |event: &&StoredEvent| self.types.is_empty() || self.types.contains(&event.name);
        let shown =
            |event: &StoredEvent| Event::default().id(event.cursor.0.to_string()).event(&event.name).data(&event.body);
        self.waiting.extend(batch.events.iter().filter(wanted).map(shown));
    }
}
