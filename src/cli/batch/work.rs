//! Runs the rows of a batch, some concurrently, and writes a journal entry for each that has ended.

use std::path::Path;
use std::{fs, io};

use anyhow::{Context as _, anyhow};
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::journal::{BatchJournal, JournalEntry};
use super::report::{RowReport, RowState, error};
use super::{Options, PlannedRow};
use crate::cli::args::engine_at::EngineWithImage;
use crate::cli::args::manifest_file::shown;
use crate::cli::args::subject::{LocalRun, exit};
use crate::cli::output::live::{JobOutputMode, StopSignals, watch};
use crate::cli::output::render::tame;
use crate::engine::plan::plan;
use crate::engine::run::orphans::ContainerOwner;
use crate::engine::run::record::{RunRecord, Status};
use crate::engine::runtime::ContainerRuntime as _;
use crate::seed::model::SeedManifest;

/// State that all rows share.
pub(super) struct BatchWork<'a> {
    pub options: &'a Options,
    pub manifest: &'a SeedManifest,
    pub machine: &'a EngineWithImage,
    pub root: &'a Path,
    pub journal: Mutex<BatchJournal>,
    pub owner: ContainerOwner,
    pub stop: &'a StopSignals,
    /// Cancelled when no more rows may start.
    pub halt: CancellationToken,
    pub bar: ProgressBar,
}

/// Progress bar of rows; drawn on standard error, and only on a terminal.
pub(super) fn bar(rows: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:20} {pos} of {len} rows, {elapsed} {msg}").expect("the template is one");
    ProgressBar::new(rows as u64).with_style(style)
}

impl BatchWork<'_> {
    /// Runs the rows, in no particular order.
    ///
    /// # Errors
    /// An I/O error. Rows that have started are run to their end.
    pub(super) async fn all(&self, rows: &[PlannedRow]) -> anyhow::Result<Vec<RowReport>> {
        let mut failures = 0;
        let mut first_error = None;
        let mut lines = Vec::with_capacity(rows.len());
        let mut ended = stream::iter(rows).map(|row| self.row(row)).buffer_unordered(self.options.jobs);
        while let Some(line) = ended.next().await {
            self.bar.inc(1);
            let line = match line {
                Ok(line) => line,
                Err(why) => {
                    self.halt.cancel();
                    first_error.get_or_insert(why);
                    continue;
                }
            };
            if line.state == RowState::Failed {
                failures += 1;
                self.bar.set_message(format!("({failures} failed)"));
                self.failed(&line).await;
            }
            lines.push(line);
        }
        self.bar.finish_and_clear();
        first_error.map_or(Ok(lines), Err)
    }

    /// Reports a failed row, and stops starting rows if the others would fail too.
    async fn failed(&self, line: &RowReport) {
        if !self.options.job.quiet {
            let folder = line.folder.as_ref().map(|folder| shown(&self.root.join(folder))).unwrap_or_default();
            self.bar.suspend(|| stderrln!("{} failed: {}; see {folder}", line.place(), tame(&error(line))));
        }
        if self.options.fail_fast || self.machine.engine.docker.engine().await.is_err() {
            self.halt.cancel();
        }
    }

    async fn row(&self, row: &PlannedRow) -> anyhow::Result<RowReport> {
        if self.halt.is_cancelled() || self.stop.is_cancelled() {
            return Ok(RowReport::new(row.number, row.line, RowState::NotBegun));
        }
        let root = &row.request.folder.root;
        set_aside(root).with_context(|| format!("{} cannot be moved", shown(root)))?;
        // Planned a second time: keeping the plans of all rows would take much memory.
        let plan = plan(self.manifest, &row.request).map_err(|_| anyhow!("row {} can no longer be run", row.number))?;
        let (tell, watching) = watch(row.request.image.as_str(), JobOutputMode::Nothing);
        let id = format!("{}-{}", self.owner.id(), row.number);
        let planned = LocalRun { id, owner: &self.owner, manifest: self.manifest, request: &row.request, plan };
        let ended = self.machine.run(planned, tell, self.stop).await;
        watching.await?;
        let record = ended?;
        let entry = self.entry(row, &record);
        let state = match record.status {
            Status::Successful => RowState::Successful,
            Status::Dismissed => RowState::Dismissed,
            _ => RowState::Failed,
        };
        // A stopped row gets no entry, so that it is run again.
        if state != RowState::Dismissed {
            let mut journal = self.journal.lock();
            journal.write(&entry).context("batch.jsonl cannot be written")?;
        }
        Ok(RowReport::ended(&entry, row.line, state, exit(&record)))
    }

    fn entry(&self, row: &PlannedRow, record: &RunRecord) -> JournalEntry {
        let finished = record.updated;
        JournalEntry {
            row: row.number,
            state: record.status,
            error: record.error.as_ref().map(|error| error.name.clone()),
            exit_code: record.attempts.last().and_then(|attempt| attempt.exit_code),
            folder: row.folder.clone(),
            seconds: (finished - record.created).as_seconds_f64(),
            finished,
            image: self.machine.image.id.to_string(),
            given: row.given.clone(),
        }
    }
}

/// Renames what an earlier run of a row left, by a numbered suffix: it may be a result that is still needed.
fn set_aside(folder: &Path) -> io::Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    let numbered = |number: u32| {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name
    };
    let free = (1..).map(numbered).find(|name| fs::symlink_metadata(name).is_err());
    fs::rename(folder, free.unwrap_or_default())
}
