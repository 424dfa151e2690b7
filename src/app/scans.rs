//! Scans: request, wait, perform, list, and the schedule that requests them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::{App, Error, Result, UserSession};
use crate::auth::random_id;
use crate::catalog::{
    RegistryId, RegistryRecord, SCAN_PROBLEM_CODES, ScanCounts, ScanId, ScanProblem, ScanProblemCount, ScanRecord,
    ScanState, ScanTrigger,
};
use crate::registry::RegistrySource;
use crate::scan::{self, ScanInput, ScanProgress};
use crate::store::{self, ClaimedScan, ScanRequest, ScanResult, Store};

/// Most attempts of a scan: whatever interrupts its workers, or keeps its result from being stored, must not make us
/// query the registry for ever.
const MOST_ATTEMPTS: i64 = 5;

/// Poll interval for a scan that another process may perform.
const LOOK: Duration = Duration::from_millis(500);

/// A requested scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryScan {
    pub registry: RegistryId,
    pub scan: ScanId,
}

/// The result of waiting for scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOutcome {
    /// All have ended, successfully or not, and searches see the result.
    Ended,
    /// Some are still active.
    GoesOn,
}

impl App {
    /// Requests a scan of one registry; an active one is joined.
    pub async fn scan_request(&self, registry: RegistryId, trigger: ScanTrigger) -> Result<ScanId> {
        // The whole store: a hook is called without a session.
        let asked = self.0.whole_store.scan_request(registry, trigger, self.0.clock.now()).await?;
        let id = match asked {
            Some(ScanRequest::Queued(id) | ScanRequest::Active(id)) => id,
            None => return Err(Error::NotFound("No registry found with that ID".to_owned())),
        };
        self.0.signals.scan_queued.notify_one();
        if trigger == ScanTrigger::Manual {
            tracing::info!(scan = %id, %registry, "scan requested");
        }
        Ok(id)
    }

    /// Confirms that what a held scan missed is gone: requests another scan, which removes it if it is still missing.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a scan that is not held or not the registry's last one, and while another one is active.
    pub async fn scan_confirm(&self, id: ScanId) -> Result<ScanId> {
        let scan = self.scan_get(id).await?;
        // Scans requested by hooks in between do not cover the whole registry, so they do not count.
        let last = self.store().scan_list_last().await?.into_iter().find(|last| last.registry_id == scan.registry_id);
        if scan.state != ScanState::Held || last.is_some_and(|last| last.id != id) {
            let state = scan.state.as_str();
            return Err(Error::Conflict(format!(
                "Only a registry's last scan can be confirmed, and only when it is held; scan {id} is {state}, or was followed by another"
            )));
        }
        match self.store().scan_request(scan.registry_id, ScanTrigger::Confirmed, self.0.clock.now()).await? {
            Some(ScanRequest::Queued(new)) => {
                self.0.signals.scan_queued.notify_one();
                tracing::info!(scan = %new, held = %id, registry = %scan.registry_id, "held scan confirmed");
                Ok(new)
            }
            Some(ScanRequest::Active(other)) => {
                Err(Error::Conflict(format!("Scan {other} of this registry has not ended; confirm after it has")))
            }
            None => Err(Error::NotFound("No registry found with that ID".to_owned())),
        }
    }

    /// Cancels a scan that is queued or runs. What it has stored stays, and nothing is removed. Its worker notices
    /// within two seconds.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a scan that has ended.
    pub async fn scan_cancel(&self, session: &UserSession, id: ScanId) -> Result<ScanRecord> {
        let by = &session.user.username;
        if !self.store().scan_cancel(id, &format!("cancelled by {by}"), self.0.clock.now()).await? {
            let state = self.scan_get(id).await?.state.as_str();
            return Err(Error::Conflict(format!("Scan {id} has ended ({state}), so there is nothing to cancel")));
        }
        tracing::info!(scan = %id, by, "a scan was cancelled");
        self.count_scan(id).await;
        self.0.signals.scan_ended.send_modify(|count| *count += 1);
        self.scan_get(id).await
    }

