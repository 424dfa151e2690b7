//! The time of day. No other file reads it (a lint forbids `Utc::now` elsewhere); tests set the clock by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// A source of the time of day. Cheap to clone; clones of a manual clock share its time.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System,
    Manual(Arc<ManualTime>),
}

/// The state of a manual clock, in milliseconds.
#[derive(Debug)]
struct ManualTime {
    now: AtomicI64,
    elapsed: AtomicI64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Clock(ClockSource::System)
    }

    /// A clock that stays at `start` until [`Clock::advance`] changes it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        let now = AtomicI64::new(start.timestamp_millis());
        Clock(ClockSource::Manual(Arc::new(ManualTime { now, elapsed: AtomicI64::new(0) })))
    }

    /// The time of day, truncated to milliseconds as in the store, so that a value read back equals the one written.
    pub fn now(&self) -> DateTime<Utc> {
        let millis = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
            ClockSource::System => Utc::now().timestamp_millis(),
            ClockSource::Manual(hands) => hands.now.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_millis(millis).expect("milliseconds of a time of day are in chrono's range")
    }

    /// Monotonic time since some moment of this process; changes of the system clock do not affect it. For timeouts and
    /// limits kept in memory.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            ClockSource::System => START.elapsed(),
            ClockSource::Manual(hands) => {
                Duration::from_millis(hands.elapsed.load(Ordering::SeqCst).try_into().unwrap_or_default())
            }
        }
    }

    /// Advances a manual clock; a negative time sets it back. Panics on the system clock.
    pub fn advance(&self, by: TimeDelta) {
        self.set(self.now() + by);
        if let ClockSource::Manual(hands) = &self.0 {
            hands.elapsed.fetch_add(by.num_milliseconds().max(0), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock without changing [`Clock::elapsed`]. Panics on the system clock.
    pub fn set(&self, to: DateTime<Utc>) {
        match &self.0 {
            ClockSource::System => panic!("the machine's clock cannot be set"),
            ClockSource::Manual(hands) => hands.now.store(to.timestamp_millis(), Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_has_passed_does_not_depend_on_how_the_clock_is_set() {
        let clock = Clock::manual(DateTime::from_timestamp(1000, 0).expect("a time"));
        clock.advance(TimeDelta::seconds(5));
        assert_eq!((clock.now().timestamp(), clock.elapsed()), (1005, Duration::from_secs(5)));
        clock.set(DateTime::from_timestamp(0, 0).expect("a time"));
        clock.advance(TimeDelta::seconds(-5));
        assert_eq!((clock.now().timestamp(), clock.elapsed()), (-5, Duration::from_secs(5)));
        let machine = Clock::system();
        let before = machine.elapsed();
        assert!(machine.elapsed() >= before);
    }
}
