//! How often somebody may try to sign in: per address, and per account whether there is one or not.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

use causeway_types::source_network;

/// Buckets of either kind; one more and the fullest makes room.
const BUCKETS_MAX: usize = 10_000;

/// Tries at once, and how long until there is one more.
const PER_ACCOUNT: Rate = Rate { burst: 10, refill: Duration::from_secs(30) };
const PER_ADDRESS: Rate = Rate { burst: 30, refill: Duration::from_secs(5) };

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    refill: Duration,
}

/// Who tried how often.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    accounts: Buckets<[u8; 32]>,
    addresses: Buckets<IpAddr>,
}

impl Throttle {
    /// Takes one try, by a hash of the account's name; else how long to wait.
    pub(crate) fn take(&mut self, account: [u8; 32], address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.addresses.take(source_network(address), PER_ADDRESS, now)?;
        self.accounts.take(account, PER_ACCOUNT, now)
    }

    /// Takes one try where no account is named.
    pub(crate) fn take_address(&mut self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.addresses.take(source_network(address), PER_ADDRESS, now)
    }

    /// Gives an account its tries back, after one that was right.
    pub(crate) fn forgive(&mut self, account: [u8; 32]) {
        self.accounts.full_at.remove(&account);
    }
}

#[derive(Debug)]
struct Buckets<K> {
    /// When each bucket is full again.
    full_at: HashMap<K, Duration>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { full_at: HashMap::new() }
    }
}

impl<K: Hash + Eq + Copy> Buckets<K> {
    fn take(&mut self, key: K, rate: Rate, now: Duration) -> Result<(), Duration> {
        if self.full_at.len() >= BUCKETS_MAX && !self.full_at.contains_key(&key) {
            self.make_room(now);
        }
        let full_at = self.full_at.entry(key).or_default();
        let from = (*full_at).max(now);
        let limit = now + rate.refill * rate.burst;
        let taken = from + rate.refill;
        if taken > limit {
            return Err(taken - limit);
        }
        *full_at = taken;
        Ok(())
    }

    fn make_room(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() < BUCKETS_MAX {
            return;
        }
        let fullest = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| *key);
        if let Some(key) = fullest {
            self.full_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn tries(throttle: &mut Throttle, account: u8, address: IpAddr, now: Duration) -> usize {
        (0..1000).take_while(|_| throttle.take([account; 32], address, now).is_ok()).count()
    }

    #[test]
    fn an_account_has_ten_tries_then_one_in_thirty_seconds_from_wherever() {
        let mut throttle = Throttle::default();
        assert_eq!(tries(&mut throttle, 1, HERE, Duration::ZERO), 10);
        let elsewhere = "198.51.100.7".parse().unwrap();
        let wait = throttle.take([1; 32], elsewhere, Duration::ZERO).unwrap_err();
        assert_eq!(wait, Duration::from_secs(30));
        assert_eq!(tries(&mut throttle, 1, elsewhere, Duration::from_secs(29)), 0);
        assert_eq!(tries(&mut throttle, 1, elsewhere, Duration::from_secs(30)), 1);
        throttle.forgive([1; 32]);
        assert_eq!(tries(&mut throttle, 1, elsewhere, Duration::from_secs(30)), 10);
    }

    #[test]
    fn an_address_has_thirty_tries_over_all_accounts_and_a_v6_network_is_one_address() {
        let mut throttle = Throttle::default();
        let made = (0..100).filter(|account| throttle.take([*account; 32], HERE, Duration::ZERO).is_ok()).count();
        assert_eq!(made, 30);
        assert_eq!(tries(&mut throttle, 200, "::ffff:192.0.2.1".parse().unwrap(), Duration::ZERO), 0);
        for n in 0..30_u8 {
            let address = format!("2001:db8::{n:x}").parse().unwrap();
            assert!(throttle.take([n.wrapping_add(101); 32], address, Duration::ZERO).is_ok(), "{n}");
        }
        assert!(throttle.take_address("2001:db8::ffff".parse().unwrap(), Duration::ZERO).is_err());
        assert!(throttle.take_address("2001:db8:0:1::1".parse().unwrap(), Duration::ZERO).is_ok());
    }

    #[test]
    fn many_accounts_take_bounded_memory_and_do_not_free_the_one_under_attack() {
        let mut throttle = Throttle::default();
        assert_eq!(tries(&mut throttle, 1, HERE, Duration::ZERO), 10);
        for n in 0..20_000_u32 {
            let mut account = [9; 32];
            account[..4].copy_from_slice(&n.to_be_bytes());
            let address = IpAddr::from(u32::to_be_bytes(0x0a00_0000 + n));
            assert!(throttle.take(account, address, Duration::ZERO).is_ok());
        }
        assert_eq!(throttle.accounts.full_at.len(), BUCKETS_MAX);
        assert_eq!(throttle.addresses.full_at.len(), BUCKETS_MAX);
        assert!(throttle.take([1; 32], "192.0.2.77".parse().unwrap(), Duration::ZERO).is_err());
    }
}
