//! Which of this shard's clients moved their allocation to another shard.

use std::collections::{BTreeMap, HashMap};

use causeway_types::{FiveTuple, ShardIndex};
use foldhash::fast::FixedState;

/// Routes kept; one more, and the oldest goes. Its client is then a stranger here, until it shows its ticket again.
const ROUTES_MAX: usize = 4096;

/// Routes by five-tuple. A look-up is all that a packet costs.
#[derive(Debug)]
pub(super) struct Routes {
    by_client: HashMap<FiveTuple, (ShardIndex, u64), FixedState>,
    by_age: BTreeMap<u64, FiveTuple>,
    next: u64,
}

impl Routes {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self { by_client: HashMap::with_hasher(hasher), by_age: BTreeMap::new(), next: 0 }
    }

    pub(super) fn insert(&mut self, client: FiveTuple, to: ShardIndex) {
        self.remove(&client);
        if self.by_client.len() >= ROUTES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_client.remove(&oldest);
        }
        self.by_client.insert(client, (to, self.next));
        self.by_age.insert(self.next, client);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, client: &FiveTuple) -> Option<ShardIndex> {
        let (to, age) = self.by_client.remove(client)?;
        self.by_age.remove(&age);
        Some(to)
    }

    pub(super) fn to(&self, client: &FiveTuple) -> Option<ShardIndex> {
        self.by_client.get(client).map(|(to, _)| *to)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use causeway_types::ClientTransport;

    use super::*;

    fn client(n: usize) -> FiveTuple {
        let ip = Ipv4Addr::from_bits(u32::try_from(n).expect("small"));
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        FiveTuple { transport: ClientTransport::Udp, client: SocketAddr::from((ip, 5000)), server }
    }

    #[test]
    fn the_oldest_route_gives_way_at_the_limit_and_no_other() {
        let mut routes = Routes::new(FixedState::default());
        for n in 0..ROUTES_MAX {
            routes.insert(client(n), ShardIndex(1));
        }
        routes.insert(client(0), ShardIndex(2));
        assert_eq!(routes.to(&client(1)), Some(ShardIndex(1)), "a new route for an old client takes no place");
        routes.insert(client(ROUTES_MAX), ShardIndex(1));
        assert_eq!(routes.to(&client(1)), None);
        assert_eq!(routes.to(&client(0)), Some(ShardIndex(2)), "is young again");
        assert_eq!((routes.by_client.len(), routes.by_age.len()), (ROUTES_MAX, ROUTES_MAX));
    }

    #[test]
    fn a_removed_route_leaves_nothing() {
        let mut routes = Routes::new(FixedState::default());
        routes.insert(client(1), ShardIndex(3));
        assert_eq!(routes.remove(&client(1)), Some(ShardIndex(3)));
        assert_eq!(routes.remove(&client(1)), None);
        assert!(routes.is_empty() && routes.by_age.is_empty());
    }
}
