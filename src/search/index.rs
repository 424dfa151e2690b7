//! The search index of a data directory: the generation that serves searches, and the next one while it is built.
//!
//! Each generation has a directory of its own, named by a number. A generation that is committed, undamaged and has the
//! current fields serves searches until the next one is complete, even if it was written by older tokenization rules.
//! While no generation serves, searches fail with [`Error::Building`].

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::columns::SegmentColumns;
use super::execution::find;
use super::facets::SearchFacet;
use super::generation::{self, CommitPayload, IndexGeneration};
use super::synonyms::SynonymTable;
use super::{Error, IndexBuildStatus, Result, SearchRequest, SearchResponse, folder_error, schema};
use crate::catalog::{CatalogueView, SearchDoc};
use crate::lock::FileLock;

/// Our directory inside the given one. Nothing else there is touched, except the lock file beside it.
const FOLDER: &str = "silo-search";
const LOCK: &str = "silo-search.lock";

/// Handle of the index in a directory. Cheap to clone; only one process can open an index at a time.
#[derive(Clone)]
pub struct SearchIndex {
    inner: Arc<SearchIndexInner>,
}

struct SearchIndexInner {
    /// Directory of the generations; `None` for an index in memory.
    folder: Option<PathBuf>,
    serving: RwLock<Option<Arc<IndexGeneration>>>,
    /// The serving generation was found damaged or deleted.
    is_broken: AtomicBool,
    building: Mutex<Option<IndexBuild>>,
    synonyms: RwLock<Arc<SynonymTable>>,
    /// Held while the index is open, so that no other process writes or deletes it.
    _lock: Option<FileLock>,
}

/// Progress of building the next generation.
#[derive(Clone, Copy)]
struct IndexBuild {
    started: Instant,
    done: u64,
    all: u64,
}

/// State of an index directory, inspected without opening the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSurvey {
    /// Revision and number of images of the newest committed generation with the current schema version.
    pub current: Option<(i64, u64)>,
    /// There is a generation of another version of the program.
    pub has_other: bool,
    /// The checksums of all files are correct; `None` if not checked, because a service has the index open.
    pub is_sound: Option<bool>,
}

/// What the index stores of an image, for use without the database. Versions are reduced to their three numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedImage {
    pub job_id: i64,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub registry: String,
    pub org: String,
    pub maint_org: String,
    pub valid: bool,
    pub is_verified: bool,
    pub is_secondary: bool,
}

