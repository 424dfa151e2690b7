//! What commands print: tables, excerpts of documents, the live output of a job.

pub(super) mod live;
pub(super) mod render;
pub(super) mod table;
