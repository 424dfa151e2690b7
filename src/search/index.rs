//! The index in a folder: opening, writing, searching.

use std::fs;
use std::io::ErrorKind;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::directory::MmapDirectory;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::AllQuery;
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Term};

use super::collect::Page;
use super::schema::{self, ANALYZER, Fields, IMAGE_ID};
use super::{Error, Hit, Hits, Kind, Result, query};
use crate::catalog::SearchDoc;
use crate::lock::FileLock;

/// Our folder inside the one that is given; nothing else there is ever touched, but for the lock beside it.
const FOLDER: &str = "silo-search";
const LOCK: &str = "silo-search.lock";

/// How many bytes of documents are gathered in memory before they are written out.
const WRITER_BYTES: usize = 50_000_000;

/// The index in a folder. Cheap to clone; one process holds it at a time.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

struct Inner {
    index: tantivy::Index,
    fields: Fields,
    reader: IndexReader,
    /// Made when first needed, and after every failure: a writer that failed once may never work again.
    writer: Mutex<Option<IndexWriter>>,
    revision: AtomicI64,
    /// Held as long as the index is open, so that no other process wipes or writes it.
    _lock: Option<FileLock>,
}

impl Index {
    /// Opens the index in `dir`. A missing, corrupt or older one is made anew, empty, at revision 0. Blocking.
    ///
    /// # Errors
    /// When another process has it open, or the folder cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| folder_error(dir, &error))?;
        let lock = lock(dir)?;
        let folder = dir.join(FOLDER);
        // The library panics on some torn files, where it should say that they are torn.
        if let Ok(Some((index, revision))) = catch_unwind(|| open_sound(&folder)) {
            return Self::over(index, revision, Some(lock)).map_err(index_error);
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(folder_error(&folder, &error)),
            _ => fs::create_dir_all(&folder).map_err(|error| folder_error(&folder, &error))?,
        }
        let (schema, _) = Fields::schema();
        let index = tantivy::Index::create_in_dir(&folder, schema).map_err(index_error)?;
        Self::over(index, 0, Some(lock)).map_err(index_error)
    }

    /// An index in memory, for tests.
    pub fn in_memory() -> Result<Self> {
        let (schema, _) = Fields::schema();
        Self::over(tantivy::Index::create_in_ram(schema), 0, None).map_err(index_error)
    }

    fn over(index: tantivy::Index, revision: i64, lock: Option<FileLock>) -> tantivy::Result<Self> {
        let (_, fields) = Fields::schema();
        index.tokenizers().register(ANALYZER, schema::analyzer());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let inner =
            Inner { index, fields, reader, writer: Mutex::new(None), revision: AtomicI64::new(revision), _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The catalogue revision that searches see.
    pub fn revision(&self) -> i64 {
        self.inner.revision.load(Ordering::Acquire)
    }

    /// Ids of all indexed images, ascending.
    pub fn ids(&self) -> Result<Vec<i64>> {
        let mut ids = Vec::new();
        for segment in self.inner.reader.searcher().segment_readers() {
            let column = segment.fast_fields().column_first_or_default::<i64>(IMAGE_ID).map_err(index_error)?;
            ids.extend(segment.doc_ids_alive().map(|doc| column.get_val(doc)));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Replaces documents by image id, and drops those of `gone`. Visible after `commit`. Blocking.
    ///
    /// # Errors
    /// Everything since the last commit is lost then, and has to be written again; so it is with the other writes.
    pub fn write(&self, docs: &[SearchDoc], gone: &[i64]) -> Result<()> {
        let fields = &self.inner.fields;
        self.with_writer(|writer| {
            let forget = |id| writer.delete_term(Term::from_field_i64(fields.image_id, id));
            for &id in gone {
                forget(id);
            }
            for doc in docs {
                forget(doc.image_id);
                writer.add_document(fields.document(doc))?;
            }
            Ok(())
        })
    }

    /// Makes what was written visible as `revision`, durably. Blocking.
    pub fn commit(&self, revision: i64) -> Result<()> {
        self.with_writer(|writer| {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&payload(revision));
            commit.commit()?;
            self.inner.reader.reload()?;
            self.inner.revision.store(revision, Ordering::Release);
            Ok(())
        })
    }

    /// Drops everything. Visible after `commit`.
    pub fn clear(&self) -> Result<()> {
        // Not `delete_all_documents`: that one would leave what was written since the last commit.
        self.with_writer(|writer| writer.delete_query(Box::new(AllQuery)).map(drop))
    }

    /// Searches. `after` is the last hit of the page before. Blocking, but short.
    ///
    /// Documents must have all words of an alternative of the query; where none has, any word will do. The query `+`
    /// has no words: it is the caller's to list everything.
    pub fn search(&self, text: &str, kind: Kind, limit: usize, after: Option<Hit>) -> Result<Hits> {
        let Some(query) = query::parse(text)? else { return Ok(Hits::default()) };
        let fields = &self.inner.fields;
        let page = Page { kind, limit, after };
        let snapshot = self.inner.reader.searcher();
        let hits = snapshot.search(&fields.all_words(&query), &page).map_err(index_error)?;
        if hits.total > 0 {
            return Ok(hits);
        }
        snapshot.search(&fields.any_word(&query), &page).map_err(index_error)
    }

    fn with_writer(&self, work: impl FnOnce(&mut IndexWriter) -> tantivy::Result<()>) -> Result<()> {
        let mut slot = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => new_writer(&self.inner.index).map_err(index_error)?,
        };
        work(&mut writer).map_err(index_error)?;
        *slot = Some(writer);
        Ok(())
    }
}

/// One thread for documents and one for merges: a catalogue changes little, and memory is dearer than time.
fn new_writer(index: &tantivy::Index) -> tantivy::Result<IndexWriter> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(WRITER_BYTES)
        .build();
    index.writer_with_options(options)
}

/// An index that is whole and of our schema, with its revision.
fn open_sound(folder: &Path) -> Option<(tantivy::Index, i64)> {
    let index = tantivy::Index::open(MmapDirectory::open(folder).ok()?).ok()?;
    let revision = match index.load_metas().ok()?.payload {
        Some(payload) => revision_of(&payload)?,
        // Made, but never committed to.
        None => 0,
    };
    let (schema, _) = Fields::schema();
    let sound = index.schema() == schema && index.validate_checksum().ok()?.is_empty() && index.reader().is_ok();
    sound.then_some((index, revision))
}

/// What a commit remembers: the schema's version and the catalogue's revision.
fn payload(revision: i64) -> String {
    format!("{} {revision}", schema::VERSION)
}

fn revision_of(payload: &str) -> Option<i64> {
    let (version, revision) = payload.split_once(' ')?;
    (version == schema::VERSION.to_string()).then(|| revision.parse().ok())?
}

fn lock(dir: &Path) -> Result<FileLock> {
    let path = dir.join(LOCK);
    let lock = FileLock::take(&path).map_err(|error| folder_error(&path, &error))?;
    lock.ok_or_else(|| {
        let dir = dir.display();
        Error::Index(format!("another process uses {dir}: stop it, or give this one a data directory of its own"))
    })
}

fn folder_error(path: &Path, error: &std::io::Error) -> Error {
    Error::Index(format!("cannot use {}: {error}: check that it is a folder this user may write", path.display()))
}

fn index_error(error: tantivy::TantivyError) -> Error {
    Error::Index(error.to_string())
}
