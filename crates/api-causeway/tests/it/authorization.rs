//! Every route, with no token, with a token that may not, and with the token of another project.

use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_api_http::{Access, RouteAccess};
use causeway_app::{ProjectId, Scope, Scopes};

use crate::world::{Answer, OTHER, OWN, SESSION, USERNAME, WIDE, World, tables};

/// What only the first project may be shown.
const MARKS: [&str; 5] = ["room-a", "client-a", SESSION, USERNAME, OWN];

#[tokio::test]
async fn without_a_token_only_open_routes_answer() {
    let world = World::start().await;
    for row in tables() {
        let answer = send(&world, &row, None).await;
        if row.access == Access::Open {
            assert_eq!(answer.status, 200, "{row:?}");
        } else {
            assert_eq!(answer.status, 401, "{row:?}: {}", answer.text);
            assert!(answer.head.to_ascii_lowercase().contains("www-authenticate: "), "{row:?}: {}", answer.head);
        }
    }
}

#[tokio::test]
async fn a_token_with_every_other_scope_is_refused() {
    let world = World::start().await;
    for scope in Scope::ALL {
        let scopes = Scope::ALL.into_iter().filter(|other| *other != scope).fold(Scopes::default(), Scopes::with);
        world.add_token(ProjectId::DEFAULT, &format!("cwp_lacks_{}", scope.as_str()), scopes).await;
    }
    for row in tables() {
        let (Access::Scope(scope) | Access::Organization(scope)) = row.access else { continue };
        let answer = send(&world, &row, Some(&format!("cwp_lacks_{}", scope.as_str()))).await;
        assert_eq!(answer.status, 403, "{row:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_organization_wide_is_refused_to_a_projects_own_token() {
    let world = World::start().await;
    let rows: Vec<RouteAccess> =
        tables().into_iter().filter(|row| matches!(row.access, Access::Organization(_))).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(send(&world, &row, Some(OWN)).await.status, 403, "{row:?}");
    }
    let body = r#"{"name":"x","scopes":["read"],"organizationWide":true}"#;
    let refused = world.ask("POST", "/api/v1/tokens", &format!("Bearer {OWN}"), body).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
}

#[tokio::test]
async fn another_projects_token_sees_nothing_and_changes_nothing() {
    let world = World::start().await;
    for row in tables() {
        let answer = send(&world, &row, Some(OTHER)).await;
        let names_one = row.path.contains('{') && row.path.starts_with("/api/v1");
        if names_one && !matches!(row.access, Access::Organization(_)) {
            assert_eq!(answer.status, 404, "{row:?}: {}", answer.text);
        }
        for mark in MARKS {
            assert!(!answer.text.contains(mark), "{row:?} shows {mark}: {}", answer.text);
        }
    }
    for by in [r#"{"room":"room-a"}"#, r#"{"client":"client-a"}"#, r#"{"tokenId":2}"#] {
        let answer = world.ask("POST", "/api/v1/credentials/revoke", &format!("Bearer {OTHER}"), by).await;
        assert_eq!(answer.text, r#"{"revoked":0,"sessionsEnded":0}"#, "{by}");
    }
    let kept = world.get(&format!("/api/v1/credentials/{USERNAME}"), OWN).await.json();
    assert_eq!(kept["state"], "active");
    assert_eq!(world.get(&format!("/api/v1/sessions/{SESSION}"), OWN).await.status, 200);
    // An organization-wide token sees it, and sees the other project by name.
    assert_eq!(world.get("/api/v1/rooms/room-a", WIDE).await.status, 200);
}

#[tokio::test]
async fn the_owner_is_shown_what_others_are_not() {
    let world = World::start().await;
    for row in tables().iter().filter(|row| row.method == "GET") {
        let answer = send(&world, row, Some(OWN)).await;
        assert_eq!(answer.status, if row.path.contains("turn-rest") { 400 } else { 200 }, "{row:?}: {}", answer.text);
    }
}

/// A request to a route, naming what the first project has.
async fn send(world: &World, row: &RouteAccess, token: Option<&str>) -> Answer {
    let id = match row.path {
        path if path.contains("tokens") => "2",
        path if path.contains("webhooks") => "1",
        _ => SESSION,
    };
    let path = [
        ("{room}", "room-a"),
        ("{client}", "client-a"),
        ("{username}", USERNAME),
        ("{id}", id),
        ("{project}", "default"),
        ("{region}", "local"),
        ("{key}", "any"),
        ("{sid}", "AC1"),
    ]
    .into_iter()
    .fold(row.path.to_owned(), |path, (name, value)| path.replace(name, value));
    let authorization = match token {
        None => String::new(),
        Some(token) if row.path.starts_with("/2010") => format!("Basic {}", STANDARD.encode(format!("any:{token}"))),
        Some(token) => format!("Bearer {token}"),
    };
    world.ask(row.method, &path, &authorization, "").await
}
