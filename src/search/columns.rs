//! Columns in memory, for ranking, collapsing and counting: about 40 bytes a document.
//!
//! Facet values have numbers that are the same in all segments, and each distinct *set* of facet values has a number
//! too: many images share a set, so facets are counted by sets.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tantivy::columnar::StrColumn;
use tantivy::index::SegmentId;
use tantivy::{DocId, Searcher, SegmentReader};

use super::doc_scores::DocScores;
use super::facets::SearchFacet;
use super::schema::{
    CHANGED_AT, FACETS, GROUP_ID, IMAGE_ID, IS_SECONDARY, JOB_ID, JOB_NAME, JOB_VERSION, ORIGIN_ID, PACKAGE_VERSION,
    REGISTRY_ID,
};
use super::visible_docs::ViewRestriction;
use super::word_cache::WordLookups;
use crate::catalog::CatalogueView;

/// One consistent state of an index.
pub(super) struct IndexView {
    pub searcher: Searcher,
    /// In the order of the searcher's segments.
    pub columns: Vec<Arc<SegmentColumns>>,
    /// Number of each segment's first document. Documents are numbered consecutively over all segments.
    pub(super) bases: Vec<u32>,
    /// Number of documents, including deleted ones.
    pub size: u32,
    /// By document number; meaningless for deleted documents.
    pub standing: Vec<RankStanding>,
    pub(super) known: Arc<RwLock<OrdinalDictionary>>,
    /// What a reader does not see; `None` if that is nothing.
    pub restriction: Option<ViewRestriction>,
    /// The views of readers who do not see everything.
    pub(super) restricted: RestrictedViews,
    /// Score arrays of finished searches, for reuse: a new array costs more than a search with few matches.
    pub(super) free: Mutex<Vec<DocScores>>,
    pub lookups: WordLookups,
}

/// The restricted views that are kept, by what their readers see.
pub(super) type RestrictedViews = Mutex<Vec<(CatalogueView, Arc<IndexView>)>>;

/// Properties for which an image is ranked higher.
#[derive(Clone, Copy)]
pub(super) struct RankStanding {
    /// It represents its job, with the highest versions of all images that do.
    pub is_latest: bool,
    /// Its manifest has no errors.
    pub is_valid: bool,
    /// An admin has marked its origin as verified.
    pub is_verified: bool,
}

/// The columns of one segment, indexed by document.
pub(super) struct SegmentColumns {
    id: SegmentId,
    pub image: Vec<i64>,
    /// Number of the job in [`OrdinalDictionary::jobs`].
    pub job: Vec<u32>,
    /// Number of the set in [`OrdinalDictionary::sets`].
    pub set: Vec<u32>,
    /// Job and package version.
    pub versions: Vec<[u64; 2]>,
    pub changed_at: Vec<i64>,
    /// Whether the job is represented by other images.
    pub is_secondary: Vec<bool>,
    pub registry: Vec<i64>,
    pub origin: Vec<i64>,
    pub group: Vec<i64>,
}

/// The numbers of jobs, facet values and sets of values. It only grows, so that numbers stay valid.
#[derive(Default)]
pub(super) struct OrdinalDictionary {
    /// Names of jobs, by id.
    pub jobs: IndexMap<i64, Box<str>>,
    pub values: IndexSet<(SearchFacet, Box<str>)>,
    /// Sets of facet values: numbers in `values`, ascending.
    pub sets: IndexSet<Box<[u32]>>,
    /// By set: whether the manifest has no errors.
    pub valid: Vec<bool>,
    /// By set: whether the origin is verified.
    pub verified: Vec<bool>,
}

