//! Going through a folder whose contents are hostile: by handles of directories, so that no path is too long and no link leads
//! out; without recursion, with few handles at a time, and with bounds. Blocking.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::halt::{Halt, Halted};

/// The most handles of one walk; further up they are closed, and found again by `..`.
const HANDLES: usize = 32;
/// Bytes of a block in `st_blocks` (POSIX, `sys/stat.h`).
const BLOCK: u64 = 512;
/// What a folder is opened with.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a walk is bounded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Files and folders.
    pub entries: usize,
    /// Bytes, as in [`Usage::on_disk`].
    pub bytes: Option<u64>,
}

/// What a folder holds. A file with several names (hard links) counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all regular files, by their length.
    pub length: u64,
    /// Bytes on the disk: of each file its blocks or its length, whichever is more, since a sparse file is read at its length,
    /// and of each folder inside its blocks.
    pub on_disk: u64,
    /// Files and folders.
    pub entries: usize,
    /// Folders that could not be read: what is in them is not counted.
    pub unreadable: usize,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Whole,
    /// It ended at a bound: what it holds is more than the usage says.
    TooManyBytes,
    TooManyEntries,
    /// Somebody moved a folder meanwhile.
    Moved,
}

/// Why there was no walk to the end.
#[derive(Debug)]
pub(super) enum WalkError {
    Halted(Halted),
    /// The folder itself cannot be opened.
    Root(io::Error),
}

/// What comes by.
pub(super) enum Met<'a> {
    Entry {
        /// The path below the root of the folder that it is in; empty, or with a `/` at its end.
        prefix: &'a [u8],
        /// How many folders it is in.
        depth: usize,
        name: &'a CStr,
        about: &'a Stat,
    },
    /// A folder that cannot be read.
    Closed { path: &'a [u8], why: Errno },
}

/// A folder on the way down.
struct Level {
    /// `None`: closed, to have fewer.
    handle: Option<OwnedFd>,
    id: (u64, u64),
    /// Folders in it that are still to be gone through.
    left: Vec<CString>,
    /// How long the path of this folder is.
    prefix: usize,
}

/// Opens the folder that a walk begins at. Its own path may lead over links: it is ours.
pub(super) fn open(root: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?)
}

/// Goes through everything below a folder, folders before what is in them, and tells what it meets.
pub(super) fn walk(
    root: OwnedFd,
    bounds: Bounds,
    halt: &Halt,
    tell: &mut dyn FnMut(Met<'_>),
) -> Result<(Usage, Reach), WalkError> {
    let mut walk = Walk {
        bounds,
        halt,
        tell,
        usage: Usage::default(),
        linked: HashSet::new(),
        levels: Vec::new(),
        path: Vec::new(),
    };
    let about = fstat(&root).map_err(|why| WalkError::Root(why.into()))?;
    let reach = match walk.enter(root, id(&about)) {
        Err(Stop::Errno(why)) => return Err(WalkError::Root(why.into())),
        other => other.and_then(|()| walk.go(about.st_dev)),
    };
    match reach {
        Ok(()) => Ok((walk.usage, Reach::Whole)),
        Err(Stop::At(reach)) => Ok((walk.usage, reach)),
        Err(Stop::Errno(_)) => Ok((walk.usage, Reach::Moved)),
        Err(Stop::Halted(why)) => Err(WalkError::Halted(why)),
    }
}

/// What a folder holds, as far as that is within the bounds.
pub(super) fn measure(root: &Path, bounds: Bounds, halt: &Halt) -> Result<(Usage, Reach), WalkError> {
    walk(open(root).map_err(WalkError::Root)?, bounds, halt, &mut |_| {})
}

/// What names a file or folder among all.
pub(super) fn id(about: &Stat) -> (u64, u64) {
    (about.st_dev, about.st_ino)
}

struct Walk<'a> {
    bounds: Bounds,
    halt: &'a Halt,
    tell: &'a mut dyn FnMut(Met<'_>),
    usage: Usage,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
    levels: Vec<Level>,
    path: Vec<u8>,
}

enum Stop {
    At(Reach),
    Errno(Errno),
    Halted(Halted),
}

impl From<Errno> for Stop {
    fn from(why: Errno) -> Self {
        Self::Errno(why)
    }
}

impl From<Halted> for Stop {
    fn from(why: Halted) -> Self {
        Self::Halted(why)
    }
}

impl Walk<'_> {
    fn go(&mut self, device: u64) -> Result<(), Stop> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.left.pop() else {
                self.leave()?;
                continue;
            };
            let handle = level.handle.as_ref().ok_or(Stop::At(Reach::Moved))?;
            self.path.truncate(level.prefix);
            self.path.extend_from_slice(name.as_bytes());
            let opened = openat(handle, &*name, FOLDER, Mode::empty());
            let entered = opened.and_then(|handle| Ok((fstat(&handle)?, handle)));
            match entered {
                // What is mounted there is not on this disk.
                Ok((about, _)) if about.st_dev != device => {}
                Ok((about, handle)) => {
                    self.path.push(b'/');
                    match self.enter(handle, id(&about)) {
                        Err(Stop::Errno(why)) => self.closed(why),
                        other => other?,
                    }
                }
                // Gone, or replaced, since it was listed.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(why) => self.closed(why),
            }
        }
        Ok(())
    }

    fn closed(&mut self, why: Errno) {
        self.usage.unreadable += 1;
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        (self.tell)(Met::Closed { path, why });
    }

    /// Lists a folder, whose path is the present one, and goes into it.
    fn enter(&mut self, handle: OwnedFd, id: (u64, u64)) -> Result<(), Stop> {
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
            (self.tell)(Met::Entry { prefix, depth, name, about: &about });
            if kind == FileType::Directory {
                left.push(name.to_owned());
            }
        }
        self.levels.push(Level { handle: Some(handle), id, left, prefix: self.path.len() });
        if let Some(far) = self.levels.len().checked_sub(HANDLES + 1) {
            self.levels[far].handle = None;
        }
        Ok(())
    }

    fn count(&mut self, about: &Stat, kind: FileType) -> Result<(), Stop> {
        self.usage.entries += 1;
        if self.usage.entries > self.bounds.entries {
            return Err(Stop::At(Reach::TooManyEntries));
        }
        if kind != FileType::Directory && about.st_nlink > 1 && !self.linked.insert(id(about)) {
            return Ok(());
        }
        let length = if kind == FileType::RegularFile { about.st_size.unsigned_abs() } else { 0 };
        let blocks = about.st_blocks.unsigned_abs().saturating_mul(BLOCK);
        self.usage.length = self.usage.length.saturating_add(length);
        self.usage.on_disk = self.usage.on_disk.saturating_add(blocks.max(length));
        if self.bounds.bytes.is_some_and(|most| self.usage.on_disk > most) {
            return Err(Stop::At(Reach::TooManyBytes));
        }
        Ok(())
    }

    /// Goes back up, where the handle may have been closed. A folder that was moved meanwhile has another above it.
    fn leave(&mut self) -> Result<(), Stop> {
        let done = self.levels.pop();
        if let (Some(above), Some(done)) = (self.levels.last_mut(), done)
            && above.handle.is_none()
        {
            let below = done.handle.ok_or(Stop::At(Reach::Moved))?;
            let handle = openat(&below, c"..", FOLDER, Mode::empty()).map_err(|_| Stop::At(Reach::Moved))?;
            if id(&fstat(&handle)?) != above.id {
                return Err(Stop::At(Reach::Moved));
            }
            above.handle = Some(handle);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
