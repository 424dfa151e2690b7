//! The journal of a batch, `batch.jsonl`: one line per ended row; the last line of a row counts. It is locked while a
//! batch runs, and lines that a kill left incomplete are skipped. Blocking.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cli::args::manifest_file::shown;
use crate::engine::run::record::Status;
use crate::lock::FileLock;

const FILE_NAME: &str = "batch.jsonl";

/// An ended row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JournalEntry {
    pub row: usize,
    pub state: Status,
    /// Name of the error.
    pub error: Option<String>,
    /// Exit code of the container.
    pub exit_code: Option<i64>,
    /// Folder of the row, relative to the batch's folder.
    pub folder: String,
    pub seconds: f64,
    pub finished: DateTime<Utc>,
    /// Id of the image.
    pub image: String,
    /// Digest of the row's inputs and container.
    pub given: String,
}

/// The journal of a batch's folder.
pub(super) struct BatchJournal {
    root: PathBuf,
    file: File,
    last: HashMap<usize, JournalEntry>,
    _lock: FileLock,
}

/// Why a folder must not be written to: it is not empty, and has no journal.
pub(super) fn refuses(root: &Path) -> Option<String> {
    let is_free = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_none() || root.join(FILE_NAME).is_file(),
        Err(why) => why.kind() == ErrorKind::NotFound,
    };
    (!is_free)
        .then(|| format!("{} is not empty and does not belong to a batch: give another folder with -o", shown(root)))
}

impl BatchJournal {
    /// Opens and locks the journal; creates it if necessary.
    ///
    /// # Errors
    /// Another process has locked it, or an I/O error.
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(FILE_NAME);
        let written = || format!("{} cannot be written", shown(&path));
        fs::create_dir_all(root).with_context(written)?;
        let lock = FileLock::take(&path).with_context(written)?;
        ensure!(
            lock.is_some(),
            "another silo process uses {}: wait for it, or give another folder with -o",
            shown(root)
        );
        let lock = lock.context("it was taken")?;
        let bytes = fs::read(&path).with_context(written)?;
        let mut file = File::options().append(true).open(&path).with_context(written)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n").with_context(written)?;
        }
        let entries =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<JournalEntry>(line).ok());
        let last = entries.map(|entry| (entry.row, entry)).collect();
        Ok(Self { root: root.to_owned(), file, last, _lock: lock })
    }

    /// The entry of a row that succeeded with this image and these inputs, and whose folder still exists.
    pub(super) fn done(&self, row: usize, image: &str, given: &str) -> Option<&JournalEntry> {
        let entry = self.last.get(&row)?;
        let is_same = entry.state == Status::Successful && entry.image == image && entry.given == given;
        (is_same && self.root.join(&entry.folder).join("job.json").is_file()).then_some(entry)
    }

    /// Appends an entry; it is synced to disk on return.
    pub(super) fn write(&mut self, entry: &JournalEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}
