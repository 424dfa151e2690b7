//! What validation reports.

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest breaks the standard.
    Error,
    /// It will bite some tool.
    Warning,
    /// It could be better.
    Advice,
}

/// One finding about a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable word, such as `missing-field`.
    pub code: String,
    pub severity: Severity,
    /// JSON pointer (RFC 6901) into the manifest; empty for the document.
    pub path: String,
    /// One sentence: what is wrong, and what was expected.
    pub message: String,
}
