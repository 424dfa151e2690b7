//! The end of runs: cancelling, waiting, deletion, retention, and removal of containers that a dead process left.

use std::time::Duration;

use chrono::TimeDelta;

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::worker::state_of;
use super::{no_such_run, read_record};
use crate::catalog::RunSummary;
use crate::engine::docker::ContainerEngine;
use crate::engine::plan::container::{HOST, RUN};
use crate::engine::run::record::RunRecord;
use crate::engine::run::verdict::RunVerdict;
use crate::engine::runtime::ContainerRuntime as _;

/// Poll interval for a run that another process may perform.
const LOOK: Duration = Duration::from_millis(500);
/// How much longer runs of another silo are kept, so that it can remove their files, which are on its machine. Also how
/// long a silo looks for runs of its own that other silos purged.
const OF_OTHERS: TimeDelta = TimeDelta::days(7);
/// Runs that are read at once.
const BATCH: u32 = 100;

impl App {
    /// Cancels a run, and waits for its end, at most for `most`; returns its state then.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a run that has ended.
    pub async fn run_cancel(&self, session: &UserSession, id: &str, most: Duration) -> Result<RunSummary> {
        let stored = self.run_stored(session, id).await?;
        let mut record = read_record(&stored)?;
        let now = self.0.clock.now();
        record.end(RunVerdict::Dismissed, now);
        let by = &session.user.username;
        if !self.store().run_cancel(id, by, &state_of(&record, now)).await? {
            let status = stored.summary.status.as_str();
            let status = if stored.summary.finished_at.is_some() { status } else { "over" };
            return Err(Error::Conflict(format!("Run {id} has ended ({status}), so there is nothing to cancel")));
        }
        tracing::info!(run = id, by, "run cancel requested");
        self.0.going.cancel(id);
        self.0.signals.run_changed.send_modify(|count| *count += 1);
        // A run without a lease is claimed by a worker, which ends it.
        self.0.signals.run_queued.notify_one();
        self.run_wait(session, id, most).await
    }

    /// Cancels all rows of a batch that have not ended, without waiting for them.
    pub async fn run_cancel_batch(&self, session: &UserSession, batch: &str) -> Result<()> {
        let mut after = 0;
        loop {
            let rows = self.run_list_batch(session, batch, after, BATCH).await?;
            for run in rows.iter().filter(|run| !run.status.is_final()) {
                match self.run_cancel(session, &run.id, Duration::ZERO).await {
                    // Ended meanwhile.
                    Err(Error::Conflict(_)) => {}
                    other => drop(other?),
                }
            }
            match rows.last().and_then(|last| last.batch_row) {
                Some(row) if rows.len() == BATCH as usize => after = row,
                _ => return Ok(()),
            }
        }
    }

    /// Waits for a run's end, at most for `most`; returns its state then.
    pub async fn run_wait(&self, session: &UserSession, id: &str, most: Duration) -> Result<RunSummary> {
        let until_ended = async {
            let mut changed = self.0.signals.run_changed.subscribe();
            loop {
                let run = self.run_summary(session, id).await?;
                if run.status.is_final() {
                    return Ok(run);
                }
                _ = tokio::time::timeout(LOOK, changed.changed()).await;
            }
        };
        match tokio::time::timeout(most, until_ended).await {
            Ok(ended) => ended,
            Err(_) => self.run_summary(session, id).await,
        }
    }

    /// Returns the record of a run as soon as it differs from `seen`.
    pub async fn run_next(&self, session: &UserSession, seen: &RunRecord) -> Result<RunRecord> {
        let mut changed = self.0.signals.run_changed.subscribe();
        loop {
            let summary = self.run_summary(session, &seen.id).await?;
            if summary.updated_at != seen.updated || summary.phase != seen.phase {
                return self.run_get(session, &seen.id).await;
            }
            _ = tokio::time::timeout(LOOK, changed.changed()).await;
        }
    }

