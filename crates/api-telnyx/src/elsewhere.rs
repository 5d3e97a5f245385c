//! Calls of other servers: what is asked about one goes to the server that owns it, and its answer comes back as it is.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_app::{ProjectId, VoiceConnectionId};
use causeway_call_core::LegId;
use serde_json::{Value, json};

use crate::{Answer, ApiState, Call, TelnyxStore, calls, errors::TelnyxError};

/// What another server says; none when no living one owns the leg, an error when the one that does is silent.
pub type AskingElsewhere<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, ()>> + Send + 'a>>;

/// What other servers wrote with [`leg_for_others`](crate::leg_for_others); an error when they cannot be asked.
pub type ListingElsewhere<'a> = Pin<Box<dyn Future<Output = Result<Vec<String>, ()>> + Send + 'a>>;

/// Reaches the servers of other calls.
pub trait CallsElsewhere: Send + Sync + 'static {
    /// Asks the server that owns a leg.
    fn ask(&self, leg: LegId, question: String) -> AskingElsewhere<'_>;
    /// The live legs of a connection at other servers, in no order.
    fn live(&self, connection: VoiceConnectionId) -> ListingElsewhere<'_>;
}

/// Asks about a leg that this server does not know. `action` is none for its status.
pub(crate) async fn ask<S: TelnyxStore>(call: &Call<S>, leg: LegId, action: Option<&str>) -> Answer {
    let body = std::str::from_utf8(&call.body).unwrap_or_default();
    let question = json!({
        "project": call.caller.project.0, "leg": leg.to_string(), "action": action, "body": body,
    });
    match call.state.elsewhere.ask(leg, question.to_string()).await {
        Ok(Some(answer)) => passed_on(&answer).ok_or_else(|| silent("The server of this call does")),
        Ok(None) => Err(if action.is_some() { calls::unknown() } else { TelnyxError::not_found() }),
        Err(()) => Err(silent("The server of this call does")),
    }
}

pub(crate) fn silent(who: &str) -> TelnyxError {
    TelnyxError::new(503, "10037", "Service unavailable", format!("{who} not answer; try again shortly."))
}

fn passed_on(answer: &str) -> Option<Response> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let status = StatusCode::from_u16(u16::try_from(answer.get("status")?.as_u64()?).ok()?).ok()?;
    let body = answer.get("body")?.to_string();
    Some((status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response())
}

/// Answers another server that asks about a leg of this one. Whoever asked judged its caller.
pub async fn answer_elsewhere<S: TelnyxStore>(state: &Arc<ApiState<S>>, question: &str) -> String {
    let (status, body) = match answered(state, question).await {
        Ok(data) => (StatusCode::OK, json!({"data": data})),
        Err(error) => (error.status(), error.body()),
    };
    json!({"status": status.as_u16(), "body": body}).to_string()
}

async fn answered<S: TelnyxStore>(state: &Arc<ApiState<S>>, question: &str) -> Result<Value, TelnyxError> {
    let question: Value = serde_json::from_str(question).map_err(|_| TelnyxError::invalid_json())?;
    let text = |name: &str| question.get(name).and_then(Value::as_str);
    let project = question.get("project").and_then(Value::as_i64).map(ProjectId).ok_or_else(calls::unknown)?;
    let leg = text("leg").and_then(LegId::parse).ok_or_else(calls::unknown)?;
    match text("action") {
        None => calls::status_of(state, project, leg).ok_or_else(TelnyxError::not_found),
        Some(action) => {
            let body = text("body").unwrap_or_default().as_bytes();
            calls::commanded(state, project, leg, action, body).await?.ok_or_else(calls::unknown)
        }
    }
}
