//! The index of a data directory: the generation that serves, and the next one while it is made.
//!
//! Each generation has a folder of its own, named by a number. One that was committed to, is whole and has our fields
//! serves, even if its words are made by older rules, until the next one is complete. What is in the way of a search
//! meanwhile is said ([`Error::Building`]).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use super::columns::Columns;
use super::facets::Facet;
use super::find::find;
use super::generation::{self, Committed, Generation, folder_error};
use super::synonyms::Synonyms;
use super::{Building, Error, Found, Request, Result, schema};
use crate::catalog::SearchDoc;
use crate::lock::FileLock;

/// Our folder inside the one that is given; nothing else there is ever touched, but for the lock beside it.
const FOLDER: &str = "silo-search";
const LOCK: &str = "silo-search.lock";

/// The index in a folder. Cheap to clone; one process holds it at a time.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where generations are; `None` in memory.
    folder: Option<PathBuf>,
    serving: RwLock<Option<Arc<Generation>>>,
    /// The one that serves was found damaged, or is gone from the disk.
    is_broken: AtomicBool,
    building: Mutex<Option<Progress>>,
    synonyms: RwLock<Arc<Synonyms>>,
    /// Held as long as the index is open, so that no other process wipes or writes it.
    _lock: Option<FileLock>,
}

/// How far the next generation is.
#[derive(Clone, Copy)]
struct Progress {
    started: Instant,
    done: u64,
    all: u64,
}

/// What is in a folder, for whoever looks from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The newest generation that was committed to, if its version is ours, and how many images it holds.
    pub current: Option<(i64, u64)>,
    /// There is one of another version of the program.
    pub has_other: bool,
    /// All files are as they were written; `None` where they were not read, because a service writes there.
    pub is_sound: Option<bool>,
}

/// What the index knows of an image without the database. Versions as far as numbers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
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

