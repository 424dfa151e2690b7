//! Remaining manifest pulls where a registry has a pull quota, as Docker Hub does, and the reserve that is left to
//! other clients behind the same IP address. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Pull quota that a registry announces for an account or an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct PullQuota {
    pub(in crate::registry) left: u64,
    /// Pull quota of the window; `None` if the registry did not announce one.
    pub(in crate::registry) of: Option<u64>,
    /// Length of the window.
    pub(in crate::registry) window: Duration,
}

/// Last announced quota and our pulls in flight.
#[derive(Debug, Default)]
pub(super) struct PullBudget {
    /// The last announced quota, and until when it counts.
    told: Option<(PullQuota, Instant)>,
    /// Pulls in flight, which the announced number may not include yet.
    in_flight: u64,
}

impl PullBudget {
    /// Starts a pull, unless only the reserve is left: `reserve_percent` of the quota.
    ///
    /// # Errors
    /// The announced quota.
    pub(super) fn begin(&mut self, reserve_percent: u32, now: Instant) -> Result<(), PullQuota> {
        if let Some((granted, until)) = self.told
            && until > now
            && granted.left.saturating_sub(self.in_flight) <= reserve(granted, reserve_percent)
        {
            return Err(granted);
        }
        self.in_flight += 1;
        Ok(())
    }

    /// A pull ended, with whatever outcome.
    pub(super) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Records the quota that a response announced; `None`: no limit. Responses arrive out of order, so the lowest
    /// number counts; `is_last_word` (a response to a check made with no pull in flight) replaces it.
    pub(super) fn record_quota(&mut self, granted: Option<PullQuota>, is_last_word: bool, now: Instant) {
        let before = self.told.filter(|(_, until)| *until > now && !is_last_word);
        self.told = granted.map(|granted| {
            let left = before.map_or(granted.left, |(before, _)| before.left.min(granted.left));
            (PullQuota { left, ..granted }, now + granted.window)
        });
    }

    /// Whether pulls are in flight.
    pub(super) fn is_pulling(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether there is no state worth keeping.
    pub(super) fn is_discardable(&self, now: Instant) -> bool {
        !self.is_pulling() && self.told.is_none_or(|(_, until)| until <= now)
    }
}

fn reserve(granted: PullQuota, percent: u32) -> u64 {
    granted.of.unwrap_or(0).saturating_mul(u64::from(percent)).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX_HOURS: Duration = Duration::from_secs(21_600);

    fn granted(left: u64) -> PullQuota {
        PullQuota { left, of: Some(100), window: SIX_HOURS }
    }

    #[test]
    fn it_stops_before_the_reserve() {
        let (mut pulls, now) = (PullBudget::default(), Instant::now());
        assert_eq!(pulls.begin(10, now), Ok(()), "nothing is known yet");
        pulls.end();
        pulls.record_quota(Some(granted(13)), false, now);
        for _ in 0..3 {
            assert_eq!(pulls.begin(10, now), Ok(()));
        }
        assert_eq!(pulls.begin(10, now), Err(granted(13)), "three are under way");
        assert_eq!(pulls.begin(0, now), Ok(()), "without a reserve they go on");
        (0..4).for_each(|_| pulls.end());
        pulls.record_quota(Some(granted(10)), false, now);
        assert_eq!(pulls.begin(10, now), Err(granted(10)));
        assert_eq!(pulls.begin(10, now + SIX_HOURS), Ok(()), "the window is over");
    }

    #[test]
    fn answers_that_overtake_each_other_do_not_raise_it() {
        let (mut pulls, now) = (PullBudget::default(), Instant::now());
        let left = |pulls: &PullBudget| pulls.told.map(|(granted, _)| granted.left);
        for told in [12, 11, 13] {
            pulls.record_quota(Some(granted(told)), false, now);
        }
        assert_eq!(left(&pulls), Some(11));
        pulls.record_quota(Some(granted(13)), true, now);
        assert_eq!(left(&pulls), Some(13), "asked for by itself, it is the truth");
        pulls.record_quota(None, false, now);
        assert_eq!(pulls.begin(100, now), Ok(()), "an account that is granted as many as it likes");
    }

    #[test]
    fn a_reserve_is_rounded_up_and_needs_a_whole() {
        assert_eq!(reserve(PullQuota { of: Some(15), ..granted(1) }, 10), 2);
        assert_eq!(reserve(PullQuota { of: None, ..granted(1) }, 100), 0);
        assert_eq!(reserve(PullQuota { of: Some(u64::MAX), ..granted(1) }, 100), u64::MAX / 100 + 1);
    }
}
