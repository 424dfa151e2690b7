//! Reading the Seed label in every form found in the wild.

/// Why a label is not a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    #[error("TODO")]
    Todo,
}

/// The manifest's JSON text (an object) out of a label's value.
pub fn read(_label: &str) -> Result<String, LabelError> {
    todo!()
}
