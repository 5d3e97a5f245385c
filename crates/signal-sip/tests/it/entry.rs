//! Registrations: tokens, digests, and what they do not allow.

use causeway_call_core::{AccountId, Identity};
use causeway_sip_core::Message;

use crate::world::{HOST, World, digest};

fn bindings(world: &World, name: &str) -> usize {
    let identity = Identity::new(AccountId(7), name);
    world.board.with_registrar(|registrar| registrar.bindings_of(&identity).count())
}

fn challenge(message: &Message) -> &str {
    message.header("WWW-Authenticate").or_else(|| message.header("Proxy-Authenticate")).expect("it is challenged")
}

#[tokio::test]
async fn both_paths_speak_sip_and_nothing_else() {
    let world = World::new().await;
    for path in ["/sip", "/sipproxy"] {
        assert!(world.socket(path).await.is_ok(), "{path}");
    }
    assert!(world.socket("/other").await.is_err());
}

#[tokio::test]
async fn a_token_registers_and_the_answer_has_the_clients_contact_with_its_time() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    let answer = bob.registered("*").await;
    let contact = answer.address("Contact").unwrap();
    assert_eq!((contact.uri.user.as_str(), contact.parameter("expires")), ("bobx", Some("600")));
    assert_eq!(bindings(&world, "bob"), 1);
    bob.close().await;
    world.until(|world| bindings(world, "bob") == 0).await;
}

#[tokio::test]
async fn a_registration_is_never_granted_for_less_than_thirty_seconds() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    let token = bob.token("*");
    for (asked, status) in [(29, 423), (30, 200), (100_000, 200)] {
        let request = bob.register(asked).with("Authorization", &token);
        bob.says(&request).await;
        let answer = bob.status(status).await;
        if status == 423 {
            assert_eq!(answer.header("Min-Expires"), Some("30"));
        } else {
            let granted = answer.address("Contact").unwrap().parameter("expires").unwrap().to_owned();
            assert_eq!(granted, asked.min(600).to_string());
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_challenged_in_the_form_that_clients_look_for() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    for credentials in [None, Some("Bearer not.a.token")] {
        let request = bob.register(600);
        let request = match credentials {
            Some(value) => request.with("Authorization", value),
            None => request,
        };
        bob.says(&request).await;
        let answer = bob.status(401).await;
        assert_eq!(challenge(&answer), "Bearer realm=\"causeway\", error=\"invalid_token\"");
    }
    assert_eq!(bindings(&world, "bob"), 0);
}

#[tokio::test]
async fn a_token_opens_its_own_clients_place_of_its_own_key_only() {
    let world = World::new().await;
    for (name, host, status) in [
        ("eve", HOST, 403),
        ("bob", "other.webrtc-1-2-0.aculabcloud.net", 401),
        ("bob", "abc12.webrtc-9-9-9.aculabcloud.net", 401),
        ("bob", "webrtc-1-2-0.aculabcloud.net", 403),
        ("bob", "abc12.webrtc-1-2-0.another.example", 200),
        ("bob", "example.test", 200),
    ] {
        let mut client = world.client_at(name, host).await;
        let request = client.register(600).with("Authorization", "Bearer bob|*|yes|t");
        client.says(&request).await;
        client.status(status).await;
    }
}

#[tokio::test]
async fn a_token_that_takes_no_calls_registers_nothing() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    let request = bob.register(600).with("Authorization", "Bearer bob|*|no|t");
    bob.says(&request).await;
    let answer = bob.status(403).await;
    assert!(challenge(&answer).contains("error=\"insufficient_scope\""));
    assert_eq!(bindings(&world, "bob"), 0);
}

#[tokio::test]
async fn a_client_takes_its_own_binding_back_without_a_token_and_nobody_elses() {
    let world = World::new().await;
    let (mut bob, mut other) = (world.client("bob").await, world.client("bob").await);
    bob.registered("*").await;
    let request = other.register(0);
    other.says(&request).await;
    other.status(401).await;
    assert_eq!(bindings(&world, "bob"), 1);
    let request = bob.register(0);
    bob.says(&request).await;
    assert_eq!(bob.status(200).await.header("Contact"), None);
    assert_eq!(bindings(&world, "bob"), 0);
}

#[tokio::test]
async fn a_refresh_with_a_token_that_is_revoked_ends_the_registration() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    bob.registered("*").await;
    world.answers.revoked.lock().push("token-bob".to_owned());
    let token = bob.token("*");
    let request = bob.register(600).with("Authorization", token);
    bob.says(&request).await;
    bob.status(401).await;
    assert_eq!(bindings(&world, "bob"), 0);
}