    /// Deletes the logs and outputs of a run that has ended. Its record stays for a while.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a run that has not ended.
    pub async fn run_delete(&self, session: &UserSession, id: &str) -> Result<()> {
        let stored = self.run_stored(session, id).await?;
        if !stored.summary.status.is_final() {
            return Err(Error::Conflict(format!("Run {id} has not ended; cancel it first")));
        }
        self.run_purge(id).await?;
        tracing::info!(run = id, "a run's files were deleted");
        Ok(())
    }

    /// Discards the files first, then marks the run: after a kill in between, the next attempt completes it. The files
    /// are moved aside at once and removed in the background, since that may take long, or fail.
    pub(super) async fn run_purge(&self, id: &str) -> Result<()> {
        let Some(stored) = self.store().run_get(id).await? else { return Err(no_such_run()) };
        let record = read_record(&stored)?;
        if let Some(folder) = record.folder {
            self.discard(folder).await?;
        }
        self.store().run_purge(id, self.0.clock.now()).await?;
        Ok(())
    }

    /// Deletes what exceeds its retention: files of runs, runs, uploads and file metadata. A failure does not stop the
    /// rest.
    pub(in crate::app) async fn run_clean_up(&self) -> Result<()> {
        let (now, settings) = (self.0.clock.now(), &self.settings().runs);
        let days = |days: u32| now - TimeDelta::days(i64::from(days));
        let (mut failed, mut first) = (0, Ok(()));
        loop {
            let before = days(settings.keep_files_days);
            let outdated =
                self.store().run_list_outdated(before, &self.0.host, before - OF_OTHERS, failed, BATCH).await?;
            for id in &outdated {
                if let Err(why) = self.run_purge(id).await {
                    tracing::warn!(run = id, %why, "a run's files cannot be deleted");
                    failed += 1;
                    first = first.and(Err(why));
                }
            }
            if outdated.len() < BATCH as usize {
                break;
            }
        }
        let others = self.discard_purged().await;
        let pruned = self.store().run_prune(days(settings.keep_days)).await.map(drop).map_err(Error::from);
        let uploads = self.upload_clean_up(days(settings.keep_uploads_days)).await;
        let metadata = self.store().file_metadata_prune(days(settings.keep_days)).await.map(drop).map_err(Error::from);
        first.and(others).and(pruned).and(uploads).and(metadata)
    }

    /// Discards files of this silo's runs that another silo purged: it has no access to them.
    async fn discard_purged(&self) -> Result<()> {
        let since = self.0.clock.now() - OF_OTHERS;
        for id in self.store().run_list_purged(&self.0.host, since).await? {
            let Some(stored) = self.store().run_get(&id).await? else { continue };
            let Some(folder) = read_record(&stored)?.folder else { continue };
            if tokio::fs::try_exists(&folder).await.unwrap_or_default() {
                self.discard(folder).await?;
                tracing::info!(run = id, "a run's files were deleted, as another SILO process was asked to");
            }
        }
        Ok(())
    }

    /// Removes containers that the engine created for a run after the process that asked for them had died.
    pub(super) async fn run_remove_containers(&self, machine: &ContainerEngine, id: &str) {
        for container in machine.docker.containers(&format!("{RUN}={id}")).await.unwrap_or_default() {
            if let Err(why) = machine.docker.remove(&container.id).await {
                tracing::warn!(container = container.id, %why, "a leftover container cannot be removed");
            }
        }
    }

    /// Removes containers of this silo that belong to none of its runs, and releases host paths held for runs that are
    /// not active.
    pub async fn run_sweep(&self) -> Result<()> {
        self.release_held().await;
        let Ok(machine) = self.machine().await else { return Ok(()) };
        let Ok(found) = machine.docker.containers(&format!("{HOST}={}", self.0.host)).await else {
            self.engine_forget().await;
            return Ok(());
        };
        // Read after the engine's list: so it includes runs that began in between.
        let held = self.store().run_list_held(&self.0.host).await?;
        for container in found {
            let run = container.labels.get(RUN);
            if run.is_some_and(|run| held.contains(run)) {
                continue;
            }
            tracing::warn!(container = container.id, run, "removing a container without a run");
            if let Err(why) = machine.docker.remove(&container.id).await {
                tracing::warn!(container = container.id, %why, "the container cannot be removed");
            }
        }
        Ok(())
    }
}
