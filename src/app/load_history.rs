//! Load of this process in the last hour, in memory: a sample every ten seconds, for the page of the system. The
//! numbers for operators are in `metrics.rs`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::App;

/// Time between two samples.
pub const LOAD_INTERVAL: Duration = Duration::from_secs(10);
/// Samples that are kept: one hour.
const MOST_SAMPLES: usize = 360;
/// Searches of an interval whose times are kept: the last ones.
const MOST_SEARCHES: usize = 10_000;

/// Load in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSample {
    /// The end of the interval.
    pub at: DateTime<Utc>,
    pub requests_per_second: f64,
    /// Time that 95 of 100 searches took at most, in seconds; `None` without a search.
    pub search_p95: Option<f64>,
    /// Requests to registries.
    pub scan_requests_per_second: f64,
    /// Runs that wait, of all processes; `None` while the database is unreachable.
    pub runs_queued: Option<u64>,
}

/// What is counted between two samples, and the samples.
#[derive(Default)]
pub(super) struct LoadMeter {
    requests: AtomicU64,
    searches: Mutex<SearchTimes>,
    history: Mutex<LoadHistory>,
}

/// Times of the last searches of an interval.
#[derive(Default)]
struct SearchTimes {
    times: Vec<Duration>,
    /// Number of all searches.
    count: usize,
}

#[derive(Default)]
struct LoadHistory {
    samples: VecDeque<LoadSample>,
    /// When the last sample was taken, and the number of requests to registries then.
    last: Option<(Duration, u64)>,
}

impl SearchTimes {
    fn add(&mut self, took: Duration) {
        match self.times.len() < MOST_SEARCHES {
            true => self.times.push(took),
            false => self.times[self.count % MOST_SEARCHES] = took,
        }
        self.count += 1;
    }

    /// The 95th percentile (nearest rank), in seconds.
    fn p95(mut self) -> Option<f64> {
        self.times.sort_unstable();
        let rank = (self.times.len() * 95).div_ceil(100);
        Some(self.times.get(rank.checked_sub(1)?)?.as_secs_f64())
    }
}

impl App {
    /// Counts a request to this service.
    pub fn count_request(&self) {
        self.0.load.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_search(&self, took: Duration) {
        self.0.load.searches.lock().add(took);
    }

    /// Ends an interval: adds its sample. The first call only begins one.
    pub async fn load_sample(&self) {
        let runs_queued = self.store().run_counts_active().await.ok().map(|counts| counts.accepted);
        let mut history = self.0.load.history.lock();
        let (now, scan_requests) = (self.0.clock.elapsed(), self.0.hosts.requests());
        let seconds = history.last.map(|(last, _)| now.saturating_sub(last).as_secs_f64());
        if seconds == Some(0.0) {
            return;
        }
        let before = history.last.replace((now, scan_requests));
        let requests = self.0.load.requests.swap(0, Ordering::Relaxed);
        let searches = std::mem::take(&mut *self.0.load.searches.lock());
        let (Some(seconds), Some((_, scan_requests_before))) = (seconds, before) else { return };
        if history.samples.len() == MOST_SAMPLES {
            history.samples.pop_front();
        }
        history.samples.push_back(LoadSample {
            at: self.0.clock.now(),
            requests_per_second: requests as f64 / seconds,
            search_p95: searches.p95(),
            scan_requests_per_second: (scan_requests - scan_requests_before) as f64 / seconds,
            runs_queued,
        });
    }

    /// The samples of the last hour, oldest first.
    pub fn load_history(&self) -> Vec<LoadSample> {
        self.0.load.history.lock().samples.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p95(millis: impl IntoIterator<Item = u64>) -> Option<f64> {
        let mut times = SearchTimes::default();
        millis.into_iter().for_each(|millis| times.add(Duration::from_millis(millis)));
        times.p95()
    }

    #[test]
    fn the_95th_percentile_is_a_time_that_was_measured() {
        assert_eq!(p95([]), None);
        assert_eq!(p95([7]), Some(0.007));
        assert_eq!(p95((1..=100).rev()), Some(0.095));
        assert_eq!(p95((1..=20).chain([1000])), Some(0.020));
    }

    #[test]
    fn the_last_searches_of_an_interval_count() {
        let slow = std::iter::repeat_n(9000, MOST_SEARCHES);
        assert_eq!(p95(slow.clone().chain(std::iter::repeat_n(2, MOST_SEARCHES))), Some(0.002));
        assert_eq!(p95(slow.chain([2])), Some(9.0));
    }
}
