//! When a request is sent, and its retries, by the shared state of its host (see `hosts`).
//!
//! Retried are statuses that may pass (408, 429, 500, 502, 503, 504) and failed or broken connections; never time-outs,
//! which have already cost the whole time of a request, and never refusals.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use url::Url;

use super::super::address::host_of;
use super::hosts::{HostAdmission, PullPermit, PullQuota, RemoteHost, RequestOutcome, RequestPermit, in_words};
use super::quota::RegistryQuota;
use super::{Error, HttpTransport, RegistryRequest, RegistryResponse, Result, quota};

/// Retry state of one transport.
#[derive(Default)]
pub(super) struct RetryState {
    /// A user waits for the result: each host is tried once despite an open breaker or a long pause.
    insists: AtomicBool,
    /// Hosts that this was already done for.
    insisted: Mutex<HashSet<String>>,
    /// Whether the last check found the pull quota used up. Locked during the check.
    pulls_are_over: tokio::sync::Mutex<bool>,
}

/// Whether a pull may be sent.
enum PullDecision {
    Yes(PullPermit),
    /// The check got a response that the pull would get too.
    Answered(Box<RegistryResponse>),
}

impl HttpTransport {
    /// Lets each host be tried once more despite an open breaker or a long pause, for a user who waits.
    pub(in crate::registry) fn insist(&self) {
        self.manners.insists.store(true, Ordering::Relaxed);
    }

    /// Sends a request with retries. Any status is a response.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Tls`], [`Error::Timeout`], [`Error::Throttled`], [`Error::NoPulls`],
    /// [`Error::Refused`], and [`Error::Malformed`] for a body above the cap.
    pub(in crate::registry) async fn send(&self, request: &RegistryRequest) -> Result<RegistryResponse> {
        let host = self.host(&request.url);
        let mut _pull = None;
        if request.is_pull() {
            match self.acquire_pull(request, &host).await? {
                PullDecision::Yes(pull) => _pull = Some(pull),
                PullDecision::Answered(answer) => return Ok(*answer),
            }
        }
        let outcome = self.send_admitted(request, &host).await;
        self.meter.set_breaker_gauge(host.name(), host.is_breaker_open());
        outcome
    }

    fn host(&self, url: &Url) -> Arc<RemoteHost> {
        let name = host_of(url);
        let host = self.hosts.host(&name, self.ceiling);
        if self.manners.insists.load(Ordering::Relaxed) && self.manners.insisted.lock().insert(name) {
            host.try_again(self.limits.longest_wait);
        }
        host
    }

    async fn send_admitted(&self, request: &RegistryRequest, host: &Arc<RemoteHost>) -> Result<RegistryResponse> {
        let mut admission = host.admit(self.limits.request_timeout).await?;
        let most = if admission.is_on_trial() { 1 } else { self.limits.tries };
        let outcome = self.send_with_retries(request, host, &mut admission, most).await;
        if is_unanswered(request, &outcome) {
            admission.unanswered();
        }
        outcome
    }

    async fn send_with_retries(
        &self,
        request: &RegistryRequest,
        host: &Arc<RemoteHost>,
        admission: &mut HostAdmission,
        most: u32,
    ) -> Result<RegistryResponse> {
        let mut tries = 0;
        loop {
            tries += 1;
            let last = tries >= most;
            let permit = self.permit(host).await?;
            let outcome = self.attempt(request, host.name()).await;
            permit.end(ending(request, &outcome), self.limits.longest_wait);
            self.meter.count_outcome(host.name(), &outcome);
            match outcome {
                Err(Error::Unreachable(why)) if !last => {
                    tracing::debug!(host = host.name(), tries, why, "trying again");
                }
                Ok(answer) => {
                    if !is_unanswered_by(request, &answer) {
                        admission.answered();
                    }
                    if !self.apply_rate_limits(request, &answer, host, last)? {
                        return Ok(answer);
                    }
                }
                outcome => return outcome,
            }
            self.meter.count_retry(host.name());
        }
    }

