//! Removes folders with hostile contents, of any depth, with file descriptors and without recursion. Blocking.
//!
//! A nested folder is moved to the root before it is emptied. So at most two levels and two descriptors are in use,
//! and after a kill the next call continues with what is left.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmod, fchmod, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use super::halt::{HaltReason, HaltSignal};
use super::runtime::ClosedPath;
use super::walk::{FOLDER, FolderWalkEvent, WalkBounds, WalkError, open, walk};

/// Longest path that is passed to an engine, in bytes: `PATH_MAX` applies, and the engine sees the folder below
/// another path.
const LONGEST_PATH: usize = 3000;
/// Most paths that an engine is asked to open at a time.
const MOST_PATHS: usize = 10_000;

/// Why a folder was not removed completely.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error("{0}")]
    Halted(HaltReason),
    #[error("{} cannot be removed: {why}", path.display())]
    Stuck {
        /// The first entry that remains.
        path: PathBuf,
        why: io::Error,
    },
}

/// Removes a folder and everything in it. A missing folder is no error.
///
/// # Errors
/// [`RemovalError::Stuck`], after everything else was removed.
pub fn remove(root: &Path, halt: &HaltSignal) -> Result<(), RemovalError> {
    let stuck = |why: Errno| RemovalError::Stuck { path: root.to_owned(), why: why.into() };
    let handle = match enter(CWD, root) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(CWD, root, AtFlags::empty()).map_err(stuck),
        Err(why) => return Err(stuck(why)),
    };
    let device = fstat(&handle).map_err(stuck)?.st_dev;
    let mut removal = FolderRemoval { root: handle, device, halt, names: 0, stuck: HashSet::new(), first: None };
    while removal.pass().map_err(RemovalError::Halted)? {}
    if let Some((name, why)) = removal.first {
        return Err(RemovalError::Stuck { path: root.join(OsStr::from_bytes(name.to_bytes())), why: why.into() });
    }
    unlinkat(CWD, root, AtFlags::REMOVEDIR).map_err(stuck)
}

/// The kind of access that is needed to files of other users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPurpose {
    Read,
    Remove,
}

/// Paths without the needed access, relative to `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPaths {
    pub root: PathBuf,
    pub paths: Vec<ClosedPath>,
}

/// Finds files and folders of other users that this process cannot read, or cannot empty: the folder itself, or
/// entries below it as far as they are accessible. Call it again after opening these, to find those below.
///
/// # Errors
/// It was halted, or the folder does not exist.
pub fn closed(root: &Path, purpose: AccessPurpose, halt: &HaltSignal) -> Result<ClosedPaths, RemovalError> {
    let mut found = ClosedPaths { root: root.to_owned(), paths: Vec::new() };
    // Root can access everything.
    if geteuid().is_root() {
        return Ok(found);
    }
    let stuck = |why: io::Error| RemovalError::Stuck { path: root.to_owned(), why };
    let about = statat(CWD, root, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| stuck(why.into()))?;
    if let (true, Some(parent), Some(name)) = (is_closed(&about, purpose), root.parent(), root.file_name()) {
        return Ok(ClosedPaths { root: parent.to_owned(), paths: vec![closed_path(name.into(), &about)] });
    }
    let mut meet = |met: FolderWalkEvent<'_>| {
        let FolderWalkEvent::Entry { prefix, name, about, .. } = met else { return };
        if is_closed(about, purpose) && found.paths.len() < MOST_PATHS {
            let path = [prefix, name.to_bytes()].concat();
            if path.len() <= LONGEST_PATH {
                found.paths.push(closed_path(PathBuf::from(OsStr::from_bytes(&path)), about));
            }
        }
    };
    let bounds = WalkBounds { entries: usize::MAX, bytes: None };
    match open(root).map_err(WalkError::Root).and_then(|handle| walk(handle, bounds, halt, &mut meet)) {
        Ok(_) => Ok(found),
        Err(WalkError::Halted(why)) => Err(RemovalError::Halted(why)),
        Err(WalkError::Root(why)) => Err(stuck(why)),
    }
}

pub(super) fn closed_path(path: PathBuf, about: &Stat) -> ClosedPath {
    ClosedPath {
        path,
        is_folder: FileType::from_raw_mode(about.st_mode) == FileType::Directory,
        mode: Mode::from_raw_mode(about.st_mode).bits() & 0o777,
        modified: about.st_mtime.try_into().unwrap_or_default(),
    }
}

/// Whether this process, which is not root, lacks access. Group permissions are not considered.
fn is_closed(about: &Stat, purpose: AccessPurpose) -> bool {
    let mode = Mode::from_raw_mode(about.st_mode);
    let is_ours = about.st_uid == geteuid().as_raw();
    let may = |ours: Mode, others: Mode| mode.contains(if is_ours { ours } else { others });
    match (FileType::from_raw_mode(about.st_mode), purpose) {
        (FileType::RegularFile, AccessPurpose::Read) => !may(Mode::RUSR, Mode::ROTH),
        (FileType::Directory, AccessPurpose::Read) => !may(Mode::RUSR | Mode::XUSR, Mode::ROTH | Mode::XOTH),
        // Our own folders we can open ourselves. In a sticky folder only the owner may remove an entry.
        (FileType::Directory, AccessPurpose::Remove) => {
            !is_ours && (!mode.contains(Mode::RWXO) || mode.contains(Mode::SVTX))
        }
        _ => false,
    }
}

