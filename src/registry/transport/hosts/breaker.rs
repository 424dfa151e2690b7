//! Circuit breaker of a host that does not respond. Pure: the caller passes the time and the random number for the
//! jitter.

use std::time::Duration;

use tokio::time::Instant;

/// Consecutive failed requests (each after all its tries) that open the breaker.
pub(super) const MOST_FAILURES: u32 = 8;
/// First open period; doubles each time the probe fails.
const FIRST_REST: Duration = Duration::from_secs(15);
/// Longest open period.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);

/// Circuit breaker of one host.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    state: BreakerState,
    /// Consecutive failed requests.
    failures: u32,
    /// Open periods since the last response.
    rests: u32,
}

/// State of the circuit breaker.
#[derive(Clone, Copy, Debug, Default)]
enum BreakerState {
    /// Requests pass.
    #[default]
    Closed,
    /// No request until `until`; then one probe (half-open).
    Open { until: Instant },
    /// The probe is in flight.
    HalfOpen,
}

/// Decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerVerdict {
    Go,
    /// The request is the probe: its outcome closes or reopens the breaker. All others wait for it.
    Trial,
    /// Wait for the outcome of the probe.
    Wait,
    /// Refused; the breaker stays open for this time.
    Refused(Duration),
}

impl CircuitBreaker {
    pub(super) fn admit(&mut self, now: Instant) -> BreakerVerdict {
        match self.state {
            BreakerState::Closed => BreakerVerdict::Go,
            BreakerState::HalfOpen => BreakerVerdict::Wait,
            BreakerState::Open { until } if until > now => BreakerVerdict::Refused(until - now),
            BreakerState::Open { .. } => {
                self.state = BreakerState::HalfOpen;
                BreakerVerdict::Trial
            }
        }
    }

    /// Lets the next request probe now.
    pub(super) fn try_again(&mut self, now: Instant) {
        if let BreakerState::Open { until } = &mut self.state {
            *until = now;
        }
    }

    /// A request got a response; closes the breaker.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A request got no response. `dice`: random number from 0 to 1 for the jitter.
    pub(super) fn unanswered(&mut self, on_trial: bool, now: Instant, dice: f64) {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            BreakerState::Closed => self.failures >= MOST_FAILURES,
            BreakerState::HalfOpen => on_trial,
            BreakerState::Open { .. } => false,
        };
        if opens {
            let rest = FIRST_REST.saturating_mul(1 << self.rests.min(16)).min(LONGEST_REST);
            // Jitter between half and all of it, so that clients do not return at the same time.
            self.state = BreakerState::Open { until: now + rest.mul_f64(0.5 + dice / 2.0) };
            self.rests = self.rests.saturating_add(1);
        }
    }

    /// The probe was dropped without an outcome: the next request may probe.
    pub(super) fn trial_abandoned(&mut self, now: Instant) {
        if matches!(self.state, BreakerState::HalfOpen) {
            self.state = BreakerState::Open { until: now };
        }
    }

    /// Whether requests pass.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        (0..MOST_FAILURES).for_each(|_| breaker.unanswered(false, now, 1.0));
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        for _ in 0..5 {
            (1..MOST_FAILURES).for_each(|_| breaker.unanswered(false, now, 1.0));
            assert_eq!(breaker.admit(now), BreakerVerdict::Go);
            breaker.answered();
        }
        assert_eq!(opened(now).admit(now), BreakerVerdict::Refused(FIRST_REST));
    }

    #[test]
    fn after_the_rest_one_may_try() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST_REST;
        assert_eq!(breaker.admit(later), BreakerVerdict::Trial);
        assert_eq!(breaker.admit(later), BreakerVerdict::Wait);
        breaker.trial_abandoned(later);
        assert_eq!(breaker.admit(later), BreakerVerdict::Trial, "the first gave up");
        breaker.unanswered(false, later, 1.0);
        assert_eq!(breaker.admit(later), BreakerVerdict::Wait, "one that was under way before says nothing");
        breaker.answered();
        assert_eq!(breaker.admit(later), BreakerVerdict::Go);
        breaker.unanswered(false, later, 1.0);
        assert_eq!(breaker.admit(later), BreakerVerdict::Go, "it starts afresh");
    }

    #[test]
    fn rests_grow_up_to_a_limit_and_dice_shorten_them() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut rests = Vec::new();
        for _ in 0..9 {
            let BreakerVerdict::Refused(rest) = breaker.admit(now) else { panic!("{breaker:?}") };
            rests.push(rest.as_secs());
            now += rest;
            assert_eq!(breaker.admit(now), BreakerVerdict::Trial);
            breaker.unanswered(true, now, 1.0);
        }
        assert_eq!(rests, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
        breaker.answered();
        (0..MOST_FAILURES).for_each(|_| breaker.unanswered(false, now, 0.0));
        assert_eq!(breaker.admit(now), BreakerVerdict::Refused(FIRST_REST / 2));
    }

    #[test]
    fn who_insists_gets_one_try() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.try_again(now);
        assert_eq!(breaker.admit(now), BreakerVerdict::Trial);
        breaker.unanswered(true, now, 1.0);
        assert_eq!(breaker.admit(now), BreakerVerdict::Refused(FIRST_REST * 2));
        let mut closed = CircuitBreaker::default();
        closed.try_again(now);
        assert_eq!(closed.admit(now), BreakerVerdict::Go);
    }
}
