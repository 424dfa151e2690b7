//! Which rows have ended, and how: `batch.jsonl`, a line a row, the last one counts. It is locked while a batch runs, and
//! what a kill left half-written is passed over. Blocking.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cli::manifest_file::shown;
use crate::engine::record::Status;
use crate::lock::FileLock;

const FILE_NAME: &str = "batch.jsonl";

/// A row that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub row: usize,
    pub state: Status,
    /// The error's name.
    pub error: Option<String>,
    /// The container's.
    pub exit_code: Option<i64>,
    /// Where all is, in the batch's.
    pub folder: String,
    pub seconds: f64,
    pub finished: DateTime<Utc>,
    /// The image's id.
    pub image: String,
    /// A digest of what the row was given.
    pub given: String,
}

/// The journal of a batch's folder.
pub(super) struct Journal {
    root: PathBuf,
    file: File,
    last: HashMap<usize, Entry>,
    _lock: FileLock,
}

/// Why a folder is not to be written to: it holds something, and nothing of a batch.
pub(super) fn refuses(root: &Path) -> Option<String> {
    let is_free = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_none() || root.join(FILE_NAME).is_file(),
        Err(why) => why.kind() == ErrorKind::NotFound,
    };
    (!is_free).then(|| format!("{} holds something, and is not a batch's: give another folder with -o", shown(root)))
}

impl Journal {
    /// Opens it, or begins it.
    ///
    /// # Errors
    /// Another process has it, or the disk refuses.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(FILE_NAME);
        let written = || format!("{} cannot be written", shown(&path));
        fs::create_dir_all(root).with_context(written)?;
        let lock = FileLock::take(&path).with_context(written)?;
        ensure!(lock.is_some(), "another silo works in {}: wait for it, or give another folder with -o", shown(root));
        let lock = lock.context("it was taken")?;
        let bytes = fs::read(&path).with_context(written)?;
        let mut file = File::options().append(true).open(&path).with_context(written)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n").with_context(written)?;
        }
        let entries = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
        let last = entries.map(|entry| (entry.row, entry)).collect();
        Ok(Self { root: root.to_owned(), file, last, _lock: lock })
    }

    /// How a row ended, if it was successful with this image and these inputs, and what it left is still there.
    pub fn done(&self, row: usize, image: &str, given: &str) -> Option<&Entry> {
        let entry = self.last.get(&row)?;
        let is_same = entry.state == Status::Successful && entry.image == image && entry.given == given;
        (is_same && self.root.join(&entry.folder).join("job.json").is_file()).then_some(entry)
    }

    /// Adds a row; it is on the disk then.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}
