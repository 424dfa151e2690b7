//! State of one host: circuit breaker, pauses, concurrency limit, pull quotas. Admissions and permits are returned on
//! drop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::breaker::{BreakerVerdict, CircuitBreaker, MOST_FAILURES};
use super::concurrency_limit::{ConcurrencyLimit, RequestOutcome};
use super::pull_budget::{PullBudget, PullQuota};
use crate::registry::{Error, Result};

/// One host, shared by all requests to it.
pub(in crate::registry) struct RemoteHost {
    /// `host[:port]`.
    name: String,
    permits: Arc<Semaphore>,
    state: Mutex<HostState>,
    /// Signals that the breaker's probe has ended.
    tried: Notify,
}

/// Mutable state of a host.
struct HostState {
    pace: ConcurrencyLimit,
    /// Permits in use beyond a lowered limit; they are dropped when their requests end.
    excess: usize,
    breaker: CircuitBreaker,
    /// No request until then.
    paused_until: Option<Instant>,
    /// By user name; empty: anonymous.
    accounts: HashMap<String, AccountLimits>,
    used: Instant,
}

/// Limits of one account at a host.
#[derive(Default)]
struct AccountLimits {
    pulls: PullBudget,
    /// No request until then: the request quota is used up.
    paused_until: Option<Instant>,
}

impl RemoteHost {
    pub(super) fn new(name: &str, ceiling: usize) -> Self {
        let pace = ConcurrencyLimit::new(ceiling.min(Semaphore::MAX_PERMITS));
        let permits = Arc::new(Semaphore::new(pace.limit()));
        let (breaker, accounts) = (CircuitBreaker::default(), HashMap::new());
        let state = HostState { pace, excess: 0, breaker, paused_until: None, accounts, used: Instant::now() };
        Self { name: name.to_owned(), permits, state: Mutex::new(state), tried: Notify::new() }
    }

    pub(in crate::registry) fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, HostState> {
        self.state.lock()
    }

    /// Marks the host as used, and lowers its ceiling to this one.
    pub(super) fn mark_used(&self, ceiling: usize) {
        let mut state = self.state();
        state.used = Instant::now();
        self.change(&mut state, |pace| pace.lower(ceiling));
    }

    pub(super) fn used(&self) -> Instant {
        self.state().used
    }

    /// Whether the host can be evicted: it has no pause, quota or open breaker.
    pub(super) fn is_evictable(&self, now: Instant) -> bool {
        let state = self.state();
        let is_over = |until: &Option<Instant>| until.is_none_or(|until| until <= now);
        let account_is_over =
            |account: &AccountLimits| is_over(&account.paused_until) && account.pulls.is_discardable(now);
        is_over(&state.paused_until) && state.breaker.is_closed() && state.accounts.values().all(account_is_over)
    }

    // --- admission by the circuit breaker

    /// Admits a request, unless the circuit breaker is open. Waits for a probe in flight, at most `patience`.
    ///
    /// # Errors
    /// [`Error::Unreachable`], with the time of the next probe.
    pub(in crate::registry) async fn admit(self: &Arc<Self>, patience: Duration) -> Result<HostAdmission> {
        let told = async {
            loop {
                let tried = self.tried.notified();
                tokio::pin!(tried);
                tried.as_mut().enable();
                let now = Instant::now();
                let verdict = self.state().breaker.admit(now);
                match verdict {
                    BreakerVerdict::Go | BreakerVerdict::Trial => {
                        let on_trial = verdict == BreakerVerdict::Trial;
                        return Ok(HostAdmission { host: Arc::clone(self), on_trial, is_over: false });
                    }
                    BreakerVerdict::Wait => tried.await,
                    BreakerVerdict::Refused(rest) => {
                        return Err(Error::Unreachable(format!(
                            "{} did not answer {MOST_FAILURES} requests in a row; the next attempt is in {}; check \
                             that it is up",
                            self.name,
                            in_words(rest)
                        )));
                    }
                }
            }
        };
        tokio::time::timeout(patience, told).await.unwrap_or_else(|_| {
            Err(Error::Unreachable(format!("{} is being retried and has not answered yet; try again later", self.name)))
        })
    }

