//! Workers of runs: claim a run, make or take over one attempt, store its end.
//!
//! Killed at any await, the run is resumed: by this silo's next start, with its container; or, if this machine stays
//! away, by another silo, as a new attempt.

use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::container_engine::ContainerEngine;
use super::super::{App, Error, Result};
use super::disk_space::reserve;
use super::staging::StagedAttempt;
use super::submit::{read_manifest, read_spec};
use super::{RunSpec, read_record};
use crate::auth::random_id;
use crate::catalog::{LONGEST_RETRY_WAIT, UserRole};
use crate::engine::away::ENGINE_AWAY;
use crate::engine::disk::space;
use crate::engine::fetch::{PullPolicy, WantedImage};
use crate::engine::plan::RunPlan;
use crate::engine::run::folder::RunPaths;
use crate::engine::run::outputs::OutputRules;
use crate::engine::run::record::{AttemptRecord, Phase, RecordedInputs, RunRecord};
use crate::engine::run::removal_guard::KeepContainer;
use crate::engine::run::supervisor::AttemptEvent;
use crate::engine::run::verdict::{RunError, RunVerdict, SystemFailure};
use crate::engine::run::{AttemptOutcome, AttemptRequest, execute};
use crate::seed::model::SeedManifest;
use crate::store::{self, ClaimedRun, RunState, StoredRun};

/// How long a silo may be silent before another takes its runs.
pub(in crate::app) const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often the lease is renewed, and cancellation is checked.
const RENEW: Duration = Duration::from_secs(2);
const MIB: u64 = 1024 * 1024;

/// One attempt to make or to take over.
pub(super) struct AttemptTask {
    pub record: RunRecord,
    pub spec: RunSpec,
    pub manifest: SeedManifest,
    pub stored: StoredRun,
    pub folder: RunPaths,
    pub number: u32,
    /// The attempt, if an earlier process began it.
    pub resumed: Option<AttemptRecord>,
}

/// Awaits `something` while `work` continues, and keeps its output if it ends. If `work` were not polled, it could hold
/// the one connection that writes to SQLite, for which `something` would wait for ever.
async fn beside<W: Future, T>(
    mut work: Pin<&mut W>,
    ended: &mut Option<W::Output>,
    something: impl Future<Output = T>,
) -> T {
    let mut something = std::pin::pin!(something);
    loop {
        tokio::select! {
            outcome = &mut something => return outcome,
            done = &mut work, if ended.is_none() => *ended = Some(done),
        }
    }
}

/// The result of an attempt.
struct AttemptResult {
    outcome: Option<AttemptOutcome>,
    /// What was run, with which inputs.
    ran: Option<(RecordedInputs, RunPlan)>,
    /// The verdict, also without an outcome.
    verdict: RunVerdict,
}

impl App {
    /// Claims one waiting run and makes one attempt of it. False: there was none, or no container engine.
    pub async fn run_work(&self, stop: &CancellationToken) -> Result<bool> {
        let machine = match self.machine().await {
            Ok(machine) => machine,
            Err(why) => {
                tracing::debug!(%why, "runs wait: there is no container engine");
                self.renew_left().await?;
                return Ok(false);
            }
        };
        let Some(claim) = self.run_next_claim().await? else { return Ok(false) };
        let going = self.0.going.enter(&claim.id);
        let done = self.run_claimed(&machine, &claim, &going.cancel, stop).await;
        drop(going);
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        match done {
            // Another process has it, or it was deleted.
            Err(Error::LeaseLost) => {
                tracing::info!(run = claim.id, "the run was taken over by another, or deleted");
                Ok(true)
            }
            Err(why) => {
                self.0.going.leave(claim);
                Err(why)
            }
            Ok(()) => Ok(true),
        }
    }

