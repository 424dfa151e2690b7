//! The directory of an index, whose files are read instead of mapped: truncating a mapped file kills the process
//! (SIGBUS), while reading a truncated file returns an error.
//!
//! Files that tantivy needs whole for every search (term dictionaries, field norms, deletion bitsets) are kept in
//! memory, and so are small files of postings; everything else is read on demand, usually from the page cache.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};

/// Extensions of the files that are kept in memory.
const KEPT: [&str; 3] = ["term", "fieldnorm", "del"];
/// Extensions of the files of postings and positions: a search reads dozens of short ranges of them.
const POSTINGS: [&str; 2] = ["idx", "pos"];
/// Maximum length of a file of postings that is kept in memory, in bytes. A segment of 10,000 images has about 1 MB.
const MOST_KEPT_POSTINGS: usize = 8 << 20;

/// The directory of an index. Clones share their open files.
#[derive(Clone)]
pub(super) struct IndexFolder {
    /// Writes files, and reads those that are not part of a segment, without mapping them.
    inner: MmapDirectory,
    root: Arc<Path>,
    open: Arc<Mutex<HashMap<PathBuf, Weak<OpenFile>>>>,
}

/// An open file. It stays readable after it was deleted.
struct OpenFile {
    path: PathBuf,
    file: File,
    length: usize,
    kept: Option<OwnedBytes>,
}

impl IndexFolder {
    pub(super) fn open(root: &Path) -> Result<Self, OpenDirectoryError> {
        Ok(Self { inner: MmapDirectory::open(root)?, root: root.into(), open: Arc::default() })
    }

    /// Whether every open file still has its original length. Does not read any content.
    pub(super) fn is_whole(&self) -> bool {
        let open: Vec<Arc<OpenFile>> = self.files().values().filter_map(Weak::upgrade).collect();
        open.iter().all(|open| open.file.metadata().is_ok_and(|about| about.len() == open.length as u64))
    }

    fn files(&self) -> parking_lot::MutexGuard<'_, HashMap<PathBuf, Weak<OpenFile>>> {
        self.open.lock()
    }
}

impl OpenFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut open = Self { path, file, length, kept: None };
        let is_one_of = |kinds: &[&str]| open.path.extension().is_some_and(|kind| kinds.iter().any(|of| kind == *of));
        if is_one_of(&KEPT) || length <= MOST_KEPT_POSTINGS && is_one_of(&POSTINGS) {
            open.kept = Some(open.read(0..length)?);
        }
        Ok(open)
    }

    fn read(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, range.start as u64).map_err(|why| {
            io::Error::new(why.kind(), format!("{} cannot be read from {range:?}: {why}", self.path.display()))
        })?;
        Ok(OwnedBytes::new(bytes))
    }
}

impl FileHandle for OpenFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start > range.end || range.end > self.length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} has no bytes {range:?}", self.path.display()),
            ));
        }
        match &self.kept {
            Some(kept) => Ok(kept.slice(range)),
            None => self.read(range),
        }
    }
}

impl HasLen for OpenFile {
    fn len(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({}, {} bytes)", self.path.display(), self.length)
    }
}

impl fmt::Debug for IndexFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexFolder({})", self.root.display())
    }
}

impl Directory for IndexFolder {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let mut files = self.files();
        files.retain(|_, open| open.strong_count() > 0);
        if let Some(open) = files.get(path).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let open = OpenFile::open(self.root.join(path)).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
            _ => OpenReadError::wrap_io_error(why, path.to_owned()),
        })?;
        let open = Arc::new(open);
        files.insert(path.to_owned(), Arc::downgrade(&open));
        Ok(open)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.files().remove(path);
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.files().remove(path);
        self.inner.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