    /// One try, limited to `request_timeout` up to the last byte.
    async fn attempt(&self, request: &RegistryRequest, host: &str) -> Result<RegistryResponse> {
        let limit = self.limits.request_timeout;
        tokio::time::timeout(limit, self.follow(request, host)).await.unwrap_or_else(|_| {
            Err(Error::Timeout(format!(
                "{host} gave no complete answer within {}; try again later, or raise the request timeout",
                seconds(limit)
            )))
        })
    }

    /// Waits for the end of a pause, then for a permit.
    async fn permit(&self, host: &Arc<RemoteHost>) -> Result<RequestPermit> {
        loop {
            self.wait_out_pause(host).await?;
            let permit = host.permit().await;
            if host.paused_for(&self.account).is_none() {
                return Ok(permit);
            } // A pause began during the wait for the permit: return it to other requests.
        }
    }

    async fn wait_out_pause(&self, host: &RemoteHost) -> Result<()> {
        // Another response may have extended the pause meanwhile.
        while let Some(left) = host.paused_for(&self.account) {
            if left > self.limits.longest_wait {
                return Err(Error::Throttled(format!(
                    "{} allows no more requests for {}; scan it later or less often",
                    host.name(),
                    in_words(left)
                )));
            }
            let _standing = self.meter.stand(host.name());
            tokio::time::sleep(left).await; // the registry asked for it, or is overloaded
        }
        Ok(())
    }

    /// Applies the pauses and quotas that a response announces. Returns whether to retry.
    fn apply_rate_limits(
        &self,
        request: &RegistryRequest,
        answer: &RegistryResponse,
        host: &RemoteHost,
        last: bool,
    ) -> Result<bool> {
        let quota = quota::quota(&answer.headers);
        self.apply_quota(request, answer, quota, host);
        if !is_passing(answer, quota) {
            return Ok(false);
        }
        let asked = quota::retry_after(&answer.headers, answer.said().as_deref());
        if let Some(wait) = asked {
            host.pause(wait);
        }
        let refuses = matches!(answer.status.as_u16(), 403 | 429);
        let reset = match quota {
            Some(RegistryQuota::Pulls(granted)) if refuses && granted.left == 0 => return Err(no_pulls(host, granted)),
            Some(RegistryQuota::Requests { left: 0, reset }) => Some(reset),
            _ => None,
        };
        let asked = asked.or(reset);
        if asked.is_some_and(|wait| wait > self.limits.longest_wait) || (last && refuses) {
            return Err(throttled(host, answer.status, asked));
        }
        Ok(!last)
    }

    fn apply_quota(
        &self,
        request: &RegistryRequest,
        answer: &RegistryResponse,
        quota: Option<RegistryQuota>,
        host: &RemoteHost,
    ) {
        match quota {
            Some(RegistryQuota::Requests { left, reset }) => {
                self.meter.set_quota_gauge(host.name(), "requests", left);
                // The quota is used up: later requests wait for the reset, or fail if that takes too long.
                if left == 0 {
                    host.pause_account(&self.account, reset);
                }
            }
            Some(RegistryQuota::Pulls(granted)) => {
                self.meter.set_quota_gauge(host.name(), "pulls", granted.left);
                host.record_pull_quota(&self.account, Some(granted), false);
            }
            // Without a pull limit, the header is missing.
            None if answer.status.is_success() && request.is_for_manifest() => {
                host.record_pull_quota(&self.account, None, false);
            }
            None => {}
        }
    }