impl Index {
    /// Opens the index in `dir`. Where there is none that can serve, it serves nothing until one is built. Blocking: it
    /// reads the whole index once.
    ///
    /// # Errors
    /// When another process has it open, or the folder cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        let folder = dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|error| folder_error(dir, &error))?;
        let lock = lock(dir)?;
        let serving = generations(&folder)?.iter().rev().find_map(|number| Generation::open(&folder.join(number)));
        Ok(Self::over(Some(folder), serving, Some(lock)))
    }

    /// An index in memory, empty, for tests and for commands that never search.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::over(None, Some(Generation::in_memory()?), None))
    }

    fn over(folder: Option<PathBuf>, serving: Option<Generation>, lock: Option<FileLock>) -> Self {
        let serving = RwLock::new(serving.map(Arc::new));
        let inner = Inner {
            folder,
            serving,
            is_broken: AtomicBool::default(),
            building: Mutex::default(),
            synonyms: RwLock::default(),
            _lock: lock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What searches look into.
    ///
    /// # Errors
    /// [`Error::Building`] while there is nothing.
    pub fn serving(&self) -> Result<Arc<Generation>> {
        let serving = self.inner.serving.read().unwrap_or_else(PoisonError::into_inner).clone();
        serving.ok_or_else(|| Error::Building(self.building()))
    }

    /// The catalogue revision that searches see; 0 while they see nothing.
    pub fn revision(&self) -> i64 {
        self.serving().map_or(0, |serving| serving.revision())
    }

    /// Whether there are so few images that a search need not be handed to another thread.
    pub fn is_small(&self) -> bool {
        const SMALL: u64 = 20_000;
        self.serving().is_ok_and(|serving| serving.count() <= SMALL)
    }

    /// Whether it has to be made anew: it is missing, damaged, or its words are made by older rules.
    pub fn is_due(&self) -> bool {
        self.is_broken() || self.serving().map_or(true, |serving| serving.is_stale())
    }

    /// Whether what serves cannot be written any more.
    pub fn is_broken(&self) -> bool {
        self.inner.is_broken.load(Ordering::Acquire)
    }

    /// Looks at the files of what serves: at all of them, or only whether they are there. Blocking.
    pub fn check(&self, whole: bool) {
        if let Ok(serving) = self.serving()
            && !(if whole { serving.is_sound() } else { serving.exists() })
        {
            self.inner.is_broken.store(true, Ordering::Release);
        }
    }

    /// Serves nothing until one is built: what there is belongs to another catalogue.
    pub fn leave(&self) {
        *self.inner.serving.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Begins the next generation, for so many images. Blocking.
    pub fn begin(&self, images: u64) -> Result<Arc<Generation>> {
        *self.progress() = Some(Progress { started: Instant::now(), done: 0, all: images });
        let Some(folder) = &self.inner.folder else { return Generation::in_memory().map(Arc::new) };
        fs::create_dir_all(folder).map_err(|error| folder_error(folder, &error))?;
        let known = generations(folder)?;
        let serving = self.serving().ok();
        let served = serving.as_ref().and_then(|serving| serving.folder());
        for path in known.iter().map(|number| folder.join(number)) {
            // Those of another version stay until the new one is ready: that program may come back before.
            if Some(path.as_path()) != served && generation::committed(&path).is_none_or(|(last, _)| is_ours(last)) {
                fs::remove_dir_all(&path).map_err(|error| folder_error(&path, &error))?;
            }
        }
        // Not the number of one that serves without its folder.
        let used = known.iter().map(PathBuf::from).chain(served.map(Path::to_owned)).filter_map(|path| number(&path));
        let next = used.max().unwrap_or_default() + 1;
        Generation::create(&folder.join(next.to_string())).map(Arc::new)
    }

    /// So many images more are in the next generation.
    pub fn progressed(&self, images: u64) {
        if let Some(progress) = self.progress().as_mut() {
            progress.done += images;
        }
    }

    /// From now on searches look into this one, which was committed to; all others are removed. Blocking.
    pub fn serve(&self, generation: &Arc<Generation>) -> Result<()> {
        *self.inner.serving.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(generation));
        self.inner.is_broken.store(false, Ordering::Release);
        *self.progress() = None;
        let Some(folder) = &self.inner.folder else { return Ok(()) };
        for entry in fs::read_dir(folder).map_err(|error| folder_error(folder, &error))?.flatten() {
            let path = entry.path();
            if Some(path.as_path()) != generation.folder() {
                // Searches that are under way have the files open. What older programs left beside goes too.
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|error| folder_error(&path, &error))?;
            }
        }
        Ok(())
    }

    /// As [`Generation::ids`] of what serves.
    pub fn ids(&self) -> Result<Vec<i64>> {
        self.serving()?.ids()
    }

    /// As [`Generation::write`] to what serves.
    pub fn write(&self, docs: &[SearchDoc], gone: &[i64]) -> Result<()> {
        self.serving()?.write(docs, gone)
    }

    /// As [`Generation::commit`] of what serves.
    pub fn commit(&self, revision: i64) -> Result<()> {
        self.serving()?.commit(revision)
    }

    /// From now on these words mean the same. Documents need not be indexed again.
    pub fn understand(&self, synonyms: Synonyms) {
        *self.inner.synonyms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(synonyms);
    }

    /// Searches. Blocking, but short.
    ///
    /// Documents must have all words of an alternative of the query. Where few have, those with nearly such words are
    /// found too; where none has, those with a part of them. The query `+` has no words and finds nothing.
    ///
    /// # Errors
    /// A query that is too long, or takes too long; an index that is being built.
    pub fn find(&self, request: &Request) -> Result<Found> {
        let synonyms = Arc::clone(&self.inner.synonyms.read().unwrap_or_else(PoisonError::into_inner));
        let serving = self.serving()?;
        // The library panics on some torn files, where it should say that they are torn.
        let found = catch_unwind(AssertUnwindSafe(|| find(&serving, &synonyms, request)));
        found.unwrap_or_else(|_| Err(Error::Index("a search ended in a panic".to_owned())))
    }

    /// What it knows of images by itself; those that it does not have are left out. Looks at every image.
    pub fn outlines(&self, images: &[i64]) -> Result<HashMap<i64, Outline>> {
        let view = self.serving()?.view();
        let (wanted, known) = (images.iter().collect::<HashSet<_>>(), view.known());
        let all = view.columns.iter().flat_map(|columns| (0..columns.image.len()).map(move |at| (columns, at)));
        let of = |(columns, at): (&Arc<Columns>, usize)| {
            let (job_id, job_name) = known.job(columns.job[at]);
            let [job, package] = columns.versions[at];
            let value = |facet| {
                let set = known.sets.get_index(columns.set[at] as usize);
                let values = set.into_iter().flatten().filter_map(|number| known.values.get_index(*number as usize));
                values.into_iter().find(|(of, _)| *of == facet).map_or_else(String::new, |(_, value)| value.to_string())
            };
            let outline = Outline {
                job_id,
                job_name: job_name.to_owned(),
                job_version: schema::version_text(job),
                package_version: schema::version_text(package),
                registry: value(Facet::Registry),
                org: value(Facet::Org),
                maint_org: value(Facet::Organization),
                valid: value(Facet::Valid) == "true",
                is_verified: value(Facet::Verified) == "true",
                is_secondary: columns.is_secondary[at],
            };
            (columns.image[at], outline)
        };
        Ok(all.filter(|(columns, at)| wanted.contains(&columns.image[*at])).map(of).collect())
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Option<Progress>> {
        self.inner.building.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn building(&self) -> Building {
        let Some(Progress { started, done, all }) = *self.progress() else { return Building::default() };
        let left = started.elapsed().as_secs_f64() / done.max(1) as f64 * all.saturating_sub(done) as f64;
        Building { done, all, seconds: (done > 0).then_some(left as u64) }
    }
}

/// Looks into the folder that [`Index::open`] takes, without holding it. Reads all files where no service writes.
/// Blocking.
pub fn survey(dir: &Path) -> Result<Survey> {
    let folder = dir.join(FOLDER);
    let mut survey = Survey { current: None, has_other: false, is_sound: None };
    if !folder.exists() {
        return Ok(survey);
    }
    for number in generations(&folder)? {
        match generation::committed(&folder.join(&number)) {
            Some((last, count)) if is_ours(last) => {
                survey.current = Some((last.revision, count));
                let is_free = FileLock::take(&dir.join(LOCK)).is_ok_and(|lock| lock.is_some());
                survey.is_sound = is_free.then(|| Generation::open(&folder.join(&number)).is_some());
            }
            Some(_) => survey.has_other = true,
            None => {}
        }
    }
    Ok(survey)
}

fn is_ours(committed: Committed) -> bool {
    committed.version == schema::VERSION
}

/// Names of the generations' folders, oldest first.
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
        Error::Index(format!("another process uses {dir}: stop it, or give this one a data directory of its own"))
    })
}
