//! Keyword search: the only tantivy. The index is derived from the database and may be deleted at any time.

use std::path::Path;

use crate::catalog::SearchDoc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query cannot be answered as it stands; the text says why.
    #[error("{0}")]
    Query(String),
    #[error("search index: {0}")]
    Index(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// The index in a folder. Cheap to clone; one process holds it at a time.
#[derive(Clone)]
pub struct Index {}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Jobs: the best image of each stands for it. Hit ids are job ids.
    Job,
    /// Images. Hit ids are image ids.
    Image,
}

/// One result; the higher the score, the better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub id: i64,
    pub score: f32,
}

/// One page of results, best first; among equals the lower id first.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    /// How many there are in all.
    pub total: u64,
    pub hits: Vec<Hit>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Hit>,
}

impl Index {
    /// Opens the index in `dir`. A missing, corrupt or older one is made anew, empty, at revision 0.
    pub fn open(_dir: &Path) -> Result<Self> {
        todo!()
    }
    /// An index in memory, for tests.
    pub fn in_memory() -> Result<Self> {
        todo!()
    }
    /// The catalogue revision that searches see.
    pub fn revision(&self) -> i64 {
        todo!()
    }
    /// Ids of all indexed images.
    pub fn ids(&self) -> Result<Vec<i64>> {
        todo!()
    }
    /// Replaces documents by image id, and drops those of `gone`. Visible after `commit`. Blocking.
    pub fn write(&self, _docs: &[SearchDoc], _gone: &[i64]) -> Result<()> {
        todo!()
    }
    /// Makes what was written visible as `revision`, durably. Blocking.
    pub fn commit(&self, _revision: i64) -> Result<()> {
        todo!()
    }
    /// Drops everything. Visible after `commit`.
    pub fn clear(&self) -> Result<()> {
        todo!()
    }
    /// Searches. `after` is the last hit of the page before. Blocking, but short.
    pub fn search(&self, _query: &str, _kind: Kind, _limit: usize, _after: Option<Hit>) -> Result<Hits> {
        todo!()
    }
}
