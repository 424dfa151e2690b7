//! A rate limiter: a token bucket for each client.

use std::collections::HashMap;
use std::hash::Hash;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

/// Clients remembered at most. One that made no request for a minute is forgotten.
const MOST_KEPT: usize = 10_000;

/// One token bucket for each client: it holds `per_minute` tokens and refills evenly. Counts in this process only.
pub struct RateLimiter<K> {
    one: TimeDelta,
    /// For each client, when its bucket will be full again: every token taken moves this one interval further.
    busy_until: Mutex<HashMap<K, DateTime<Utc>>>,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// `per_minute` is at least 1.
    pub fn new(per_minute: u32) -> Self {
        let one = TimeDelta::minutes(1) / i32::try_from(per_minute).unwrap_or(i32::MAX).max(1);
        Self { one, busy_until: Mutex::default() }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// The wait until the next token; none is taken.
    pub fn take(&self, asker: K, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let minute = TimeDelta::minutes(1);
        let mut busy_until = self.busy_until.lock();
        if busy_until.len() >= MOST_KEPT && !busy_until.contains_key(&asker) {
            busy_until.retain(|_, until| *until > now);
            if busy_until.len() >= MOST_KEPT {
                return Err(minute);
            }
        }
        // If the clock was set back, the bucket must not stay empty for hours.
        let busy = busy_until.entry(asker).or_insert(now);
        *busy = (*busy).clamp(now, now + minute);
        let wait = *busy + self.one - now - minute;
        if wait > TimeDelta::zero() {
            return Err(wait);
        }
        *busy += self.one;
        Ok(())
    }

    /// Takes `more` further tokens for a request that turned out to cost more than one; takes what is left if there are
    /// fewer.
    pub fn charge(&self, asker: K, more: usize, now: DateTime<Utc>) {
        let more = self.one * i32::try_from(more.min(100_000)).unwrap_or(i32::MAX);
        let mut busy_until = self.busy_until.lock();
        let busy = busy_until.entry(asker).or_insert(now);
        *busy = (*busy + more).min(now + TimeDelta::minutes(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_by_one() {
        let pace = RateLimiter::new(60);
        assert_eq!((0..100).filter(|_| pace.take(1, at(0)).is_ok()).count(), 60);
        assert_eq!(pace.take(1, at(0)), Err(TimeDelta::seconds(1)));
        assert_eq!(pace.take(2, at(0)), Ok(()), "each for itself");
        assert_eq!((pace.take(1, at(1)), pace.take(1, at(1))), (Ok(()), Err(TimeDelta::seconds(1))));
        assert_eq!(pace.take(1, at(-9999)), Err(TimeDelta::seconds(1)), "a clock that was set back");
        assert_eq!((0..100).filter(|_| pace.take(1, at(9999)).is_ok()).count(), 60);
    }

    #[test]
    fn what_was_larger_than_one_is_charged_but_never_more_than_a_minute() {
        let pace = RateLimiter::new(60);
        pace.take(1, at(0)).unwrap();
        pace.charge(1, 29, at(0));
        assert_eq!((0..100).filter(|_| pace.take(1, at(0)).is_ok()).count(), 30);
        pace.charge(1, 1_000_000, at(0));
        assert_eq!((0..100).filter(|_| pace.take(1, at(60)).is_ok()).count(), 60);
    }

    #[test]
    fn askers_without_number_take_bounded_memory() {
        let pace = RateLimiter::new(60);
        (0..30_000).for_each(|asker| _ = pace.take(asker, at(0)));
        assert!(pace.busy_until.lock().len() <= MOST_KEPT);
        assert_eq!(pace.take(29_999, at(60)), Ok(()), "a minute later there is room again");
    }
}