    /// Starts a pull. If the quota seems used up, checks it by a HEAD request, which does not count as a pull.
    async fn acquire_pull(&self, request: &RegistryRequest, host: &Arc<RemoteHost>) -> Result<PullDecision> {
        let pull = || host.pull(&self.account, self.limits.pull_reserve).map_err(|granted| no_pulls(host, granted));
        if let Ok(pull) = pull() {
            return Ok(PullDecision::Yes(pull));
        }
        let mut are_over = self.manners.pulls_are_over.lock().await;
        // Another request may have made the check meanwhile.
        match pull() {
            Ok(pull) => return Ok(PullDecision::Yes(pull)),
            // With pulls in flight, the response would not show whether they are counted.
            Err(why) if *are_over || host.is_pulling(&self.account) => return Err(why),
            Err(_) => {}
        }
        let question = RegistryRequest { method: Method::HEAD, ..request.clone() };
        let answer = self.send_admitted(&question, host).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(PullDecision::Answered(Box::new(answer)));
        }
        if answer.status.is_success() {
            let granted = match quota::quota(&answer.headers) {
                Some(RegistryQuota::Pulls(granted)) => Some(granted),
                _ => None,
            };
            host.record_pull_quota(&self.account, granted, true);
        }
        let outcome = pull();
        *are_over = outcome.is_err();
        outcome.map(PullDecision::Yes)
    }
}

fn no_pulls(host: &RemoteHost, granted: PullQuota) -> Error {
    let (name, left, window) = (host.name(), granted.left, in_words(granted.window));
    let of = granted.of.map(|of| format!(" of {of} in {window}")).unwrap_or_default();
    let kept = if left == 0 { "" } else { ", which scan.pull_reserve reserves for other clients at this address" };
    Error::NoPulls(format!("{name} allows {left} more pulls{of}{kept}; it allows more within {window}"))
}

fn throttled(host: &RemoteHost, status: StatusCode, asked: Option<Duration>) -> Error {
    let wait = asked.map(|wait| format!(" and asks to wait {}", seconds(wait))).unwrap_or_default();
    Error::Throttled(format!("{} answered {status}{wait}; scan it later or less often", host.name()))
}

/// Whether a retry may get another status. GitHub answers 403 when the rate limit is exceeded.
fn is_passing(answer: &RegistryResponse, quota: Option<RegistryQuota>) -> bool {
    match answer.status.as_u16() {
        403 => answer.headers.contains_key(RETRY_AFTER) || quota.is_some_and(RegistryQuota::is_spent),
        status => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
    }
}

/// What the outcome of a try says about the load of its host.
fn ending(request: &RegistryRequest, outcome: &Result<RegistryResponse>) -> RequestOutcome {
    match outcome {
        Ok(answer) if !is_passing(answer, quota::quota(&answer.headers)) => RequestOutcome::Fine,
        Ok(answer) if matches!(answer.status.as_u16(), 403 | 429 | 503) => RequestOutcome::Busy,
        Err(Error::Timeout(_)) => RequestOutcome::Busy,
        Ok(answer) if !is_unanswered_by(request, answer) => RequestOutcome::Stumbled,
        Ok(_) | Err(Error::Unreachable(_) | Error::Tls(_)) => RequestOutcome::Failed,
        Err(_) => RequestOutcome::Fine,
    }
}

fn is_unanswered(request: &RegistryRequest, outcome: &Result<RegistryResponse>) -> bool {
    match outcome {
        Ok(answer) => is_unanswered_by(request, answer),
        Err(why) => matches!(why, Error::Unreachable(_) | Error::Timeout(_) | Error::Tls(_)),
    }
}

/// Whether a server error comes from something in front of the registry, so that the registry itself did not respond.
/// An error in the registry's own format is a response, even with a 500. HEAD has no body: 500 and 501 are how some
/// registries refuse HEAD.
fn is_unanswered_by(request: &RegistryRequest, answer: &RegistryResponse) -> bool {
    let refuses_head = request.method == Method::HEAD && matches!(answer.status.as_u16(), 500 | 501);
    answer.status.is_server_error() && !refuses_head && answer.error_code().is_none()
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
