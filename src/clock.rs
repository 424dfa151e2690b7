//! The time of day. The only place that reads it (a lint forbids `Utc::now` elsewhere); tests turn a clock by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the time of day comes from. Cheap to clone; clones of a manual clock share its hands.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] turns it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.timestamp_millis()))))
    }

    /// The time of day, cut to milliseconds: what the store keeps, so that a value read back equals the one written.
    pub fn now(&self) -> DateTime<Utc> {
        let millis = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(hands) => hands.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_millis(millis).expect("milliseconds of a time of day are in chrono's range")
    }

    /// Turns a manual clock. Panics on the machine's clock, which nobody turns.
    pub fn advance(&self, by: TimeDelta) {
        match &self.0 {
            Source::System => panic!("the machine's clock cannot be turned"),
            Source::Manual(hands) => {
                hands.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
            }
        }
    }
}
