//! Traffic of a registry: counts for its scans, and metrics for operators. Metric labels are the kind and the
//! registry's own hosts, never paths or hosts that a registry refers to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::RegistryResponse;
use crate::catalog::RegistryKind;
use crate::registry::{Error, RegistryTraffic, Result};

/// Counts the traffic of one registry, and reports its metrics.
pub(in crate::registry) struct TrafficMeter {
    kind: &'static str,
    hosts: Vec<String>,
    requests: AtomicU64,
    bytes: AtomicU64,
    standing: Mutex<ThrottleClock>,
}

/// Total time in which at least one request was paused.
#[derive(Default)]
struct ThrottleClock {
    requests: usize,
    since: Option<Instant>,
    before: Duration,
}

/// A request is paused until this is dropped.
pub(in crate::registry) struct ThrottleGuard<'a> {
    meter: &'a TrafficMeter,
    host: String,
}

impl TrafficMeter {
    pub(in crate::registry) fn new(kind: RegistryKind, hosts: Vec<String>) -> Self {
        let (requests, bytes, standing) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        Self { kind: kind.as_str(), hosts, requests, bytes, standing }
    }

    pub(in crate::registry) fn traffic(&self) -> RegistryTraffic {
        let standing = self.standing();
        let now = standing.since.map(|since| since.elapsed()).unwrap_or_default();
        RegistryTraffic {
            requests: self.requests.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            throttled: standing.before + now,
        }
    }

    pub(in crate::registry) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::registry) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Starts a pause of a request. Overlapping pauses count once.
    pub(in crate::registry) fn stand(&self, host: &str) -> ThrottleGuard<'_> {
        let mut standing = self.standing();
        standing.requests += 1;
        standing.since.get_or_insert_with(Instant::now);
        ThrottleGuard { meter: self, host: self.label(host) }
    }

    fn standing(&self) -> MutexGuard<'_, ThrottleClock> {
        self.standing.lock()
    }

    // --- metrics

    pub(in crate::registry) fn count_outcome(&self, host: &str, outcome: &Result<RegistryResponse>) {
        let status = match outcome {
            Ok(answer) if answer.status.canonical_reason().is_none() => "other".to_owned(),
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(Error::Timeout(_)) => "timeout".to_owned(),
            Err(Error::Unreachable(_)) => "unreachable".to_owned(),
            Err(Error::Tls(_)) => "tls".to_owned(),
            Err(_) => "refused".to_owned(),
        };
        counter!("silo_registry_requests_total", "kind" => self.kind, "host" => self.label(host), "status" => status)
            .increment(1);
    }

    pub(in crate::registry) fn count_retry(&self, host: &str) {
        counter!("silo_registry_retries_total", "kind" => self.kind, "host" => self.label(host)).increment(1);
    }

    pub(in crate::registry) fn set_quota_gauge(&self, host: &str, of: &'static str, left: u64) {
        gauge!("silo_registry_quota_remaining", "kind" => self.kind, "host" => self.label(host), "of" => of)
            .set(left as f64);
    }

    /// 1 while the circuit breaker of the host is open.
    pub(in crate::registry) fn set_breaker_gauge(&self, host: &str, is_open: bool) {
        gauge!("silo_registry_breaker_open", "kind" => self.kind, "host" => self.label(host))
            .set(f64::from(u8::from(is_open)));
    }

    fn label(&self, host: &str) -> String {
        if self.hosts.iter().any(|own| own == host) { host } else { "elsewhere" }.to_owned()
    }
}

impl Drop for ThrottleGuard<'_> {
    fn drop(&mut self) {
        let mut standing = self.meter.standing();
        standing.requests -= 1;
        if standing.requests == 0
            && let Some(since) = standing.since.take()
        {
            standing.before += since.elapsed();
            histogram!("silo_registry_throttled_seconds", "kind" => self.meter.kind, "host" => self.host.clone())
                .record(since.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_counts_once_however_many_stand_still() {
        let meter = TrafficMeter::new(RegistryKind::Distribution, Vec::new());
        let throttled = || meter.traffic().throttled.as_secs();
        let second = async |count| tokio::time::sleep(Duration::from_secs(count)).await;
        let first = meter.stand("a");
        second(1).await;
        let other = meter.stand("b");
        second(2).await;
        drop(first);
        second(3).await;
        assert_eq!(throttled(), 6, "while it lasts");
        drop(other);
        second(4).await;
        assert_eq!(throttled(), 6);
        drop(meter.stand("a"));
        assert_eq!(throttled(), 6);
    }

    #[test]
    fn hosts_that_others_name_have_no_series_of_their_own() {
        let meter = TrafficMeter::new(RegistryKind::Distribution, vec!["registry.example.org".to_owned()]);
        assert_eq!(meter.label("registry.example.org"), "registry.example.org");
        assert_eq!(meter.label("evil.example.org"), "elsewhere");
    }
}
