//! Credential connections and call control applications (`compat/telnyx.md#connections`).

use std::time::Duration;

use axum::{extract::Path, http::StatusCode};
use causeway_api_http::{json, timestamp};
use causeway_app::{
    ApiCaller, NumberedPage, Scope, UriCalls, VOICE_CONNECTIONS_PER_PROJECT_MAX, VoiceConnection,
    VoiceConnectionFilter, VoiceConnectionId, VoiceConnectionKind, VoiceWebhook,
};
use causeway_types::{Now, Secret};
use serde_json::{Value, json as object};

use crate::{
    Answer, Call, TelnyxStore, data,
    errors::TelnyxError,
    fields::{Body, Field, Kind, defaults, field},
    page::Query,
};

const NAME_CHARS_MAX: usize = 255;
const ON_OFF: &[&str] = &["disabled", "enabled"];

/// What both kinds take and give back.
const COMMON: &[Field] = &[
    field("active", Kind::Bool, "true"),
    field("anchorsite_override", Kind::Text, r#""Latency""#),
    field("call_cost_in_webhooks", Kind::Bool, "false"),
    field("webhook_event_url", Kind::Url, "null"),
    field("webhook_event_failover_url", Kind::Url, r#""""#),
    field("webhook_timeout_secs", Kind::Integer(0, 30), "null"),
    field("tags", Kind::Texts, "[]"),
    field("inbound.channel_limit", Kind::Integer(0, 1_000_000), "null"),
    field("inbound.shaken_stir_enabled", Kind::Bool, "false"),
    field("outbound.channel_limit", Kind::Integer(0, 1_000_000), "null"),
    field("outbound.outbound_voice_profile_id", Kind::Text, "null"),
];

/// What connections have besides.
const CONNECTION: &[Field] = &[
    field("webhook_api_version", Kind::Word(&["1", "2", "texml"]), r#""1""#),
    field("sip_uri_calling_preference", Kind::Word(&["disabled", "unrestricted", "internal"]), r#""disabled""#),
    field("default_on_hold_comfort_noise_enabled", Kind::Bool, "false"),
    field("dtmf_type", Kind::Word(&["RFC 2833", "Inband", "SIP INFO"]), r#""RFC 2833""#),
    field("encode_contact_header_enabled", Kind::Bool, "false"),
    field("encrypted_media", Kind::Word(&["SRTP", "None"]), "null"),
    field("onnet_t38_passthrough_enabled", Kind::Bool, "false"),
    field("ios_push_credential_id", Kind::Text, "null"),
    field("android_push_credential_id", Kind::Text, "null"),
    field("noise_suppression", Kind::Text, r#""disabled""#),
    field("rtcp_settings.port", Kind::Text, r#""rtp+1""#),
    field("rtcp_settings.capture_enabled", Kind::Bool, "false"),
    field("rtcp_settings.report_frequency_secs", Kind::Integer(0, 100), "5"),
    field("inbound.simultaneous_ringing", Kind::Word(ON_OFF), r#""disabled""#),
    field("inbound.dnis_number_format", Kind::Word(&["+e164", "e164", "national", "sip_username"]), r#""e164""#),
    field(
        "inbound.ani_number_format",
        Kind::Word(&["+E.164", "E.164", "+E.164-national", "E.164-national"]),
        r#""E.164""#,
    ),
    field("inbound.timeout_1xx_secs", Kind::Integer(1, 120), "3"),
    field("inbound.timeout_2xx_secs", Kind::Integer(1, 600), "90"),
    field("inbound.generate_ringback_tone", Kind::Bool, "false"),
    field("inbound.codecs", Kind::Texts, r#"["OPUS","G722","G711U","G711A"]"#),
    field("inbound.default_routing_method", Kind::Word(&["sequential", "round-robin"]), "null"),
    field("inbound.isup_headers_enabled", Kind::Bool, "false"),
    field("inbound.prack_enabled", Kind::Bool, "false"),
    field("inbound.sip_compact_headers_enabled", Kind::Bool, "true"),
    field("outbound.call_parking_enabled", Kind::Bool, "false"),
    field("outbound.instant_ringback_enabled", Kind::Bool, "true"),
    field("outbound.generate_ringback_tone", Kind::Bool, "false"),
    field("outbound.localization", Kind::Text, r#""US""#),
    field("outbound.ani_override", Kind::Text, r#""""#),
    field("outbound.ani_override_type", Kind::Word(&["always", "normal", "emergency"]), r#""always""#),
    field("outbound.t38_reinvite_source", Kind::Text, r#""customer""#),
];

/// What applications have besides.
const APPLICATION: &[Field] = &[
    field("webhook_api_version", Kind::Word(&["1", "2"]), r#""1""#),
    field("dtmf_type", Kind::Word(&["RFC 2833", "Inband", "SIP INFO"]), r#""RFC 2833""#),
    field("first_command_timeout", Kind::Bool, "false"),
    field("first_command_timeout_secs", Kind::Integer(0, 3600), "30"),
    field("redact_dtmf_debug_logging", Kind::Bool, "false"),
    field("inbound.sip_subdomain", Kind::Text, "null"),
    field(
        "inbound.sip_subdomain_receive_settings",
        Kind::Word(&["only_my_connections", "from_anyone"]),
        r#""from_anyone""#,
    ),
];

const fn own_fields(kind: VoiceConnectionKind) -> &'static [Field] {
    match kind {
        VoiceConnectionKind::Clients => CONNECTION,
        VoiceConnectionKind::Application => APPLICATION,
    }
}

const fn name_field(kind: VoiceConnectionKind) -> &'static str {
    match kind {
        VoiceConnectionKind::Clients => "connection_name",
        VoiceConnectionKind::Application => "application_name",
    }
}

pub(crate) async fn list_connections<S: TelnyxStore>(call: Call<S>) -> Answer {
    list(&call, VoiceConnectionKind::Clients).await
}

pub(crate) async fn list_applications<S: TelnyxStore>(call: Call<S>) -> Answer {
    list(&call, VoiceConnectionKind::Application).await
}

async fn list<S: TelnyxStore>(call: &Call<S>, kind: VoiceConnectionKind) -> Answer {
    let query = Query::of(&call.uri);
    let asked = query.page(if kind == VoiceConnectionKind::Clients { 250 } else { 20 })?;
    let contains = format!("filter[{}][contains]", name_field(kind));
    let filter = VoiceConnectionFilter { kind: Some(kind), name_contains: query.get(&contains).map(str::to_owned) };
    let (found, total) = call.state.store.voice_connections(call.caller.project, &filter, asked.part).await?;
    let found: Vec<Value> = found.iter().map(|connection| rendered(call.caller, connection)).collect();
    Ok(json(StatusCode::OK, &asked.answer(&found, total)))
}

pub(crate) async fn create_connection<S: TelnyxStore>(call: Call<S>) -> Answer {
    create(&call, VoiceConnectionKind::Clients).await
}

pub(crate) async fn create_application<S: TelnyxStore>(call: Call<S>) -> Answer {
    create(&call, VoiceConnectionKind::Application).await
}

async fn create<S: TelnyxStore>(call: &Call<S>, kind: VoiceConnectionKind) -> Answer {
    let body = Body::read(&call.body)?;
    let now = Now::read().unix;
    let mut connection = VoiceConnection {
        id: VoiceConnectionId(0),
        project: call.caller.project,
        kind,
        name: body.required(name_field(kind), NAME_CHARS_MAX)?,
        user_name: None,
        password: None,
        is_active: true,
        parks_calls: false,
        rings_all: false,
        is_dialled_by_number: false,
        uri_calls: UriCalls::Nobody,
        ring_for: Duration::from_secs(90),
        webhook: VoiceWebhook::default(),
        document: defaults(&[COMMON, own_fields(kind)].concat()).to_string(),
        created_at: now,
        updated_at: now,
    };
    match kind {
        VoiceConnectionKind::Clients => {
            body.required("user_name", NAME_CHARS_MAX)?;
            body.required("password", NAME_CHARS_MAX)?;
        }
        VoiceConnectionKind::Application => drop(body.required("webhook_event_url", 2048)?),
    }
    change(&mut connection, &body)?;
    let store = &call.state.store;
    let all = NumberedPage { offset: 0, limit: 1, is_newest_first: false };
    let (_, n) = store.voice_connections(call.caller.project, &VoiceConnectionFilter::default(), all).await?;
    if n >= VOICE_CONNECTIONS_PER_PROJECT_MAX {
        return Err(TelnyxError::new(422, "10027", "Unprocessable entity", "The project has too many connections."));
    }
    if let Some(name) = &connection.user_name
        && store.voice_user_by_name(name).await?.is_some()
    {
        return Err(TelnyxError::duplicate("user_name"));
    }
    connection.id = store.insert_voice_connection(&connection).await?;
    Ok(data(StatusCode::CREATED, &rendered(call.caller, &connection)))
}

/// Takes what a body says into the connection: its document, and what decides.
fn change(connection: &mut VoiceConnection, body: &Body) -> Result<(), TelnyxError> {
    let kind = connection.kind;
    if body.has(name_field(kind)) {
        connection.name = body.required(name_field(kind), NAME_CHARS_MAX)?;
    }
    if kind == VoiceConnectionKind::Clients {
        if body.has("user_name") {
            connection.user_name = Some(user_name(&body.required("user_name", NAME_CHARS_MAX)?)?);
        }
        if body.has("password") {
            let password = body.required("password", 128)?;
            if password.chars().count() < 8 {
                return Err(TelnyxError::invalid_length("password", "must have 8 to 128 characters"));
            }
            connection.password = Some(Secret::new(password));
        }
    }
    let mut document: Value = serde_json::from_str(&connection.document).unwrap_or_else(|_| object!({}));
    body.put_into(&mut document, &[COMMON, own_fields(kind)].concat())?;
    let word = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let is_on = |path: &str| document.pointer(path).and_then(Value::as_bool).unwrap_or(false);
    connection.is_active = document.get("active").and_then(Value::as_bool).unwrap_or(true);
    connection.parks_calls = is_on("/outbound/call_parking_enabled");
    connection.rings_all = word("/inbound/simultaneous_ringing") == "enabled";
    connection.is_dialled_by_number = word("/inbound/dnis_number_format") == "sip_username";
    connection.uri_calls = match word("/sip_uri_calling_preference") {
        "unrestricted" => UriCalls::Anyone,
        "internal" => UriCalls::Project,
        _ => UriCalls::Nobody,
    };
    let secs = |path: &str| document.pointer(path).and_then(Value::as_u64).map(Duration::from_secs);
    connection.ring_for = secs("/inbound/timeout_2xx_secs").unwrap_or(Duration::from_secs(90));
    let url = |path: &str| Some(word(path).to_owned()).filter(|url| !url.is_empty());
    connection.webhook = VoiceWebhook {
        url: url("/webhook_event_url"),
        failover_url: url("/webhook_event_failover_url"),
        timeout: secs("/webhook_timeout_secs").filter(|timeout| !timeout.is_zero()),
    };
    connection.document = document.to_string();
    Ok(())
}

/// 4–32 letters and digits, a letter among the first five.
fn user_name(name: &str) -> Result<String, TelnyxError> {
    let is_fine = (4..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().take(5).any(|byte| byte.is_ascii_alphabetic());
    if is_fine {
        Ok(name.to_owned())
    } else {
        let detail = "must be 4 to 32 letters and digits with a letter among the first five";
        Err(TelnyxError::invalid("user_name", detail))
    }
}

/// As `caller` may see it: its password opens calls, which reading does not.
fn rendered(caller: ApiCaller, connection: &VoiceConnection) -> Value {
    let mut document: Value = serde_json::from_str(&connection.document).unwrap_or_else(|_| object!({}));
    let record_type = match connection.kind {
        VoiceConnectionKind::Clients => "credential_connection",
        VoiceConnectionKind::Application => "call_control_application",
    };
    let own = object!({
        "id": connection.id.0.to_string(),
        "record_type": record_type,
        name_field(connection.kind): connection.name,
        "created_at": timestamp(connection.created_at),
        "updated_at": timestamp(connection.updated_at),
    });
    if let (Some(document), Value::Object(own)) = (document.as_object_mut(), own) {
        document.extend(own);
        if connection.kind == VoiceConnectionKind::Clients {
            let known = connection.password.as_ref().filter(|_| caller.scopes.has(Scope::Admin));
            let password = known.map(|password| password.expose().as_str());
            document.insert("user_name".to_owned(), connection.user_name.as_deref().into());
            document.insert("password".to_owned(), password.into());
        }
    }
    document
}

async fn found<S: TelnyxStore>(
    call: &Call<S>,
    id: &str,
    kind: VoiceConnectionKind,
) -> Result<VoiceConnection, TelnyxError> {
    let id = id.parse().map_err(|_| TelnyxError::not_found())?;
    let found = call.state.store.voice_connection(call.caller.project, VoiceConnectionId(id)).await?;
    found.filter(|connection| connection.kind == kind).ok_or_else(TelnyxError::not_found)
}

pub(crate) async fn connection<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    Ok(data(StatusCode::OK, &rendered(call.caller, &found(&call, &id, VoiceConnectionKind::Clients).await?)))
}

pub(crate) async fn application<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    Ok(data(StatusCode::OK, &rendered(call.caller, &found(&call, &id, VoiceConnectionKind::Application).await?)))
}

pub(crate) async fn update_connection<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    update(&call, &id, VoiceConnectionKind::Clients).await
}

pub(crate) async fn update_application<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    update(&call, &id, VoiceConnectionKind::Application).await
}

async fn update<S: TelnyxStore>(call: &Call<S>, id: &str, kind: VoiceConnectionKind) -> Answer {
    let before = found(call, id, kind).await?;
    let mut connection = before.clone();
    change(&mut connection, &Body::read(&call.body)?)?;
    connection.updated_at = Now::read().unix;
    if !call.state.store.update_voice_connection(&connection).await? {
        return Err(TelnyxError::not_found());
    }
    let has_new_name = before.user_name != connection.user_name;
    if !connection.is_active || has_new_name {
        let mut names = call.state.records.users(&before, connection.updated_at).await?;
        if connection.is_active {
            names.truncate(1);
        }
        call.state.records.send_away(call.caller.project, &names, connection.updated_at).await?;
    }
    Ok(data(StatusCode::OK, &rendered(call.caller, &connection)))
}

pub(crate) async fn delete_connection<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    remove(&call, &id, VoiceConnectionKind::Clients).await
}

pub(crate) async fn delete_application<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    remove(&call, &id, VoiceConnectionKind::Application).await
}

async fn remove<S: TelnyxStore>(call: &Call<S>, id: &str, kind: VoiceConnectionKind) -> Answer {
    let connection = found(call, id, kind).await?;
    if !call.state.records.remove_connection(call.caller, &connection, Now::read().unix).await? {
        return Err(TelnyxError::not_found());
    }
    Ok(data(StatusCode::OK, &rendered(call.caller, &connection)))
}

pub(crate) async fn registration_status<S: TelnyxStore>(Path(id): Path<String>, call: Call<S>) -> Answer {
    let connection = found(&call, &id, VoiceConnectionKind::Clients).await?;
    let name = connection.user_name.as_deref().unwrap_or_default();
    let registered = call.state.records.registered(call.caller.project, name);
    let status = if registered.is_some() { "Registered" } else { "Not Registered" };
    Ok(data(
        StatusCode::OK,
        &object!({
            "record_type": "registration_status",
            "sip_username": name,
            "status": status,
            "transport": registered.as_ref().map(|_| "WSS"),
            "ip_address": null,
            "port": null,
            "user_agent": null,
            "last_registration": registered.map(|registered| timestamp(registered.since)),
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_have_a_letter_among_the_first_five() {
        for (name, is_fine) in [
            ("john1234", true),
            ("1234a", true),
            ("12345a", false),
            ("abc", false),
            ("abcd", true),
            ("has space", false),
            ("a-b-c-d", false),
        ] {
            assert_eq!(user_name(name).is_ok(), is_fine, "{name}");
        }
        assert!(user_name(&"a".repeat(32)).is_ok() && user_name(&"a".repeat(33)).is_err());
    }

    #[test]
    fn every_default_is_json_and_passes_its_own_check() {
        for fields in [[COMMON, CONNECTION].concat(), [COMMON, APPLICATION].concat()] {
            let document = defaults(&fields);
            let body = Body::read(document.to_string().as_bytes()).unwrap();
            let mut again = object!({});
            body.put_into(&mut again, &fields).unwrap();
            assert_eq!(again, document);
            for field in fields {
                let given = serde_json::from_str::<Value>(field.default);
                assert!(given.is_ok(), "{}", field.name);
            }
        }
    }
}
