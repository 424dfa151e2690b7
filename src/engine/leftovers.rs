//! Containers whose owner was killed: found by their label, and removed.
//!
//! A process that runs containers by itself (`silo run`) holds a lock on a file and names the file in a label. The lock goes
//! with the process, so whoever can take it has found an orphan. Where the file is not to be seen (another host, another
//! container) nothing is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::runtime::{Found, Result, Runtime};
use crate::lock::FileLock;

/// The label that names an owner's file.
pub const OWNER_LABEL: &str = "silo.owner";

/// Owns containers for as long as it lives.
#[derive(Debug)]
pub struct Owner {
    path: PathBuf,
    _lock: FileLock,
}

impl Owner {
    /// Makes the file, in the folder for temporary ones.
    pub fn new() -> io::Result<Self> {
        let (_, path) = tempfile::Builder::new().prefix("silo-run-").suffix(".lock").tempfile()?.keep()?;
        let lock = FileLock::take(&path)?.ok_or_else(|| io::Error::other("somebody else locks a new file"))?;
        Ok(Self { path, _lock: lock })
    }

    /// A word that names it among the living.
    pub fn id(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The value of [`OWNER_LABEL`].
    pub fn label(&self) -> String {
        self.path.display().to_string()
    }

    /// Takes the file away, unless a container could not be removed: then it is for the next who sweeps.
    pub async fn settle<R: Runtime>(self, runtime: &R) {
        let left = runtime.containers(&format!("{OWNER_LABEL}={}", self.label())).await;
        if left.is_ok_and(|left| left.is_empty()) {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the containers whose owner is dead, and says how many there were.
///
/// # Errors
/// The engine's. Those that were removed before stay removed.
pub async fn sweep<R: Runtime>(runtime: &R) -> Result<usize> {
    let mut removed = 0;
    for found in runtime.containers(OWNER_LABEL).await? {
        // Held while the container goes, so that two who sweep do not meet.
        let Some((path, _lock)) = dead_owner(&found) else { continue };
        runtime.remove(&found.id).await?;
        _ = fs::remove_file(path);
        removed += 1;
    }
    Ok(removed)
}

/// The file of an owner who is dead, and the lock on it.
fn dead_owner(found: &Found) -> Option<(&Path, FileLock)> {
    let path = Path::new(found.labels.get(OWNER_LABEL)?);
    // Taking the lock would make a missing file. A label is hostile: only names that we give are opened.
    let name = path.file_name()?.to_str()?;
    let is_ours = path.is_absolute() && name.starts_with("silo-run-") && name.ends_with(".lock");
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    if is_ours && is_file { Some((path, FileLock::take(path).ok()??)) } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::runtime::State;
    use super::*;

    #[test]
    fn only_the_dead_leave_something_behind() {
        let found = |label: &str| Found {
            id: String::new(),
            labels: BTreeMap::from([(OWNER_LABEL.to_owned(), label.to_owned())]),
            state: State::Running,
            created: None,
        };
        let owner = Owner::new().expect("a file can be made");
        let label = owner.label();
        assert!(dead_owner(&found(&label)).is_none(), "it lives");
        drop(owner);
        assert!(dead_owner(&found(&label)).is_some(), "as after a kill");
        fs::remove_file(&label).expect("it is there");
        assert!(dead_owner(&found(&label)).is_none() && !Path::new(&label).exists(), "its file is gone");
        assert!(dead_owner(&found("/etc/passwd")).is_none());
    }
}