    /// Lets the next request through despite an open breaker or a pause longer than `longest_wait`.
    pub(in crate::registry) fn try_again(&self, longest_wait: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        state.breaker.try_again(now);
        state.paused_until = state.paused_until.filter(|until| *until - now <= longest_wait);
    }

    /// Whether the circuit breaker is open or half-open.
    pub(in crate::registry) fn is_breaker_open(&self) -> bool {
        !self.state().breaker.is_closed()
    }

    // --- permits and pauses

    /// Waits for a permit to send one request.
    pub(in crate::registry) async fn permit(self: &Arc<Self>) -> RequestPermit {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("nobody closes it");
        let epoch = self.state().pace.epoch();
        RequestPermit { host: Arc::clone(self), permit: Some(permit), epoch }
    }

    /// Pauses all requests for this time.
    pub(in crate::registry) fn pause(&self, wait: Duration) {
        extend_pause(&mut self.state().paused_until, wait);
    }

    /// Pauses the requests of this account for this time.
    pub(in crate::registry) fn pause_account(&self, account: &str, wait: Duration) {
        extend_pause(&mut self.state().accounts.entry(account.to_owned()).or_default().paused_until, wait);
    }

    /// How long requests of this account are paused; `None`: not paused.
    pub(in crate::registry) fn paused_for(&self, account: &str) -> Option<Duration> {
        let now = Instant::now();
        let state = self.state();
        let of_account = state.accounts.get(account).and_then(|account| account.paused_until);
        let until = state.paused_until.max(of_account)?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    // --- pulls

    /// Starts a pull. See [`PullBudget::begin`].
    pub(in crate::registry) fn pull(
        self: &Arc<Self>,
        account: &str,
        reserve_percent: u32,
    ) -> std::result::Result<PullPermit, PullQuota> {
        let mut state = self.state();
        let known = state.accounts.entry(account.to_owned()).or_default();
        known.pulls.begin(reserve_percent, Instant::now())?;
        Ok(PullPermit { host: Arc::clone(self), account: account.to_owned() })
    }

    /// Whether pulls of an account are in flight.
    pub(in crate::registry) fn is_pulling(&self, account: &str) -> bool {
        self.state().accounts.get(account).is_some_and(|known| known.pulls.is_pulling())
    }

    /// Records the pull quota that a response announced for an account; `None`: no limit.
    pub(in crate::registry) fn record_pull_quota(&self, account: &str, granted: Option<PullQuota>, is_last_word: bool) {
        let mut state = self.state();
        let known = match granted {
            Some(_) => Some(state.accounts.entry(account.to_owned()).or_default()),
            None => state.accounts.get_mut(account),
        };
        if let Some(known) = known {
            known.pulls.record_quota(granted, is_last_word, Instant::now());
        }
    }

    /// Changes the concurrency limit, and adjusts the number of permits.
    fn change<T>(&self, state: &mut HostState, change: impl FnOnce(&mut ConcurrencyLimit) -> T) -> T {
        let before = state.pace.limit();
        let outcome = change(&mut state.pace);
        let now = state.pace.limit();
        if now < before {
            state.excess += before - now - self.permits.forget_permits(before - now);
        } else {
            let kept = state.excess.min(now - before);
            state.excess -= kept;
            self.permits.add_permits(now - before - kept);
        }
        outcome
    }
}

fn extend_pause(paused_until: &mut Option<Instant>, wait: Duration) {
    *paused_until = (*paused_until).max(Some(Instant::now() + wait));
}

/// Admission of a request by the circuit breaker.
pub(in crate::registry) struct HostAdmission {
    host: Arc<RemoteHost>,
    on_trial: bool,
    is_over: bool,
}

impl HostAdmission {
    /// Whether this request is the breaker's probe.
    pub(in crate::registry) fn is_on_trial(&self) -> bool {
        self.on_trial
    }

    /// The request got a response.
    pub(in crate::registry) fn answered(&mut self) {
        self.host.state().breaker.answered();
        self.is_over = true;
        if self.on_trial {
            self.host.tried.notify_waiters();
        }
    }

