//! The time of day. The only place that reads it (a lint forbids `Utc::now` elsewhere); tests turn a clock by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the time of day comes from. Cheap to clone; clones of a manual clock share its hands.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Hands>),
}

/// Milliseconds.
#[derive(Debug)]
struct Hands {
    now: AtomicI64,
    elapsed: AtomicI64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] turns it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        let now = AtomicI64::new(start.timestamp_millis());
        Clock(Source::Manual(Arc::new(Hands { now, elapsed: AtomicI64::new(0) })))
    }

    /// The time of day, cut to milliseconds: what the store keeps, so that a value read back equals the one written.
    pub fn now(&self) -> DateTime<Utc> {
        let millis = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(hands) => hands.now.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_millis(millis).expect("milliseconds of a time of day are in chrono's range")
    }

    /// Time since some moment of this process. Setting the machine's clock does not change it: for waits and limits that
    /// are kept in memory.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System => START.elapsed(),
            Source::Manual(hands) => {
                Duration::from_millis(hands.elapsed.load(Ordering::SeqCst).try_into().unwrap_or_default())
            }
        }
    }

    /// Lets time pass on a manual clock; a negative time sets it back. Panics on the machine's clock, which nobody turns.
    pub fn advance(&self, by: TimeDelta) {
        self.set(self.now() + by);
        if let Source::Manual(hands) = &self.0 {
            hands.elapsed.fetch_add(by.num_milliseconds().max(0), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock, while no time passes. Panics on the machine's clock.
    pub fn set(&self, to: DateTime<Utc>) {
        match &self.0 {
            Source::System => panic!("the machine's clock cannot be set"),
            Source::Manual(hands) => hands.now.store(to.timestamp_millis(), Ordering::SeqCst),
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