    /// The next claim: a run that an error interrupted here and whose lease is still ours, or a waiting one.
    async fn run_next_claim(&self) -> Result<Option<ClaimedRun>> {
        while let Some(left) = self.0.going.left() {
            match self.0.store.run_renew(&left, self.0.clock.now() + LEASE).await {
                Ok(_) => return Ok(Some(ClaimedRun { last_host: Some(self.0.host.clone()), ..left })),
                Err(store::Error::LeaseLost) => {}
                Err(why) => {
                    self.0.going.leave(left);
                    return Err(why.into());
                }
            }
        }
        let now = self.0.clock.now();
        let busy = self.0.going.ids();
        // Without free space only runs that began before are resumed.
        let most = if self.run_room().await? { u64::from(self.settings().runs.per_user_running) } else { 0 };
        Ok(self.0.store.run_claim(&random_id(), &self.0.host, &busy, most, now, now + LEASE).await?)
    }

    /// Renews the leases of runs whose engine does not answer: their jobs may still run there, so no other silo may
    /// repeat them.
    async fn renew_left(&self) -> Result<()> {
        for left in self.0.going.interrupted_claims(ENGINE_AWAY) {
            match self.0.store.run_renew(&left, self.0.clock.now() + LEASE).await {
                // The loss is noticed when the engine is back.
                Ok(_) | Err(store::Error::LeaseLost) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    async fn run_claimed(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        cancel: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<()> {
        let Some(stored) = self.0.store.run_get(&claim.id).await? else { return Ok(()) };
        let mut task = task(stored)?;
        let now = self.0.clock.now();
        if task.resumed.is_some() && claim.last_host.as_deref() != Some(&*self.0.host) {
            let why = "The machine that ran it has not been heard of for a minute.";
            return self.settle(claim, task.record, RunVerdict::Failed(SystemFailure::HostLost.error(why))).await;
        }
        let is_unwanted = task.stored.cancelled_by.is_some() || !self.may_run(&task).await?;
        if is_unwanted && task.resumed.is_none() {
            return self.settle(claim, task.record, RunVerdict::Dismissed).await;
        }
        if task.resumed.is_none() {
            task.record.attempts.push(AttemptRecord::new(task.number, now));
            task.record.enter(Phase::Stage, now);
            // The outputs of the attempt before are removed now, and the next job may use their names.
            task.record.outputs = None;
        }
        self.store_state(claim, &task.record).await?;
        if is_unwanted {
            cancel.cancel();
        }
        let Some((record, done)) = self.run_supervise((machine, claim), &task, cancel, stop).await? else {
            return Ok(());
        };
        if task.resumed.is_some() {
            self.run_remove_containers(machine, &task.record.id).await;
        }
        if done.outcome.as_ref().is_some_and(|outcome| has_lost_engine(&outcome.verdict)) {
            self.engine_forget().await;
        }
        if done.is_without_room() {
            // Partial outputs are of no use, and take space that others need.
            if let Err(why) = self.discard(task.folder.output.clone()).await {
                tracing::warn!(run = claim.id, %why, "what a run left on a full disk stays there");
            }
        }
        self.run_discard_fetched(&claim.id, &task.folder.root).await;
        let (record, verdict) = apply_outcome(record, done);
        self.settle(claim, record, verdict).await
    }

    /// Makes the attempt, and stores its progress. `None`: its container runs on without this process.
    async fn run_supervise(
        &self,
        (machine, claim): (&ContainerEngine, &ClaimedRun),
        task: &AttemptTask,
        cancel: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<Option<(RunRecord, AttemptResult)>> {
        let leave = KeepContainer::when_lost();
        let (tell, mut told) = mpsc::channel(16);
        let mut record = task.record.clone();
        let mut told_of_pull = false;
        let mut ticks = tokio::time::interval(RENEW);
        let mut work = std::pin::pin!(self.attempt((machine, claim), task, tell, cancel, &leave));
        // The result of the work, if it ended while something else was stored.
        let mut ended = None;
        loop {
            if let Some(done) = ended.take() {
                return self.run_followed_to_end(claim, record, done).await.map(Some);
            }
            tokio::select! {
                done = &mut work => ended = Some(done),
                Some(event) = told.recv() => match event {
                    AttemptEvent::Phase(phase) => {
                        record.enter(phase, self.0.clock.now());
                        beside(work.as_mut(), &mut ended, self.store_state(claim, &record)).await?;
                    }
                    AttemptEvent::Pull(progress) => {
                        record.message = progress.to_string();
                        told_of_pull = true;
                    }
                    // Nothing to store: the job's output is in its logs.
                    AttemptEvent::Output(_) | AttemptEvent::Silence { .. } | AttemptEvent::Answer => {}
                },
                _ = ticks.tick() => match beside(work.as_mut(), &mut ended, self.renew(claim, task)).await {
                    Ok(false) if !cancel.is_cancelled() => {
                        cancel.cancel();
                        record.enter(Phase::Cancelling, self.0.clock.now());
                        beside(work.as_mut(), &mut ended, self.store_state(claim, &record)).await?;
                    }
                    Ok(_) if std::mem::take(&mut told_of_pull) => {
                        record.updated = self.0.clock.now();
                        beside(work.as_mut(), &mut ended, self.store_state(claim, &record)).await?;
                    }
                    Ok(_) => {}
                    Err(store::Error::LeaseLost) => return Err(Error::LeaseLost),
                    // The database may be back before the lease expires.
                    Err(why) => tracing::warn!(%why, run = claim.id, "the lease of a run could not be renewed"),
                },
                () = stop.cancelled() => {
                    // The container runs on, and the next start takes it over.
                    leave.set();
                    tracing::info!(run = claim.id, "a run is left to the next start");
                    return Ok(None);
                }
            }
        }
    }

    async fn run_followed_to_end(
        &self,
        claim: &ClaimedRun,
        mut record: RunRecord,
        done: Result<AttemptResult>,
    ) -> Result<(RunRecord, AttemptResult)> {
        if let Err(why) = &done {
            record.message = why.to_string();
            self.store_state(claim, &record).await?;
        }
        Ok((record, done?))
    }

    /// Renews the lease. False: the run is to be stopped.
    async fn renew(&self, claim: &ClaimedRun, task: &AttemptTask) -> store::Result<bool> {
        let cancelled_by = self.0.store.run_renew(claim, self.0.clock.now() + LEASE).await?;
        Ok(cancelled_by.is_none() && self.may_run(task).await?)
    }

    /// Whether a run's owner still exists, and may run jobs.
    async fn may_run(&self, task: &AttemptTask) -> store::Result<bool> {
        let summary = &task.stored.summary;
        let owner = self.0.store.user_get(summary.owner_id).await?;
        let may = owner.is_some_and(|owner| owner.role != UserRole::User);
        if !may {
            tracing::info!(
                run = summary.id,
                owner = summary.owner,
                "a run is stopped: its owner may run no jobs any more"
            );
        }
        Ok(may)
    }

    /// One attempt, from its inputs to its verdict.
    async fn attempt(
        &self,
        (machine, claim): (&ContainerEngine, &ClaimedRun),
        task: &AttemptTask,
        tell: mpsc::Sender<AttemptEvent>,
        cancel: &CancellationToken,
        leave: &KeepContainer,
    ) -> Result<AttemptResult> {
        let staged = match self.run_stage_within_limit((machine, claim), task, cancel).await? {
            Ok(staged) => staged,
            Err(verdict) => return Ok(AttemptResult::of(verdict)),
        };
        let credentials = match self.run_credentials(task.spec.registry).await {
            Ok(credentials) => credentials,
            Err(Error::Invalid(why)) => return Ok(AttemptResult::failed(SystemFailure::PullRefused.error(why))),
            Err(why) => return Err(why),
        };
        let settings = &self.settings().runs;
        let root = task.folder.root.clone();
        let space = tokio::task::spawn_blocking(move || space(&root)).await?;
        // New runs wait while less than the reserve is free; a run that has begun may use three quarters of it, since
        // its outputs may be larger than expected.
        let keep_free = space.map_or(0, |space| reserve(settings.reserve_mib, space) / 4);
        let job = AttemptRequest {
            manifest: &task.manifest,
            plan: &staged.plan,
            wanted: WantedImage {
                image: &staged.request.image,
                platform: task.spec.platform.as_deref(),
                policy: if task.spec.registry.is_some() { PullPolicy::Missing } else { PullPolicy::Never },
                credentials: credentials.as_ref(),
            },
            given: Some(&staged.given),
            rules: OutputRules { bytes: staged.plan.disk, ..OutputRules::default() },
            folder: &task.folder,
            engine: &machine.engine,
            number: task.number,
            log_cap: u64::from(settings.log_mib) * MIB,
            capture_limit: Some(Duration::from_secs(u64::from(settings.capture_minutes) * 60)),
            keep_free,
            engine_away: None,
            must_match: true,
            resumed: task.resumed.as_ref(),
            leave,
        };
        match execute(&machine.docker, job, &self.0.clock, tell, cancel).await {
            Ok(mut outcome) => {
                let StagedAttempt { shown, plan, warnings, .. } = staged;
                outcome.warnings.extend(warnings);
                let verdict = outcome.verdict.clone();
                Ok(AttemptResult { outcome: Some(outcome), ran: Some((shown, plan)), verdict })
            }
            // The engine does not tell the result now; it may later.
            Err(crate::engine::run::supervisor::Error::Engine(why)) => {
                self.engine_forget().await;
                Err(Error::Internal(format!("the run goes on when its engine answers: {why}")))
            }
            Err(why) => Ok(AttemptResult::failed(SystemFailure::Disk.error(why.to_string()))),
        }
    }

    async fn store_state(&self, claim: &ClaimedRun, record: &RunRecord) -> Result<()> {
        let stored = self.0.store.run_update(claim, &state_of(record, record.updated)).await;
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        match stored {
            Err(store::Error::LeaseLost) => Err(Error::LeaseLost),
            Err(why) => {
                // No reason to end a job: the next change, or its end, is stored with the whole record.
                tracing::warn!(%why, run = record.id, "how a run stands could not be stored");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Stores how an attempt ended.
    async fn settle(&self, claim: &ClaimedRun, mut record: RunRecord, verdict: RunVerdict) -> Result<()> {
        let now = self.0.clock.now();
        record.end(verdict, now);
        let due = if record.will_retry { now + self.wait_before(record.attempts.len()) } else { now };
        if let Some(root) = record.folder.clone() {
            let kept = record.clone();
            let written = tokio::task::spawn_blocking(move || RunPaths::new(root).write_record(&kept)).await?;
            if let Err(why) = written {
                tracing::warn!(run = record.id, %why, "the record could not be written beside the outputs");
            }
        }
        let settled = self.0.store.run_finish_attempt(claim, &state_of(&record, due)).await;
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        settled?;
        // A failure to store metadata of files must not affect the run.
        if let Err(why) = self.metadata_keep(&record).await {
            tracing::warn!(run = record.id, %why, "what the job said of its inputs is not kept");
        }
        let error = record.error.as_ref().map(|error| error.name.as_str());
        tracing::info!(
            run = record.id,
            job = record.job.name,
            status = record.status.as_str(),
            error,
            attempt = record.attempts.len(),
            will_retry = record.will_retry,
            "an attempt ended"
        );
        let labels = [("status", if record.will_retry { "retry" } else { record.status.as_str() })];
        metrics::counter!("silo_run_attempts_total", &labels).increment(1);
        Ok(())
    }

    /// Wait before the next attempt: three times as long after each.
    fn wait_before(&self, attempts: usize) -> TimeDelta {
        let first = TimeDelta::seconds(i64::from(self.settings().runs.retry_seconds));
        let factor = 3_i32.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX).saturating_sub(1));
        first.checked_mul(factor).unwrap_or(LONGEST_RETRY_WAIT).min(LONGEST_RETRY_WAIT)
    }
}

impl AttemptResult {
    fn of(verdict: RunVerdict) -> Self {
        Self { outcome: None, ran: None, verdict }
    }

    /// Whether the disk was full, so that no outputs were collected.
    fn is_without_room(&self) -> bool {
        let has_outputs = self.outcome.as_ref().is_some_and(|outcome| outcome.outputs.is_some());
        matches!(&self.verdict, RunVerdict::Failed(error) if error.name == SystemFailure::Disk.error("").name)
            && !has_outputs
    }

    fn failed(error: RunError) -> Self {
        Self::of(RunVerdict::Failed(error))
    }
}

fn task(stored: StoredRun) -> Result<AttemptTask> {
    let record = read_record(&stored)?;
    let resumed = record.attempts.last().filter(|attempt| attempt.finished.is_none()).cloned();
    let number = match &resumed {
        Some(attempt) => attempt.number,
        None => u32::try_from(record.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
    };
    let root = record.folder.clone().ok_or_else(|| Error::Internal(format!("run {} has no folder", record.id)))?;
    Ok(AttemptTask {
        spec: read_spec(&stored.spec)?,
        manifest: read_manifest(&record)?,
        folder: RunPaths::new(root),
        number,
        resumed,
        record,
        stored,
    })
}

fn apply_outcome(mut record: RunRecord, done: AttemptResult) -> (RunRecord, RunVerdict) {
    if let Some((given, plan)) = done.ran {
        record.given = given;
        record.show(&plan);
    }
    if let Some(outcome) = done.outcome {
        if let Some(image) = outcome.image {
            record.image.digest = record.image.digest.or_else(|| image.digests.first().cloned());
            record.image.platform = Some(image.platform);
        }
        for warning in outcome.warnings {
            if !record.warnings.contains(&warning) {
                record.warnings.push(warning);
            }
        }
        record.outputs = outcome.outputs;
        if let Some(last) = record.attempts.last_mut() {
            *last = outcome.attempt;
        }
    }
    (record, done.verdict)
}

fn has_lost_engine(verdict: &RunVerdict) -> bool {
    matches!(verdict, RunVerdict::Failed(error) if error.name == SystemFailure::EngineLost.error("").name)
}

/// The columns that the store keeps of a record.
pub(super) fn state_of(record: &RunRecord, due_at: DateTime<Utc>) -> RunState {
    let category = record.error.as_ref().map(|error| error.category.as_str().to_owned());
    RunState {
        status: record.status,
        phase: record.phase,
        progress: i64::from(record.progress),
        message: record.message.clone(),
        error_name: record.error.as_ref().map(|error| error.name.clone()),
        error_category: category,
        attempts: i64::try_from(record.attempts.len()).unwrap_or(i64::MAX),
        started_at: record.started,
        finished_at: record.finished,
        updated_at: record.updated,
        due_at,
        record: serde_json::to_string(record).expect("a record is JSON"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;

    /// Otherwise a run whose attempt writes to the database while its lease is renewed would hang for ever.
    #[tokio::test]
    async fn work_that_holds_what_something_else_waits_for_goes_on() {
        let writer = Mutex::new(());
        let mut work = std::pin::pin!(async {
            let _held = writer.lock().await;
            tokio::task::yield_now().await;
            7
        });
        assert!(futures_util::poll!(work.as_mut()).is_pending(), "it has the writer");
        let mut ended = None;
        let renewed = beside(work.as_mut(), &mut ended, async { writer.lock().await });
        let limit = Duration::from_secs(60);
        drop(tokio::time::timeout(limit, renewed).await.expect("it gets the writer"));
        assert_eq!(ended, Some(7));
    }
}
