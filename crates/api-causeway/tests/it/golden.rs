//! Requests and the bytes of their answers, one file each in `golden/`. `GOLDEN_UPDATE=1` writes them anew; then read the
//! difference.

use std::{fs, path::Path};

use causeway_api_http::RateLimit;
use causeway_app::{Lookup, ProjectId, Scope, Scopes, UserQuery};
use causeway_types::UnixTime;
use serde_json::json;

use crate::world::{Answer, DOCTOR, OTHER, OWN, SESSION, USERNAME, WIDE, World, in_an_hour};

#[tokio::test]
async fn what_is_recorded_is_told() {
    let world = World::start().await;
    for (name, path) in [
        ("rooms", "/api/v1/rooms?active=true&prefix=room&limit=1"),
        ("room", "/api/v1/rooms/room-a"),
        ("room-clients", "/api/v1/rooms/room-a/clients"),
        ("room-sessions", "/api/v1/rooms/room-a/sessions"),
        ("room-timeline", "/api/v1/rooms/room-a/timeline?until=2025-07-01T00:00:00Z"),
        ("failures", "/api/v1/failures?room=room-a&client=client-a&reason=expired&search=CLIENT-A&limit=1"),
        ("failures-grouped", "/api/v1/failures?group_by=room&since=2025-01-01T00:00:00Z&until=2026-01-01T00:00:00Z"),
        ("clients", "/api/v1/clients?room=room-a"),
        ("client", "/api/v1/clients/client-a"),
        ("client-sessions", "/api/v1/clients/client-a/sessions"),
        (
            "sessions",
            "/api/v1/sessions?room=room-a&client=client-a&active=true&from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00%2B02:00",
        ),
        ("session", &format!("/api/v1/sessions/{SESSION}")),
        ("credentials", "/api/v1/credentials?room=room-a&client=client-a&token=2&state=active"),
        ("credential", &format!("/api/v1/credentials/{USERNAME}")),
        ("usage", "/api/v1/usage?from=2025-06-01T00:00:00Z&to=2025-07-01T00:00:00Z&interval=day&group_by=room"),
        (
            "usage-csv",
            "/api/v1/usage?from=2025-06-01T00:00:00Z&to=2025-07-01T00:00:00Z&interval=day&group_by=room&format=csv",
        ),
        ("overview", "/api/v1/overview"),
        ("registrations", "/api/v1/registrations?clientId=client-a&limit=1"),
        ("doctor-links", "/api/v1/doctor"),
        ("tokens", "/api/v1/tokens"),
        ("projects", "/api/v1/projects"),
        ("audit", "/api/v1/audit"),
        ("healthz", "/healthz"),
    ] {
        check(name, ("GET", path, ""), &world.get(path, OWN).await);
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_field_by_field() {
    let world = World::start().await;
    for (name, method, path, body) in [
        (
            "error-list-fields",
            "GET",
            "/api/v1/sessions?room=a.b&client=%20&active=yes&from=noon&to=1&limit=201&cursor=%21",
            "",
        ),
        ("error-cursor-of-another-list", "GET", "/api/v1/sessions?cursor=bm9uc2Vuc2U", ""),
        ("error-credential-filters", "GET", "/api/v1/credentials?token=first&state=old&limit=0", ""),
        ("error-usage-fields", "GET", "/api/v1/usage?interval=week&group_by=peer&from=1970-01-01T00:00:00Z", ""),
        ("error-failure-fields", "GET", "/api/v1/failures?reason=bad&room=a.b&since=noon&group_by=day&search=%00", ""),
        ("error-timeline-room-unknown", "GET", "/api/v1/rooms/nobody/timeline", ""),
        ("error-doctor-fields", "POST", "/api/v1/doctor", r#"{"ttl":604801,"maxOpens":101}"#),
        ("error-doctor-unknown", "GET", "/api/v1/doctor/0123", ""),
        ("error-doctor-report", "POST", "/api/v1/doctor/0123/result", r#"{"result":{}}"#),
        ("error-doctor-results", "GET", "/api/v1/doctor/results", ""),
        ("error-room-unknown", "GET", "/api/v1/rooms/nobody", ""),
        ("error-room-no-name", "GET", "/api/v1/rooms/a%2Fb", ""),
        ("error-session-unknown", "GET", "/api/v1/sessions/00000000000000ff", ""),
        ("error-session-end-unknown", "DELETE", "/api/v1/sessions/00000000000000ff", ""),
        ("error-credential-unknown", "DELETE", "/api/v1/credentials/nobody", ""),
        ("error-credential-sessions", "DELETE", &format!("/api/v1/credentials/{USERNAME}?sessions=all"), ""),
        ("error-revoke-nothing-named", "POST", "/api/v1/credentials/revoke", "{}"),
        (
            "error-revoke-two-named",
            "POST",
            "/api/v1/credentials/revoke",
            r#"{"room":"room-a","client":"a b","sessions":"some"}"#,
        ),
        ("error-revoke-broken", "POST", "/api/v1/credentials/revoke", "{"),
        (
            "error-token-fields",
            "POST",
            "/api/v1/tokens",
            r#"{"scopes":["root"],"expiresAt":"2020-01-01T00:00:00Z","organizationWide":"maybe"}"#,
        ),
        ("error-token-unknown", "DELETE", "/api/v1/tokens/99", ""),
        (
            "error-client-token-fields",
            "POST",
            "/api/v1/client-tokens",
            r#"{"clientId":"a b","ttl":599,"enableIncoming":"perhaps","callees":["a*b"]}"#,
        ),
        ("error-client-token-missing", "POST", "/api/v1/client-tokens", "{}"),
        ("error-client-token-unknown", "DELETE", "/api/v1/client-tokens/nobody", ""),
        ("error-client-token-filters", "GET", "/api/v1/client-tokens?clientId=a%20b&active=2", ""),
        ("error-client-tokens-revoke", "POST", "/api/v1/client-tokens/revoke", r#"{"clientId":"a","all":true}"#),
        ("error-client-access-field", "PATCH", "/api/v1/client-tokens/access", r#"{"accessKey":"A-b"}"#),
        ("error-registration-fields", "GET", "/api/v1/registrations?clientId=a%20b&cursor=MQ", ""),
        ("error-sip-user-fields", "POST", "/api/v1/sip-users", r#"{"name":"a b","password":"short"}"#),
        ("error-sip-user-missing", "POST", "/api/v1/sip-users", "{}"),
        ("error-sip-user-unknown", "DELETE", "/api/v1/sip-users/nobody", ""),
        ("error-project-fields", "POST", "/api/v1/projects", r#"{"slug":"a b"}"#),
        ("error-project-exists", "POST", "/api/v1/projects", r#"{"slug":"other"}"#),
        ("error-project-switch-field", "PATCH", "/api/v1/projects/other", "{}"),
        (
            "error-project-rules",
            "PATCH",
            "/api/v1/projects/other",
            r#"{"regions":["atlantis"],"credentialsPerMonthMax":-1,"bytesPerMonthMax":"many"}"#,
        ),
        ("error-token-regions", "POST", "/api/v1/tokens", r#"{"name":"a","scopes":["read"],"regions":["atlantis"]}"#),
        ("error-project-unknown", "PATCH", "/api/v1/projects/nobody", r#"{"disabled":true}"#),
        ("error-region-unknown", "POST", "/api/v1/regions/atlantis/drain", ""),
        ("error-region-node-unknown", "POST", "/api/v1/regions/local/drain", r#"{"node":"elsewhere"}"#),
        ("error-region-node-name", "POST", "/api/v1/regions/local/undrain", r#"{"node":"a b"}"#),
        ("error-method", "PUT", "/api/v1/rooms", ""),
    ] {
        let answer = world.ask(method, path, &format!("Bearer {WIDE}"), body).await;
        check(name, (method, path, body), &answer);
    }
}

#[tokio::test]
async fn what_is_changed_is_answered_and_kept() {
    let world = World::start().await;
    for (name, method, path, body) in [
        (
            "token-make",
            "POST",
            "/api/v1/tokens",
            r#"{"name":"ci","scopes":["read","credentials"],"expiresAt":"2100-01-01T00:00:00Z","regions":["local"]}"#,
        ),
        (
            "token-make-wide",
            "POST",
            "/api/v1/tokens",
            r#"{"name":"console","scopes":["admin"],"organizationWide":true}"#,
        ),
        ("token-revoke", "DELETE", "/api/v1/tokens/4", ""),
        ("sip-user-make", "POST", "/api/v1/sip-users", r#"{"name":"desk-1","password":"correct horse"}"#),
        ("sip-user-make-random", "POST", "/api/v1/sip-users", r#"{"name":"desk-2"}"#),
        ("error-sip-user-exists", "POST", "/api/v1/sip-users", r#"{"name":"desk-1"}"#),
        ("sip-users", "GET", "/api/v1/sip-users?limit=1", ""),
        ("sip-user-delete", "DELETE", "/api/v1/sip-users/desk-1", ""),
        ("project-make", "POST", "/api/v1/projects", r#"{"slug":"third"}"#),
        (
            "project-limit",
            "PATCH",
            "/api/v1/projects/other",
            r#"{"regions":["local"],"credentialsPerMonthMax":1000,"bytesPerMonthMax":1000000}"#,
        ),
        ("project-limit-less", "PATCH", "/api/v1/projects/other", r#"{"regions":[],"credentialsPerMonthMax":0}"#),
        ("project-disable", "PATCH", "/api/v1/projects/other", r#"{"disabled":true}"#),
        ("session-end", "DELETE", &format!("/api/v1/sessions/{SESSION}"), ""),
        ("credential-revoke", "POST", "/api/v1/credentials/revoke", r#"{"createdBefore":"2026-01-01T00:00:00Z"}"#),
        ("credential-revoke-again", "POST", "/api/v1/credentials/revoke", r#"{"room":"room-a"}"#),
        ("credential-take-back", "DELETE", &format!("/api/v1/credentials/{USERNAME}?sessions=end"), ""),
        ("credential-revoked", "GET", "/api/v1/credentials?state=revoked", ""),
        ("doctor-make", "POST", "/api/v1/doctor", r#"{"name":"for bob","ttl":3600,"maxOpens":3}"#),
        ("doctor-open", "GET", &format!("/api/v1/doctor/{DOCTOR}"), ""),
        ("doctor-report", "POST", &format!("/api/v1/doctor/{DOCTOR}/result"), r#"{"result":{"udp":"ok"}}"#),
        ("doctor-results", "GET", "/api/v1/doctor/results?link=1", ""),
        ("client-erase", "POST", "/api/v1/clients/client-a/erase", ""),
        ("room-erase", "POST", "/api/v1/rooms/room-a/erase", ""),
        ("room-erased", "GET", "/api/v1/rooms/room-a", ""),
        ("audit-after", "GET", "/api/v1/audit?limit=3", ""),
    ] {
        let answer = world.ask(method, path, &format!("Bearer {WIDE}"), body).await;
        check(name, (method, path, body), &answer);
    }
    check("error-project-disabled", ("GET", "/api/v1/rooms", ""), &world.get("/api/v1/rooms", OTHER).await);
    let heard = world.events.0.lock().expect("not poisoned").clone();
    for event in ["token.created", "token.revoked", "credential.revoked", "token.used_first_time"] {
        assert!(heard.contains(&event), "{event} in {heard:?}");
    }
}

#[tokio::test]
async fn regions_are_drained_and_put_back() {
    let world = World::start().await;
    for (name, path, body) in [
        ("region-drain-node", "/api/v1/regions/local/drain", r#"{"node":"node-1"}"#),
        ("region-drain", "/api/v1/regions/local/drain", ""),
        ("error-no-region", "/api/v1/credentials/ice", ""),
        ("region-undrain", "/api/v1/regions/local/undrain", ""),
        ("region-undrain-node", "/api/v1/regions/local/undrain", r#"{"node":"node-1"}"#),
    ] {
        let answer = world.ask("POST", path, &format!("Bearer {WIDE}"), body).await;
        check(name, ("POST", path, body), &answer);
    }
    let audit = world.get("/api/v1/audit?limit=4", WIDE).await.json();
    let told = |entry: &serde_json::Value| (entry["action"].clone(), entry["detail"].clone());
    let told: Vec<_> = audit["data"].as_array().expect("a list").iter().map(told).collect();
    let node = || json!({"node": "node-1"});
    let (drained, back) = (json!("region.drain"), json!("region.undrain"));
    assert_eq!(told, [(back.clone(), node()), (back, json!({})), (drained.clone(), json!({})), (drained, node())]);
    let heard = world.events.0.lock().expect("not poisoned").clone();
    assert_eq!(heard.iter().filter(|name| **name == "region.changed").count(), 2, "down once, up once: {heard:?}");
}

#[tokio::test]
async fn the_servers_of_a_region_are_for_those_who_run_them() {
    let world = World::start().await;
    let all = world.get("/api/v1/regions?nodes=true", WIDE).await.json();
    let node = &all[0]["nodes"][0];
    assert_eq!((&all[0]["is_drained"], all[0].as_object().map(serde_json::Map::len)), (&json!(false), Some(10)));
    let urls = json!([
        "stun:turn.example.net:3478",
        "turn:turn.example.net:3478?transport=udp",
        "turn:turn.example.net:3478?transport=tcp"
    ]);
    for (field, value) in [
        ("name", json!("node-1")),
        ("state", json!("serving")),
        ("is_online", json!(true)),
        ("is_operational", json!(true)),
        ("is_drained", json!(false)),
        ("live_sessions", json!(1)),
        ("certificate_days_left", json!(30)),
        ("urls", urls),
    ] {
        assert_eq!(node[field], value, "{field}");
    }
    check(
        "error-region-nodes",
        ("GET", "/api/v1/regions?nodes=true", ""),
        &world.get("/api/v1/regions?nodes=true", OWN).await,
    );
    let plain = world.get("/api/v1/regions", WIDE).await.json();
    assert_eq!(plain[0].as_object().map(serde_json::Map::len), Some(8));
}

#[tokio::test]
async fn the_server_examines_what_it_advertises_with_a_credential_of_its_own() {
    let world = World::start().await;
    let answer = world.ask("POST", "/api/v1/doctor/check", &format!("Bearer {OWN}"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let examined = answer.json();
    assert_eq!(examined["passes"][0]["url"], "stun:turn.example.net:3478");
    assert_eq!(examined["passes"][0]["verdict"], "ok");
}

#[tokio::test]
async fn a_token_works_from_its_making_to_its_revocation() {
    let world = World::start().await;
    let made =
        world.ask("POST", "/api/v1/tokens", &format!("Bearer {OWN}"), r#"{"name":"a","scopes":["read"]}"#).await.json();
    let value = made["value"].as_str().expect("a value");
    assert!(value.starts_with("cwp_") && value.len() == 47, "{value}");
    assert_eq!(world.get("/api/v1/rooms", value).await.status, 200);
    assert!(!world.get("/api/v1/tokens", OWN).await.text.contains(value), "shown once");
    let gone = world.ask("DELETE", &format!("/api/v1/tokens/{}", made["id"]), &format!("Bearer {OWN}"), "").await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.get("/api/v1/rooms", value).await.status, 401);
}

#[tokio::test]
async fn a_turn_rest_name_is_refused_by_the_project_that_owns_such_names_only() {
    let world = World::start().await;
    let name = format!("{}:alice", in_an_hour());
    let known = || matches!(world.directory.look_up(UserQuery::Name(&name), UnixTime::from_secs(1)), Lookup::Known(_));
    let path = format!("/api/v1/credentials/{name}");
    assert_eq!(world.ask("DELETE", &path, &format!("Bearer {OTHER}"), "").await.status, 404);
    assert!(known());
    assert_eq!(world.ask("DELETE", &path, &format!("Bearer {OWN}"), "").await.status, 204);
    assert!(!known());
}

#[tokio::test]
async fn pages_lead_from_one_to_the_next() {
    let world = World::start().await;
    for n in 0..5 {
        let body = format!(r#"{{"room":"page-{n}"}}"#);
        let minted = world.ask("POST", "/api/v1/credentials/ice", &format!("Bearer {OTHER}"), &body).await;
        assert_eq!(minted.status, 200, "{}", minted.text);
    }
    let (mut rooms, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/rooms?limit=2&cursor={cursor}"), OTHER).await.json();
        rooms.extend(page["data"].as_array().expect("a list").iter().map(|room| room["room"].to_string()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(rooms, (0..5).map(|n| format!("\"page-{n}\"")).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let world = World::start().await;
    let scopes = Scopes::default().with(Scope::Credentials);
    world.add_token(ProjectId::DEFAULT, "cwp_narrow", scopes).await;
    for (name, authorization) in
        [("error-missing-token", ""), ("error-invalid-token", "Bearer cwp_wrong"), ("error-scope", "Bearer cwp_narrow")]
    {
        check(name, ("GET", "/api/v1/rooms", ""), &world.ask("GET", "/api/v1/rooms", authorization, "").await);
    }
    world.store.close().await;
    check("error-store-down", ("GET", "/api/v1/rooms", ""), &world.get("/api/v1/rooms", OWN).await);
}

#[tokio::test]
async fn the_allowance_is_one_over_all_families() {
    let world = World::with_rate(RateLimit { per_sec: 1, burst: 2 }).await;
    assert_eq!(world.get("/api/v1/rooms", OWN).await.status, 200);
    assert_eq!(world.get("/api/v1/regions", OWN).await.status, 200);
    check("error-rate", ("GET", "/api/v1/rooms", ""), &world.get("/api/v1/rooms", OWN).await);
}

#[tokio::test]
async fn the_facades_answer_in_their_own_shapes() {
    let world = World::start().await;
    // "any:cwp_own"
    let (bearer, basic) = (format!("Bearer {OWN}"), "Basic YW55OmN3cF9vd24=");
    let cloudflare = |call: &str| format!("/v1/turn/keys/any/credentials/{call}");
    let twilio = "/2010-04-01/Accounts/AC1/Tokens.json";
    for (name, path, authorization, body) in [
        (
            "cloudflare-list",
            cloudflare("generate-ice-servers"),
            bearer.as_str(),
            r#"{"ttl":600,"customIdentifier":"user@example"}"#,
        ),
        ("cloudflare-object", cloudflare("generate"), bearer.as_str(), r#"{"ttl":600}"#),
        ("cloudflare-revoke", cloudflare(&format!("{USERNAME}/revoke")), bearer.as_str(), ""),
        ("cloudflare-error-unknown", cloudflare("nobody/revoke"), bearer.as_str(), ""),
        ("cloudflare-error-ttl", cloudflare("generate-ice-servers"), bearer.as_str(), r#"{"ttl":0}"#),
        ("cloudflare-error-token", cloudflare("generate-ice-servers"), "", ""),
        ("twilio-token", twilio.to_owned(), basic, r#"{"Ttl":600}"#),
        ("twilio-token-default", twilio.to_owned(), basic, ""),
        ("twilio-error-ttl", twilio.to_owned(), basic, r#"{"Ttl":"long"}"#),
        ("twilio-error-token", twilio.to_owned(), bearer.as_str(), ""),
    ] {
        let answer = world.ask("POST", &path, authorization, body).await;
        check(name, ("POST", &path, body), &answer);
    }
}

#[tokio::test]
async fn the_token_service_answers_in_its_own_shape() {
    let world = World::start().await;
    // "1-2-0/me:cwp_own", "1-3-0/me:cwp_own", "me:cwp_own", "1-2-0/me:cwp_wrong"
    let (good, other_cloud) = ("Basic MS0yLTAvbWU6Y3dwX293bg==", "Basic MS0zLTAvbWU6Y3dwX293bg==");
    let (no_cloud, wrong) = ("Basic bWU6Y3dwX293bg==", "Basic MS0yLTAvbWU6Y3dwX3dyb25n");
    let mint = "/webrtc_generate_token";
    for (name, method, path, authorization) in [
        ("aculab-registered", "GET", "/webrtc_registered_clients".to_owned(), good),
        ("aculab-registered-post", "POST", "/webrtc_registered_clients".to_owned(), good),
        ("aculab-error-missing", "GET", mint.to_owned(), good),
        ("aculab-error-malformed", "GET", format!("{mint}?client_id=a@b"), good),
        ("aculab-error-repeated", "POST", format!("{mint}?client_id=a&client_id=b"), good),
        ("aculab-error-zero", "GET", format!("{mint}?client_id=a&ttl=0"), good),
        ("aculab-error-several", "GET", format!("{mint}?ttl=599&enable_incoming=yes&call_client=,"), good),
        ("aculab-error-no-key", "GET", mint.to_owned(), ""),
        ("aculab-error-wrong-key", "GET", mint.to_owned(), wrong),
        ("aculab-error-no-cloud", "GET", mint.to_owned(), no_cloud),
        ("aculab-error-other-cloud", "GET", format!("{mint}?client_id=a"), other_cloud),
        ("aculab-error-method", "DELETE", mint.to_owned(), good),
    ] {
        check(name, (method, &path, ""), &world.ask(method, &path, authorization, "").await);
    }
    let json = world.ask("POST", mint, good, r#"{"client_id":"a"}"#).await;
    check("aculab-error-json", ("POST", mint, r#"{"client_id":"a"}"#), &json);
    world.store.close().await;
    let path = format!("{mint}?client_id=a");
    check("aculab-error-store-down", ("GET", &path, ""), &world.ask("GET", &path, good, "").await);
}

/// Compares an exchange with the file of this name.
#[track_caller]
fn check(name: &str, (method, path, body): (&str, &str, &str), answer: &Answer) {
    let head: Vec<&str> = answer.head.lines().filter(|line| !is_noise(line)).collect();
    let exchange = format!("{method} {path}\n{body}\n----\n{}\n\n{}\n", head.join("\n"), answer.text);
    let exchange = normal(&exchange);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(format!("{name}.http"));
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, exchange).expect("a writable file");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == exchange, "{}\n--- expected\n{expected}\n--- came\n{exchange}", path.display());
}

/// Headers that differ from run to run, or that hyper adds.
fn is_noise(line: &str) -> bool {
    ["date: ", "x-ratelimit-reset: ", "content-length: ", "connection: "].iter().any(|name| line.starts_with(name))
}

/// The text with what differs between runs replaced by its form.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let forms: [(&str, &str); 8] = [
            ("xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx", "<uuid>"),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "<32 hex digits>"),
            ("xxxxxxxxxxxxxxxx", "<16 hex digits>"),
            ("202d-dd-ddTdd:dd:dd.dddZ", "<time>"),
            ("202d-dd-dd_dd:dd:dd", "<time>"),
            ("Aaa, dd Aaa dddd dd:dd:dd +0000", "<date>"),
            ("cwp_wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "<project token>"),
            ("cwo_wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "<organization token>"),
        ];
        let found = forms.iter().find_map(|(form, name)| {
            let head = rest.get(..form.len())?;
            // What the world was made with stays as it is.
            let is_seeded =
                head == USERNAME || head.starts_with("0000") || head.starts_with("2025") || head.starts_with("2026-01");
            (is_like(head, form) && !is_seeded).then_some((form.len(), *name))
        });
        let (len, piece) = found.unwrap_or_else(|| (next.len_utf8(), ""));
        out.push_str(if piece.is_empty() { rest.get(..len).unwrap_or_default() } else { piece });
        rest = rest.get(len..).unwrap_or_default();
    }
    mask_prefixes(out)
}

/// The shown prefix of a token that was just made.
fn mask_prefixes(text: String) -> String {
    let mut lines = text;
    for family in ["cwp_", "cwo_"] {
        for tail in ["wide", "own", "othe"] {
            // Those of the world are short words; keep them.
            lines =
                lines.replace(&format!("\"prefix\":\"{family}{tail}"), &format!("\"prefix\":\"keep:{family}{tail}"));
        }
        while let Some(at) = lines.find(&format!("\"prefix\":\"{family}")) {
            let end = lines.get(at + 10..).and_then(|rest| rest.find('"')).map_or(lines.len(), |n| at + 10 + n);
            lines.replace_range(at..end, "\"prefix\":\"<first characters>");
        }
    }
    lines.replace("\"prefix\":\"keep:", "\"prefix\":\"")
}

/// `d` a digit, `x` a small hexadecimal digit, `w` base64url, `A` a capital, `a` a small letter, all else itself.
fn is_like(text: &str, form: &str) -> bool {
    text.bytes().zip(form.bytes()).all(|(c, f)| match f {
        b'd' => c.is_ascii_digit(),
        b'x' => c.is_ascii_digit() || (b'a'..=b'f').contains(&c),
        b'w' => c.is_ascii_alphanumeric() || c == b'-' || c == b'_',
        b'A' => c.is_ascii_uppercase(),
        b'a' => c.is_ascii_lowercase(),
        _ => c == f,
    })
}

#[tokio::test]
async fn voice_records_are_told_and_taken_back() {
    let world = World::start().await;
    world.add_voice().await;
    for (name, method, path) in [
        ("voice-connections", "GET", "/api/v1/voice-connections?limit=1"),
        ("voice-credentials", "GET", "/api/v1/voice-credentials?connectionId=1&tag=shift"),
        ("voice-credentials-none", "GET", "/api/v1/voice-credentials?userName=nobody"),
        ("error-voice-fields", "GET", "/api/v1/voice-credentials?connectionId=x&cursor=bm9uZQ"),
        ("voice-tokens-revoke", "DELETE", "/api/v1/voice-credentials/cred-1/tokens"),
        ("voice-credential-delete", "DELETE", "/api/v1/voice-credentials/cred-1"),
        ("error-voice-credential-unknown", "DELETE", "/api/v1/voice-credentials/cred-1"),
        ("voice-connection-delete", "DELETE", "/api/v1/voice-connections/1"),
        ("error-voice-connection-unknown", "DELETE", "/api/v1/voice-connections/one"),
    ] {
        let answer = world.ask(method, path, &format!("Bearer {OWN}"), "").await;
        check(name, (method, path, ""), &answer);
    }
    let left = world.get("/api/v1/voice-credentials", OWN).await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(0), "the credentials of a connection go with it");
    let audit = world.get("/api/v1/audit", OWN).await.json();
    let done: Vec<&str> =
        audit["data"].as_array().into_iter().flatten().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(done, ["voice_connection.delete", "voice_credential.delete", "voice_credential.revoke_tokens"]);
}

#[tokio::test]
async fn voice_records_are_their_projects_alone_and_clients_are_sent_away() {
    let world = World::start().await;
    world.add_voice().await;
    let other = format!("Bearer {OTHER}");
    for path in ["/api/v1/voice-connections", "/api/v1/voice-credentials"] {
        let text = world.get(path, OTHER).await.text;
        assert!(!text.contains("gencred") && !text.contains("webphones"), "{path}: {text}");
        assert!(!world.get(path, OWN).await.text.contains("secret"), "{path} shows a secret");
    }
    for path in [
        "/api/v1/voice-connections/1",
        "/api/v1/voice-credentials/cred-1",
        "/api/v1/voice-credentials/cred-1/tokens",
        "/api/v1/voice-credentials/cred-1%00/tokens",
    ] {
        assert_eq!(world.ask("DELETE", path, &other, "").await.status, 404, "{path}");
    }
    assert_eq!(world.get("/api/v1/registrations", OWN).await.json()["data"].as_array().map(Vec::len), Some(1));
    let own = format!("Bearer {OWN}");
    assert_eq!(world.ask("DELETE", "/api/v1/voice-connections/1", &own, "").await.status, 204);
    let left = world.get("/api/v1/registrations", OWN).await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(0), "clients of its credentials are sent away: {left}");
}
