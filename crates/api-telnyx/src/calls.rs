//! Calls: status and the commands that need no media on the server; the rest is refused by name
//! (`compat/telnyx.md#call-commands`).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::Path, http::StatusCode};
use causeway_app::{ProjectId, VoiceConnectionId, VoiceDesk, VoiceLeg, VoiceRoute};
use causeway_call_core::{HangupCause, LegId, Refusal, RingRule};
use causeway_types::Now;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    Answer, ApiState, Call, TelnyxStore, data, elsewhere, errors::TelnyxError, fields::Body, page::Query, shown::Shown,
    times::precise,
};

/// How long a command's id is remembered.
const COMMAND_ID_KEPT: Duration = Duration::from_secs(60);
const COMMAND_IDS_MAX: usize = 10_000;
const CLIENT_STATE_BYTES_MAX: usize = 4096;

/// What the commands do to calls.
pub trait VoiceCommands: Send + Sync + 'static {
    /// A leg of a project, live or ended not long ago.
    fn leg(&self, project: ProjectId, leg: LegId) -> Option<VoiceLeg>;
    /// The live legs of a connection.
    fn live(&self, project: ProjectId, connection: VoiceConnectionId) -> Vec<VoiceLeg>;
    /// Another state of the application's for a leg; whether the leg lives.
    fn set_client_state(&self, project: ProjectId, leg: LegId, client_state: &str) -> bool;
    /// Ends the call of a leg.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLeg`].
    fn end(&self, leg: LegId, cause: HangupCause) -> Result<(), Refusal>;
    /// Sends an unanswered call to a name of its project.
    ///
    /// # Errors
    /// As of the call core.
    fn redirect(&self, leg: LegId, project: ProjectId, to: &str, ring: RingRule) -> Result<(), Refusal>;
}

/// Ids of commands that were done, for as long as a caller may repeat them.
#[derive(Debug, Default)]
pub(crate) struct CommandIds(Mutex<BTreeMap<(LegId, String), Instant>>);

impl CommandIds {
    /// Whether it is new.
    fn take(&self, leg: LegId, id: &str) -> bool {
        let now = Instant::now();
        let mut known = self.0.lock();
        if known.len() >= COMMAND_IDS_MAX {
            known.retain(|_, at| now.saturating_duration_since(*at) < COMMAND_ID_KEPT);
        }
        let key = (leg, id.to_owned());
        let is_known = known.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < COMMAND_ID_KEPT);
        if !is_known && known.len() < COMMAND_IDS_MAX {
            known.insert(key, now);
        }
        !is_known
    }

    /// The command was refused: it may be sent again.
    fn forget(&self, leg: LegId, id: &str) {
        self.0.lock().remove(&(leg, id.to_owned()));
    }
}

fn leg_of(id: &str) -> Result<LegId, TelnyxError> {
    LegId::parse(id.strip_prefix("v3:").unwrap_or(id)).ok_or_else(unknown)
}

pub(crate) fn unknown() -> TelnyxError {
    TelnyxError::new(
        422,
        "90015",
        "Invalid call control ID",
        "The call control id is not one of a call of this project.",
    )
}

fn ended() -> TelnyxError {
    TelnyxError::new(422, "90018", "Call has already ended", "The call is over.")
}

pub(crate) async fn status<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let leg = leg_of(&id).map_err(|_| TelnyxError::not_found())?;
    match status_of(&call.state, call.caller.project, leg) {
        Some(status) => Ok(data(StatusCode::OK, &status)),
        None => elsewhere::ask(&call, leg, None).await,
    }
}

/// The status of a leg, if this server knows it.
pub(crate) fn status_of<S>(state: &ApiState<S>, project: ProjectId, leg: LegId) -> Option<Value> {
    state.commands.leg(project, leg).as_ref().map(|leg| Shown::from(leg).rendered())
}

pub(crate) async fn active_calls<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let id = VoiceConnectionId(id.parse().map_err(|_| TelnyxError::not_found())?);
    call.state.store.voice_connection(call.caller.project, id).await?.ok_or_else(TelnyxError::not_found)?;
    let own = call.state.commands.live(call.caller.project, id);
    let others = call.state.elsewhere.live(id).await.map_err(|()| elsewhere::silent("The other servers do"))?;
    let mut legs: Vec<Shown> =
        own.iter().map(Shown::from).chain(others.iter().filter_map(|text| Shown::read(text))).collect();
    legs.sort_by_key(Shown::order);
    let legs: Vec<Value> = legs.iter().map(Shown::rendered).collect();
    let meta =
        json!({"total_items": legs.len(), "cursors": {"after": null, "before": null}, "next": null, "previous": null});
    Ok(causeway_api_http::json(StatusCode::OK, &json!({"data": legs, "meta": meta})))
}

/// What the last attempts at webhooks came to.
pub(crate) async fn webhook_deliveries<S: TelnyxStore>(call: Call<S>) -> Answer {
    let asked = Query::of(&call.uri).page(20)?;
    let (found, total) = call.state.store.voice_attempts(call.caller.project, asked.part).await?;
    let page: Vec<Value> = found
        .iter()
        .map(|attempt| {
            let is_taken = matches!(attempt.outcome, Ok(200..300));
            json!({
                "record_type": "webhook_delivery",
                "id": attempt.event,
                "status": if is_taken { "delivered" } else { "failed" },
                "webhook": {"event_type": attempt.event_type, "id": attempt.event},
                "attempt": attempt.attempt,
                "url": attempt.url,
                "finished_at": precise(attempt.at),
                "http_status": attempt.outcome.as_ref().ok(),
                "error": attempt.outcome.as_ref().err(),
            })
        })
        .collect();
    Ok(causeway_api_http::json(StatusCode::OK, &asked.answer(&page, total)))
}

