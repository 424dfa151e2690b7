//! Judging a manifest.

use super::Problem;

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Every problem, errors first, in document order within a severity.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing breaks the standard.
    pub fn is_valid(&self) -> bool {
        todo!()
    }
}

/// Judges a manifest's JSON text.
pub fn check(_manifest: &str) -> Report {
    todo!()
}