/// Opens a folder. If it is ours and its mode denies access, the mode is changed.
fn enter(above: impl std::os::fd::AsFd, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let handle = match openat(&above, name, FOLDER, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let place = openat(&above, name, OFlags::PATH | FOLDER, Mode::empty())?;
            chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), Mode::RWXU)?;
            openat(&above, name, FOLDER, Mode::empty())?
        }
        other => other?,
    };
    if !Mode::from_raw_mode(fstat(&handle)?.st_mode).contains(Mode::RWXU) {
        // Fails for a folder of another user; then removing its entries reports the error.
        _ = fchmod(&handle, Mode::RWXU);
    }
    Ok(handle)
}

struct FolderRemoval<'a> {
    root: OwnedFd,
    device: u64,
    halt: &'a HaltSignal,
    /// Number of names given to moved folders.
    names: u64,
    /// Names in the root that cannot be removed.
    stuck: HashSet<CString>,
    first: Option<(CString, Errno)>,
}

impl FolderRemoval<'_> {
    /// Removes the present entries of the root. `true`: something was removed, so call it again.
    fn pass(&mut self) -> Result<bool, HaltReason> {
        let mut went_on = false;
        let names = match names(&self.root) {
            Ok(names) => names,
            Err(why) => {
                self.first.get_or_insert((c".".to_owned(), why));
                return Ok(false);
            }
        };
        for name in names.filter_map(Result::ok) {
            self.halt.check()?;
            if self.stuck.contains(&name) {
                continue;
            }
            match self.entry(&name) {
                Ok(()) => went_on = true,
                Err(why) => {
                    self.stuck.insert(name.clone());
                    self.first.get_or_insert((name, why));
                }
            }
        }
        Ok(went_on)
    }

    fn entry(&mut self, name: &CString) -> Result<(), Errno> {
        match unlinkat(&self.root, &**name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(Errno::NOENT) => return Ok(()),
            other => return other,
        }
        let folder = enter(&self.root, &**name).map_err(refused)?;
        if fstat(&folder)?.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        let mut kept = None;
        for inner in names(&folder)? {
            let inner = inner?;
            if self.halt.check().is_err() {
                return Err(Errno::CANCELED);
            }
            if let Err(why) = self.remove_or_move_up(&folder, &inner) {
                kept.get_or_insert(why);
            }
        }
        match (unlinkat(&self.root, &**name, AtFlags::REMOVEDIR), kept) {
            (Ok(()) | Err(Errno::NOENT), _) => Ok(()),
            (Err(_), Some(why)) | (Err(why), None) => Err(why),
        }
    }

    /// Removes a file of a folder, or moves a subfolder to the root.
    fn remove_or_move_up(&mut self, folder: &OwnedFd, name: &CString) -> Result<(), Errno> {
        match unlinkat(folder, &**name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(Errno::NOENT) => return Ok(()),
            other => return other,
        }
        // Moving a folder needs write permission on it, because its `..` changes.
        drop(enter(folder, &**name).map_err(refused)?);
        loop {
            self.names += 1;
            match renameat(folder, &**name, &self.root, format!("{}.removed", self.names)) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                other => return other,
            }
        }
    }
}

/// `NOTDIR`: it is no folder, so the earlier `unlinkat` failed for another reason; it may be immutable.
fn refused(why: Errno) -> Errno {
    if why == Errno::NOTDIR { Errno::PERM } else { why }
}

fn names(folder: &OwnedFd) -> Result<impl Iterator<Item = Result<CString, Errno>> + use<>, Errno> {
    let entries = Dir::read_from(folder)?.map(|entry| Ok(entry?.file_name().to_owned()));
    Ok(entries.filter(|name| !matches!(name, Ok(name) if matches!(name.to_bytes(), b"." | b".."))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn all_kinds_of_things_are_removed_and_nothing_else() {
        let place = tempfile::tempdir().expect("a folder");
        let (root, kept) = (place.path().join("root"), place.path().join("kept"));
        fs::create_dir_all(root.join("a/b/c")).expect("folders");
        fs::create_dir_all(root.join("a/1.removed/x")).expect("folders");
        fs::create_dir_all(root.join("1.removed/y")).expect("folders");
        fs::write(root.join("2.removed"), "").expect("a file");
        fs::create_dir(&kept).expect("a folder");
        fs::write(kept.join("file"), "").expect("a file");
        fs::hard_link(kept.join("file"), root.join("a/linked")).expect("a link");
        symlink(&kept, root.join("a/b/out")).expect("a link");
        symlink("nowhere", root.join("dangling")).expect("a link");
        for folder in ["a/b", "a"] {
            fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o500)).expect("it is ours");
        }
        remove(&root, &HaltSignal::default()).expect("it can be removed");
        assert!(!root.exists() && kept.join("file").exists());
        remove(&root, &HaltSignal::default()).expect("it is removed");
        symlink(&kept, &root).expect("a link");
        remove(&root, &HaltSignal::default()).expect("the link, and not what it leads to");
        assert!(kept.join("file").exists());
    }

    #[test]
    fn what_cannot_be_removed_keeps_nothing_else() {
        // Nobody can remove /proc, and it is on another device.
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        assert!(matches!(remove(&root, &HaltSignal::on(&stop)), Err(RemovalError::Halted(HaltReason::Cancelled))));
        assert!(root.join("a").exists());
        assert!(matches!(
            remove(Path::new("/proc/self/fdinfo"), &HaltSignal::default()),
            Err(RemovalError::Stuck { .. })
        ));
    }
}
