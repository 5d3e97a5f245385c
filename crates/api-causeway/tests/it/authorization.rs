//! Every route, with no token, with a token that may not, and with the token of another project.

use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_api_http::{Access, RouteAccess};
use causeway_app::{ProjectId, Scope, Scopes, UserRole};
use causeway_credentials::sign_in;

use crate::world::{Answer, DOCTOR, OTHER, OWN, SESSION, USERNAME, WIDE, World, tables};

/// What only the first project may be shown.
const MARKS: [&str; 5] = ["room-a", "client-a", SESSION, USERNAME, OWN];

#[tokio::test]
async fn without_a_token_only_open_routes_answer() {
    let world = World::start().await;
    for row in tables() {
        let answer = send(&world, &row, None).await;
        if row.access == Access::Open {
            // What people sign in with is missing in some of them, and this world has no provider to sign in at.
            let is_without_provider = row.path.contains("/auth/oidc");
            let expected = if is_without_provider {
                404
            } else if row.method == "POST" {
                422
            } else {
                200
            };
            assert_eq!(answer.status, expected, "{row:?}: {}", answer.text);
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
        let scope = match row.access {
            Access::Scope(scope) | Access::Organization(scope) => scope,
            Access::End => Scope::Admin,
            Access::Open | Access::Known | Access::Person => continue,
        };
        let answer = send(&world, &row, Some(&format!("cwp_lacks_{}", scope.as_str()))).await;
        assert_eq!(answer.status, 403, "{row:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_organization_wide_is_refused_to_a_projects_own_token() {
    let world = World::start().await;
    let rows: Vec<RouteAccess> =
        tables().into_iter().filter(|row| matches!(row.access, Access::Organization(_))).collect();
    assert_eq!(rows.len(), 11);
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
        // Whoever has a doctor link may open it: the link is the permission.
        let is_link = row.access == Access::Open;
        let names_one = row.path.contains('{') && row.path.starts_with("/api/v1") && !is_link;
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
async fn each_role_may_do_on_each_route_what_it_is_for_and_nothing_else() {
    let world = World::start().await;
    for role in UserRole::ALL {
        let secret = world.sign_in(role).await;
        for row in tables() {
            // Facades speak to programs that hold tokens: a cookie means nothing to them.
            let is_facade = is_facade(row.path);
            let takes_tokens_only = is_facade || row.path == "/api/v1/turn-rest";
            let answer = send_by_cookie(&world, &row, &secret, true).await;
            if takes_tokens_only {
                assert_eq!(answer.status, 401, "{role:?} {row:?}: {}", answer.text);
                continue;
            }
            let may = match (role, row.access) {
                (UserRole::Owner, _) | (_, Access::Open | Access::Known | Access::Person) => true,
                (UserRole::Operator, Access::End | Access::Scope(Scope::Credentials | Scope::Read)) => true,
                (UserRole::Viewer, Access::Scope(Scope::Read)) => true,
                (UserRole::Operator | UserRole::Viewer, _) => false,
            };
            let is_kept_out = matches!(answer.status, 401 | 403);
            assert_eq!(!is_kept_out, may, "{role:?} {row:?}: {} {}", answer.status, answer.text);
            if row.path.contains("logout") || row.path.contains("tokens") {
                // It ended what the next rows need.
                world.restore(role, &secret).await;
            }
        }
    }
}

#[tokio::test]
async fn what_changes_something_by_cookie_needs_the_csrf_token_on_every_route() {
    let world = World::start().await;
    let secret = world.sign_in(UserRole::Owner).await;
    for row in tables() {
        let is_facade = is_facade(row.path);
        if row.method == "GET" || row.access == Access::Open || is_facade || row.path == "/api/v1/turn-rest" {
            continue;
        }
        let answer = send_by_cookie(&world, &row, &secret, false).await;
        assert_eq!(answer.status, 403, "{row:?}: {}", answer.text);
        assert_eq!(answer.json()["error"], "csrf", "{row:?}");
    }
}

#[tokio::test]
async fn the_owner_is_shown_what_others_are_not() {
    let world = World::start().await;
    // This world has no provider to sign in at.
    let is_here = |row: &&RouteAccess| row.method == "GET" && !row.path.contains("/auth/oidc");
    for row in tables().iter().filter(is_here) {
        let token = if matches!(row.access, Access::Organization(_)) { WIDE } else { OWN };
        let answer = send(&world, row, Some(token)).await;
        let expected = match row.path {
            path if path.contains("turn-rest") => 400,
            // No call was placed.
            "/api/v1/calls/{id}" => 404,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{row:?}: {}", answer.text);
    }
}

/// Whether a path belongs to a family that takes API tokens only.
fn is_facade(path: &str) -> bool {
    ["/v1/", "/2010", "/webrtc_"].iter().any(|start| path.starts_with(start))
}

/// A request to a route, by somebody who signed in.
async fn send_by_cookie(world: &World, row: &RouteAccess, secret: &str, with_csrf_token: bool) -> Answer {
    let mut headers = format!("Cookie: causeway={secret}\r\nSec-Fetch-Site: same-origin\r\n");
    if with_csrf_token {
        headers += &format!("X-CSRF-Token: {}\r\n", sign_in::csrf_token(secret));
    }
    world.ask_with(row.method, &path_of(row), &headers, "").await
}

/// A request to a route, naming what the first project has.
async fn send(world: &World, row: &RouteAccess, token: Option<&str>) -> Answer {
    let path = path_of(row);
    let authorization = match token {
        None => String::new(),
        Some(token) if row.path.starts_with("/2010") => format!("Basic {}", STANDARD.encode(format!("any:{token}"))),
        Some(token) if row.path.starts_with("/webrtc_") => {
            format!("Basic {}", STANDARD.encode(format!("1-2-0/me@example.net:{token}")))
        }
        Some(token) => format!("Bearer {token}"),
    };
    world.ask(row.method, &path, &authorization, "").await
}

fn path_of(row: &RouteAccess) -> String {
    let id = match row.path {
        path if path.contains("users") => "1",
        path if path.contains("tokens") => "2",
        path if path.contains("webhooks") => "1",
        _ => SESSION,
    };
    [
        ("{room}", "room-a"),
        ("{client}", "client-a"),
        ("{username}", USERNAME),
        ("{token}", DOCTOR),
        ("doctor/results", "doctor/results?link=1"),
        ("{id}", id),
        ("{project}", "default"),
        ("{region}", "local"),
        ("{key}", "any"),
        ("{sid}", "AC1"),
        ("{name}", "nobody"),
        ("/webrtc_generate_token", "/webrtc_generate_token?client_id=bob"),
    ]
    .into_iter()
    .fold(row.path.to_owned(), |path, (name, value)| path.replace(name, value))
}
