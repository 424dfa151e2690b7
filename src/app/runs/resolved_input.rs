//! A file of a run as it was found at its source, or why it was not.

use crate::engine::held_paths::HostPath;
use crate::engine::plan::request::InputSource;
use crate::engine::plan::{PlanCode, PlanProblem};
use crate::engine::run::record::FileFacts;

/// Why a file is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputProblem {
    /// Name of the input.
    pub input: String,
    /// The problem, in a sentence.
    pub message: String,
    /// What to do, in a sentence.
    pub help: String,
    /// Whether it may be available later.
    pub is_passing: bool,
}

impl From<InputProblem> for PlanProblem {
    fn from(problem: InputProblem) -> Self {
        let InputProblem { input, message, help, .. } = problem;
        Self { code: PlanCode::BadValue, subject: input, message, help }
    }
}

/// A file that is available.
#[derive(Clone, Debug)]
pub(super) struct ResolvedInput {
    pub input: String,
    pub source: InputSource,
    /// Facts about the file from where it was uploaded, fetched or found.
    pub facts: FileFacts,
    /// If known without reading the file.
    pub sha256: Option<String>,
    /// A file or folder of the server, which others may change.
    pub host: Option<HostPath>,
}
