//! State of each host, shared by all requests to it in this process: concurrency limit, pauses, remaining quota,
//! circuit breaker. In memory only.
//!
//! Credentials are not shared: two registries may be on one host with different accounts.

mod breaker;
mod host;
mod kept;
mod pace;
mod pulls;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use host::{Admission, Host, Permit, Pull, in_words};
pub(super) use kept::{Asked, Page};
pub(super) use pace::Ending;
pub(super) use pulls::Granted;

/// An idle host without state worth keeping is evicted after this time.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Most hosts that are kept; beyond it the longest unused is evicted. The number must be bounded, since registries may
/// name any host as token service.
const MOST_HOSTS: usize = 1000;

/// All hosts. One instance per process; clones share it.
#[derive(Clone, Default)]
pub struct Hosts(Arc<Shared>);

/// State behind [`Hosts`].
#[derive(Default)]
struct Shared {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    kept: Mutex<kept::Kept>,
}

impl Hosts {
    /// The host of a name (`host[:port]`), with at most `ceiling` requests in flight; the lowest ceiling given counts.
    pub(super) fn host(&self, name: &str, ceiling: usize) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            host.take_up(ceiling);
            return Arc::clone(host);
        }
        let now = Instant::now();
        let is_unused = |host: &Arc<Host>| Arc::strong_count(host) == 1;
        hosts.retain(|_, host| !is_unused(host) || now - host.used() < FORGET_AFTER || !host.is_forgettable(now));
        if hosts.len() >= MOST_HOSTS
            && let Some((oldest, _)) =
                hosts.iter().filter(|(_, host)| is_unused(host)).min_by_key(|(_, host)| host.used())
        {
            let oldest = oldest.clone();
            hosts.remove(&oldest);
        }
        let host = Arc::new(Host::new(name, ceiling));
        hosts.insert(name.to_owned(), Arc::clone(&host));
        host
    }

    /// The cached response for a key.
    pub(super) fn kept(&self, asked: Asked) -> Option<Page> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).get(asked)
    }

    pub(super) fn keep(&self, asked: Asked, page: Page) {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(asked, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosts_are_shared_while_they_are_used_and_forgotten_when_idle() {
        let hosts = Hosts::default();
        let count = |hosts: &Hosts| hosts.0.hosts.lock().unwrap().len();
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
