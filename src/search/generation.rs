//! One generation of the index, in a directory of its own: opening, writing, committing, searching. Knows nothing of
//! other generations.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::{Mutex, RwLock};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::{Index as Tantivy, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, Term};

use super::columns::IndexView;
use super::index_folder::IndexFolder;
use super::schema::{self, ANALYZER, IMAGE_ID, IndexFields};
use super::tokenizer::{self, CachedTokenizer};
use super::{Result, folder_error, index_error};
use crate::catalog::SearchDoc;

/// Memory for documents before they are written as a segment, in bytes.
const WRITER_BYTES: usize = 50_000_000;
/// tantivy's file of index metadata.
const META: &str = "meta.json";

/// An index. Usable only once it was committed; an uncommitted one cannot be continued after a restart.
pub struct IndexGeneration {
    /// `None` for an index in memory.
    folder: Option<PathBuf>,
    files: Option<IndexFolder>,
    index: Tantivy,
    pub(super) fields: IndexFields,
    reader: IndexReader,
    view: RwLock<Arc<IndexView>>,
    /// Created on first use, and anew after every failure: a writer that failed once may never work again.
    writer: Mutex<Option<GenerationWriter>>,
    revision: AtomicI64,
    is_stale: bool,
    /// Still being built from scratch: segments are merged only at the end.
    is_new: AtomicBool,
}

struct GenerationWriter {
    tantivy: IndexWriter,
    cutter: CachedTokenizer,
}

/// The payload of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitPayload {
    /// [`schema::VERSION`] of the program that wrote it.
    pub version: u32,
    /// Revision of the catalogue that the commit contains.
    pub revision: i64,
}

impl IndexGeneration {
    /// Opens an index that is committed, undamaged and has the current fields; `None` for any other. Reads all files
    /// once.
    pub(super) fn open(folder: &Path) -> Option<Self> {
        // tantivy panics on some truncated files instead of returning an error.
        catch_unwind(|| open_sound(folder)).ok().flatten()
    }

