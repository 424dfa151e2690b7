//! Cancellation and time limits of blocking work.

use std::fmt;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Checked between steps of blocking work. Clones share the token and the deadline.
#[derive(Clone, Debug, Default)]
pub struct HaltSignal {
    stop: CancellationToken,
    until: Option<(Instant, Duration)>,
}

/// Why work was halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltReason {
    Cancelled,
    /// This time limit was exceeded.
    Late(Duration),
}

impl HaltSignal {
    /// Halts when the token is cancelled.
    pub fn on(stop: &CancellationToken) -> Self {
        Self { stop: stop.clone(), until: None }
    }

    /// Also halts after `most`, counted from now.
    #[must_use]
    pub fn within(mut self, most: Option<Duration>) -> Self {
        self.until = most.map(|most| (Instant::now() + most, most));
        self
    }

    /// # Errors
    /// The work is to end.
    pub fn check(&self) -> Result<(), HaltReason> {
        if self.stop.is_cancelled() {
            return Err(HaltReason::Cancelled);
        }
        match self.until {
            Some((until, most)) if Instant::now() >= until => Err(HaltReason::Late(most)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Late(most) => write!(f, "it took longer than {} seconds", most.as_secs()),
        }
    }
}

impl std::error::Error for HaltReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_when_it_is_told_or_late() {
        let stop = CancellationToken::new();
        let halt = HaltSignal::on(&stop);
        assert_eq!(halt.check(), Ok(()));
        assert_eq!(halt.clone().within(Some(Duration::ZERO)).check(), Err(HaltReason::Late(Duration::ZERO)));
        stop.cancel();
        assert_eq!(halt.check(), Err(HaltReason::Cancelled));
    }
}