    /// The request got no response after all its tries.
    pub(in crate::registry) fn unanswered(mut self) {
        self.host.state().breaker.unanswered(self.on_trial, Instant::now(), rand::random());
        self.is_over = true;
    }
}

impl Drop for HostAdmission {
    fn drop(&mut self) {
        if self.on_trial {
            if !self.is_over {
                self.host.state().breaker.trial_abandoned(Instant::now());
            }
            self.host.tried.notify_waiters();
        }
    }
}

/// Permit of a request in flight.
pub(in crate::registry) struct RequestPermit {
    host: Arc<RemoteHost>,
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

impl RequestPermit {
    /// Records the outcome. After a failure all requests to the host are paused (back-off), at most for `longest`.
    pub(in crate::registry) fn end(self, ending: RequestOutcome, longest: Duration) {
        let mut state = self.host.state();
        if let Some(wait) = self.host.change(&mut state, |pace| pace.ended(ending, self.epoch)) {
            // Jitter between half and all of it, so that clients do not return at the same time.
            let wait = wait.min(longest).mul_f64(0.5 + rand::random::<f64>() / 2.0);
            extend_pause(&mut state.paused_until, wait);
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut state = self.host.state();
        let permit = self.permit.take();
        if state.excess > 0 {
            state.excess -= 1;
            if let Some(permit) = permit {
                permit.forget();
            }
        }
    }
}

/// A pull in flight.
pub(in crate::registry) struct PullPermit {
    host: Arc<RemoteHost>,
    account: String,
}

impl Drop for PullPermit {
    fn drop(&mut self) {
        if let Some(known) = self.host.state().accounts.get_mut(&self.account) {
            known.pulls.end();
        }
    }
}

/// A duration for messages, in its largest unit, rounded up.
pub(in crate::registry) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(ceiling: usize) -> Arc<RemoteHost> {
        Arc::new(RemoteHost::new("registry.example.org", ceiling))
    }

    fn answer(mut admission: HostAdmission) {
        admission.answered();
    }

    async fn cut_off(ceiling: usize) -> Arc<RemoteHost> {
        let host = host(ceiling);
        for _ in 0..MOST_FAILURES {
            host.admit(SECOND).await.unwrap().unanswered();
        }
        assert!(host.is_breaker_open());
        host
    }

