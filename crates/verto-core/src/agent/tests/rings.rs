//! Who rings: the service's published example of six clients, for every order in which they log in.

use serde_json::json;

use super::world::{World, invite};

/// Client, identity it registers under. `c` is a token of `gencred1`, `e` and `f` are tokens of `gencred2`.
const CLIENTS: [(char, &str); 6] =
    [('a', "john1234"), ('b', "gencred1"), ('c', "gencred1"), ('d', "gencred2"), ('e', "gencred2"), ('f', "gencred2")];

fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    of.iter()
        .flat_map(|first| {
            let rest: Vec<usize> = of.iter().copied().filter(|other| other != first).collect();
            orders(&rest).into_iter().map(move |order| [vec![*first], order].concat())
        })
        .collect()
}

/// Which of the six rings when `dialled` is called, after they logged in in this order.
fn who_rings(order: &[usize], dialled: &str) -> Vec<char> {
    let mut world = World::new();
    let mut connections = Vec::new();
    for client in order {
        let (letter, identity) = CLIENTS[*client];
        let id = world.connect();
        if matches!(letter, 'c' | 'e' | 'f') {
            world.request(id, "login", json!({"login_token": format!("jwt-of-{identity}")}));
        } else {
            world.log_in(id, identity);
        }
        connections.push((letter, id));
    }
    let caller = world.login("somebody");
    world.request(caller, "telnyx_rtc.invite", invite("call", dialled));
    connections
        .into_iter()
        .filter(|(_, id)| !world.heard(*id, "telnyx_rtc.invite").is_empty())
        .map(|(letter, _)| letter)
        .collect()
}

#[test]
fn the_last_login_of_the_dialled_identity_rings_in_all_720_orders() {
    let all = orders(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(all.len(), 720);
    for order in all {
        for dialled in ["john1234", "gencred1", "gencred2"] {
            let last = order.iter().rev().find(|client| CLIENTS[**client].1 == dialled).unwrap();
            assert_eq!(who_rings(&order, dialled), [CLIENTS[*last].0], "{order:?} {dialled}");
        }
    }
}

#[test]
fn when_the_newest_goes_while_it_rings_the_next_newest_rings() {
    let mut world = World::new();
    let old = world.login("bob");
    let new = world.login("bob");
    let alice = world.login("alice");
    world.request(alice, "telnyx_rtc.invite", invite("call", "bob"));
    assert_eq!((world.heard(old, "telnyx_rtc.invite").len(), world.heard(new, "telnyx_rtc.invite").len()), (0, 1));
    world.drop_client(new);
    assert_eq!(world.heard(old, "telnyx_rtc.invite").len(), 1);
    assert!(world.heard(alice, "telnyx_rtc.bye").is_empty());
}
