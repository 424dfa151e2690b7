//! A lock on a file, so that two processes never write into the same folder. The kernel holds it and releases it when
//! the process ends, in whatever way.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A lock on a file, held until dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks a file, creating it if it does not exist; `None` if another process holds the lock.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(why)) => Err(why),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is just being started briefly has a copy of its
        // descriptor.
        _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let lock = FileLock::take(&path).expect("it can be opened").expect("nobody has it");
        let copy = lock.0.try_clone().expect("as a child process has it");
        assert!(FileLock::take(&path).expect("it can be opened").is_none());
        drop(lock);
        assert!(FileLock::take(&path).expect("it can be opened").is_some(), "a copy of the file holds nothing");
        drop(copy);
        assert!(FileLock::take(&folder.path().join("gone/lock")).is_err());
    }
}