    async fn rest_is_over(host: &Arc<RemoteHost>) {
        tokio::time::sleep(15 * SECOND).await;
        assert!(host.is_breaker_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_as_long_as_the_longest_that_was_asked_for() {
        let host = host(1);
        host.pause(30 * SECOND);
        host.pause(10 * SECOND);
        assert_eq!(host.paused_for(""), Some(30 * SECOND));
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!(host.paused_for(""), None);
        host.pause_account("ada", SECOND);
        assert_eq!((host.paused_for("ada"), host.paused_for("ben")), (Some(SECOND), None));
        host.pause(60 * SECOND);
        host.try_again(60 * SECOND);
        assert_eq!(host.paused_for("ben"), Some(60 * SECOND), "so long anybody waits");
        host.try_again(59 * SECOND);
        assert_eq!((host.paused_for("ada"), host.paused_for("ben")), (Some(SECOND), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_leaves_the_host_alone_for_all_and_successes_undo_it() {
        let host = host(1);
        let fail = async |most| {
            host.permit().await.end(RequestOutcome::Failed, 2 * SECOND);
            let wait = host.paused_for("").unwrap();
            assert!((most / 2..=most).contains(&wait), "{wait:?}");
            tokio::time::sleep(wait).await;
        };
        for most in [100, 200, 400, 800, 1600, 2000, 2000] {
            fail(Duration::from_millis(most)).await;
        }
        for _ in 0..6 {
            host.permit().await.end(RequestOutcome::Fine, SECOND);
        }
        fail(Duration::from_millis(200)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_left_alone_and_tried_by_one() {
        let host = cut_off(4).await;
        let refused = host.admit(SECOND).await.err();
        assert!(
            matches!(&refused, Some(Error::Unreachable(why)) if why.contains("the next attempt is in")),
            "{refused:?}"
        );
        rest_is_over(&host).await;
        let trial = host.admit(SECOND).await.unwrap();
        assert!(trial.is_on_trial());
        let waits = host.admit(SECOND).await.err();
        assert!(matches!(&waits, Some(Error::Unreachable(why)) if why.contains("not answered yet")), "{waits:?}");
        let (follower, ()) = tokio::join!(host.admit(SECOND), async { answer(trial) });
        assert!(!follower.unwrap().is_on_trial() && !host.is_breaker_open());
    }

    #[tokio::test(start_paused = true)]
    async fn one_on_trial_that_is_dropped_makes_room_for_the_next() {
        let host = cut_off(4).await;
        rest_is_over(&host).await;
        let trial = host.admit(SECOND).await.unwrap();
        let (next, ()) = tokio::join!(host.admit(SECOND), async { drop(trial) });
        let next = next.unwrap();
        assert!(next.is_on_trial());
        let (last, ()) = tokio::join!(host.admit(SECOND), async { next.unanswered() });
        assert!(last.is_err() && host.is_breaker_open());
        host.try_again(SECOND);
        assert!(host.admit(SECOND).await.unwrap().is_on_trial(), "who insists gets one try");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_sinks_holds_for_those_who_wait() {
        let host = host(4);
        let mut out = Vec::new();
        for _ in 0..4 {
            out.push(host.permit().await);
        }
        let mut waiting = std::pin::pin!(host.permit());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        out.pop().unwrap().end(RequestOutcome::Busy, SECOND); // limit is two, three are in flight
        assert!(futures_util::poll!(&mut waiting).is_pending());
        out.pop();
        assert!(futures_util::poll!(&mut waiting).is_pending());
        out.pop();
        assert!(futures_util::poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn a_pull_that_is_dropped_is_over() {
        let host = host(1);
        let granted = |left| Some(PullQuota { left, of: Some(10), window: 60 * SECOND });
        host.record_pull_quota("ada", granted(2), false);
        let pull = host.pull("ada", 10).unwrap();
        assert!(host.pull("ada", 10).is_err() && host.pull("ben", 10).is_ok(), "each account for itself");
        drop(pull);
        assert!(host.pull("ada", 10).is_ok());
    }

    proptest! {
        /// Invariant: after any mix of outcomes, including requests dropped while they wait, the number of free permits
        /// equals the limit.
        #[test]
        fn permits_never_leak(ceiling in 1usize..6, steps in proptest::collection::vec((0u8..6, 0usize..8), 0..120)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let host = host(ceiling);
                let (mut out, mut waiting) = (Vec::new(), Vec::new());
                for (step, which) in steps {
                    match step {
                        0 | 1 => waiting.push(Box::pin({ let host = Arc::clone(&host); async move { host.permit().await } })),
                        2 if !waiting.is_empty() => drop(waiting.swap_remove(which % waiting.len())),
                        3 if !out.is_empty() => drop(out.swap_remove(which % out.len())),
                        4 if which == 0 => host.mark_used(which + 1),
                        _ if !out.is_empty() => {
                            let permit: RequestPermit = out.swap_remove(which % out.len());
                            permit.end([RequestOutcome::Fine, RequestOutcome::Stumbled, RequestOutcome::Busy, RequestOutcome::Failed][which % 4], SECOND);
                        }
                        _ => {}
                    }
                    let mut still = Vec::new();
                    for mut request in waiting {
                        match futures_util::poll!(&mut request) {
                            std::task::Poll::Ready(permit) => out.push(permit),
                            std::task::Poll::Pending => still.push(request),
                        }
                    }
                    waiting = still;
                    let state = host.state();
                    assert!(out.len() <= state.pace.limit() + state.excess, "{} are out", out.len());
                }
                drop((out, waiting));
                let state = host.state();
                assert_eq!((host.permits.available_permits(), state.excess), (state.pace.limit(), 0));
            });
        }
    }

    #[test]
    fn times_for_people() {
        for (millis, words) in
            [(0, "0 s"), (1, "1 s"), (120_000, "120 s"), (120_001, "3 min"), (7_200_000, "120 min"), (7_200_001, "3 h")]
        {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
    }
}
