//! Telephony credentials and their tokens (`compat/telnyx.md#credentials`).

use std::time::Duration;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::{json, timestamp};
use causeway_app::{
    ApiCaller, NumberedPage, Scope, VOICE_CREDENTIALS_PER_PROJECT_MAX, VoiceConnectionId, VoiceConnectionKind,
    VoiceCredential, VoiceCredentialFilter, VoiceRevokeError,
};
use causeway_credentials::voice_token::{self, VoiceClaims};
use causeway_types::{Now, Secret, UnixTime};
use serde_json::{Value, json as object};

use crate::{Answer, Call, TelnyxStore, data, errors::TelnyxError, fields::Body, page::Query};

const TEXT_CHARS_MAX: usize = 255;
const TOKEN_LIFETIME: Duration = Duration::from_secs(86_400);
const USER_NAME_RANDOM: usize = 32;

pub(crate) async fn create<S: TelnyxStore>(call: Call<S>) -> Answer {
    let body = Body::read(&call.body)?;
    let connection = connection(&call, &body.required("connection_id", TEXT_CHARS_MAX)?).await?;
    let now = Now::read().unix;
    let expires_at = body.time("expires_at")?.flatten();
    if expires_at.is_some_and(|at| at <= now) {
        return Err(TelnyxError::invalid("expires_at", "must be in the future"));
    }
    let store = &call.state.store;
    let one = NumberedPage { offset: 0, limit: 1, is_newest_first: false };
    let (_, n) = store.voice_credentials(call.caller.project, &VoiceCredentialFilter::default(), one, now).await?;
    if n >= VOICE_CREDENTIALS_PER_PROJECT_MAX {
        return Err(TelnyxError::new(422, "10027", "Unprocessable entity", "The project has too many credentials."));
    }
    let credential = VoiceCredential {
        id: uuid::Uuid::new_v4().to_string(),
        connection,
        project: call.caller.project,
        name: body.text("name", TEXT_CHARS_MAX)?,
        tag: body.text("tag", TEXT_CHARS_MAX)?,
        user_name: user_name()?,
        password: Secret::new(hex::encode(random::<16>()?)),
        token_secret: token_secret()?,
        expires_at,
        created_at: now,
        updated_at: now,
    };
    store.insert_voice_credential(&credential).await?;
    Ok(data(StatusCode::CREATED, &rendered(call.caller, &credential, now)))
}

async fn connection<S: TelnyxStore>(call: &Call<S>, id: &str) -> Result<VoiceConnectionId, TelnyxError> {
    let unknown = || {
        TelnyxError::new(422, "10017", "Associated resource missing", "There is no such connection.")
            .at("connection_id")
    };
    let id = id.parse().map(VoiceConnectionId).map_err(|_| unknown())?;
    let found = call.state.store.voice_connection(call.caller.project, id).await?;
    found
        .filter(|connection| connection.kind == VoiceConnectionKind::Clients)
        .map(|connection| connection.id)
        .ok_or_else(unknown)
}

pub(crate) async fn list<S: TelnyxStore>(call: Call<S>) -> Answer {
    let query = Query::of(&call.uri);
    let asked = query.page(50)?;
    let now = Now::read().unix;
    let text = |name: &str| query.get(&format!("filter[{name}]")).map(str::to_owned);
    // One that is no connection has no credentials.
    let number = |id: String| id.strip_prefix("connection:").and_then(|id| id.parse().ok()).unwrap_or(-1);
    let connection = text("resource_id").map(|id| VoiceConnectionId(number(id)));
    let filter = VoiceCredentialFilter {
        connection,
        name: text("name"),
        tag: text("tag"),
        user_name: text("sip_username"),
        is_expired: match text("status").as_deref() {
            Some("expired") => Some(true),
            Some(_) => Some(false),
            None => None,
        },
    };
    let (found, total) = call.state.store.voice_credentials(call.caller.project, &filter, asked.part, now).await?;
    let found: Vec<Value> = found.iter().map(|credential| rendered(call.caller, credential, now)).collect();
    Ok(json(StatusCode::OK, &asked.answer(&found, total)))
}

pub(crate) async fn retrieve<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    Ok(data(StatusCode::OK, &rendered(call.caller, &found(&call, &id).await?, Now::read().unix)))
}

