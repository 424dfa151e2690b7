//! State of each host, shared by all requests to it in this process: concurrency limit, pauses, remaining quota,
//! circuit breaker. In memory only.
//!
//! Credentials are not shared: two registries may be on one host with different accounts.

mod breaker;
mod concurrency_limit;
mod etag_cache;
mod host;
mod pull_budget;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(in crate::registry) use concurrency_limit::RequestOutcome;
pub(in crate::registry) use etag_cache::{CachedResponse, EtagCacheKey};
pub(in crate::registry) use host::{HostAdmission, PullPermit, RemoteHost, RequestPermit, in_words};
pub(in crate::registry) use pull_budget::PullQuota;

/// An idle host without state worth keeping is evicted after this time.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Most hosts that are kept; beyond it the longest unused is evicted. The number must be bounded, since registries may
/// name any host as token service.
const MOST_HOSTS: usize = 1000;

/// All hosts. One instance per process; clones share it.
#[derive(Clone, Default)]
pub struct RemoteHosts(Arc<SharedHosts>);

/// State behind [`RemoteHosts`].
#[derive(Default)]
struct SharedHosts {
    hosts: Mutex<HashMap<String, Arc<RemoteHost>>>,
    kept: Mutex<etag_cache::EtagCache>,
    /// Requests that were sent, to all hosts.
    requests: AtomicU64,
}

impl RemoteHosts {
    /// The host of a name (`host[:port]`), with at most `ceiling` requests in flight; the lowest ceiling given counts.
    pub(in crate::registry) fn host(&self, name: &str, ceiling: usize) -> Arc<RemoteHost> {
        let mut hosts = self.0.hosts.lock();
        if let Some(host) = hosts.get(name) {
            host.mark_used(ceiling);
            return Arc::clone(host);
        }
        let now = Instant::now();
        let is_unused = |host: &Arc<RemoteHost>| Arc::strong_count(host) == 1;
        hosts.retain(|_, host| !is_unused(host) || now - host.used() < FORGET_AFTER || !host.is_evictable(now));
        if hosts.len() >= MOST_HOSTS
            && let Some((oldest, _)) =
                hosts.iter().filter(|(_, host)| is_unused(host)).min_by_key(|(_, host)| host.used())
        {
            let oldest = oldest.clone();
            hosts.remove(&oldest);
        }
        let host = Arc::new(RemoteHost::new(name, ceiling));
        hosts.insert(name.to_owned(), Arc::clone(&host));
        host
    }

    pub(in crate::registry) fn count_request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of requests that this process has sent to registries.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// The cached response for a key.
    pub(in crate::registry) fn kept(&self, asked: EtagCacheKey) -> Option<CachedResponse> {
        self.0.kept.lock().get(asked)
    }

    pub(in crate::registry) fn keep(&self, asked: EtagCacheKey, page: CachedResponse) {
        self.0.kept.lock().keep(asked, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosts_are_shared_while_they_are_used_and_forgotten_when_idle() {
        let hosts = RemoteHosts::default();
        let count = |hosts: &RemoteHosts| hosts.0.hosts.lock().len();
        let used = hosts.host("used", 4);
        hosts.host("idle", 4);
        hosts.host("paused", 4).pause(FORGET_AFTER * 2);
        assert!(Arc::ptr_eq(&used, &hosts.clone().host("used", 4)));
        tokio::time::sleep(FORGET_AFTER).await;
        hosts.host("new", 4);
        assert_eq!(count(&hosts), 3, "idle is gone");
        assert!(Arc::ptr_eq(&used, &hosts.host("used", 4)));
        assert!(hosts.host("paused", 4).paused_for("").is_some());
        for number in 0..MOST_HOSTS * 2 {
            hosts.host(&number.to_string(), 1).pause(FORGET_AFTER);
            assert!(count(&hosts) <= MOST_HOSTS);
        }
        assert!(Arc::ptr_eq(&used, &hosts.host("used", 4)), "what is in use stays");
    }
}
