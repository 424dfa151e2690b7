//! Removing a folder whose contents are hostile: by handles, without recursion, however deep it is. Blocking.
//!
//! A folder inside a folder is moved up to the top before it is emptied, so nothing is ever deeper than two levels, two handles are
//! enough, and after a kill the next try goes on with what is left.

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

use super::halt::{Halt, Halted};
use super::runtime::ClosedPath;
use super::walk::{Bounds, FOLDER, Met, WalkError, open, walk};

/// The longest path that an engine is asked about: paths have a bound (`PATH_MAX`), and it sees this one below another.
const LONGEST_PATH: usize = 3000;
/// The most files and folders that it is asked to open at a time.
const MOST_PATHS: usize = 10_000;

/// Why a folder is not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error("{0}")]
    Halted(Halted),
    #[error("{} cannot be removed: {why}", path.display())]
    Stuck {
        /// The first of what is left.
        path: PathBuf,
        why: io::Error,
    },
}

/// Removes a folder with everything in it. One that is not there is removed.
///
/// # Errors
/// [`RemovalError::Stuck`], after everything that can be removed was removed.
pub fn remove(root: &Path, halt: &Halt) -> Result<(), RemovalError> {
    let stuck = |why: Errno| RemovalError::Stuck { path: root.to_owned(), why: why.into() };
    let handle = match enter(CWD, root) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(CWD, root, AtFlags::empty()).map_err(stuck),
        Err(why) => return Err(stuck(why)),
    };
    let device = fstat(&handle).map_err(stuck)?.st_dev;
    let mut removal = Removal { root: handle, device, halt, names: 0, stuck: HashSet::new(), first: None };
    while removal.pass().map_err(RemovalError::Halted)? {}
    if let Some((name, why)) = removal.first {
        return Err(RemovalError::Stuck { path: root.join(OsStr::from_bytes(name.to_bytes())), why: why.into() });
    }
    unlinkat(CWD, root, AtFlags::REMOVEDIR).map_err(stuck)
}

/// What files and folders of other users are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Remove,
}

/// What must be opened to this process, and the folder that its paths are below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPaths {
    pub root: PathBuf,
    pub paths: Vec<ClosedPath>,
}

/// What there is in a folder that this process cannot read, or whose contents it cannot remove, because it is another user's: the
/// folder itself, or what is seen in it. What lies behind that is seen when it is open.
///
/// # Errors
/// The walk was halted, or the folder itself is not there.
pub fn closed(root: &Path, purpose: Purpose, halt: &Halt) -> Result<ClosedPaths, RemovalError> {
    let mut found = ClosedPaths { root: root.to_owned(), paths: Vec::new() };
    // Root is kept out of nothing.
    if geteuid().is_root() {
        return Ok(found);
    }
    let stuck = |why: io::Error| RemovalError::Stuck { path: root.to_owned(), why };
    let about = statat(CWD, root, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| stuck(why.into()))?;
    if let (true, Some(parent), Some(name)) = (is_closed(&about, purpose), root.parent(), root.file_name()) {
        return Ok(ClosedPaths { root: parent.to_owned(), paths: vec![closed_path(name.into(), &about)] });
    }
    let mut meet = |met: Met<'_>| {
        let Met::Entry { prefix, name, about, .. } = met else { return };
        if is_closed(about, purpose) && found.paths.len() < MOST_PATHS {
            let path = [prefix, name.to_bytes()].concat();
            if path.len() <= LONGEST_PATH {
                found.paths.push(closed_path(PathBuf::from(OsStr::from_bytes(&path)), about));
            }
        }
    };
    let bounds = Bounds { entries: usize::MAX, bytes: None };
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

/// Whether a file or folder keeps this process, which is not root, from what it is for. What it may as one of a group does not
/// count.
fn is_closed(about: &Stat, purpose: Purpose) -> bool {
    let mode = Mode::from_raw_mode(about.st_mode);
    let is_ours = about.st_uid == geteuid().as_raw();
    let may = |ours: Mode, others: Mode| mode.contains(if is_ours { ours } else { others });
    match (FileType::from_raw_mode(about.st_mode), purpose) {
        (FileType::RegularFile, Purpose::Read) => !may(Mode::RUSR, Mode::ROTH),
        (FileType::Directory, Purpose::Read) => !may(Mode::RUSR | Mode::XUSR, Mode::ROTH | Mode::XOTH),
        // Ours is ours to open. In a sticky folder nobody removes what is another's.
        (FileType::Directory, Purpose::Remove) => !is_ours && (!mode.contains(Mode::RWXO) || mode.contains(Mode::SVTX)),
        _ => false,
    }
}

/// Opens a folder. One of ours that keeps us out is made to let us in.
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
        // Of another's, the first thing that cannot be removed says so.
        _ = fchmod(&handle, Mode::RWXU);
    }
    Ok(handle)
}

struct Removal<'a> {
    root: OwnedFd,
    device: u64,
    halt: &'a Halt,
    /// How many names were given.
    names: u64,
    /// Names in the root that cannot be removed.
    stuck: HashSet<CString>,
    first: Option<(CString, Errno)>,
}

impl Removal<'_> {
    /// Removes what is in the root now; true: something was, so there may be more.
    fn pass(&mut self) -> Result<bool, Halted> {
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
            if let Err(why) = self.lift(&folder, &inner) {
                kept.get_or_insert(why);
            }
        }
        match (unlinkat(&self.root, &**name, AtFlags::REMOVEDIR), kept) {
            (Ok(()) | Err(Errno::NOENT), _) => Ok(()),
            (Err(_), Some(why)) | (Err(why), None) => Err(why),
        }
    }

    /// Removes a file of a folder, or moves a folder of it to the root.
    fn lift(&mut self, folder: &OwnedFd, name: &CString) -> Result<(), Errno> {
        match unlinkat(folder, &**name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(Errno::NOENT) => return Ok(()),
            other => return other,
        }
        // A folder that moves is written to, since it holds where it is.
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

/// What was refused as if it were a folder, and is none, was refused for another reason: it may be immutable.
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
        remove(&root, &Halt::default()).expect("it can be removed");
        assert!(!root.exists() && kept.join("file").exists());
        remove(&root, &Halt::default()).expect("it is removed");
        symlink(&kept, &root).expect("a link");
        remove(&root, &Halt::default()).expect("the link, and not what it leads to");
        assert!(kept.join("file").exists());
    }

    #[test]
    fn what_cannot_be_removed_keeps_nothing_else() {
        // /proc is nobody's to remove, and on another device.
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        assert!(matches!(remove(&root, &Halt::on(&stop)), Err(RemovalError::Halted(Halted::Cancelled))));
        assert!(root.join("a").exists());
        assert!(matches!(remove(Path::new("/proc/self/fdinfo"), &Halt::default()), Err(RemovalError::Stuck { .. })));
    }
}
