//! Checkpoint of an attempt on disk, from which a later `silo` process resumes after a kill. Blocking.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::folder::{pretty, replace};
use super::job_exit::JobExit;
use super::logs::LogTotals;

/// The checkpoint files in an attempt's folder.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CheckpointFiles(PathBuf);

/// How far the attempt got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CheckpointState {
    /// No container is recorded.
    Nothing,
    /// This container was created, and perhaps started.
    Begun(String),
    /// The job has exited; its container may be gone.
    Ended(CheckpointEnd),
}

/// State after the job's exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::engine) struct CheckpointEnd {
    pub main: JobExit,
    pub printed: LogTotals,
}

impl CheckpointFiles {
    pub(in crate::engine) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Records the container's id; call it before the container is started.
    pub(in crate::engine) fn begun(&self, container: &str) -> io::Result<()> {
        replace(&self.begun_file(), container.as_bytes())
    }

    /// Time since this container's checkpoint, zero if unknown; `None` if there is none for it.
    pub(in crate::engine) fn since_begun(&self, container: &str) -> Option<Duration> {
        fs::read_to_string(self.begun_file()).ok().filter(|marked| marked == container)?;
        let at = fs::metadata(self.begun_file()).and_then(|about| about.modified());
        Some(at.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default())
    }

    /// Records the exit; call it before the container is removed.
    pub(in crate::engine) fn ended(&self, end: &CheckpointEnd) -> io::Result<()> {
        replace(&self.ended_file(), &pretty(end))
    }

    /// Removes the checkpoint of an earlier attempt.
    pub(in crate::engine) fn clear(&self) -> io::Result<()> {
        for file in [self.begun_file(), self.ended_file()] {
            match fs::remove_file(file) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        Ok(())
    }

    pub(in crate::engine) fn read(&self) -> CheckpointState {
        let end = fs::read(self.ended_file()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match (end, fs::read_to_string(self.begun_file())) {
            (Some(end), _) => CheckpointState::Ended(end),
            (None, Ok(container)) => CheckpointState::Begun(container),
            (None, Err(_)) => CheckpointState::Nothing,
        }
    }

    fn begun_file(&self) -> PathBuf {
        self.0.join("container")
    }

    fn ended_file(&self) -> PathBuf {
        self.0.join("ended.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::runtime::ContainerExit;

    #[test]
    fn marks_are_read_as_they_were_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let marks = CheckpointFiles::new(folder.path());
        assert_eq!(marks.read(), CheckpointState::Nothing);
        marks.begun("4711").expect("it can be written");
        assert_eq!(marks.read(), CheckpointState::Begun("4711".to_owned()));
        assert!(marks.since_begun("4711").is_some() && marks.since_begun("4712").is_none());
        let ended = ContainerExit { exit_code: 3, oom: false, was_signalled: false, is_unseen: false };
        let main = JobExit { container_id: "4711".to_owned(), ended, stopped: None, output_bytes: 7 };
        let end = CheckpointEnd { main, printed: LogTotals { stdout_bytes: 1, stderr_bytes: 2, truncated: true } };
        marks.ended(&end).expect("it can be written");
        assert_eq!(marks.read(), CheckpointState::Ended(end));
        fs::write(folder.path().join("ended.json"), "{").expect("it can be written");
        assert_eq!(marks.read(), CheckpointState::Begun("4711".to_owned()), "half a file is none");
        marks.clear().expect("they can be removed");
        assert_eq!(marks.read(), CheckpointState::Nothing);
    }
}
