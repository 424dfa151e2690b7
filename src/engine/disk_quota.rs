//! Disk quota of a running job: limits what it writes, and keeps a part of the disk free.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::disk::{DiskSpace, space};
use super::halt::HaltSignal;
use super::run::outputs::MAX_ENTRIES;
use super::run::stop_reason::StopReason;
use super::walk::{FolderUsage, WalkBounds, WalkReach, measure};

/// Bounds for the interval between two measurements of the output folder. Measuring takes at most a tenth of the
/// time.
const SELDOM: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(20);
/// Assumed write rate of a job, bytes per second: the closer to its limit, the sooner it is measured again.
const RATE: u64 = 512 * 1024 * 1024;
/// Below this many free bytes a larger write may have failed: the disk counts as full.
const NOTHING: u64 = 1024 * 1024;

/// Disk quota of a job.
#[derive(Clone, Copy, Debug)]
pub struct DiskQuota<'a> {
    /// The output folder on the host.
    pub output: &'a Path,
    /// Limit for the outputs on disk, in bytes; a job that exceeds it is stopped.
    pub output_limit: Option<u64>,
    /// Free bytes to keep: below that, a job is stopped if it has written more than is free. 0: never.
    pub keep_free: u64,
}

/// Lowest free space on the disk during the job.
#[derive(Debug)]
pub(super) struct LowWaterMark(AtomicU64);

impl Default for LowWaterMark {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl LowWaterMark {
    fn note(&self, space: DiskSpace) {
        // Some file systems reserve a part for root.
        let left = if geteuid().is_root() { space.left } else { space.free };
        self.0.fetch_min(left, Ordering::Relaxed);
    }

    /// Whether the disk was full at any time.
    pub(super) fn was_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) < NOTHING
    }
}

impl DiskQuota<'_> {
    fn bounds(&self) -> WalkBounds {
        // Without a limit, the size is only reported.
        let entries = if self.output_limit.is_some() { MAX_ENTRIES } else { usize::MAX };
        WalkBounds { entries, bytes: self.output_limit }
    }

    /// Waits until the job is to be stopped for exceeding its quota.
    pub(super) async fn wait_until_exceeded(&self, low: &LowWaterMark) -> StopReason {
        loop {
            let began = Instant::now();
            let before = self.space(low).await;
            let is_tight = self.is_tight(before);
            // Without a limit the size is not needed.
            let usage = if self.output_limit.is_some() || is_tight { self.usage().await } else { None };
            let (used, is_over) = usage.map_or((0, false), |(usage, reach)| (usage.on_disk, is_over(reach)));
            if is_over {
                return StopReason::OutputTooLarge;
            }
            if is_tight && before.is_some_and(|before| before.free < used) {
                return StopReason::DiskFull;
            }
            let rest = Instant::now() + began.elapsed() * 9;
            self.wait_for_next_measurement(before, used, rest, low).await;
        }
    }

    /// Waits until the next measurement; free disk space shows whether much was written meanwhile.
    async fn wait_for_next_measurement(&self, before: Option<DiskSpace>, used: u64, rest: Instant, low: &LowWaterMark) {
        let left = self.output_limit.map(|most| most.saturating_sub(used));
        let soon = left.map_or(SELDOM, |left| Duration::from_millis(left.saturating_mul(1000) / RATE));
        let due = Instant::now() + soon.clamp(OFTEN, SELDOM);
        loop {
            sleep(OFTEN).await;
            let now = self.space(low).await;
            let written = before.zip(now).map_or(0, |(before, now)| before.free.saturating_sub(now.free));
            let is_due = Instant::now() >= due || written > left.unwrap_or(u64::MAX) / 2 || self.is_tight(now);
            if is_due && Instant::now() >= rest {
                return;
            }
        }
    }

    fn is_tight(&self, space: Option<DiskSpace>) -> bool {
        space.is_some_and(|space| space.free < self.keep_free)
    }

    async fn space(&self, low: &LowWaterMark) -> Option<DiskSpace> {
        let output = self.output.to_owned();
        // A network file system may block.
        let found = tokio::task::spawn_blocking(move || space(&output)).await.ok().flatten();
        found.inspect(|space| low.note(*space))
    }

    /// Size of the folder; `None` if it cannot be measured.
    pub(super) async fn usage(&self) -> Option<(FolderUsage, WalkReach)> {
        let (output, bounds): (PathBuf, _) = (self.output.to_owned(), self.bounds());
        // Halts the measurement when this future is dropped.
        let stop = CancellationToken::new();
        let (halt, _dropped) = (HaltSignal::on(&stop), stop.drop_guard());
        let measured = tokio::task::spawn_blocking(move || measure(&output, bounds, &halt)).await.ok()?;
        measured.ok()
    }
}

/// Bytes of a folder on disk, as far as it is readable. Blocking.
pub fn on_disk(folder: &Path, halt: &HaltSignal) -> u64 {
    let bounds = WalkBounds { entries: usize::MAX, bytes: None };
    measure(folder, bounds, halt).map_or(0, |(usage, _)| usage.on_disk)
}

fn is_over(reach: WalkReach) -> bool {
    matches!(reach, WalkReach::TooManyBytes | WalkReach::TooManyEntries)
}
