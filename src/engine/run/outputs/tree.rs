//! Lists an output directory without leaving it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use super::OutputEntry;
use crate::engine::halt::{HaltReason, HaltSignal};
use crate::engine::walk::{FOLDER, FolderUsage, FolderWalkEvent, WalkBounds, WalkError, WalkReach, id, open, walk};

/// Limit for the depth of folders.
const MAX_DEPTH: usize = 50;
/// Limit for warnings.
const MAX_WARNINGS: usize = 100;

/// A listed output directory.
#[derive(Default)]
pub(super) struct OutputTree {
    /// Files by relative path, with `/`.
    pub files: BTreeMap<String, OutputEntry>,
    pub usage: FolderUsage,
    /// Why the list is incomplete, a sentence.
    pub fault: Option<String>,
    /// A limit was exceeded, so files are missing from the list.
    pub is_cut: bool,
    pub warnings: Vec<String>,
    root: Option<OwnedFd>,
}

/// Lists a directory within `bounds`. A missing directory is empty.
pub(super) fn list(folder: &Path, bounds: WalkBounds, halt: &HaltSignal) -> Result<OutputTree, HaltReason> {
    let mut tree = OutputTree::default();
    let walked = folder.canonicalize().map_err(WalkError::Root).and_then(|root| {
        let handle = open(&root).map_err(WalkError::Root)?;
        tree.root = handle.try_clone().ok();
        walk(handle, bounds, halt, &mut |met| tree.meet(&root, met))
    });
    match walked {
        Ok((usage, reach)) => {
            tree.usage = usage;
            tree.reach(reach, bounds);
        }
        Err(WalkError::Root(why)) => tree.fault = Some(format!("the output directory cannot be read: {why}.")),
        Err(WalkError::Halted(why)) => return Err(why),
    }
    Ok(tree)
}

impl OutputTree {
    /// Opens a listed file. No link is followed: the entry of a link holds its target.
    pub(super) fn open(&self, entry: &OutputEntry) -> io::Result<File> {
        let gone = || io::Error::from(ErrorKind::NotFound);
        let mut folder = self.root.as_ref().ok_or_else(gone)?.try_clone()?;
        let mut names = entry.place.iter();
        let name = names.next_back().ok_or_else(gone)?;
        for name in names {
            folder = openat(&folder, name, FOLDER, Mode::empty())?;
        }
        // `NONBLOCK`: the job may have put a FIFO there meanwhile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(folder.as_fd(), name, flags, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file.into()),
            _ => Err(gone()),
        }
    }

    fn reach(&mut self, reach: WalkReach, bounds: WalkBounds) {
        self.is_cut = matches!(reach, WalkReach::TooManyBytes | WalkReach::TooManyEntries);
        let most = bounds.entries;
        match reach {
            WalkReach::TooManyEntries => {
                self.fault = Some(format!("the job wrote more than {most} files and folders."))
            }
            WalkReach::Moved => self.fault = Some("a folder was moved while it was read.".to_owned()),
            WalkReach::Whole | WalkReach::TooManyBytes => {}
        }
    }

    fn meet(&mut self, root: &Path, met: FolderWalkEvent<'_>) {
        let (prefix, name, depth, about) = match met {
            FolderWalkEvent::Entry { prefix, name, depth, about } => (prefix, name, depth, about),
            FolderWalkEvent::Closed { path, why } => {
                let path = String::from_utf8_lossy(path);
                self.fault = Some(format!("the folder {path} cannot be read: {}.", io::Error::from(why)));
                return;
            }
        };
        // Already reported for the folder above.
        if depth > MAX_DEPTH {
            return;
        }
        let (Ok(prefix), Ok(name)) = (str::from_utf8(prefix), name.to_str()) else {
            let prefix = String::from_utf8_lossy(prefix);
            self.warn(format!("A name in {} is not UTF-8; the entry is left out.", shown(&prefix)));
            return;
        };
        let path = format!("{prefix}{name}");
        match FileType::from_raw_mode(about.st_mode) {
            FileType::RegularFile => {
                let place = PathBuf::from(&path);
                self.files.insert(path, OutputEntry { size: about.st_size.unsigned_abs(), place, id: id(about) });
            }
            FileType::Directory if depth == MAX_DEPTH => {
                self.warn(format!("The folder {path} is nested too deep; it is left out."));
            }
            FileType::Directory => {}
            FileType::Symlink => match linked(root, &path) {
                Ok(Ok(entry)) => _ = self.files.insert(path, entry),
                Ok(Err(what)) => self.warn(format!("{path} is {what}; it is left out.")),
                Err(why) => self.warn(format!("{path} is left out: {why}.")),
            },
            _ => self.warn(format!("{path} is not a regular file; it is left out.")),
        }
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }
}

fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "OUTPUT_DIR" } else { prefix.trim_end_matches('/') }
}

/// Resolves a link: the target's entry, if that is a regular file in the directory; otherwise a description of the
/// target.
fn linked(root: &Path, path: &str) -> io::Result<Result<OutputEntry, &'static str>> {
    let real: PathBuf = match root.join(path).canonicalize() {
        Ok(real) => real,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Err("a link without a target")),
        Err(why) => return Err(why),
    };
    let Ok(place) = real.strip_prefix(root) else { return Ok(Err("a link that leads out of OUTPUT_DIR")) };
    let about = rustix::fs::lstat(&real)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Ok(Err("a link to a folder or special file"));
    }
    Ok(Ok(OutputEntry { size: about.st_size.unsigned_abs(), place: place.to_owned(), id: id(&about) }))
}
