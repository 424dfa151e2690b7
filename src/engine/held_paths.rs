//! Holds files and folders of the host from their check to the start of the container.
//!
//! A checked path may name something else a moment later: another job or user may replace it by a link, and engines
//! follow links as root. So the path is opened without following links, and the engine gets a path to the open file
//! that nobody else can change: a bind mount in a private folder, or, if the engine does not see our mounts, a hard
//! link or copy of the file. Blocking.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use super::disk::{self, FileReadError};
use super::halt::HaltSignal;
use super::plan::{FileAccess, PlannedFile, RunPlan};
use super::run::folder::set_mode;

/// A file or folder of the host given to a run, and the root that it must lie below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPath {
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// Absolute, without symbolic links; chosen by an operator, and not movable by a job.
    pub root: PathBuf,
}

/// Why a file or folder of the host cannot be given to a run.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("{} no longer exists, or is no longer what was requested ({why}).", .path.display())]
    Changed { path: PathBuf, why: io::Error },
    #[error(
        "{} can be mounted only if it is itself in runs.mount_roots: SILO cannot hold a subfolder (it is not root, or \
         the engine does not see its mounts), so the folder could be replaced before the job starts.", .path.display()
    )]
    NotHeld { path: PathBuf },
    #[error("{} cannot be held ({why}): check its permissions and the free space there.", .place.display())]
    Place { place: PathBuf, why: io::Error },
}

/// Flags to open the folders of a path.
#[cfg(target_os = "linux")]
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const ON_THE_WAY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
/// Flags to open the last component: must not block on a FIFO or take over a terminal.
const AT_THE_END: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a file or folder below a root for reading, without following symbolic links.
///
/// # Errors
/// It is not below the root, a component is a link, or the disk fails.
pub fn open_below(root: &Path, path: &Path) -> io::Result<File> {
    let outside = || io::Error::new(io::ErrorKind::PermissionDenied, "it is outside of its folder");
    let below = path.strip_prefix(root).map_err(|_| outside())?;
    let mut parts = below.components().peekable();
    if parts.peek().is_none() {
        return Ok(rustix::fs::open(root, AT_THE_END.difference(OFlags::NOFOLLOW), Mode::empty())?.into());
    }
    let mut at = rustix::fs::open(root, ON_THE_WAY, Mode::empty())?;
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(outside()) };
        let flags = if parts.peek().is_some() { ON_THE_WAY.union(OFlags::NOFOLLOW) } else { AT_THE_END };
        at = openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at.into())
}

impl PlannedFile {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// The file cannot be opened, or is no regular file any more.
    pub fn open(&self) -> io::Result<File> {
        let file = match &self.access {
            FileAccess::AsNamed => File::open(&self.source)?,
            FileAccess::Below(root) => open_below(root, &self.source)?,
            FileAccess::At(path) => File::open(path)?,
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
    }
}

/// Makes a hard link to an open file, or a copy if that fails.
pub(super) fn link_or_copy(file: &File, target: &Path, halt: &HaltSignal) -> Result<(), FileReadError> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file").into());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, linkat};
        if linkat(CWD, proc_fd_path(file), CWD, target, AtFlags::SYMLINK_FOLLOW).is_ok() {
            return Ok(());
        }
    }
    disk::copy(file, target, halt)?;
    Ok(set_mode(target, 0o644)?)
}

/// A path to an open file, for this process (proc(5), `/proc/self/fd`).
#[cfg(target_os = "linux")]
fn proc_fd_path(file: &File) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Files and folders of the host under private paths. They are released on drop; a running container keeps its own
/// mounts.
#[derive(Debug)]
pub struct HeldPaths {
    place: PathBuf,
    /// Parent folder of the private paths.
    room: PathBuf,
    is_mounting: bool,
    count: usize,
    halt: HaltSignal,
}

