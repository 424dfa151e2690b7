//! Workers of runs: claim a run, have its attempt made or taken over, store its end.
//!
//! Killed at any await, the run is resumed: by this silo's next start, with its container; or, if this machine stays
//! away, by another silo, as a new attempt.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::super::{App, Error, Result};
use super::attempt::{AttemptEnd, AttemptTask, LEASE};
use crate::auth::random_id;
use crate::catalog::LONGEST_RETRY_WAIT;
use crate::engine::away::ENGINE_AWAY;
use crate::engine::docker::ContainerEngine;
use crate::engine::run::folder::RunPaths;
use crate::engine::run::record::RunRecord;
use crate::engine::run::verdict::{RunVerdict, SystemFailure};
use crate::store::{self, ClaimedRun, RunState};

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
                tracing::info!(run = claim.id, "the run was taken over by another process, or deleted");
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
            match self.store().run_renew(&left, self.0.clock.now() + LEASE).await {
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
        Ok(self.store().run_claim(&random_id(), &self.0.host, &busy, most, now, now + LEASE).await?)
    }

    /// Renews the leases of runs whose engine does not answer: their jobs may still run there, so no other silo may
    /// repeat them.
    async fn renew_left(&self) -> Result<()> {
        for left in self.0.going.interrupted_claims(ENGINE_AWAY) {
            match self.store().run_renew(&left, self.0.clock.now() + LEASE).await {
                // The loss is noticed when the engine is back.
                Ok(_) | Err(store::Error::LeaseLost) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Takes a claimed run to the end of its attempt.
    async fn run_claimed(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        cancel: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<()> {
        let Some(stored) = self.store().run_get(&claim.id).await? else { return Ok(()) };
        let mut task = AttemptTask::read(stored)?;
        if let Some(verdict) = self.run_begin_attempt(claim, &mut task, cancel).await? {
            return self.settle(claim, self.ended(task.record, verdict)).await;
        }
        let Some((record, end)) = self.run_supervise(machine, claim, &task, cancel, stop).await? else {
            return Ok(());
        };
        if task.resumed.is_some() {
            self.run_remove_containers(machine, &claim.id).await;
        }
        let record = match end {
            AttemptEnd::Ran(record) => *record,
            AttemptEnd::NotRun(verdict) => self.ended(record, verdict),
        };
        self.run_clean_up_attempt(&record, &task.folder).await;
        self.settle(claim, record).await
    }

    /// Records that the attempt begins. Returns the verdict instead if none is made.
    async fn run_begin_attempt(
        &self,
        claim: &ClaimedRun,
        task: &mut AttemptTask,
        cancel: &CancellationToken,
    ) -> Result<Option<RunVerdict>> {
        if task.resumed.is_some() && claim.last_host.as_deref() != Some(&*self.0.host) {
            let why = "The machine that ran it has sent no sign of life for a minute.";
            return Ok(Some(RunVerdict::Failed(SystemFailure::HostLost.error(why))));
        }
        let is_unwanted = task.stored.cancelled_by.is_some() || !self.may_run(task).await?;
        if task.resumed.is_none() {
            if is_unwanted {
                return Ok(Some(RunVerdict::Dismissed));
            }
            task.record.begin_attempt(task.number, self.0.clock.now());
        }
        self.store_state(claim, &task.record).await?;
        if is_unwanted {
            // There is a container to stop.
            cancel.cancel();
        }
        Ok(None)
    }

    /// Releases what an ended attempt leaves: the engine, if it was lost; files that nobody needs.
    async fn run_clean_up_attempt(&self, record: &RunRecord, folder: &RunPaths) {
        let failed_by =
            |failure: SystemFailure| record.error.as_ref().is_some_and(|error| error.name == failure.error("").name);
        if failed_by(SystemFailure::EngineLost) {
            self.engine_forget().await;
        }
        if failed_by(SystemFailure::Disk) && record.outputs.is_none() {
            // Partial outputs are of no use, and take space that others need.
            if let Err(why) = self.discard(folder.output.clone()).await {
                tracing::warn!(run = record.id, %why, "a run's outputs on a full disk cannot be removed");
            }
        }
        self.run_discard_fetched(&record.id, &folder.root).await;
    }

    /// Stores the progress of a run.
    pub(super) async fn store_state(&self, claim: &ClaimedRun, record: &RunRecord) -> Result<()> {
        let stored = self.store().run_update(claim, &state_of(record, record.updated)).await;
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        match stored {
            Err(store::Error::LeaseLost) => Err(Error::LeaseLost),
            Err(why) => {
                // No reason to end a job: the next change, or its end, is stored with the whole record.
                tracing::warn!(%why, run = record.id, "a run's status could not be stored");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The record of a run that ends before, or without, the job.
    fn ended(&self, mut record: RunRecord, verdict: RunVerdict) -> RunRecord {
        record.end(verdict, self.0.clock.now());
        record
    }

    /// Stores how an attempt ended.
    async fn settle(&self, claim: &ClaimedRun, record: RunRecord) -> Result<()> {
        let now = self.0.clock.now();
        let due = if record.will_retry { now + self.wait_before(record.attempts.len()) } else { now };
        if let Some(root) = record.folder.clone() {
            let kept = record.clone();
            let written = tokio::task::spawn_blocking(move || RunPaths::new(root).write_record(&kept)).await?;
            if let Err(why) = written {
                tracing::warn!(run = record.id, %why, "the record could not be written beside the outputs");
            }
        }
        let settled = self.store().run_finish_attempt(claim, &state_of(&record, due)).await;
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        settled?;
        // A failure to store metadata of files must not affect the run.
        if let Err(why) = self.metadata_keep(&record).await {
            tracing::warn!(run = record.id, %why, "the job's metadata of its inputs could not be stored");
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
    pub(super) fn wait_before(&self, attempts: usize) -> TimeDelta {
        let first = TimeDelta::seconds(i64::from(self.settings().runs.retry_seconds));
        let factor = 3_i32.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX).saturating_sub(1));
        first.checked_mul(factor).unwrap_or(LONGEST_RETRY_WAIT).min(LONGEST_RETRY_WAIT)
    }
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