impl SearchIndex {
    /// Opens the index in `dir`. If no generation can serve, searches fail until one is built. Blocking: reads the
    /// whole index once.
    ///
    /// # Errors
    /// Another process has the index open, or the directory is not writable.
    pub fn open(dir: &Path) -> Result<Self> {
        let folder = dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|error| folder_error(dir, &error))?;
        let lock = lock(dir)?;
        let serving = generations(&folder)?.iter().rev().find_map(|number| IndexGeneration::open(&folder.join(number)));
        Ok(Self::over(Some(folder), serving, Some(lock)))
    }

    /// An empty index in memory, for tests and for commands that never search.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::over(None, Some(IndexGeneration::in_memory()?), None))
    }

    fn over(folder: Option<PathBuf>, serving: Option<IndexGeneration>, lock: Option<FileLock>) -> Self {
        let serving = RwLock::new(serving.map(Arc::new));
        let inner = SearchIndexInner {
            folder,
            serving,
            is_broken: AtomicBool::default(),
            building: Mutex::default(),
            synonyms: RwLock::default(),
            _lock: lock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The generation that serves searches.
    ///
    /// # Errors
    /// [`Error::Building`] if there is none.
    pub fn serving(&self) -> Result<Arc<IndexGeneration>> {
        let serving = self.inner.serving.read().clone();
        serving.ok_or_else(|| Error::Building(self.building()))
    }

    /// Revision of the catalogue that is visible to searches; 0 if no generation serves.
    pub fn revision(&self) -> i64 {
        self.serving().map_or(0, |serving| serving.revision())
    }

    /// Whether there are so few images that searches need not run on a blocking thread.
    pub fn is_small(&self) -> bool {
        const SMALL: u64 = 20_000;
        self.serving().is_ok_and(|serving| serving.count() <= SMALL)
    }

    /// Whether the index must be rebuilt: it is missing, damaged, or was written by older tokenization rules.
    pub fn is_due(&self) -> bool {
        self.is_broken() || self.serving().map_or(true, |serving| serving.is_stale())
    }

    /// Whether the serving generation was found damaged or deleted, and can no longer be written.
    pub fn is_broken(&self) -> bool {
        self.inner.is_broken.load(Ordering::Acquire)
    }

    /// Checks the files of the serving generation: their checksums (`whole`), or only existence and length. Blocking.
    pub fn check(&self, whole: bool) {
        if let Ok(serving) = self.serving()
            && !(if whole { serving.is_sound() } else { serving.exists() })
        {
            self.inner.is_broken.store(true, Ordering::Release);
        }
    }

    /// Stops serving until a new generation is built: the current one belongs to another catalogue.
    pub fn leave(&self) {
        *self.inner.serving.write() = None;
    }

    /// Starts the next generation, for this number of images. Blocking.
    pub fn begin(&self, images: u64) -> Result<Arc<IndexGeneration>> {
        *self.progress() = Some(IndexBuild { started: Instant::now(), done: 0, all: images });
        let Some(folder) = &self.inner.folder else { return IndexGeneration::in_memory().map(Arc::new) };
        fs::create_dir_all(folder).map_err(|error| folder_error(folder, &error))?;
        let known = generations(folder)?;
        let serving = self.serving().ok();
        let served = serving.as_ref().and_then(|serving| serving.folder());
        for path in known.iter().map(|number| folder.join(number)) {
            // Generations of another version stay until the new one is ready: that program may be started again before.
            if Some(path.as_path()) != served && generation::committed(&path).is_none_or(|(last, _)| is_ours(last)) {
                fs::remove_dir_all(&path).map_err(|error| folder_error(&path, &error))?;
            }
        }
        // The number of a generation that serves although its directory was deleted is not reused.
        let used = known.iter().map(PathBuf::from).chain(served.map(Path::to_owned)).filter_map(|path| number(&path));
        let next = used.max().unwrap_or_default() + 1;
        IndexGeneration::create(&folder.join(next.to_string())).map(Arc::new)
    }

    /// Adds to the number of images in the next generation.
    pub fn add_progress(&self, images: u64) {
        if let Some(progress) = self.progress().as_mut() {
            progress.done += images;
        }
    }

    /// Serves searches from this committed generation, and deletes all others. Blocking.
    pub fn serve(&self, generation: &Arc<IndexGeneration>) -> Result<()> {
        *self.inner.serving.write() = Some(Arc::clone(generation));
        self.inner.is_broken.store(false, Ordering::Release);
        *self.progress() = None;
        let Some(folder) = &self.inner.folder else { return Ok(()) };
        for entry in fs::read_dir(folder).map_err(|error| folder_error(folder, &error))?.flatten() {
            let path = entry.path();
            if Some(path.as_path()) != generation.folder() {
                // Running searches keep their files open. Files left by older versions of the program are deleted too.
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|error| folder_error(&path, &error))?;
            }
        }
        Ok(())
    }

    /// As [`IndexGeneration::ids`], of the serving generation.
    pub fn ids(&self) -> Result<Vec<i64>> {
        self.serving()?.ids()
    }

    /// As [`IndexGeneration::write`], to the serving generation.
    pub fn write(&self, docs: &[SearchDoc], gone: &[i64]) -> Result<()> {
        self.serving()?.write(docs, gone)
    }

    /// As [`IndexGeneration::commit`], of the serving generation.
    pub fn commit(&self, revision: i64) -> Result<()> {
        self.serving()?.commit(revision)
    }

    /// Replaces the synonyms. Documents need not be indexed again.
    pub fn set_synonyms(&self, synonyms: SynonymTable) {
        *self.inner.synonyms.write() = Arc::new(synonyms);
    }

    /// Runs a search. Blocking, but short.
    ///
    /// Documents must match all words of an alternative of the query. If few documents do, similarly spelled words
    /// match as well; if none does, documents with some of the words match. The query `+` has no words and finds
    /// nothing.
    ///
    /// # Errors
    /// The query is too long or takes too long, or the index is being built.
    pub fn find(&self, request: &SearchRequest, reader: &CatalogueView) -> Result<SearchResponse> {
        let synonyms = Arc::clone(&self.inner.synonyms.read());
        let serving = self.serving()?;
        // tantivy panics on some truncated files instead of returning an error.
        let found = catch_unwind(AssertUnwindSafe(|| find(&serving, &synonyms, request, reader)));
        found.unwrap_or_else(|_| Err(Error::Index("a search ended in a panic".to_owned())))
    }

    /// What the index stores of these images; images that are not indexed are omitted. Scans all images.
    pub fn outlines(&self, images: &[i64]) -> Result<HashMap<i64, IndexedImage>> {
        let view = self.serving()?.view();
        let (wanted, known) = (images.iter().collect::<HashSet<_>>(), view.known());
        let all = view.columns.iter().flat_map(|columns| (0..columns.image.len()).map(move |at| (columns, at)));
        let of = |(columns, at): (&Arc<SegmentColumns>, usize)| {
            let (job_id, job_name) = known.job(columns.job[at]);
            let [job, package] = columns.versions[at];
            let value = |facet| {
                let set = known.sets.get_index(columns.set[at] as usize);
                let values = set.into_iter().flatten().filter_map(|number| known.values.get_index(*number as usize));
                values.into_iter().find(|(of, _)| *of == facet).map_or_else(String::new, |(_, value)| value.to_string())
            };
            let outline = IndexedImage {
                job_id,
                job_name: job_name.to_owned(),
                job_version: schema::version_text(job),
                package_version: schema::version_text(package),
                registry: value(SearchFacet::Registry),
                org: value(SearchFacet::Org),
                maint_org: value(SearchFacet::Organization),
                valid: value(SearchFacet::Valid) == "true",
                is_verified: value(SearchFacet::Verified) == "true",
                is_secondary: columns.is_secondary[at],
            };
            (columns.image[at], outline)
        };
        Ok(all.filter(|(columns, at)| wanted.contains(&columns.image[*at])).map(of).collect())
    }

    fn progress(&self) -> parking_lot::MutexGuard<'_, Option<IndexBuild>> {
        self.inner.building.lock()
    }

    fn building(&self) -> IndexBuildStatus {
        let Some(IndexBuild { started, done, all }) = *self.progress() else { return IndexBuildStatus::default() };
        let left = started.elapsed().as_secs_f64() / done.max(1) as f64 * all.saturating_sub(done) as f64;
        IndexBuildStatus { done, all, seconds: (done > 0).then_some(left as u64) }
    }
}

