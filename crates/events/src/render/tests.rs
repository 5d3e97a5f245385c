//! Every event there is has a public form, and docs/events.md shows exactly that form.

use std::{collections::BTreeSet, time::Duration};

use causeway_app::{
    Attribution, CallRecord, ClientPlace, Cursor, ProjectId, RegistrationEnd, SessionEndReason, TokenId,
};
use causeway_call_core::{CallId, EndedBy, HangupCause};
use causeway_types::{AllocationEndReason, AllocationId, ClientSecurity, ClientTransport, LimitName, TrafficCount};

use super::*;

const AT: UnixTime = UnixTime::from_millis(1_790_000_000_042);

#[test]
fn every_public_event_is_rendered_and_shown_in_the_guide_as_it_is() {
    let guide = include_str!("../../../../docs/events.md");
    let shown: Vec<Value> = guide
        .split("```json\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .map(|block| serde_json::from_str(block).expect("an example in docs/events.md is JSON"))
        .collect();
    let mut names = BTreeSet::new();
    for (event, number) in every_event().into_iter().zip(0_u64..) {
        let name = event.name();
        let record =
            EventRecord { cursor: Cursor(1_790_000_000_000_000 + number), at: AT, project: ProjectId(1), event };
        if !record.event.is_public() {
            continue;
        }
        let rendered: Value = serde_json::from_str(&render(&record).body).expect("JSON");
        let pretty = serde_json::to_string_pretty(&rendered).expect("JSON");
        let mut wanted = shown.iter().filter(|value| value["type"] == name);
        let wanted = wanted.next().unwrap_or_else(|| panic!("docs/events.md lacks {name}:\n{pretty}"));
        assert_eq!(&rendered, wanted, "docs/events.md shows another {name} than:\n{pretty}");
        assert!(names.insert(name), "{name} twice");
    }
    let promised: BTreeSet<&str> = DomainEvent::PUBLIC_NAMES.into_iter().collect();
    assert_eq!(names, promised);
}

#[test]
fn id_type_and_time_come_first_and_the_session_names_the_order() {
    let event = DomainEvent::SessionStarted(start());
    let stored = render(&EventRecord { cursor: Cursor(7), at: AT, project: ProjectId(3), event });
    assert!(
        stored.body.starts_with(r#"{"id":"7","type":"session.started","at":"2026-09-21T14:13:20.042Z","#),
        "{}",
        stored.body
    );
    assert_eq!((stored.session.as_str(), stored.project), ("00000000000000ab", ProjectId(3)));
    assert_eq!(rfc3339(UnixTime::from_millis(0)), "1970-01-01T00:00:00.000Z");
}

#[test]
fn what_is_not_known_is_null_and_an_expired_credential_says_since_when() {
    let refused = |refusal| {
        let client = "203.0.113.9:1".parse().expect("an address");
        let event = DomainEvent::AuthRefused { username: None, refusal, client, transport: ClientTransport::Tcp };
        Value::Object(fields(&event))
    };
    let unknown = refused(AuthRefusal::UnknownUser);
    assert_eq!((&unknown["username"], &unknown["reason"]), (&Value::Null, &json!("unknown_user")));
    assert!(unknown.get("expiredSecs").is_none());
    assert_eq!(refused(AuthRefusal::Expired { ago: Duration::from_secs(61) })["expiredSecs"], json!(61));
}

fn start() -> Arc<SessionStart> {
    let name = |text| Identifier::new(text).expect("a name");
    Arc::new(SessionStart {
        id: AllocationId(0xab),
        number: 1,
        attribution: Arc::new(Attribution {
            project: ProjectId(1),
            token: Some(TokenId(4)),
            room: Some(name("demo-room")),
            clients: vec![(name("alice"), Role::Initiator)],
            region: "local".to_owned(),
        }),
        username: "6a1f5c1e-6d0b-4c43-9f6c-0d8a1c1b2a33".into(),
        credential: CredentialKind::Issued,
        realm: "causeway".into(),
        at: AT,
        five_tuple: five_tuple("203.0.113.9:40000"),
        security: Some(ClientSecurity { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" }),
        relayed: [Some("198.51.100.1:50000".parse().expect("an address")), None],
        transport: RelayTransport::Udp,
        lifetime: Duration::from_secs(600),
    })
}

fn registration() -> Arc<Registration> {
    Arc::new(Registration {
        id: "0-7".to_owned(),
        project: ProjectId(1),
        client: "alice".into(),
        dialect: "sip",
        is_ringable: true,
        since: AT,
        updated: AT,
        expires_at: AT.saturating_add(Duration::from_secs(600)),
        address: Some([203, 0, 113, 9].into()),
        user_agent: Some("AculabCloudClient".into()),
        admission: None,
    })
}

fn call_start() -> Arc<CallStart> {
    let address = Some("203.0.113.9".parse().expect("an address"));
    Arc::new(CallStart {
        id: CallId(0x4b4c_4d4e_0000_4000_8000_0000_0000_002a),
        project: ProjectId(1),
        from: "alice".into(),
        to: vec!["bob".into()],
        service: None,
        place: ClientPlace { dialect: "sip", address, user_agent: None },
        at: AT,
    })
}

fn five_tuple(client: &str) -> FiveTuple {
    FiveTuple {
        transport: ClientTransport::Tls,
        client: client.parse().expect("an address"),
        server: "198.51.100.1:5349".parse().expect("an address"),
    }
}

/// One of each. The match makes a new kind fail to compile until it has a place here.
#[expect(clippy::too_many_lines, reason = "an arm for every event")]
fn every_event() -> Vec<DomainEvent> {
    let session = start();
    let name = |text| Identifier::new(text).expect("a name");
    let username: Arc<str> = Arc::clone(&session.username);
    let token = TokenId(4);
    let traffic = TrafficCounters {
        from_client: TrafficCount { packets: 10, bytes: 1000 },
        to_client: TrafficCount { packets: 9, bytes: 900 },
    };
    let messages = TrafficCounters {
        from_client: TrafficCount { packets: 14, bytes: 1640 },
        to_client: TrafficCount { packets: 13, bytes: 1500 },
    };
    let first = DomainEvent::CredentialMinted {
        username: Arc::clone(&username),
        room: Some(name("demo-room")),
        clients: vec![(name("alice"), Role::Initiator)],
        token,
        expires_at: AT.saturating_add(Duration::from_secs(3600)),
    };
    let mut events = vec![first];
    while let Some(last) = events.last() {
        let next = match last {
            DomainEvent::CredentialMinted { .. } => DomainEvent::CredentialRevoked { username: Arc::clone(&username) },
            DomainEvent::CredentialRevoked { .. } => DomainEvent::CredentialExpired { username: Arc::clone(&username) },
            DomainEvent::CredentialExpired { .. } => DomainEvent::AuthRefused {
                username: Some(Arc::clone(&username)),
                refusal: AuthRefusal::Expired { ago: Duration::from_secs(61) },
                client: session.five_tuple.client,
                transport: ClientTransport::Tls,
            },
            DomainEvent::AuthRefused { .. } => DomainEvent::SessionStarted(Arc::clone(&session)),
            DomainEvent::SessionStarted(_) => {
                DomainEvent::SessionFirstData { session: Arc::clone(&session), after: Duration::from_millis(85) }
            }
            DomainEvent::SessionFirstData { .. } => DomainEvent::SessionRefreshed {
                session: Arc::clone(&session),
                five_tuple: session.five_tuple,
                lifetime: Duration::from_secs(600),
            },
            DomainEvent::SessionRefreshed { .. } => DomainEvent::SessionPathChanged {
                session: Arc::clone(&session),
                from: session.five_tuple,
                to: five_tuple("203.0.113.77:51000"),
            },
            DomainEvent::SessionPathChanged { .. } => {
                DomainEvent::SessionTraffic { session: Arc::clone(&session), traffic, messages }
            }
            DomainEvent::SessionTraffic { .. } => DomainEvent::SessionEnded {
                session: Arc::clone(&session),
                reason: SessionEndReason::Relay(AllocationEndReason::ClientDeleted),
                duration: Duration::from_millis(61_250),
                traffic,
                messages,
            },
            DomainEvent::SessionEnded { .. } => DomainEvent::LimitReached {
                limit: LimitName::AllocationsPerUser,
                username: Some(Arc::clone(&username)),
            },
            DomainEvent::LimitReached { .. } => DomainEvent::RoomOpened { room: name("demo-room") },
            DomainEvent::RoomOpened { .. } => DomainEvent::RoomClosed { room: name("demo-room") },
            DomainEvent::RoomClosed { .. } => {
                DomainEvent::RegionChanged { region: "local".into(), is_online: true, is_operational: false }
            }
            DomainEvent::RegionChanged { .. } => DomainEvent::TokenCreated { token, name: "backend".into() },
            DomainEvent::TokenCreated { .. } => DomainEvent::TokenFirstUsed { token },
            DomainEvent::TokenFirstUsed { .. } => DomainEvent::TokenRevoked { token },
            DomainEvent::TokenRevoked { .. } => DomainEvent::RegistrationOpened(registration()),
            DomainEvent::RegistrationOpened(_) => DomainEvent::RegistrationClosed {
                registration: registration(),
                reason: RegistrationEnd::ConnectionLost,
            },
            DomainEvent::RegistrationClosed { .. } => DomainEvent::CallStarted(call_start()),
            DomainEvent::CallStarted(call) => DomainEvent::CallRinging { call: Arc::clone(call), client: "bob".into() },
            DomainEvent::CallRinging { call, .. } => DomainEvent::CallAnswered {
                call: Arc::clone(call),
                client: "bob".into(),
                after: Duration::from_millis(5200),
            },
            DomainEvent::CallAnswered { call, .. } => {
                DomainEvent::CallHeld { call: Arc::clone(call), client: "bob".into(), is_held: true }
            }
            DomainEvent::CallHeld { call, .. } => {
                DomainEvent::CallDtmf { call: Arc::clone(call), client: "alice".into(), digits: "5".into() }
            }
            DomainEvent::CallDtmf { call, .. } => {
                DomainEvent::CallTransferred { call: Arc::clone(call), client: "bob".into(), to: "carol".into() }
            }
            DomainEvent::CallTransferred { call, .. } => DomainEvent::CallEnded(Arc::new(CallRecord {
                start: Arc::clone(call),
                ringing_at: Some(AT.saturating_add(Duration::from_millis(100))),
                answered_at: Some(AT.saturating_add(Duration::from_millis(5200))),
                answered_by: Some("bob".into()),
                answered_place: None,
                ended_at: AT.saturating_add(Duration::from_millis(66_200)),
                cause: HangupCause::Normal,
                ended_by: EndedBy::Callee,
            })),
            DomainEvent::CallEnded(_) => break,
        };
        events.push(next);
    }
    events
}