impl IndexView {
    /// The state that a searcher sees. Columns of segments that `before` has are reused.
    pub(super) fn new(searcher: Searcher, before: Option<&IndexView>) -> tantivy::Result<Self> {
        let known = before.map_or_else(Arc::default, |view| Arc::clone(&view.known));
        let mut columns = Vec::new();
        for segment in searcher.segment_readers() {
            let old = before.and_then(|view| view.columns.iter().find(|old| old.id == segment.segment_id()));
            columns.push(match old {
                Some(old) => Arc::clone(old),
                None => Arc::new(SegmentColumns::read(segment, &known)?),
            });
        }
        let mut size = 0;
        let bases = searcher.segment_readers().iter().map(|segment| {
            size += segment.max_doc();
            size - segment.max_doc()
        });
        let bases = bases.collect();
        let is_first = |columns: &SegmentColumns, at: usize, _| !columns.is_secondary[at];
        let standing = standing(&searcher, &columns, &known.read(), is_first);
        Ok(Self {
            searcher,
            columns,
            bases,
            size,
            standing,
            known,
            restriction: None,
            restricted: RestrictedViews::default(),
            free: Mutex::default(),
            lookups: WordLookups::default(),
        })
    }

    /// The segments, with the numbers of their first documents.
    pub(super) fn segments(&self) -> impl Iterator<Item = (&SegmentReader, u32)> {
        self.searcher.segment_readers().iter().zip(self.bases.iter().copied())
    }

    /// The segment of a document, and its number there.
    pub(super) fn place(&self, doc: u32) -> (usize, usize) {
        let segment = self.bases.partition_point(|base| *base <= doc) - 1;
        (segment, (doc - self.bases[segment]) as usize)
    }

    /// The columns of a document's segment, and its number there.
    pub(super) fn columns_of(&self, doc: u32) -> (&SegmentColumns, usize) {
        let (segment, at) = self.place(doc);
        (&self.columns[segment], at)
    }

    /// Whether the job of a document is represented by other images.
    pub(super) fn is_secondary(&self, doc: u32) -> bool {
        match &self.restriction {
            None => {
                let (columns, at) = self.columns_of(doc);
                columns.is_secondary[at]
            }
            Some(restriction) => restriction.is_secondary[doc as usize],
        }
    }

    pub(super) fn free(&self) -> MutexGuard<'_, Vec<DocScores>> {
        self.free.lock()
    }

    pub(super) fn known(&self) -> RwLockReadGuard<'_, OrdinalDictionary> {
        self.known.read()
    }
}

impl SegmentColumns {
    fn read(segment: &SegmentReader, known: &RwLock<OrdinalDictionary>) -> tantivy::Result<Self> {
        let fast = segment.fast_fields();
        let all = 0..segment.max_doc();
        let signed = |name| -> tantivy::Result<Vec<i64>> {
            let column = fast.column_first_or_default::<i64>(name)?;
            Ok(all.clone().map(|doc| column.get_val(doc)).collect())
        };
        let (job_version, package_version) =
            (fast.column_first_or_default::<u64>(JOB_VERSION)?, fast.column_first_or_default::<u64>(PACKAGE_VERSION)?);
        let versions = all.clone().map(|doc| [job_version.get_val(doc), package_version.get_val(doc)]).collect();
        let secondary = fast.column_first_or_default::<bool>(IS_SECONDARY)?;
        let is_secondary = all.clone().map(|doc| secondary.get_val(doc)).collect();
        let (names, name_texts) = (fast.str(JOB_NAME)?, texts(fast.str(JOB_NAME)?.as_ref())?);
        let (facets, facet_texts) = (fast.str(FACETS)?, texts(fast.str(FACETS)?.as_ref())?);
        let (image, job_ids, changed_at) = (signed(IMAGE_ID)?, signed(JOB_ID)?, signed(CHANGED_AT)?);
        let (registry, origin, group) = (signed(REGISTRY_ID)?, signed(ORIGIN_ID)?, signed(GROUP_ID)?);
        let mut known = known.write();
        let values: Vec<Option<u32>> = facet_texts.iter().map(|term| known.value(term)).collect();
        let mut job = Vec::with_capacity(job_ids.len());
        let mut set = Vec::with_capacity(job_ids.len());
        let mut members = Vec::new();
        for doc in all {
            let name = || ords(names.as_ref(), doc).next().and_then(|ord| name_texts.get(ord).cloned());
            job.push(known.job_number(job_ids[doc as usize], || name().unwrap_or_default()));
            members.clear();
            members.extend(ords(facets.as_ref(), doc).filter_map(|ord| values.get(ord).copied().flatten()));
            members.sort_unstable();
            members.dedup();
            set.push(known.set(&members));
        }
        Ok(Self {
            id: segment.segment_id(),
            image,
            job,
            set,
            versions,
            changed_at,
            is_secondary,
            registry,
            origin,
            group,
        })
    }
}