#[tokio::test]
async fn a_client_that_cannot_be_judged_is_sent_away_to_come_back() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    let request = bob.register(600).with("Authorization", "Bearer bob|*|yes|unavailable");
    bob.says(&request).await;
    assert_eq!(bob.next().await, Err(1013));
}

#[tokio::test]
async fn a_password_registers_by_digest_with_both_algorithms() {
    let world = World::new().await;
    for at in 0..2 {
        let mut bob = world.client_at("bob", "example.test").await;
        let request = bob.register(600);
        bob.says(&request).await;
        let refused = bob.status(401).await;
        let challenges: Vec<&str> = refused.all("WWW-Authenticate").collect();
        assert!(challenges[1].contains("algorithm=MD5") && challenges[1].contains("qop=\"auth\""));
        assert!(challenges[0].contains("algorithm=SHA-256"));
        let answer = digest(challenges[at], "bob", "REGISTER", "sip:example.test", 1);
        let request = bob.register(600).with("Authorization", &answer);
        bob.says(&request).await;
        bob.status(200).await;
        // Libraries repeat the same answer: they are asked again, as for an old nonce.
        let request = bob.register(600).with("Authorization", &answer);
        bob.says(&request).await;
        assert!(challenge(&bob.status(401).await).contains("stale=true"));
        assert_eq!(bindings(&world, "bob"), 1);
    }
}

#[tokio::test]
async fn what_a_connection_has_proven_is_forgotten_when_something_is_revoked() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for name in ["bob", "eve"] {
        let mut client = world.client_at(name, "example.test").await;
        let request = client.register(600);
        client.says(&request).await;
        let answer = digest(challenge(&client.status(401).await), name, "REGISTER", "sip:example.test", 1);
        let request = client.register(600).with("Authorization", answer);
        client.says(&request).await;
        client.status(200).await;
        let again = client.register(600);
        client.says(&again).await;
        client.status(200).await;
        clients.push(client);
    }
    world.answers.revoked.lock().push("bob".to_owned());
    assert_eq!(world.board.revoke(|binding| &*binding.identity.name == "bob"), 1);
    for (client, status) in clients.iter_mut().zip([401, 200]) {
        let request = client.register(600);
        client.says(&request).await;
        let name = client.name.clone();
        let answer = digest(challenge(&client.status(401).await), &name, "REGISTER", "sip:example.test", 1);
        let request = client.register(600).with("Authorization", answer);
        client.says(&request).await;
        client.status(status).await;
    }
    assert_eq!((bindings(&world, "bob"), bindings(&world, "eve")), (0, 1));
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_another_name_are_refused() {
    let world = World::new().await;
    for (name, user, status) in [("bob", "eve", 403), ("nobody", "nobody", 401), ("bob", "wrong", 401)] {
        let mut client = world.client_at(name, "example.test").await;
        let request = client.register(600);
        client.says(&request).await;
        let refused = client.status(401).await;
        let answer =
            digest(challenge(&refused), if user == "wrong" { "bob" } else { user }, "REGISTER", "sip:example.test", 1);
        let answer = if user == "wrong" { answer.replace("response=\"", "response=\"0") } else { answer };
        let request = client.register(600).with("Authorization", answer);
        client.says(&request).await;
        let answer = client.status(status).await;
        assert!(status == 403 || !challenge(&answer).contains("stale=true"));
        assert_eq!(bindings(&world, name), 0);
    }
}

#[tokio::test]
async fn nobody_registers_somebody_else() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    let token = bob.token("*");
    let mut request = bob.register(600).with("Authorization", token);
    for (name, value) in &mut request.headers {
        if name == "To" {
            *value = format!("<sip:eve@{HOST}>");
        }
    }
    bob.says(&request).await;
    bob.status(403).await;
    assert_eq!(bindings(&world, "eve"), 0);
}

#[tokio::test]
async fn ice_servers_need_the_key_and_are_made_once_for_a_while_and_end_with_the_connection() {
    let world = World::new().await;
    let mut bob = world.client("bob").await;
    for _ in 0..2 {
        let request = bob.request("OPTIONS", "webrtc-1-2-0.aculabcloud.net").with("X-AculabTurnRequest", "1");
        bob.says(&request).await;
        let answer = bob.status(200).await;
        assert_eq!(
            answer.body,
            "[{\"credential\":\"secret\",\"urls\":[\"turn:192.0.2.1:3478?transport=udp\"],\"username\":\"u0\"}]"
        );
    }
    bob.host = "zzz.webrtc-1-2-0.aculabcloud.net".to_owned();
    let request = bob.request("OPTIONS", "webrtc-1-2-0.aculabcloud.net").with("X-AculabTurnRequest", "1");
    bob.says(&request).await;
    bob.status(403).await;
    bob.close().await;
    world.until(|world| *world.answers.ice_over.lock() == ["u0"]).await;
}
