//! The files of a run, logs and outputs, as paths on disk.

use std::path::PathBuf;

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::inputs::inside;
use super::{no_such_run, read_record};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::logs::{COMBINED, STDERR, STDOUT, SYSTEM};
use crate::engine::run::outputs::CapturedFile;
use crate::engine::run::record::RunRecord;
use crate::engine::run::samples::SampleFile;

/// One of the logs of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptLog {
    Stdout,
    Stderr,
    /// Lines of both, as JSON.
    Combined,
    /// Messages of SILO.
    System,
}

impl AttemptLog {
    pub const ALL: [Self; 4] = [Self::Combined, Self::Stdout, Self::Stderr, Self::System];

    /// Parses the name of a log; `None` if unknown.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|log| log.as_str() == word)
    }

    /// The name of the log in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Combined => "combined",
            Self::System => "system",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Stdout => STDOUT,
            Self::Stderr => STDERR,
            Self::Combined => COMBINED,
            Self::System => SYSTEM,
        }
    }
}

/// A run whose files exist.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub record: RunRecord,
    folder: RunPaths,
}

/// An output file of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutputFile {
    /// Path on disk.
    pub path: PathBuf,
    pub left: CapturedFile,
}

impl App {
    /// A run with its files.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a run that the user may not see, or whose files were deleted.
    pub async fn run_folder(&self, session: &UserSession, id: &str) -> Result<RunFolder> {
        let stored = self.run_stored(session, id).await?;
        if let Some(at) = stored.summary.purged_at {
            return Err(Error::NotFound(format!("The logs and outputs of run {id} were deleted at {at}")));
        }
        let record = read_record(&stored)?;
        let root = record.folder.clone().ok_or_else(no_such_run)?;
        Ok(RunFolder::new(record, root))
    }
}

impl RunFolder {
    pub(super) fn new(record: RunRecord, root: PathBuf) -> Self {
        Self { record, folder: RunPaths::new(root) }
    }

    pub(super) fn root(&self) -> &std::path::Path {
        &self.folder.root
    }

    /// Path of a log of an attempt: the last one, unless `attempt` is given.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an attempt that has not begun.
    pub fn log(&self, log: AttemptLog, attempt: Option<u32>) -> Result<PathBuf> {
        Ok(self.folder.attempt(self.attempt(attempt, "logs")?).join(log.file()))
    }

    /// What the container of an attempt used over time: of the last one, unless `attempt` is given. Returns the
    /// attempt's number, too.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an attempt that has not begun.
    pub async fn samples(&self, attempt: Option<u32>) -> Result<(u32, SampleFile)> {
        let attempt = self.attempt(attempt, "samples")?;
        Ok((attempt, SampleFile::open(&self.folder.attempt(attempt)).await))
    }

    /// Number of an attempt that has begun; the last one by default.
    fn attempt(&self, attempt: Option<u32>, wanted: &str) -> Result<u32> {
        let begun = u32::try_from(self.record.attempts.len()).unwrap_or(u32::MAX);
        let attempt = attempt.unwrap_or(begun);
        if attempt == 0 || attempt > begun {
            let id = &self.record.id;
            return Err(Error::NotFound(match begun {
                0 => format!("Run {id} has not started yet, so it has no {wanted}"),
                _ => format!("Run {id} has no attempt {attempt}; it has {begun}"),
            }));
        }
        Ok(attempt)
    }

    /// The files of an output.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an output that the job does not have, or whose file no longer exists.
    pub fn output(&self, name: &str) -> Result<Vec<RunOutputFile>> {
        let outputs = self.record.outputs.iter().flat_map(|outputs| &outputs.files);
        let found = outputs.clone().find(|output| output.name == name).ok_or_else(|| {
            let known: Vec<&str> = outputs.map(|output| &*output.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::NotFound(format!("Run {} has no output {name}; it has {known}", self.record.id))
        })?;
        found.files.iter().map(|left| self.there(left)).collect()
    }

    /// One file of the output directory, if the record lists it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn file(&self, path: &str) -> Result<RunOutputFile> {
        let left = self.left().find(|left| left.path == path);
        let left = left.ok_or_else(|| Error::NotFound(format!("Run {} left no file {path}", self.record.id)))?;
        self.there(left)
    }

    /// All output files.
    ///
    /// # Errors
    /// [`Error::NotFound`] if a file no longer exists.
    pub fn all(&self) -> Result<Vec<RunOutputFile>> {
        self.left().map(|left| self.there(left)).collect()
    }

    fn left(&self) -> impl Iterator<Item = &CapturedFile> {
        let outputs = self.record.outputs.iter();
        outputs.flat_map(|outputs| outputs.files.iter().flat_map(|it| &it.files).chain(&outputs.extra))
    }

    fn there(&self, left: &CapturedFile) -> Result<RunOutputFile> {
        let path = inside(&self.folder.output, &left.path);
        let path = path.ok_or_else(|| Error::NotFound(format!("The file {} no longer exists", left.path)))?;
        Ok(RunOutputFile { path, left: left.clone() })
    }
}