    pub(super) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|why| folder_error(folder, &why))?;
        let (schema, _) = IndexFields::schema();
        let files = IndexFolder::open(folder).map_err(|why| index_error(why.into()))?;
        let index = Tantivy::create(files.clone(), schema, IndexSettings::default()).map_err(index_error)?;
        let mut new = Self::over(index, 0, Some((folder, files)), false).map_err(index_error)?;
        new.is_new = AtomicBool::new(true);
        Ok(new)
    }

    pub(super) fn in_memory() -> Result<Self> {
        let (schema, _) = IndexFields::schema();
        Self::over(Tantivy::create_in_ram(schema), 0, None, false).map_err(index_error)
    }

    fn over(
        index: Tantivy,
        revision: i64,
        place: Option<(&Path, IndexFolder)>,
        is_stale: bool,
    ) -> tantivy::Result<Self> {
        let (folder, files) = place.map(|(folder, files)| (folder.to_owned(), files)).unzip();
        let (_, fields) = IndexFields::schema();
        index.tokenizers().register(ANALYZER, tokenizer::analyzer());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let view = RwLock::new(Arc::new(IndexView::new(reader.searcher(), None)?));
        let revision = AtomicI64::new(revision);
        Ok(Self {
            folder,
            files,
            index,
            fields,
            reader,
            view,
            writer: Mutex::default(),
            revision,
            is_stale,
            is_new: AtomicBool::default(),
        })
    }

    /// Revision of the catalogue that is visible to searches.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Whether it was written by other tokenization rules than the current ones, and should be rebuilt.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Number of images that are visible to searches.
    pub fn count(&self) -> u64 {
        self.searcher().num_docs()
    }

    /// Ids of all indexed images, ascending.
    pub fn ids(&self) -> Result<Vec<i64>> {
        let mut ids = Vec::new();
        for segment in self.searcher().segment_readers() {
            let column = segment.fast_fields().column_first_or_default::<i64>(IMAGE_ID).map_err(index_error)?;
            ids.extend(segment.doc_ids_alive().map(|doc| column.get_val(doc)));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Replaces documents by image id, and deletes those of `gone`. Visible after `commit`. Blocking.
    ///
    /// # Errors
    /// Everything written since the last commit is lost and must be written again; the same holds for errors of
    /// `commit`.
    pub fn write(&self, docs: &[SearchDoc], gone: &[i64]) -> Result<()> {
        self.with_writer(|GenerationWriter { tantivy, cutter }| {
            let forget = |id| tantivy.delete_term(Term::from_field_i64(self.fields.image_id, id));
            for &id in gone {
                forget(id);
            }
            for doc in docs {
                forget(doc.image_id);
                tantivy.add_document(self.fields.document(doc, cutter))?;
            }
            Ok(())
        })
    }

    /// As [`IndexGeneration::write`], for documents that were never written here. `write` buffers a deletion for each
    /// document, and the commit looks them up in all that was written: too expensive for a whole catalogue. Blocking.
    pub fn add(&self, docs: &[SearchDoc]) -> Result<()> {
        self.with_writer(|GenerationWriter { tantivy, cutter }| {
            docs.iter().try_for_each(|doc| tantivy.add_document(self.fields.document(doc, cutter)).map(|_| ()))
        })
    }

    /// Commits durably, and makes everything written visible as `revision`. Blocking.
    pub fn commit(&self, revision: i64) -> Result<()> {
        self.with_writer(|writer| {
            commit(writer, revision)?;
            self.show(revision)
        })
    }

    /// Commits a generation that was built from scratch, and merges it into one segment: the fewer segments, the faster
    /// are searches. Blocking.
    pub fn finish(&self, revision: i64) -> Result<()> {
        self.with_writer(|writer| {
            commit(writer, revision)?;
            let pieces = self.index.searchable_segment_ids()?;
            if pieces.len() > 1 {
                writer.tantivy.merge(&pieces).wait()?;
                writer.tantivy.garbage_collect_files().wait()?;
            }
            self.show(revision)
        })?;
        self.is_new.store(false, Ordering::Release);
        // The next writer uses tantivy's default merge policy.
        *self.writer.lock() = None;
        Ok(())
    }

    /// Makes the last commit visible to searches.
    fn show(&self, revision: i64) -> tantivy::Result<()> {
        self.reader.reload()?;
        let view = IndexView::new(self.reader.searcher(), Some(&*self.view()))?;
        *self.view.write() = Arc::new(view);
        self.revision.store(revision, Ordering::Release);
        Ok(())
    }

    /// Whether the directory exists, and the open files have their original lengths. Does not read any content.
    pub fn exists(&self) -> bool {
        self.folder.as_ref().is_none_or(|folder| folder.join(META).exists())
            && self.files.as_ref().is_none_or(IndexFolder::is_whole)
    }

    /// Whether the checksums of all files are correct. Reads all files. Blocking.
    pub fn is_sound(&self) -> bool {
        let is_sound = || self.index.validate_checksum().is_ok_and(|damaged| damaged.is_empty());
        self.exists() && catch_unwind(AssertUnwindSafe(is_sound)).unwrap_or_default()
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The state of the last commit.
    pub(super) fn view(&self) -> Arc<IndexView> {
        Arc::clone(&self.view.read())
    }

    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    fn with_writer(&self, work: impl FnOnce(&mut GenerationWriter) -> tantivy::Result<()>) -> Result<()> {
        let mut slot = self.writer.lock();
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => {
                let tantivy = new_writer(&self.index).map_err(index_error)?;
                if self.is_new.load(Ordering::Acquire) {
                    tantivy.set_merge_policy(Box::new(NoMergePolicy));
                }
                GenerationWriter { tantivy, cutter: CachedTokenizer::default() }
            }
        };
        work(&mut writer).map_err(index_error)?;
        *slot = Some(writer);
        Ok(())
    }
}

impl CommitPayload {
    fn write(self) -> String {
        format!("{} {}", self.version, self.revision)
    }

    fn read(payload: &str) -> Option<Self> {
        let (version, revision) = payload.split_once(' ')?;
        Some(Self { version: version.parse().ok()?, revision: revision.parse().ok()? })
    }
}

/// The payload and the number of documents of the last commit in a directory; `None` if there is none. Works also while
/// another process writes there.
pub(super) fn committed(folder: &Path) -> Option<(CommitPayload, u64)> {
    let index = Tantivy::open(IndexFolder::open(folder).ok()?).ok()?;
    let metas = index.load_metas().ok()?;
    let count = metas.segments.iter().map(|segment| u64::from(segment.num_docs())).sum();
    Some((CommitPayload::read(&metas.payload?)?, count))
}

fn commit(writer: &mut GenerationWriter, revision: i64) -> tantivy::Result<()> {
    let mut commit = writer.tantivy.prepare_commit()?;
    commit.set_payload(&CommitPayload { version: schema::VERSION, revision }.write());
    commit.commit()?;
    // Frees the cache: the next write may be much later.
    writer.cutter = CachedTokenizer::default();
    Ok(())
}

/// One thread for indexing and one for merging: a catalogue changes rarely, and memory matters more than speed.
fn new_writer(index: &Tantivy) -> tantivy::Result<IndexWriter> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(WRITER_BYTES)
        .build();
    index.writer_with_options(options)
}

fn open_sound(folder: &Path) -> Option<IndexGeneration> {
    let files = IndexFolder::open(folder).ok()?;
    let index = Tantivy::open(files.clone()).ok()?;
    let committed = CommitPayload::read(&index.load_metas().ok()?.payload?)?;
    let (schema, _) = IndexFields::schema();
    if index.schema() != schema || !index.validate_checksum().ok()?.is_empty() {
        return None;
    }
    let is_stale = committed.version != schema::VERSION;
    IndexGeneration::over(index, committed.revision, Some((folder, files)), is_stale).ok()
}
