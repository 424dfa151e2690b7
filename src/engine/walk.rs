//! Walks a folder with hostile contents: with directory descriptors, so that no path is too long and no link leads
//! out; without recursion, with few descriptors, and with limits. Blocking.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::halt::{HaltReason, HaltSignal};

/// Most open descriptors of a walk; those further up are closed and reopened by `..`.
const HANDLES: usize = 32;
/// Bytes of a block in `st_blocks` (POSIX, `sys/stat.h`).
const BLOCK: u64 = 512;
/// Flags to open a folder.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Limits of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkBounds {
    /// Files and folders.
    pub entries: usize,
    /// Bytes, as in [`FolderUsage::on_disk`].
    pub bytes: Option<u64>,
}

/// Size of a folder. A file with several hard links counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FolderUsage {
    /// Bytes of all regular files, by their length.
    pub length: u64,
    /// Bytes on disk: for a file its blocks or its length, whichever is more, since a sparse file is read at full
    /// length; for a subfolder its blocks.
    pub on_disk: u64,
    /// Files and folders.
    pub entries: usize,
    /// Unreadable folders, whose contents are not counted.
    pub unreadable: usize,
}

/// How far a walk got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalkReach {
    Whole,
    /// It ended at a limit: the folder holds more than was counted.
    TooManyBytes,
    TooManyEntries,
    /// A folder was moved meanwhile.
    Moved,
}

/// Why a walk failed.
#[derive(Debug)]
pub(super) enum WalkError {
    Halted(HaltReason),
    /// The root folder cannot be opened.
    Root(io::Error),
}

/// An event of a walk.
pub(super) enum FolderWalkEvent<'a> {
    Entry {
        /// Path of the entry's folder below the root; empty, or with a trailing `/`.
        prefix: &'a [u8],
        /// Number of folders between the root and the entry.
        depth: usize,
        name: &'a CStr,
        about: &'a Stat,
    },
    /// An unreadable folder.
    Closed { path: &'a [u8], why: Errno },
}

/// A folder on the current path.
struct WalkLevel {
    /// `None`: closed, to limit open descriptors.
    handle: Option<OwnedFd>,
    id: (u64, u64),
    /// Subfolders still to be walked.
    left: Vec<CString>,
    /// Length of this folder's path.
    prefix: usize,
}

/// Opens the root of a walk. Links in its path are followed: it is a trusted path.
pub(super) fn open(root: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?)
}

/// Walks everything below a folder, parents first, and reports each entry.
pub(super) fn walk(
    root: OwnedFd,
    bounds: WalkBounds,
    halt: &HaltSignal,
    tell: &mut dyn FnMut(FolderWalkEvent<'_>),
) -> Result<(FolderUsage, WalkReach), WalkError> {
    let mut walk = FolderWalk {
        bounds,
        halt,
        tell,
        usage: FolderUsage::default(),
        linked: HashSet::new(),
        levels: Vec::new(),
        path: Vec::new(),
    };
    let about = fstat(&root).map_err(|why| WalkError::Root(why.into()))?;
    let reach = match walk.enter(root, id(&about)) {
        Err(WalkStop::Errno(why)) => return Err(WalkError::Root(why.into())),
        other => other.and_then(|()| walk.go(about.st_dev)),
    };
    match reach {
        Ok(()) => Ok((walk.usage, WalkReach::Whole)),
        Err(WalkStop::At(reach)) => Ok((walk.usage, reach)),
        Err(WalkStop::Errno(_)) => Ok((walk.usage, WalkReach::Moved)),
        Err(WalkStop::Halted(why)) => Err(WalkError::Halted(why)),
    }
}

/// Size of a folder, within the limits.
pub(super) fn measure(
    root: &Path,
    bounds: WalkBounds,
    halt: &HaltSignal,
) -> Result<(FolderUsage, WalkReach), WalkError> {
    walk(open(root).map_err(WalkError::Root)?, bounds, halt, &mut |_| {})
}

/// Device and inode, which identify a file.
pub(super) fn id(about: &Stat) -> (u64, u64) {
    (about.st_dev, about.st_ino)
}

struct FolderWalk<'a> {
    bounds: WalkBounds,
    halt: &'a HaltSignal,
    tell: &'a mut dyn FnMut(FolderWalkEvent<'_>),
    usage: FolderUsage,
    /// Hard-linked files that were counted.
    linked: HashSet<(u64, u64)>,
    levels: Vec<WalkLevel>,
    path: Vec<u8>,
}