    /// Requests a scan of every registry.
    pub async fn scan_request_all(&self) -> Result<Vec<RegistryScan>> {
        let mut asked = Vec::new();
        for registry in self.registry_list().await? {
            match self.scan_request(registry.id, ScanTrigger::Manual).await {
                Ok(scan) => asked.push(RegistryScan { registry: registry.id, scan }),
                // The registry was deleted meanwhile.
                Err(Error::NotFound(_)) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(asked)
    }

    /// Waits until the scans have ended and searches see their results, but not longer than `most`.
    pub async fn scan_wait(&self, scans: &[ScanId], most: Duration) -> Result<ScanOutcome> {
        match tokio::time::timeout(most, self.until_ended(scans)).await {
            Ok(ended) => ended.map(|()| ScanOutcome::Ended),
            Err(_elapsed) => Ok(ScanOutcome::GoesOn),
        }
    }

    async fn until_ended(&self, scans: &[ScanId]) -> Result<()> {
        let mut ended = self.0.signals.scan_ended.subscribe();
        for id in scans {
            // A deleted scan has ended too.
            while self.store().scan_get(*id).await?.is_some_and(|scan| scan.state.is_active()) {
                // Another process may perform the scan; it cannot wake us, so poll too.
                _ = tokio::time::timeout(LOOK, ended.changed()).await;
            }
        }
        self.index_bring_up_to_date().await
    }

    /// Scans, newest first.
    pub async fn scan_list(
        &self,
        registry: Option<RegistryId>,
        before: Option<ScanId>,
        limit: u32,
    ) -> Result<Vec<ScanRecord>> {
        Ok(self.store().scan_list(registry, before, limit).await?)
    }

    /// One scan. If it has ended, the index is brought up to date first, so that its result can be found.
    pub async fn scan_get(&self, id: ScanId) -> Result<ScanRecord> {
        let known = self.store().scan_get(id).await?;
        let scan = known.ok_or_else(|| Error::NotFound("No scan found with that ID".to_owned()))?;
        if !scan.state.is_active()
            && let Err(why) = self.index_bring_up_to_date().await
        {
            // A broken index must not hide the scan's report.
            tracing::warn!(%why, "the search index could not be brought up to date");
        }
        Ok(scan)
    }

    /// Returns the scan as soon as it differs from `seen`. Progress is stored every second or two.
    pub async fn scan_next(&self, seen: &ScanRecord) -> Result<ScanRecord> {
        let mut ended = self.0.signals.scan_ended.subscribe();
        loop {
            let scan = self.scan_get(seen.id).await?;
            if scan != *seen {
                return Ok(scan);
            }
            // Another process may perform the scan, as above.
            _ = tokio::time::timeout(LOOK, ended.changed()).await;
        }
    }

    /// The problems that a scan found, in order; those with this code only, if it is not empty.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a code that does not exist.
    pub async fn scan_problems(&self, id: ScanId, code: &str, after: i64, limit: u32) -> Result<Vec<ScanProblem>> {
        if !code.is_empty() && !SCAN_PROBLEM_CODES.contains(&code) {
            let known = SCAN_PROBLEM_CODES.join(", ");
            return Err(Error::Invalid(format!("There is no code '{code}' of problems; there are {known}")));
        }
        self.scan_get(id).await?;
        Ok(self.store().scan_problem_list(id, code, after, limit).await?)
    }

    /// The number of problems that a scan found, by code, the most frequent first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn scan_problem_counts(&self, id: ScanId) -> Result<Vec<ScanProblemCount>> {
        self.scan_get(id).await?;
        Ok(self.store().scan_problem_counts(id).await?)
    }

    /// Requests the scans that are due by schedule. The period of a new schedule starts now.
    pub async fn scan_due(&self) -> Result<()> {
        self.follow_hints().await?;
        let now = self.0.clock.now();
        for registry in self.registry_list().await? {
            let next = self.next_scan_of(&registry, now);
            match registry.next_scan_at {
                Some(at) if at <= now && next.is_some() => {
                    self.scan_request(registry.id, ScanTrigger::Schedule).await.or_else(|why| match why {
                        Error::NotFound(_) => Ok(ScanId(0)),
                        other => Err(other),
                    })?;
                    self.store().registry_set_next_scan(registry.id, next).await?;
                }
                // A changed default schedule may bring a scan forward; "off" cancels it.
                planned if planned.is_none() != next.is_none() || planned > next => {
                    self.store().registry_set_next_scan(registry.id, next).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Requests scans for hints that came while a scan was about to end, or while no service ran.
    async fn follow_hints(&self) -> Result<()> {
        for registry in self.store().hint_registries(self.0.clock.now()).await? {
            match self.scan_request(registry, ScanTrigger::Hook).await {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// When the next scan is due by the registry's schedule, or the default one.
    pub(super) fn next_scan_of(&self, registry: &RegistryRecord, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let scan = &self.settings().scan;
        let schedule = if registry.schedule.is_empty() { &scan.schedule } else { &registry.schedule };
        let jitter = jitter(registry.id, scan.jitter_minutes);
        match next_scan(schedule, now - jitter) {
            Ok(next) => next.map(|at| at + jitter),
            Err(why) => {
                tracing::error!(registry = registry.name, %why, "the schedule cannot be read: no scans by schedule");
                None
            }
        }
    }

    /// Claims one queued scan and performs it. False: there was none.
    ///
    /// Killed at any await, the scan's lease expires and another worker resumes it, with the same outcome. On a
    /// graceful `stop` it is released to the queue at once.
    pub async fn scan_work(&self, stop: &CancellationToken) -> Result<bool> {
        self.scans_give_back().await?;
        let now = self.0.clock.now();
        let store = self.store().in_background();
        let Some(claim) = store.scan_claim(&random_id(), now, self.lease_from(now)).await? else {
            return Ok(false);
        };
        let outcome = self.scan_claimed(&store, &claim, stop).await;
        if let Err(why) = &outcome {
            self.scan_interrupted(&claim, why).await;
        }
        self.0.signals.scan_ended.send_modify(|count| *count += 1);
        self.follow_hints().await?;
        if outcome? {
            self.count_scan(claim.id).await;
        } else {
            tracing::info!(scan = %claim.id, "the scan was given back, taken over or cancelled, or its registry deleted");
        }
        self.index_bring_up_to_date().await.map(|()| true)
    }

    /// Returns a scan that an error ended to the queue, at once or as soon as the database can be reached. The next
    /// worker resumes it.
    async fn scan_interrupted(&self, claim: &ClaimedScan, why: &Error) {
        let is_stores = matches!(why, Error::StoreAway(_));
        tracing::warn!(scan = %claim.id, %why, "a scan was interrupted by an error; it resumes later");
        self.0.interrupted.lock().await.push((claim.clone(), is_stores));
        _ = self.scans_give_back().await;
    }

    async fn scans_give_back(&self) -> Result<()> {
        let mut interrupted = self.0.interrupted.lock().await;
        while let Some((claim, is_stores)) = interrupted.last() {
            self.store().scan_requeue(claim, *is_stores).await?;
            interrupted.pop();
        }
        Ok(())
    }

    /// False: the lease is lost.
    async fn scan_claimed(&self, store: &Store, claim: &ClaimedScan, stop: &CancellationToken) -> Result<bool> {
        let Some(registry) = store.registry_get(claim.registry_id).await? else { return Ok(false) };
        let asked = store.scan_get(claim.id).await?;
        let attempts = asked.as_ref().map_or(0, |scan| scan.attempts);
        if claim.tries > MOST_ATTEMPTS {
            let why = format!("{MOST_ATTEMPTS} attempts ended before the result was stored; see the log");
            return self.finish(&registry, claim, &scan::failed(&why, ScanCounts::default())).await;
        }
        let opened = match self.source_of(&registry, &self.limits()).await {
            Ok(source) => self.filter_of(&registry).map(|filter| (source, filter)),
            Err(why) => Err(why),
        };
        let result = match opened {
            Ok((source, filter)) => {
                let Some(scan) = asked else { return Ok(false) };
                if matches!(scan.trigger, ScanTrigger::Manual | ScanTrigger::Confirmed) {
                    source.insist();
                }
                let is_resumed = attempts > 1;
                let progress = match is_resumed {
                    true => ScanProgress::resume(store.scan_resume(claim).await?),
                    false => ScanProgress::default(),
                };
                let settings = &self.settings().scan;
                let input = ScanInput {
                    store,
                    source: &source,
                    registry: &registry,
                    scan: &scan,
                    claim,
                    clock: &self.0.clock,
                    filter: &filter,
                    concurrency: settings.concurrency,
                    hold_percent: settings.hold_percent,
                    relist_after: TimeDelta::hours(i64::from(settings.relist_hours)),
                    step: Duration::from_secs(u64::from(settings.step_seconds)),
                    // Longer than one request may wait by itself.
                    patience: Duration::from_secs(u64::from(
                        2 * settings.longest_wait_seconds + settings.request_timeout_seconds,
                    )),
                    longest: Duration::from_secs(3600 * u64::from(settings.longest_hours)),
                    resumed_since: scan.started_at.filter(|_| is_resumed),
                    progress: &progress,
                    committed: &|| self.0.signals.catalogue_changed.notify_one(),
                };
                tokio::select! {
                    result = scan::scan(&input) => match result {
                        Err(store::Error::LeaseLost) => return Ok(false),
                        result => result?,
                    },
                    () = self.until_lease_lost(claim, &progress, &source) => return Ok(false),
                    () = stop.cancelled() => {
                        self.store().scan_release(claim).await?;
                        return Ok(false);
                    }
                }
            }
            Err(why @ (Error::Internal(_) | Error::StoreAway(_))) => return Err(why),
            // The stored URL or password cannot be used.
            Err(why) => scan::failed(&why, ScanCounts::default()),
        };
        self.finish(&registry, claim, &result).await
    }

    /// False: the lease is lost.
    async fn finish(&self, registry: &RegistryRecord, claim: &ClaimedScan, result: &ScanResult) -> Result<bool> {
        match self.store().in_background().scan_finish(claim, result, self.0.clock.now()).await {
            Ok(()) => {
                report(registry, claim.id, result);
                Ok(true)
            }
            Err(store::Error::LeaseLost) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    /// Renews the lease and stores progress, until the lease is lost.
    async fn until_lease_lost(&self, claim: &ClaimedScan, progress: &ScanProgress, source: &RegistrySource) {
        let every = Duration::from_secs(u64::from(self.settings().scan.lease_seconds)).div_f64(6.0);
        let mut ticks = tokio::time::interval(every.min(Duration::from_secs(2)));
        loop {
            ticks.tick().await;
            let until = self.lease_from(self.0.clock.now());
            match self.store().scan_progress(claim, &progress.counts(source), until).await {
                Ok(()) => {}
                Err(store::Error::LeaseLost) => return,
                // The database may be back before the lease runs out.
                Err(why) => tracing::warn!(%why, scan = %claim.id, "the scan's progress could not be stored"),
            }
        }
    }

    fn lease_from(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::seconds(i64::from(self.settings().scan.lease_seconds))
    }
}

/// The first time after `now` when a schedule is due: five cron fields in UTC. `None` for `off` and for empty.
pub(super) fn next_scan(schedule: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    if schedule.is_empty() || schedule == "off" {
        return Ok(None);
    }
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::Invalid(format!(
            "The schedule '{schedule}' cannot be read: {why}. Give five cron fields in UTC, such as '0 */6 * * *', or off"
        ))
    };
    let cron: croner::Cron = schedule.parse().map_err(|why: croner::errors::CronError| unreadable(&why))?;
    cron.find_next_occurrence(&now, false).map(Some).map_err(|why| unreadable(&why))
}

/// Delay of a registry's scheduled scans: constant for a registry, spread over all of them.
fn jitter(registry: RegistryId, minutes: u32) -> TimeDelta {
    // Knuth's multiplicative hash spreads neighbouring ids.
    let spread = (registry.0 as u64).wrapping_mul(2_654_435_761) % (u64::from(minutes) * 60).max(1);
    TimeDelta::seconds(spread as i64)
}

/// Incomplete scans are logged at a level that operators see.
fn report(registry: &RegistryRecord, id: ScanId, result: &ScanResult) {
    let counts = &result.step.counts;
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                scan = %id, registry = registry.name, state = result.state.as_str(), tags = counts.tags,
                added = counts.added, changed = counts.changed, removed = counts.removed, problems = counts.problems,
                requests = counts.requests, error = result.error, "scan ended"
            )
        };
    }
    match result.state {
        ScanState::Failed => tell!(error),
        ScanState::Partial | ScanState::Held => tell!(warn),
        _ => tell!(info),
    }
}
