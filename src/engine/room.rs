//! The room that a job is given on the disk: how much it may write, and how much must stay free. Watched while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::attempt::Stopped;
use super::disk::{Space, space};
use super::halt::Halt;
use super::outputs::MAX_ENTRIES;
use super::walk::{Bounds, Reach, Usage, measure};

/// How often a folder is measured, at the most and at the least; a large one costs a tenth of the time at the most.
const SELDOM: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(20);
/// How many bytes a second a job is thought able to write: the nearer it may be to its bound, the sooner it is measured again.
const RATE: u64 = 512 * 1024 * 1024;
/// With less than this the disk was full for whoever wrote more at once, bytes.
const NOTHING: u64 = 1024 * 1024;

/// What the job's container is given room for, and what it may leave behind.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The folder of the host that the job writes its outputs to.
    pub output: &'a Path,
    /// Bytes on the disk; a job that leaves more there is stopped.
    pub output_limit: Option<u64>,
    /// Bytes: a job is stopped that has written more than is left, when less than this is free on its disk. 0: never.
    pub keep_free: u64,
}

/// How little was free on the disk while the job ran.
#[derive(Debug)]
pub(super) struct LowWater(AtomicU64);

impl Default for LowWater {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl LowWater {
    fn note(&self, space: Space) {
        // Some disks keep a part for root.
        let left = if geteuid().is_root() { space.left } else { space.free };
        self.0.fetch_min(left, Ordering::Relaxed);
    }

    /// Whether nothing more could be written at some time.
    pub(super) fn was_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) < NOTHING
    }
}

impl Room<'_> {
    fn bounds(&self) -> Bounds {
        // Where there is no bound, what is counted is only told.
        let entries = if self.output_limit.is_some() { MAX_ENTRIES } else { usize::MAX };
        Bounds { entries, bytes: self.output_limit }
    }

    /// Comes back when the job is to be stopped for what it has written.
    pub(super) async fn outgrown(&self, low: &LowWater) -> Stopped {
        loop {
            let began = Instant::now();
            let before = self.space(low).await;
            let is_tight = self.is_tight(before);
            // Where nothing bounds it, nobody has to know.
            let usage = if self.output_limit.is_some() || is_tight { self.usage().await } else { None };
            let (used, is_over) = usage.map_or((0, false), |(usage, reach)| (usage.on_disk, is_over(reach)));
            if is_over {
                return Stopped::OutputTooLarge;
            }
            if is_tight && before.is_some_and(|before| before.free < used) {
                return Stopped::DiskFull;
            }
            let rest = Instant::now() + began.elapsed() * 9;
            self.until_much_is_written(before, used, rest, low).await;
        }
    }

    /// Between two measurements what is free on the disk says whether much was written.
    async fn until_much_is_written(&self, before: Option<Space>, used: u64, rest: Instant, low: &LowWater) {
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

    fn is_tight(&self, space: Option<Space>) -> bool {
        space.is_some_and(|space| space.free < self.keep_free)
    }

    async fn space(&self, low: &LowWater) -> Option<Space> {
        let output = self.output.to_owned();
        // A disk of another machine may not answer.
        let found = tokio::task::spawn_blocking(move || space(&output)).await.ok().flatten();
        found.inspect(|space| low.note(*space))
    }

    /// What the folder holds; `None` where it cannot be told.
    pub(super) async fn usage(&self) -> Option<(Usage, Reach)> {
        let (output, bounds): (PathBuf, _) = (self.output.to_owned(), self.bounds());
        // When nobody waits any more, it ends.
        let stop = CancellationToken::new();
        let (halt, _dropped) = (Halt::on(&stop), stop.drop_guard());
        let measured = tokio::task::spawn_blocking(move || measure(&output, bounds, &halt)).await.ok()?;
        measured.ok()
    }
}

/// The bytes that a folder takes on the disk, as far as it can be read. Blocking.
pub fn on_disk(folder: &Path, halt: &Halt) -> u64 {
    let bounds = Bounds { entries: usize::MAX, bytes: None };
    measure(folder, bounds, halt).map_or(0, |(usage, _)| usage.on_disk)
}

fn is_over(reach: Reach) -> bool {
    matches!(reach, Reach::TooManyBytes | Reach::TooManyEntries)
}
