//! The standard as JSON Schema (draft 2020-12), in our own words, for editors and for `silo spec`.

/// A schema that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The manifest.
    Manifest,
    /// The metadata beside an output file, `<file>.metadata.json`.
    Metadata,
}

/// The schema as JSON text, indented, with a line feed at the end.
pub fn json_schema(_document: Document) -> &'static str {
    todo!()
}
