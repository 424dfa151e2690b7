//! Concurrency limit and back-off of one host. Pure: no clock, no random numbers.
//!
//! The limit grows by one for each round of successes, and is halved when the host is overloaded (AIMD, as in TCP);
//! each such round also undoes one step of the back-off. Failures of one burst count once: a request belongs to the
//! epoch in which it was sent, and a failure starts a new epoch.

use std::time::Duration;

/// First back-off; doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longest back-off that is not asked for by the server.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How one try of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum RequestOutcome {
    /// The host responded.
    Fine,
    /// The host is overloaded: it says so, or did not respond in time.
    Busy,
    /// A transient failure.
    Failed,
    /// The registry reports an error of this request in its own format, which says nothing about the host.
    Stumbled,
}

/// Concurrency limit and back-off of one host.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    ceiling: usize,
    limit: usize,
    /// Successes since the limit last changed.
    successes: usize,
    /// Failures not yet undone by rounds of successes: the exponent of the back-off.
    failures: u32,
    epoch: u64,
}

impl ConcurrencyLimit {
    /// Starts at the ceiling, at least 1.
    pub(super) fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self { ceiling, limit: ceiling, successes: 0, failures: 0, epoch: 0 }
    }

    /// Requests allowed in flight.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Epoch of a request that is sent now.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Lowers the ceiling; a higher one is ignored.
    pub(super) fn lower(&mut self, ceiling: usize) {
        self.ceiling = self.ceiling.min(ceiling.max(1));
        self.limit = self.limit.min(self.ceiling);
    }

    /// Records the outcome of a request of this epoch. Returns the longest back-off if this is the first failure of its
    /// epoch.
    pub(super) fn ended(&mut self, ending: RequestOutcome, epoch: u64) -> Option<Duration> {
        if ending == RequestOutcome::Fine {
            self.successes += 1;
            if self.successes >= self.limit {
                self.successes = 0;
                self.limit = (self.limit + 1).min(self.ceiling);
                self.failures = self.failures.saturating_sub(1);
            }
            return None;
        }
        if ending == RequestOutcome::Stumbled {
            return Some(FIRST_BACKOFF);
        }
        if epoch != self.epoch {
            return None;
        }
        self.epoch += 1;
        self.successes = 0;
        if ending == RequestOutcome::Busy {
            self.limit = (self.limit / 2).max(1);
        }
        self.failures = (self.failures + 1).min(16);
        Some(FIRST_BACKOFF.saturating_mul(1 << (self.failures - 1)).min(LONGEST_BACKOFF))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fail(pace: &mut ConcurrencyLimit, ending: RequestOutcome) -> Option<Duration> {
        let epoch = pace.epoch();
        pace.ended(ending, epoch)
    }

    #[test]
    fn a_busy_host_gets_half_and_then_one_more_a_round() {
        let mut pace = ConcurrencyLimit::new(8);
        let mut limits = Vec::new();
        for _ in 0..4 {
            fail(&mut pace, RequestOutcome::Busy);
            limits.push(pace.limit());
        }
        assert_eq!(limits, [4, 2, 1, 1]);
        let mut successes = 0;
        while pace.limit() < 8 {
            assert_eq!(pace.ended(RequestOutcome::Fine, 0), None);
            successes += 1;
        }
        assert_eq!(successes, 1 + 2 + 3 + 4 + 5 + 6 + 7);
        (0..100).for_each(|_| _ = pace.ended(RequestOutcome::Fine, 0));
        assert_eq!(pace.limit(), 8, "never more than it began with");
        fail(&mut pace, RequestOutcome::Failed);
        assert_eq!(pace.limit(), 8, "an error says nothing of being busy");
    }

    #[test]
    fn what_fails_together_counts_once() {
        let mut pace = ConcurrencyLimit::new(8);
        assert!(pace.ended(RequestOutcome::Busy, 0).is_some());
        for _ in 0..7 {
            assert_eq!(pace.ended(RequestOutcome::Busy, 0), None);
        }
        assert_eq!(pace.limit(), 4);
        assert!(pace.ended(RequestOutcome::Busy, 1).is_some(), "sent after the first failure was known");
    }

    #[test]
    fn waits_double_and_rounds_of_successes_undo_them() {
        let mut pace = ConcurrencyLimit::new(2);
        let waits: Vec<u128> = (0..12).map(|_| fail(&mut pace, RequestOutcome::Failed).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
        (0..2 * 10).for_each(|_| _ = pace.ended(RequestOutcome::Fine, 0));
        assert_eq!(fail(&mut pace, RequestOutcome::Failed).unwrap().as_millis(), 400, "12 failures, 10 rounds");
        (0..100).for_each(|_| _ = pace.ended(RequestOutcome::Fine, 0));
        assert_eq!(fail(&mut pace, RequestOutcome::Failed).unwrap().as_millis(), 100);
    }

    #[test]
    fn one_broken_repository_does_not_slow_down_the_others() {
        let mut pace = ConcurrencyLimit::new(8);
        for _ in 0..100 {
            assert_eq!(fail(&mut pace, RequestOutcome::Stumbled), Some(FIRST_BACKOFF));
        }
        assert_eq!((pace.limit(), fail(&mut pace, RequestOutcome::Failed)), (8, Some(FIRST_BACKOFF)));
    }

    #[test]
    fn the_lowest_ceiling_counts() {
        let mut pace = ConcurrencyLimit::new(8);
        pace.lower(3);
        pace.lower(5);
        assert_eq!(pace.limit(), 3);
        pace.lower(0);
        assert_eq!(pace.limit(), 1);
    }

    proptest! {
        #[test]
        fn there_is_always_one_and_never_more_than_the_ceiling(
            ceiling in 0usize..20,
            endings in proptest::collection::vec((0u8..4, 0u64..5), 0..300),
        ) {
            let mut pace = ConcurrencyLimit::new(ceiling);
            for (ending, behind) in endings {
                let ending = [RequestOutcome::Fine, RequestOutcome::Busy, RequestOutcome::Failed, RequestOutcome::Stumbled][usize::from(ending)];
                let epoch = pace.epoch().saturating_sub(behind);
                let wait = pace.ended(ending, epoch);
                prop_assert!((1..=ceiling.max(1)).contains(&pace.limit()));
                prop_assert!(wait.is_none_or(|wait| wait >= FIRST_BACKOFF && wait <= LONGEST_BACKOFF));
            }
        }
    }
}