impl HeldPaths {
    /// Creates `place`, whose name identifies the attempt. `is_mounting`: hold by bind mounts, which the engine must
    /// see; otherwise files are linked or copied, and folders cannot be held.
    ///
    /// # Errors
    /// The disk or the kernel refuses.
    pub fn begin(place: &Path, is_mounting: bool, halt: &HaltSignal) -> io::Result<Self> {
        release(place)?;
        fs::create_dir_all(place)?;
        set_mode(place, 0o700)?;
        let mut held =
            Self { place: place.to_owned(), room: place.to_owned(), is_mounting, count: 0, halt: halt.clone() };
        if is_mounting {
            held.room = mounts::room(place)?;
        }
        Ok(held)
    }

    /// Holds the files and folders of a plan that lie below `given`, and sets the plan's paths to them.
    ///
    /// # Errors
    /// A path is not what was checked, or cannot be held.
    pub fn hold(&mut self, plan: &mut RunPlan, given: &[HostPath]) -> Result<(), HoldError> {
        let root_of = |source: &Path| given.iter().find(|it| source.starts_with(&it.path)).map(|it| &it.root);
        let binds = plan.container.binds.iter().enumerate();
        let places: HashMap<String, usize> = binds.map(|(at, bind)| (bind.target.clone(), at)).collect();
        for file in plan.inputs.iter_mut().flat_map(|input| &mut input.files) {
            let Some(root) = root_of(&file.source) else { continue };
            file.access = FileAccess::Below(root.clone());
            // Files without a bind of their own come with their folder, or are staged.
            if let Some(at) = places.get(&file.path) {
                let path = self.file(root, &file.source)?;
                plan.container.binds[*at].held = Some(path.display().to_string());
                file.access = FileAccess::At(path);
            }
        }
        for bind in plan.container.binds.iter_mut().filter(|bind| bind.held.is_none()) {
            let source = Path::new(&bind.source);
            if let Some(root) = root_of(source) {
                bind.held = self.folder(root, source)?.map(|path| path.display().to_string());
            }
        }
        Ok(())
    }

    fn file(&mut self, root: &Path, path: &Path) -> Result<PathBuf, HoldError> {
        let file = opened(root, path, false)?;
        let target = self.next();
        let failed = |why| HoldError::Place { place: target.clone(), why };
        if self.is_mounting {
            File::create(&target).and_then(|_| mounts::bind(&file, &target)).map_err(failed)?;
        } else {
            link_or_copy(&file, &target, &self.halt).map_err(|why| failed(io::Error::other(why)))?;
        }
        Ok(target)
    }

    /// `None`: use the path itself, because it is a root, which no job can replace.
    fn folder(&mut self, root: &Path, path: &Path) -> Result<Option<PathBuf>, HoldError> {
        let folder = opened(root, path, true)?;
        if !self.is_mounting {
            return if path == root { Ok(None) } else { Err(HoldError::NotHeld { path: path.to_owned() }) };
        }
        let target = self.next();
        let made = fs::create_dir(&target).and_then(|()| mounts::bind(&folder, &target));
        made.map_err(|why| HoldError::Place { place: target.clone(), why })?;
        Ok(Some(target))
    }

    fn next(&mut self) -> PathBuf {
        self.count += 1;
        self.room.join(self.count.to_string())
    }
}

impl Drop for HeldPaths {
    fn drop(&mut self) {
        if let Err(why) = release(&self.place) {
            tracing::warn!(place = %self.place.display(), %why, "host paths held by a run cannot be released; they \
                                                                 stay mounted or copied");
        }
    }
}

fn opened(root: &Path, path: &Path, is_folder: bool) -> Result<File, HoldError> {
    let changed = |why| HoldError::Changed { path: path.to_owned(), why };
    let file = open_below(root, path).map_err(changed)?;
    let metadata = file.metadata().map_err(changed)?;
    let is_right = if is_folder { metadata.is_dir() } else { metadata.is_file() };
    if is_right { Ok(file) } else { Err(changed(io::Error::new(io::ErrorKind::InvalidInput, "it is of another kind"))) }
}