enum WalkStop {
    At(WalkReach),
    Errno(Errno),
    Halted(HaltReason),
}

impl From<Errno> for WalkStop {
    fn from(why: Errno) -> Self {
        Self::Errno(why)
    }
}

impl From<HaltReason> for WalkStop {
    fn from(why: HaltReason) -> Self {
        Self::Halted(why)
    }
}

impl FolderWalk<'_> {
    fn go(&mut self, device: u64) -> Result<(), WalkStop> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.left.pop() else {
                self.leave()?;
                continue;
            };
            let handle = level.handle.as_ref().ok_or(WalkStop::At(WalkReach::Moved))?;
            self.path.truncate(level.prefix);
            self.path.extend_from_slice(name.as_bytes());
            let opened = openat(handle, &*name, FOLDER, Mode::empty());
            let entered = opened.and_then(|handle| Ok((fstat(&handle)?, handle)));
            match entered {
                // Another file system is mounted there.
                Ok((about, _)) if about.st_dev != device => {}
                Ok((about, handle)) => {
                    self.path.push(b'/');
                    match self.enter(handle, id(&about)) {
                        Err(WalkStop::Errno(why)) => self.closed(why),
                        other => other?,
                    }
                }
                // Removed or replaced since it was listed.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(why) => self.closed(why),
            }
        }
        Ok(())
    }

    fn closed(&mut self, why: Errno) {
        self.usage.unreadable += 1;
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        (self.tell)(FolderWalkEvent::Closed { path, why });
    }

    /// Lists the folder at the current path and enters it.
    fn enter(&mut self, handle: OwnedFd, id: (u64, u64)) -> Result<(), WalkStop> {
        let mut left = Vec::new();
        for entry in Dir::read_from(&handle)? {
            self.halt.check()?;
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let about = match statat(&handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(about) => about,
                Err(Errno::NOENT) => continue,
                Err(why) => return Err(why.into()),
            };
            let kind = FileType::from_raw_mode(about.st_mode);
            self.count(&about, kind)?;
            let (prefix, depth) = (&*self.path, self.levels.len());
            (self.tell)(FolderWalkEvent::Entry { prefix, depth, name, about: &about });
            if kind == FileType::Directory {
                left.push(name.to_owned());
            }
        }
        self.levels.push(WalkLevel { handle: Some(handle), id, left, prefix: self.path.len() });
        if let Some(far) = self.levels.len().checked_sub(HANDLES + 1) {
            self.levels[far].handle = None;
        }
        Ok(())
    }

    fn count(&mut self, about: &Stat, kind: FileType) -> Result<(), WalkStop> {
        self.usage.entries += 1;
        if self.usage.entries > self.bounds.entries {
            return Err(WalkStop::At(WalkReach::TooManyEntries));
        }
        if kind != FileType::Directory && about.st_nlink > 1 && !self.linked.insert(id(about)) {
            return Ok(());
        }
        let length = if kind == FileType::RegularFile { about.st_size.unsigned_abs() } else { 0 };
        let blocks = about.st_blocks.unsigned_abs().saturating_mul(BLOCK);
        self.usage.length = self.usage.length.saturating_add(length);
        self.usage.on_disk = self.usage.on_disk.saturating_add(blocks.max(length));
        if self.bounds.bytes.is_some_and(|most| self.usage.on_disk > most) {
            return Err(WalkStop::At(WalkReach::TooManyBytes));
        }
        Ok(())
    }

    /// Returns to the parent, reopening it if needed. If the parent is another folder now, the folder was moved.
    fn leave(&mut self) -> Result<(), WalkStop> {
        let done = self.levels.pop();
        if let (Some(above), Some(done)) = (self.levels.last_mut(), done)
            && above.handle.is_none()
        {
            let below = done.handle.ok_or(WalkStop::At(WalkReach::Moved))?;
            let handle = openat(&below, c"..", FOLDER, Mode::empty()).map_err(|_| WalkStop::At(WalkReach::Moved))?;
            if id(&fstat(&handle)?) != above.id {
                return Err(WalkStop::At(WalkReach::Moved));
            }
            above.handle = Some(handle);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