/// The key that webhooks are verified with.
pub(crate) async fn public_key<S: TelnyxStore>(call: Call<S>) -> Answer {
    let key = call.state.deliveries.public_key(call.caller.organization).await?;
    Ok(data(StatusCode::OK, &json!({"record_type": "public_key", "public": key})))
}

/// A new call by the server, a queue, a conference: not without media.
pub(crate) async fn unsupported<S: TelnyxStore>(call: Call<S>) -> Answer {
    let what = call.uri.path().trim_start_matches("/v2/").split('/').next().unwrap_or_default();
    let what = if what == "calls" { "Dialling from the server" } else { what };
    Err(TelnyxError::unsupported(what))
}

pub(crate) async fn command<S: TelnyxStore>(Path((id, action)): Path<(String, String)>, call: Call<S>) -> Answer {
    let leg = leg_of(&id)?;
    match commanded(&call.state, call.caller.project, leg, &action, &call.body).await? {
        Some(done) => Ok(data(StatusCode::OK, &done)),
        None => elsewhere::ask(&call, leg, Some(&action)).await,
    }
}

/// Does a command to a leg, if this server knows it.
pub(crate) async fn commanded<S: TelnyxStore>(
    state: &Arc<ApiState<S>>,
    project: ProjectId,
    leg: LegId,
    action: &str,
    body: &[u8],
) -> Result<Option<Value>, TelnyxError> {
    let body = Body::read(body)?;
    let client_state = client_state(&body)?;
    let command_id = body.text("command_id", 255)?;
    let Some(found) = state.commands.leg(project, leg) else { return Ok(None) };
    if found.ended.is_some() {
        return Err(ended());
    }
    let done = json!({"result": "ok"});
    if command_id.as_ref().is_some_and(|id| !state.command_ids.take(leg, id)) {
        return Ok(Some(done));
    }
    let outcome = perform(state, &found, action, &body, client_state.as_deref()).await;
    if let (Err(_), Some(id)) = (&outcome, &command_id) {
        state.command_ids.forget(leg, id);
    }
    outcome.map(|()| Some(done))
}

/// The application's state is another as soon as the command is one that can be done: what it causes is told with it.
async fn perform<S: TelnyxStore>(
    state: &Arc<ApiState<S>>,
    leg: &VoiceLeg,
    action: &str,
    body: &Body,
    client_state: Option<&str>,
) -> Result<(), TelnyxError> {
    let note = || client_state.is_none_or(|text| state.commands.set_client_state(leg.project, leg.leg, text));
    match action {
        "client_state_update" if client_state.is_none() => Err(TelnyxError::missing("client_state")),
        "client_state_update" => note().then_some(()).ok_or_else(ended),
        "hangup" => {
            note();
            state.commands.end(leg.leg, HangupCause::Administrative).map_err(refused)
        }
        "reject" => {
            let cause = rejection(leg, body)?;
            note();
            state.commands.end(leg.leg, cause).map_err(refused)
        }
        "transfer" => {
            let (to, ring) = destination(state, leg, body).await?;
            note();
            state.commands.redirect(leg.leg, leg.project, &to, ring).map_err(refused)
        }
        _ => Err(TelnyxError::unsupported(&format!("The command `{action}`"))),
    }
}

fn client_state(body: &Body) -> Result<Option<String>, TelnyxError> {
    let Some(state) = body.text("client_state", CLIENT_STATE_BYTES_MAX)? else { return Ok(None) };
    let is_base64 = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &state).is_ok();
    let wrong =
        || TelnyxError::new(422, "90017", "Invalid client_state", "client_state must be base64.").at("client_state");
    if is_base64 { Ok(Some(state)) } else { Err(wrong()) }
}

fn rejection(leg: &VoiceLeg, body: &Body) -> Result<HangupCause, TelnyxError> {
    let cause = match body.required("cause", 64)?.as_str() {
        "CALL_REJECTED" => HangupCause::Rejected,
        "USER_BUSY" => HangupCause::Busy,
        _ => return Err(TelnyxError::invalid_enum("cause", &["CALL_REJECTED", "USER_BUSY"])),
    };
    if leg.answered.is_some() {
        let detail = "The call is answered: hang it up.";
        return Err(TelnyxError::new(422, "10027", "Unprocessable entity", detail));
    }
    Ok(cause)
}

/// The user of this project that a call which is not answered is sent to.
async fn destination<S: TelnyxStore>(
    state: &Arc<ApiState<S>>,
    leg: &VoiceLeg,
    body: &Body,
) -> Result<(String, RingRule), TelnyxError> {
    let to = body.required("to", 256)?;
    if leg.answered.is_some() || !leg.is_caller {
        return Err(TelnyxError::unsupported("Transferring an answered call"));
    }
    let desk = VoiceDesk::new(Arc::clone(&state.store));
    let nowhere = |detail: &str| TelnyxError::new(422, "10027", "Unprocessable entity", detail).at("to");
    match desk.route(leg.project, &to, Now::read().unix).await? {
        VoiceRoute::Name { name, rings_all, .. } => {
            Ok((name, if rings_all { RingRule::All } else { RingRule::Newest }))
        }
        VoiceRoute::Forbidden => Err(nowhere("The connection of that user does not take such calls.")),
        VoiceRoute::NotFound => Err(nowhere("There is no such user, and no phone network here.")),
    }
}

fn refused(refusal: Refusal) -> TelnyxError {
    if refusal == Refusal::NoSuchLeg {
        return ended();
    }
    if refusal == Refusal::NeedsMedia {
        return TelnyxError::unsupported("This");
    }
    TelnyxError::new(422, "10027", "Unprocessable entity", refusal.to_string())
}
