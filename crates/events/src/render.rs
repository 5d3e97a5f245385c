//! The public form of an event: one JSON object, the same in the stream and in webhooks (`docs/events.md`).
//!
//! Names and meanings are stable; consumers must expect new fields and new types.

use std::{net::SocketAddr, sync::Arc};

use causeway_app::{CallStart, DomainEvent, EventRecord, Identifier, Registration, Role, SessionStart, StoredEvent};
use causeway_types::{AuthRefusal, CredentialKind, FiveTuple, RelayTransport, TrafficCounters, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

#[derive(Serialize)]
struct Public<'a> {
    /// A string, though it is a number below 2^53: consumers hand it back as it is.
    id: String,
    r#type: &'a str,
    at: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// The event as it is posted, streamed and kept.
#[must_use]
pub fn render(record: &EventRecord) -> StoredEvent {
    let public = Public {
        id: record.cursor.0.to_string(),
        r#type: record.event.name(),
        at: rfc3339(record.at),
        fields: fields(&record.event),
    };
    StoredEvent {
        cursor: record.cursor,
        project: record.project,
        session: order(&record.event),
        name: record.event.name().to_owned(),
        at: record.at,
        // Only strings, numbers and lists of them are written: nothing that could fail.
        body: serde_json::to_string(&public).unwrap_or_default(),
    }
}

/// What events are in order with each other: those of a session, those of a call.
fn order(event: &DomainEvent) -> String {
    let session = event.session().map(|id| id.to_string());
    session.or_else(|| event.call().map(|call| call.id.to_string())).unwrap_or_default()
}

fn fields(event: &DomainEvent) -> Map<String, Value> {
    let value = match event {
        DomainEvent::CredentialMinted { username, room, clients, token, expires_at } => json!({
            "username": &**username,
            "room": room.as_ref().map(Identifier::as_str),
            "clients": client_list(clients),
            "tokenId": token.0,
            "expiresAt": rfc3339(*expires_at),
        }),
        DomainEvent::CredentialRevoked { username } | DomainEvent::CredentialExpired { username } => {
            json!({ "username": &**username })
        }
        DomainEvent::AuthRefused { username, refusal, client, transport } => {
            let mut fields = json!({
                "username": username.as_deref(),
                "reason": reason(refusal),
                "clientAddress": client.to_string(),
                "transport": transport.as_str(),
            });
            if let AuthRefusal::Expired { ago } = refusal {
                fields["expiredSecs"] = json!(ago.as_secs());
            }
            fields
        }
        DomainEvent::SessionStarted(start) => json!({ "session": session(start) }),
        DomainEvent::SessionFirstData { session: start, after } => {
            json!({ "session": session(start), "firstDataMs": millis(*after) })
        }
        DomainEvent::SessionRefreshed { session: start, five_tuple, lifetime } => json!({
            "session": session(start),
            "clientAddress": five_tuple.client.to_string(),
            "lifetimeSecs": lifetime.as_secs(),
        }),
        DomainEvent::SessionPathChanged { session: start, from, to } => {
            json!({ "session": session(start), "from": leg(from), "to": leg(to) })
        }
        DomainEvent::SessionTraffic { session: start, traffic, messages } => {
            let mut fields = figures(traffic, messages);
            fields["session"] = session(start);
            fields
        }
        DomainEvent::SessionEnded { session: start, reason, duration, traffic, messages } => {
            let mut fields = figures(traffic, messages);
            fields["session"] = session(start);
            fields["reason"] = json!(reason.as_str());
            fields["durationMs"] = json!(millis(*duration));
            fields
        }
        DomainEvent::LimitReached { limit, username } => {
            json!({ "limit": limit.as_str(), "username": username.as_deref() })
        }
        DomainEvent::RoomOpened { room } | DomainEvent::RoomClosed { room } => json!({ "room": room.as_str() }),
        DomainEvent::RegionChanged { region, is_online, is_operational } => {
            json!({ "region": &**region, "isOnline": is_online, "isOperational": is_operational })
        }
        DomainEvent::TokenCreated { token, name } => json!({ "tokenId": token.0, "name": &**name }),
        DomainEvent::TokenFirstUsed { token } | DomainEvent::TokenRevoked { token } => json!({ "tokenId": token.0 }),
        DomainEvent::RegistrationOpened(live) => json!({ "registration": registration(live) }),
        DomainEvent::RegistrationClosed { registration: live, reason } => {
            json!({ "registration": registration(live), "reason": reason.as_str() })
        }
        DomainEvent::CallStarted(start) => json!({ "call": call(start) }),
        DomainEvent::CallRinging { call: start, client } => json!({ "call": call(start), "client": &**client }),
        DomainEvent::CallAnswered { call: start, client, after } => {
            json!({ "call": call(start), "client": &**client, "answeredAfterMs": millis(*after) })
        }
        DomainEvent::CallHeld { call: start, client, is_held } => {
            json!({ "call": call(start), "client": &**client, "isHeld": is_held })
        }
        DomainEvent::CallDtmf { call: start, client, digits } => {
            json!({ "call": call(start), "client": &**client, "digits": &**digits })
        }
        DomainEvent::CallTransferred { call: start, client, to } => {
            json!({ "call": call(start), "client": &**client, "to": &**to })
        }
        DomainEvent::CallEnded(record) => json!({
            "call": call(&record.start),
            "answeredBy": record.answered_by.as_deref(),
            "answeredAt": record.answered_at.map(rfc3339),
            "cause": record.cause.name(),
            "sipCode": record.sip_code(),
            "endedBy": record.ended_by_name(),
            "durationMs": millis(record.duration()),
            "talkMs": millis(record.talk()),
        }),
    };
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// A registration as it is, or was.
fn registration(live: &Registration) -> Value {
    json!({
        "id": live.id,
        "clientId": &*live.client,
        "dialect": live.dialect,
        "enableIncoming": live.is_ringable,
        "since": rfc3339(live.since),
        "expiresAt": rfc3339(live.expires_at),
        "address": live.address.map(|address| address.to_string()),
        "userAgent": live.user_agent.as_deref(),
    })
}

/// What is known of a session from its start on.
fn session(start: &Arc<SessionStart>) -> Value {
    json!({
        "id": start.id.to_string(),
        "username": &*start.username,
        "credentialKind": match start.credential {
            CredentialKind::Issued => "issued",
            CredentialKind::TurnRest { .. } => "turn_rest",
            CredentialKind::Static => "static",
        },
        "room": start.attribution.room.as_ref().map(Identifier::as_str),
        "clients": client_list(&start.attribution.clients),
        "region": start.attribution.region,
        "transport": start.five_tuple.transport.as_str(),
        "relayTransport": match start.transport {
            RelayTransport::Udp => "udp",
            RelayTransport::Tcp => "tcp",
        },
        "listener": start.five_tuple.server.to_string(),
        "clientAddress": known(start.five_tuple.client),
        "relayedAddresses": start.relayed.iter().flatten().map(ToString::to_string).collect::<Vec<_>>(),
        "tls": start.security.map(|tls| json!({ "version": tls.version, "cipher": tls.cipher })),
        "lifetimeSecs": start.lifetime.as_secs(),
        "startedAt": rfc3339(start.at),
    })
}

/// An address, unless nothing of it was kept.
fn known(address: SocketAddr) -> Option<String> {
    (!address.ip().is_unspecified()).then(|| address.to_string())
}

/// What is known of a call from its start on.
fn call(start: &CallStart) -> Value {
    let mut call = json!({
        "id": start.id.to_string(),
        "from": &*start.from,
        "to": start.to.iter().map(|to| &**to).collect::<Vec<_>>(),
        "dialect": start.place.dialect,
        "clientAddress": start.place.address.map(|address| address.to_string()),
        "startedAt": rfc3339(start.at),
    });
    if let Some(service) = &start.service {
        call["service"] = json!(&**service);
    }
    call
}

fn client_list(clients: &[(Identifier, Role)]) -> Value {
    clients.iter().map(|(client, role)| json!({ "client": client.as_str(), "role": role.as_str() })).collect()
}

fn leg(five_tuple: &FiveTuple) -> Value {
    json!({
        "transport": five_tuple.transport.as_str(),
        "listener": five_tuple.server.to_string(),
        "clientAddress": five_tuple.client.to_string(),
    })
}

/// The figures under the names that the sessions of the API have.
fn figures(traffic: &TrafficCounters, messages: &TrafficCounters) -> Value {
    json!({
        "bytesIn": messages.from_client.bytes,
        "bytesOut": messages.to_client.bytes,
        "packetsIn": messages.from_client.packets,
        "packetsOut": messages.to_client.packets,
        "peerBytesOut": traffic.from_client.bytes,
        "peerBytesIn": traffic.to_client.bytes,
        "peerPacketsOut": traffic.from_client.packets,
        "peerPacketsIn": traffic.to_client.packets,
    })
}

const fn reason(refusal: &AuthRefusal) -> &'static str {
    match refusal {
        AuthRefusal::UnknownUser => "unknown_user",
        AuthRefusal::WrongKey => "wrong_key",
        AuthRefusal::Expired { .. } => "expired",
        AuthRefusal::Revoked => "revoked",
        AuthRefusal::TooFarAhead => "too_far_ahead",
        AuthRefusal::OtherUser => "other_user",
        AuthRefusal::OtherAddress => "other_address",
        AuthRefusal::Unavailable => "unavailable",
        AuthRefusal::BidDown => "bid_down",
        _ => "other",
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with exactly three fraction digits.
fn rfc3339(at: UnixTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests;
