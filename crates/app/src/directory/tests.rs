use causeway_types::ScopeId;

use super::*;
use crate::Identifier;

fn user(project: i64, room: Option<&str>, peer_scope: PeerScope) -> KnownUser {
    let attribution = Attribution {
        project: ProjectId(project),
        token: None,
        room: room.map(|name| Identifier::new(name).expect("a good name")),
        clients: Vec::new(),
        region: "local".to_owned(),
    };
    KnownUser {
        username: Arc::from("user"),
        password: Secret::new(String::new()),
        kind: CredentialKind::Issued,
        expires: None,
        limits: CredentialLimits { peer_scope, ..CredentialLimits::default() },
        attribution: Some(Arc::new(attribution)),
        is_revoked: false,
    }
}

#[test]
fn a_room_has_the_same_scope_everywhere_and_another_room_or_project_has_another() {
    // The first half of the SHA-256 of "1/red": all of the 128 bits count, and every server of a fleet agrees.
    let red = Some(ScopeId(0x7b49_2ce1_5f50_b153_fe4c_f350_8d6f_c10d));
    assert_eq!(user(1, Some("red"), PeerScope::Room).scope(), red);
    assert_eq!(user(1, Some("red"), PeerScope::Any).room_scope(), red);
    assert_eq!(user(1, Some("red"), PeerScope::Any).scope(), None);
    assert_eq!(user(1, None, PeerScope::Room).room_scope(), None);
    assert_ne!(user(2, Some("red"), PeerScope::Room).scope(), red);
    assert_ne!(user(1, Some("Red"), PeerScope::Room).scope(), red);
}