pub(crate) async fn update<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let mut credential = found(&call, &id).await?;
    let now = Now::read().unix;
    if credential.is_expired(now) {
        // Not the shape of other errors: the original's is this.
        let body = object!({"errors": {"status": "can't update credentials in expired status"}});
        return Ok(json(StatusCode::UNPROCESSABLE_ENTITY, &body));
    }
    let body = Body::read(&call.body)?;
    if body.has("connection_id") {
        credential.connection = connection(&call, &body.required("connection_id", TEXT_CHARS_MAX)?).await?;
    }
    if body.has("name") {
        credential.name = body.text("name", TEXT_CHARS_MAX)?;
    }
    if body.has("tag") {
        credential.tag = body.text("tag", TEXT_CHARS_MAX)?;
    }
    if let Some(expires_at) = body.time("expires_at")? {
        credential.expires_at = expires_at;
    }
    credential.updated_at = now;
    if !call.state.store.update_voice_credential(&credential).await? {
        return Err(TelnyxError::not_found());
    }
    if credential.is_expired(now) {
        let name = std::slice::from_ref(&credential.user_name);
        call.state.records.send_away(call.caller.project, name, now).await?;
    }
    Ok(data(StatusCode::OK, &rendered(call.caller, &credential, now)))
}

pub(crate) async fn remove<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let credential = found(&call, &id).await?;
    let now = Now::read().unix;
    if !call.state.records.remove_credential(call.caller, &credential, now).await? {
        return Err(TelnyxError::not_found());
    }
    Ok(data(StatusCode::OK, &rendered(call.caller, &credential, now)))
}

/// The token alone, as text.
pub(crate) async fn token<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let credential = found(&call, &id).await?;
    let now = Now::read().unix;
    if credential.is_expired(now) {
        return Err(TelnyxError::new(422, "10027", "Unprocessable entity", "The credential expired."));
    }
    let latest = now.saturating_add(TOKEN_LIFETIME);
    let claims = VoiceClaims {
        credential: credential.id,
        id: uuid::Uuid::new_v4().to_string(),
        issued_at: now,
        expires_at: credential.expires_at.map_or(latest, |at| at.min(latest)),
    };
    let token = voice_token::sign(&claims, &credential.token_secret).ok_or_else(no_randomness)?;
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], token).into_response())
}

/// Takes every token of a credential back. Ours: the original has no such call.
pub(crate) async fn revoke_tokens<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let credential = found(&call, &id).await?;
    let revoked = call.state.records.revoke_tokens(call.caller, credential, Now::read().unix).await;
    let was_there = revoked.map_err(|error| match error {
        VoiceRevokeError::Store(error) => error.into(),
        VoiceRevokeError::NoRandomness | _ => no_randomness(),
    })?;
    if !was_there {
        return Err(TelnyxError::not_found());
    }
    let done: Response = StatusCode::NO_CONTENT.into_response();
    Ok(done)
}

async fn found<S: TelnyxStore>(call: &Call<S>, id: &str) -> Result<VoiceCredential, TelnyxError> {
    let found = call.state.store.voice_credential(call.caller.project, id).await?;
    found.ok_or_else(TelnyxError::not_found)
}

/// As `caller` may see it: its password opens calls, which reading does not.
fn rendered(caller: ApiCaller, credential: &VoiceCredential, now: UnixTime) -> Value {
    let password = caller.scopes.has(Scope::Credentials).then(|| credential.password.expose());
    object!({
        "id": credential.id,
        "record_type": "credential",
        "resource_id": format!("connection:{}", credential.connection.0),
        "name": credential.name,
        "tag": credential.tag,
        "sip_username": credential.user_name,
        "sip_password": password,
        "expired": credential.is_expired(now),
        "expires_at": credential.expires_at.map(timestamp),
        "created_at": timestamp(credential.created_at),
        "updated_at": timestamp(credential.updated_at),
        "user_id": credential.project.0.to_string(),
    })
}

/// `gencred` and letters and digits.
fn user_name() -> Result<String, TelnyxError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdef23";
    let random = random::<USER_NAME_RANDOM>()?;
    let tail = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31))).map(|byte| char::from(*byte));
    Ok(format!("gencred{}", tail.collect::<String>()))
}

fn token_secret() -> Result<Secret<String>, TelnyxError> {
    Ok(Secret::new(hex::encode(random::<64>()?)))
}

fn random<const N: usize>() -> Result<[u8; N], TelnyxError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(bytes)
}

fn no_randomness() -> TelnyxError {
    TelnyxError::new(500, "10007", "Unexpected error", "The system has no randomness.")
}
