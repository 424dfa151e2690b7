//! A lock on a file, so that two processes never write into one folder. It is the kernel's: it goes with the process,
//! however that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock on a file, which is made where it is missing; `None` while somebody else holds it.
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
        // Closing the file is not enough: a child process that is just being started has a copy of it for a moment.
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
