//! Space on the disk of runs: some is kept free, so that no run starts that could only fail. If there is less, files of
//! ended runs are removed, oldest first, if that frees enough; else runs wait.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::super::{App, Result};
use super::read_record;
use crate::catalog::{RunPhase, RunSummary};
use crate::engine::disk::{DiskSpace, space};
use crate::engine::disk_quota::on_disk;
use crate::engine::halt::HaltSignal;
use crate::engine::run::record::{Phase, RunRecord};

const MIB: u64 = 1024 * 1024;
/// Most ended runs whose files are considered.
const MOST: u32 = 100;
/// How long no purge is attempted after one that could not free enough.
const REST: Duration = Duration::from_secs(60);

/// Too little space on the disk of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct RunDiskShortage {
    /// Bytes that are free, and bytes that must stay free.
    pub free: u64,
    pub reserve: u64,
}

impl std::fmt::Display for RunDiskShortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (free, reserve) = (self.free / MIB, self.reserve / MIB);
        write!(f, "the disk of runs has {free} MiB free, but {reserve} MiB must stay free (runs.reserve_mib)")
    }
}

/// Bytes of a disk that must stay free: what is configured, but at most a tenth of the disk.
pub(in crate::app) fn reserve(mib: u32, space: DiskSpace) -> u64 {
    (u64::from(mib) * MIB).min(space.total / 10)
}

impl App {
    /// Whether runs may start. If runs wait for space, frees some first.
    pub(super) async fn run_room(&self) -> Result<bool> {
        let mut shortage = self.run_disk_shortage().await?;
        let waiting = shortage.is_some() && self.store().run_counts_active().await?.accepted > 0;
        if let (Some(short), true, Ok(mut rest)) = (shortage, waiting, self.0.purging.try_lock()) {
            self.remove_discarded(&CancellationToken::new()).await?;
            if rest.is_none_or(|until| Instant::now() >= until) {
                *rest = if self.purge_for_room(short).await? { None } else { Some(Instant::now() + REST) };
            }
            shortage = self.run_disk_shortage().await?;
        }
        let before = std::mem::replace(&mut *self.0.shortage.lock(), shortage);
        match (before, shortage) {
            (None, Some(short)) => tracing::warn!("runs wait: {short}; free some space, or lower runs.reserve_mib"),
            (Some(_), None) => tracing::info!("runs continue: the disk of runs has free space again"),
            _ => {}
        }
        Ok(shortage.is_none())
    }

    /// The shortage of space; `None` if there is enough, or it cannot be determined.
    pub(in crate::app) async fn run_disk_shortage(&self) -> Result<Option<RunDiskShortage>> {
        let folder = self.settings().runs_folder();
        let Some(space) = spawn_blocking(move || space(&folder)).await? else { return Ok(None) };
        let reserve = reserve(self.settings().runs.reserve_mib, space);
        metrics::gauge!("silo_runs_disk_free_bytes").set(space.free as f64);
        metrics::gauge!("silo_runs_disk_short").set(if space.free < reserve { 1.0 } else { 0.0 });
        Ok((space.free < reserve).then_some(RunDiskShortage { free: space.free, reserve }))
    }

    /// Removes files of ended runs, oldest first, if that frees enough. False: it does not, and nothing was removed.
    async fn purge_for_room(&self, short: RunDiskShortage) -> Result<bool> {
        let before = self.0.clock.now() - TimeDelta::hours(i64::from(self.settings().runs.purge_after_hours));
        let (mut given, mut chosen) = (short.free, Vec::new());
        // Files of other silos are not on this disk.
        for id in self.store().run_list_outdated(before, &self.0.host, DateTime::UNIX_EPOCH, 0, MOST).await? {
            let Some(stored) = self.store().run_get(&id).await? else { continue };
            let Some(folder) = read_record(&stored).ok().and_then(|record| record.folder) else { continue };
            let bytes = spawn_blocking(move || on_disk(&folder, &HaltSignal::default())).await?;
            given = given.saturating_add(bytes);
            chosen.push((id, bytes));
            if given >= short.reserve {
                break;
            }
        }
        if given < short.reserve {
            return Ok(false);
        }
        for (id, bytes) in chosen.into_iter().filter(|(_, bytes)| *bytes > 0) {
            tracing::warn!(run = id, bytes, "removing the files of an ended run to free disk space for others");
            match self.run_purge(&id).await {
                Ok(()) => metrics::counter!("silo_runs_purged_for_room_total").increment(1),
                Err(why) => tracing::warn!(run = id, %why, "the files cannot be removed"),
            }
        }
        self.remove_discarded(&CancellationToken::new()).await?;
        Ok(true)
    }

    /// Tells in the message of a waiting run that it waits for space.
    pub(super) fn add_shortage_message(&self, run: &mut RunSummary) {
        if matches!(run.phase, RunPhase::Queued | RunPhase::RetryWait)
            && let Some(told) = self.shortage_message()
        {
            run.message = told;
        }
    }

    /// The same for a run's record.
    pub(super) fn add_shortage_message_to_record(&self, record: &mut RunRecord) {
        if matches!(record.phase, Phase::Queued | Phase::RetryWait)
            && let Some(told) = self.shortage_message()
        {
            record.message = told;
        }
    }

    fn shortage_message(&self) -> Option<String> {
        let shortage = *self.0.shortage.lock();
        shortage.map(|shortage| format!("It waits for disk space: {shortage}."))
    }
}
