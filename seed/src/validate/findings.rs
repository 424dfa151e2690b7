//! Collects the findings of all checks, within a bound.

use std::fmt::Display;

use super::source::LineColumnCursor;
use super::{MAX_PROBLEMS, ValidationRules};
use crate::{ManifestProblem, ProblemCode, ProblemSeverity};

/// The findings so far, with byte offsets instead of lines and columns.
pub(super) struct FindingCollector {
    rules: ValidationRules,
    found: Vec<ManifestFinding>,
    /// Number of findings of each severity, including those that were not kept.
    counts: [usize; ProblemSeverity::ALL.len()],
}

struct ManifestFinding {
    code: ProblemCode,
    severity: ProblemSeverity,
    at: usize,
    path: String,
    message: String,
    help: String,
}

impl FindingCollector {
    pub(super) fn new(rules: ValidationRules) -> Self {
        Self { rules, found: Vec::new(), counts: [0; ProblemSeverity::ALL.len()] }
    }

    pub(super) fn rules(&self) -> ValidationRules {
        self.rules
    }

    /// Adds a finding about the value at `path`, which starts at byte `at`. `say` returns message and help; it is not
    /// called if the maximum number of problems is reached.
    pub(super) fn add(
        &mut self,
        code: ProblemCode,
        path: impl Display,
        at: usize,
        say: impl FnOnce() -> (String, String),
    ) {
        self.add_as(code.severity(self.rules.profile), code, path, at, say);
    }

    /// As [`FindingCollector::add`], with another severity than the code's.
    pub(super) fn add_as(
        &mut self,
        severity: ProblemSeverity,
        code: ProblemCode,
        path: impl Display,
        at: usize,
        say: impl FnOnce() -> (String, String),
    ) {
        let severity = match severity {
            ProblemSeverity::Warning if self.rules.strict => ProblemSeverity::Error,
            severity => severity,
        };
        let count = &mut self.counts[severity as usize];
        *count += 1;
        if *count <= MAX_PROBLEMS {
            let (message, help) = say();
            self.found.push(ManifestFinding { code, severity, at, path: path.to_string(), message, help });
        }
    }

    /// Counts further problems without describing them.
    pub(super) fn count(&mut self, code: ProblemCode, more: usize) {
        self.counts[code.severity(self.rules.profile) as usize] += more;
    }

    /// Whether there are no errors.
    pub(super) fn has_no_errors(&self) -> bool {
        self.counts[ProblemSeverity::Error as usize] == 0
    }

    /// The problems, errors first, in document order within a severity; and the number of problems that were not kept.
    pub(super) fn into_problems(mut self, text: &str) -> (Vec<ManifestProblem>, usize) {
        let omitted = self.counts.iter().sum::<usize>() - self.found.len();
        self.found.sort_by_key(|finding| finding.at);
        let mut places = LineColumnCursor::of(text);
        let mut problems: Vec<ManifestProblem> = self
            .found
            .into_iter()
            .map(|finding| {
                let (line, column) = places.next(finding.at);
                let ManifestFinding { code, severity, path, message, help, .. } = finding;
                ManifestProblem { code: code.as_str().to_owned(), severity, path, line, column, message, help }
            })
            .collect();
        problems.sort_by_key(|problem| problem.severity);
        (problems, omitted)
    }
}
