//! One attempt of a run, made or taken over: its progress is stored, its lease renewed, its cancellation noticed.

use std::pin::Pin;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{App, Error, Result};
use super::disk_space::reserve;
use super::submit::{read_manifest, read_spec};
use super::{RunSpec, read_record};
use crate::catalog::UserRole;
use crate::engine::disk::space;
use crate::engine::docker::ContainerEngine;
use crate::engine::fetch::{PullPolicy, WantedImage};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::outputs::OutputRules;
use crate::engine::run::record::{AttemptRecord, Phase, RunRecord};
use crate::engine::run::removal_guard::KeepContainer;
use crate::engine::run::supervisor::AttemptEvent;
use crate::engine::run::verdict::{RunVerdict, SystemFailure};
use crate::engine::run::{AttemptRequest, attempt_error, run};
use crate::seed::model::SeedManifest;
use crate::store::{self, ClaimedRun, StoredRun};

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

/// How an attempt ended.
pub(super) enum AttemptEnd {
    /// The record has its result.
    Ran(Box<RunRecord>),
    /// The engine was not asked for it.
    NotRun(RunVerdict),
}

impl AttemptEnd {
    fn failed(failure: SystemFailure, why: &str) -> Self {
        Self::NotRun(RunVerdict::Failed(failure.error(why)))
    }
}

impl AttemptTask {
    pub(super) fn read(stored: StoredRun) -> Result<Self> {
        let record = read_record(&stored)?;
        let resumed = record.attempts.last().filter(|attempt| attempt.finished.is_none()).cloned();
        let number = match &resumed {
            Some(attempt) => attempt.number,
            None => u32::try_from(record.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
        };
        let root = record.folder.clone().ok_or_else(|| Error::Internal(format!("run {} has no folder", record.id)))?;
        Ok(Self {
            spec: read_spec(&stored.spec)?,
            manifest: read_manifest(&record)?,
            folder: RunPaths::new(root),
            number,
            resumed,
            record,
            stored,
        })
    }
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

impl App {
    /// Makes the attempt, and stores its progress. Returns the record as last stored, and how the attempt ended; `None`:
    /// its container runs on without this process.
    pub(super) async fn run_supervise(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        task: &AttemptTask,
        cancel: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<Option<(RunRecord, AttemptEnd)>> {
        let leave = KeepContainer::when_lost();
        let (tell, mut told) = mpsc::channel(16);
        let mut record = task.record.clone();
        let mut told_of_pull = false;
        let mut ticks = tokio::time::interval(RENEW);
        let mut work = std::pin::pin!(self.attempt(machine, claim, task, tell, cancel, &leave));
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
                    tracing::info!(run = claim.id, "a run is left for the next start of the service");
                    return Ok(None);
                }
            }
        }
    }

    async fn run_followed_to_end(
        &self,
        claim: &ClaimedRun,
        mut record: RunRecord,
        done: Result<AttemptEnd>,
    ) -> Result<(RunRecord, AttemptEnd)> {
        if let Err(why) = &done {
            record.message = why.to_string();
            self.store_state(claim, &record).await?;
        }
        Ok((record, done?))
    }

    /// Renews the lease. False: the run is to be stopped.
    async fn renew(&self, claim: &ClaimedRun, task: &AttemptTask) -> store::Result<bool> {
        let cancelled_by = self.store().run_renew(claim, self.0.clock.now() + LEASE).await?;
        Ok(cancelled_by.is_none() && self.may_run(task).await?)
    }

    /// Whether a run's owner still exists, and may run jobs.
    pub(super) async fn may_run(&self, task: &AttemptTask) -> store::Result<bool> {
        let summary = &task.stored.summary;
        let owner = self.store().user_get(summary.owner_id).await?;
        let may = owner.is_some_and(|owner| owner.role != UserRole::User);
        if !may {
            tracing::info!(run = summary.id, owner = summary.owner, "stopping a run: its owner may no longer run jobs");
        }
        Ok(may)
    }

    /// One attempt, from its inputs to its end.
    async fn attempt(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        task: &AttemptTask,
        tell: mpsc::Sender<AttemptEvent>,
        cancel: &CancellationToken,
        leave: &KeepContainer,
    ) -> Result<AttemptEnd> {
        let staged = match self.run_stage_within_limit(machine, claim, task, cancel).await? {
            Ok(staged) => staged,
            Err(verdict) => return Ok(AttemptEnd::NotRun(verdict)),
        };
        let credentials = match self.run_credentials(task.spec.registry).await {
            Ok(credentials) => credentials,
            Err(Error::Invalid(why)) => return Ok(AttemptEnd::failed(SystemFailure::PullRefused, &why)),
            Err(why) => return Err(why),
        };
        let settings = &self.settings().runs;
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
            engine: machine,
            number: task.number,
            log_cap: u64::from(settings.log_mib) * MIB,
            capture_limit: Some(Duration::from_secs(u64::from(settings.capture_minutes) * 60)),
            keep_free: self.run_keep_free(&task.folder).await?,
            engine_away: None,
            must_match: true,
            resumed: task.resumed.as_ref(),
            leave,
        };
        let record = RunRecord { given: staged.shown.clone(), ..task.record.clone() };
        match run(job, record, &self.0.clock, tell, cancel).await {
            Ok(mut record) => {
                record.warn(staged.warnings);
                Ok(AttemptEnd::Ran(Box::new(record)))
            }
            // The engine does not tell the result now; it may later.
            Err(attempt_error::Error::Engine(why)) => {
                self.engine_forget().await;
                Err(Error::Internal(format!("the run resumes when its engine answers: {why}")))
            }
            Err(why) => Ok(AttemptEnd::failed(SystemFailure::Disk, &why.to_string())),
        }
    }

    /// Free bytes that a job leaves on the disk of its run. New runs wait while less than the reserve is free; a run that
    /// has begun may use three quarters of it, since its outputs may be larger than expected.
    async fn run_keep_free(&self, folder: &RunPaths) -> Result<u64> {
        let root = folder.root.clone();
        let space = tokio::task::spawn_blocking(move || space(&root)).await?;
        Ok(space.map_or(0, |space| reserve(self.settings().runs.reserve_mib, space) / 4))
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
