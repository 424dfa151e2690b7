//! Orphaned containers, whose owner process was killed: finds them by label and removes them.
//!
//! A process that runs containers by itself (`silo run`) locks a file and puts its path into a label. The kernel
//! drops the lock with the process, so a container whose file can be locked is an orphan. A second label identifies
//! the process, in case the temporary folder was emptied. Containers whose owner cannot be judged from here (another
//! host, another container) are left alone.

mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use process::ProcessIdentity;

use crate::engine::runtime::{ContainerRuntime, Error, FoundContainer, Result};
use crate::lock::FileLock;

/// Label with the path of the owner's lock file.
pub const OWNER_LABEL: &str = "silo.owner";
/// Label that identifies the owner process: machine, boot, PID namespace, PID and start time.
pub const PROCESS_LABEL: &str = "silo.owner.process";

/// Owner of containers, for as long as the process lives.
#[derive(Debug)]
pub struct ContainerOwner {
    path: PathBuf,
    process: Option<ProcessIdentity>,
    _lock: FileLock,
}

impl ContainerOwner {
    /// Creates the lock file in the folder for temporary files.
    pub fn new() -> io::Result<Self> {
        let (_, path) = tempfile::Builder::new().prefix("silo-run-").suffix(".lock").tempfile()?.keep()?;
        let lock = FileLock::take(&path)?.ok_or_else(|| io::Error::other("another process locked a new file"))?;
        Ok(Self { path, process: ProcessIdentity::own(), _lock: lock })
    }

    /// An id that is unique among living owners.
    pub fn id(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The value of [`OWNER_LABEL`].
    pub fn label(&self) -> String {
        self.path.display().to_string()
    }

    /// Adds the owner's labels to a container that is to be created.
    pub fn mark(&self, labels: &mut BTreeMap<String, String>) {
        labels.insert(OWNER_LABEL.to_owned(), self.label());
        if let Some(process) = &self.process {
            labels.insert(PROCESS_LABEL.to_owned(), process.to_string());
        }
    }

    /// Removes the lock file, unless a container could not be removed: a later sweep needs the file.
    pub async fn settle<R: ContainerRuntime>(self, runtime: &R) {
        if containers_of(runtime, &self.label()).await.is_ok_and(|left| left.is_empty()) {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Result of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of removed containers.
    pub removed: usize,
    /// Containers that could not be removed, by id.
    pub failed: Vec<(String, Error)>,
}

/// Removes the containers of dead owners, continuing after errors.
///
/// # Errors
/// The engine cannot list its containers.
pub async fn sweep<R: ContainerRuntime>(runtime: &R) -> Result<SweepReport> {
    let mut owners: BTreeMap<String, Vec<FoundContainer>> = BTreeMap::new();
    for found in runtime.containers(OWNER_LABEL).await? {
        if let Some(owner) = found.labels.get(OWNER_LABEL) {
            owners.entry(owner.clone()).or_default().push(found);
        }
    }
    let mut swept = SweepReport::default();
    for (owner, containers) in owners {
        let path = Path::new(&owner);
        // The lock is held during removal, so that concurrent sweeps do not interfere.
        let Some(_lock) = lock_if_orphaned(path, &containers) else { continue };
        for container in containers {
            match runtime.remove(&container.id).await {
                Ok(()) => swept.removed += 1,
                Err(why) => swept.failed.push((container.id, why)),
            }
        }
        // The file is removed last, and only if no container is left: containers that the engine is still creating
        // need it.
        if containers_of(runtime, &owner).await.is_ok_and(|left| left.is_empty()) {
            _ = fs::remove_file(path);
        }
    }
    Ok(swept)
}

async fn containers_of<R: ContainerRuntime>(runtime: &R, owner: &str) -> Result<Vec<FoundContainer>> {
    runtime.containers(&format!("{OWNER_LABEL}={owner}")).await
}

/// The lock of a dead owner (`Some(None)`: the lock file is gone, and so are the processes); `None`: alive or
/// unknown.
fn lock_if_orphaned(path: &Path, containers: &[FoundContainer]) -> Option<Option<FileLock>> {
    // Locking would create a missing file. Labels are untrusted: only file names of our pattern are opened.
    let name = path.file_name()?.to_str()?;
    if !(path.is_absolute() && name.starts_with("silo-run-") && name.ends_with(".lock")) {
        return None;
    }
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => FileLock::take(path).ok()?.map(Some),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let is_dead =
                |found: &FoundContainer| found.labels.get(PROCESS_LABEL).is_some_and(|label| process::is_dead(label));
            containers.iter().all(is_dead).then_some(None)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::runtime::ContainerState;

    fn found(labels: BTreeMap<String, String>) -> FoundContainer {
        FoundContainer { id: String::new(), labels, state: ContainerState::Running, created: None }
    }

    #[test]
    fn only_the_dead_leave_something_behind() {
        let owner = ContainerOwner::new().expect("a file can be made");
        let path = owner.path.clone();
        let mut labels = BTreeMap::new();
        owner.mark(&mut labels);
        let containers = [found(labels.clone())];
        assert!(lock_if_orphaned(&path, &containers).is_none(), "it lives");
        drop(owner);
        assert!(lock_if_orphaned(&path, &containers).is_some(), "as after a kill");
        fs::remove_file(&path).expect("it is there");
        assert!(lock_if_orphaned(&path, &containers).is_none(), "its file is gone, and its process lives");
        let mut process = ProcessIdentity::own().expect("there is a /proc");
        process.started += 1;
        labels.insert(PROCESS_LABEL.to_owned(), process.to_string());
        assert!(lock_if_orphaned(&path, &[found(labels.clone())]).is_some(), "its file and its process are gone");
        let unknown = found(BTreeMap::from([(OWNER_LABEL.to_owned(), path.display().to_string())]));
        assert!(lock_if_orphaned(&path, &[found(labels), unknown]).is_none(), "of one nobody knows");
        assert!(!path.exists());
        assert!(lock_if_orphaned(Path::new("/etc/passwd"), &[]).is_none());
    }
}
