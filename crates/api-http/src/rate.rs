//! Requests per second and API token.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};
use causeway_app::TokenId;
use causeway_types::UnixTime;
use parking_lot::Mutex;

/// How often one token may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_sec: u32,
    /// At once.
    pub burst: u32,
}

/// One bucket per token; only tokens of the store get here, so their number is bounded by it.
#[derive(Debug)]
pub(crate) struct TokenRates {
    limit: RateLimit,
    start: Instant,
    /// When each token's bucket is full again.
    full_at: Mutex<BTreeMap<TokenId, Duration>>,
}

/// What a bucket said.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Whether the request may go on.
    pub granted: bool,
    limit: u32,
    remaining: u32,
    /// Until the bucket is full.
    reset: Duration,
}

impl TokenRates {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, start: Instant::now(), full_at: Mutex::default() }
    }

    pub(crate) fn take(&self, token: TokenId) -> Allowance {
        self.take_at(token, self.start.elapsed())
    }

    fn take_at(&self, token: TokenId, now: Duration) -> Allowance {
        let cost = Duration::from_secs(1) / self.limit.per_sec.max(1);
        let capacity = cost * self.limit.burst;
        let mut full_at = self.full_at.lock();
        let entry = full_at.entry(token).or_default();
        let from = (*entry).max(now);
        let granted = from + cost <= now + capacity;
        if granted {
            *entry = from + cost;
        }
        let used = entry.saturating_sub(now);
        let left = capacity.saturating_sub(used).as_nanos() / cost.as_nanos().max(1);
        Allowance {
            granted,
            limit: self.limit.per_sec,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: used,
        }
    }
}

impl Allowance {
    /// Puts the three headers on an answer.
    #[must_use]
    pub fn mark(self, mut response: Response, now: UnixTime) -> Response {
        let reset = now.saturating_add(self.reset + Duration::from_millis(999)).as_secs();
        for (name, value) in [
            ("x-ratelimit-limit", u64::from(self.limit)),
            ("x-ratelimit-remaining", u64::from(self.remaining)),
            ("x-ratelimit-reset", reset),
        ] {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_is_granted_then_the_rate_and_tokens_do_not_share() {
        let rates = TokenRates::new(RateLimit { per_sec: 100, burst: 200 });
        let granted = |token, at| (0..1000).filter(|_| rates.take_at(TokenId(token), at).granted).count();
        assert_eq!(granted(1, Duration::ZERO), 200);
        assert_eq!(granted(1, Duration::from_secs(1)), 100);
        assert_eq!(granted(2, Duration::from_secs(1)), 200);
    }
}