/// Whether this process may mount, tested in a folder.
pub fn may_mount(place: &Path) -> bool {
    HeldPaths::begin(place, true, &HaltSignal::default()).is_ok()
}

/// Releases everything held in a place, by any process. Nothing below a mount is removed.
///
/// # Errors
/// The disk or the kernel refuses.
pub fn release(place: &Path) -> io::Result<()> {
    mounts::end(place)?;
    let entries = match fs::read_dir(place) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(place)
}

/// Releases all places in a folder but those in use.
pub fn sweep(base: &Path, is_used: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_used(&name)
            && let Err(why) = release(&entry.path())
        {
            tracing::warn!(place = %entry.path().display(), %why, "host paths held by a run cannot be released; they \
                                                                   stay mounted or copied");
        }
    }
}

#[cfg(target_os = "linux")]
mod mounts {
    use std::fs::{self, File};
    use std::io;
    use std::path::{Path, PathBuf};

    use rustix::io::Errno;
    use rustix::mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount,
    };

    const PRIVATE: MountPropagationFlags = MountPropagationFlags::PRIVATE.union(MountPropagationFlags::REC);

    /// A folder that exists only in our mount namespace: an engine in another namespace gets an error instead of
    /// binding empty folders. It is private, so mounts and unmounts in it do not propagate.
    pub(super) fn room(place: &Path) -> io::Result<PathBuf> {
        let room = place.join("room");
        let empty = |at: &Path| {
            mount("silo", at, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, Some(c"mode=700"))?;
            mount_change(at, PRIVATE)
        };
        empty(place)?;
        fs::create_dir(&room)?;
        empty(&room)?;
        Ok(room)
    }

    pub(super) fn bind(opened: &File, target: &Path) -> io::Result<()> {
        mount_bind_recursive(super::proc_fd_path(opened), target)?;
        // Otherwise an unmount below ours would propagate to the host's mounts.
        Ok(mount_change(target, PRIVATE)?)
    }

    pub(super) fn end(place: &Path) -> io::Result<()> {
        loop {
            match mount_change(place, PRIVATE) {
                Ok(()) => unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?,
                // It does not exist, is no mount, or we may not change it.
                Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => return Ok(()),
                Err(why) => return Err(why.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod mounts {
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};

    pub(super) fn room(_: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn bind(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn end(_: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const SECRET: &str = "of the host";

    fn text(mut file: File) -> String {
        let mut text = String::new();
        _ = file.read_to_string(&mut text);
        text
    }

    #[test]
    fn what_is_opened_lies_below_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let root = folder.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "inside").unwrap();
        fs::write(folder.join("secret"), SECRET).unwrap();
        symlink("../../secret", root.join("a/link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("b", root.join("a/c")).unwrap();
        assert_eq!(text(open_below(&root, &root.join("a/b/f")).unwrap()), "inside");
        assert!(open_below(&root, &root).unwrap().metadata().unwrap().is_dir());
        for path in ["a/link", "up/secret", "up", "a/c/f", "../secret", "a/../../secret", "nothing"] {
            assert!(open_below(&root, &root.join(path)).is_err(), "{path}");
        }
        assert!(open_below(&root, &folder.join("secret")).is_err());
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(
            matches!(opened(&root, &root.join("pipe"), false), Err(HoldError::Changed { .. })),
            "and it does not wait"
        );
    }

    /// A folder with a root `root`, a folder `d` in it, and beside it `host/f`, which must not be readable.
    fn beside_the_host() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().canonicalize().unwrap();
        let root = folder.join("root");
        fs::create_dir_all(root.join("d")).unwrap();
        fs::create_dir_all(folder.join("host")).unwrap();
        fs::write(folder.join("host/f"), SECRET).unwrap();
        (kept, folder, root)
    }

    /// A path is checked, replaced, then used: a path leads to the new file, a descriptor stays with the old one.
    #[test]
    fn an_exchange_after_the_check_changes_nothing() {
        let (_kept, folder, root) = beside_the_host();
        fs::write(root.join("d/f"), "inside").unwrap();
        let path = root.join("d/f");
        assert!(path.canonicalize().unwrap().starts_with(&root));
        let file = open_below(&root, &path).unwrap();
        fs::rename(root.join("d"), root.join("away")).unwrap();
        symlink(folder.join("host"), root.join("d")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), SECRET);
        link_or_copy(&file, &folder.join("held"), &HaltSignal::default()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("held")).unwrap(), "inside");
        assert!(open_below(&root, &path).is_err());
    }

    /// A thread replaces a file, and the folder of another, by links to unreadable files, as fast as it can.
    #[test]
    fn nobody_can_exchange_what_is_held() {
        let (_kept, folder, root) = beside_the_host();
        for path in ["f", "d/f"] {
            fs::write(root.join(path), "inside").unwrap();
        }
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    symlink(folder.join("host/f"), root.join("t")).unwrap();
                    fs::rename(root.join("t"), root.join("f")).unwrap();
                    fs::write(root.join("t"), "inside").unwrap();
                    fs::rename(root.join("t"), root.join("f")).unwrap();
                    fs::rename(root.join("d"), root.join("away")).unwrap();
                    symlink(folder.join("host"), root.join("d")).unwrap();
                    fs::remove_file(root.join("d")).unwrap();
                    fs::rename(root.join("away"), root.join("d")).unwrap();
                }
            });
            let read = || {
                for round in 0..5_000 {
                    let path = root.join(if round % 2 == 0 { "f" } else { "d/f" });
                    let Ok(file) = open_below(&root, &path) else { continue };
                    let target = folder.join("held");
                    link_or_copy(&file, &target, &HaltSignal::default()).unwrap();
                    assert_eq!(fs::read_to_string(&target).unwrap(), "inside");
                    fs::remove_file(&target).unwrap();
                }
            };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
            // Otherwise the scope would wait for the thread forever.
            ends.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }

    #[test]
    fn what_is_released_leaves_the_host_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("root/sub")).unwrap();
        fs::write(folder.join("root/sub/f"), "inside").unwrap();
        let (root, place) = (folder.join("root"), folder.join("held/1"));
        let mut held = HeldPaths::begin(&place, true, &HaltSignal::default()).expect("the tests are run as root");
        let sub = held.folder(&root, &root.join("sub")).unwrap().expect("a path of its own");
        let file = held.file(&root, &root.join("sub/f")).unwrap();
        fs::rename(root.join("sub"), root.join("away")).unwrap();
        symlink("/", root.join("sub")).unwrap();
        assert_eq!(fs::read_to_string(sub.join("f")).unwrap(), "inside");
        assert_eq!(fs::read_to_string(&file).unwrap(), "inside");
        fs::write(sub.join("new"), "by a job").unwrap();
        // As after a kill.
        std::mem::forget(held);
        sweep(&folder.join("held"), |name| name == "1");
        assert!(sub.is_dir());
        sweep(&folder.join("held"), |_| false);
        assert!(!place.exists() && !sub.exists());
        assert_eq!(fs::read_to_string(root.join("away/new")).unwrap(), "by a job");
        assert_eq!(fs::read_to_string(root.join("away/f")).unwrap(), "inside");

        // The engine does not see our mounts.
        let mut held = HeldPaths::begin(&place, false, &HaltSignal::default()).unwrap();
        let file = held.file(&root, &root.join("away/f")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "inside");
        assert_eq!(held.folder(&root, &root).unwrap(), None);
        assert!(matches!(held.folder(&root, &root.join("away")), Err(HoldError::NotHeld { .. })));
        drop(held);
        assert!(!place.exists() && root.join("away/f").exists());
    }
}