/// Inspects the directory that [`SearchIndex::open`] takes, without keeping its lock. Reads all files, unless a service has
/// the index open. Blocking.
pub fn survey(dir: &Path) -> Result<IndexSurvey> {
    let folder = dir.join(FOLDER);
    let mut survey = IndexSurvey { current: None, has_other: false, is_sound: None };
    if !folder.exists() {
        return Ok(survey);
    }
    for number in generations(&folder)? {
        match generation::committed(&folder.join(&number)) {
            Some((last, count)) if is_ours(last) => {
                survey.current = Some((last.revision, count));
                let is_free = FileLock::take(&dir.join(LOCK)).is_ok_and(|lock| lock.is_some());
                survey.is_sound = is_free.then(|| IndexGeneration::open(&folder.join(&number)).is_some());
            }
            Some(_) => survey.has_other = true,
            None => {}
        }
    }
    Ok(survey)
}

fn is_ours(committed: CommitPayload) -> bool {
    committed.version == schema::VERSION
}

/// Names of the generations' directories, oldest first.
fn generations(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| folder_error(folder, &error))?;
    let mut numbers: Vec<u64> = entries.flatten().filter_map(|entry| number(&entry.path())).collect();
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| number.to_string()).collect())
}

fn number(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn lock(dir: &Path) -> Result<FileLock> {
    let path = dir.join(LOCK);
    let lock = FileLock::take(&path).map_err(|error| folder_error(&path, &error))?;
    lock.ok_or_else(|| {
        let dir = dir.display();
        Error::Index(format!("another process uses {dir}: stop it, or give this one its own data directory"))
    })
}