/// `is_first` says of a document, by its place in the segment and its number, whether it is among those that represent
/// its job.
pub(super) fn standing(
    searcher: &Searcher,
    columns: &[Arc<SegmentColumns>],
    known: &OrdinalDictionary,
    is_first: impl Fn(&SegmentColumns, usize, u32) -> bool,
) -> Vec<RankStanding> {
    let mut latest = vec![[0; 2]; known.jobs.len()];
    let mut base = 0;
    for (segment, columns) in searcher.segment_readers().iter().zip(columns) {
        for doc in segment.doc_ids_alive().filter(|doc| is_first(columns, *doc as usize, base + doc)) {
            let best = &mut latest[columns.job[doc as usize] as usize];
            *best = columns.versions[doc as usize].max(*best);
        }
        base += segment.max_doc();
    }
    let of = |columns: &SegmentColumns, at: usize, doc: u32| RankStanding {
        is_latest: is_first(columns, at, doc) && columns.versions[at] == latest[columns.job[at] as usize],
        is_valid: known.valid[columns.set[at] as usize],
        is_verified: known.verified[columns.set[at] as usize],
    };
    let all = columns.iter().flat_map(|columns| (0..columns.image.len()).map(move |at| (columns, at)));
    all.zip(0..).map(|((columns, at), doc)| of(columns, at, doc)).collect()
}

fn ords(column: Option<&StrColumn>, doc: DocId) -> impl Iterator<Item = usize> + '_ {
    column.into_iter().flat_map(move |column| column.ords().values_for_doc(doc)).map(|ord| ord as usize)
}

/// All texts of a column, by ordinal.
fn texts(column: Option<&StrColumn>) -> tantivy::Result<Vec<Box<str>>> {
    let mut texts = Vec::new();
    if let Some(column) = column {
        let mut stream = column.dictionary().stream()?;
        while stream.advance() {
            texts.push(String::from_utf8_lossy(stream.key()).into());
        }
    }
    Ok(texts)
}

impl OrdinalDictionary {
    /// Id and name of a job.
    pub(super) fn job(&self, number: u32) -> (i64, &str) {
        self.jobs.get_index(number as usize).map_or((0, ""), |(id, name)| (*id, name))
    }

    /// The number of a facet value, if a document ever had it.
    pub(super) fn number_of(&self, facet: SearchFacet, value: &str) -> Option<u32> {
        self.values.get_index_of(&(facet, Box::from(value))).map(|number| number as u32)
    }

    fn value(&mut self, term: &str) -> Option<u32> {
        let (facet, value) = SearchFacet::of_term(term)?;
        Some(self.values.insert_full((facet, value.into())).0 as u32)
    }

    fn job_number(&mut self, id: i64, name: impl Fn() -> Box<str>) -> u32 {
        let entry = self.jobs.entry(id);
        let number = entry.index();
        entry.or_insert_with(name);
        number as u32
    }

    fn set(&mut self, members: &[u32]) -> u32 {
        if let Some(number) = self.sets.get_index_of(members) {
            return number as u32;
        }
        let is_true = |wanted: SearchFacet| {
            let says = |value: &u32| matches!(&self.values[*value as usize], (facet, text) if *facet == wanted && **text == *"true");
            members.iter().any(says)
        };
        let (is_valid, is_verified) = (is_true(SearchFacet::Valid), is_true(SearchFacet::Verified));
        self.valid.push(is_valid);
        self.verified.push(is_verified);
        self.sets.insert_full(members.into()).0 as u32
    }
}
