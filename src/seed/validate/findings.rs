//! Collects the findings of all checks, within a bound.

use std::fmt::Display;

use super::source::Places;
use super::{MAX_PROBLEMS, Rules};
use crate::seed::{Code, Problem, Severity};

/// The findings so far, with byte offsets instead of lines and columns.
pub(super) struct Findings {
    rules: Rules,
    found: Vec<Finding>,
    /// Number of findings of each severity, including those that were not kept.
    counts: [usize; Severity::ALL.len()],
}

struct Finding {
    code: Code,
    severity: Severity,
    at: usize,
    path: String,
    message: String,
    help: String,
}

impl Findings {
    pub fn new(rules: Rules) -> Self {
        Self { rules, found: Vec::new(), counts: [0; Severity::ALL.len()] }
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Adds a finding about the value at `path`, which starts at byte `at`. `say` returns message and help; it is not
    /// called if the maximum number of problems is reached.
    pub fn add(&mut self, code: Code, path: impl Display, at: usize, say: impl FnOnce() -> (String, String)) {
        self.add_as(code.severity(self.rules.profile), code, path, at, say);
    }

    /// As [`Findings::add`], with another severity than the code's.
    pub fn add_as(
        &mut self,
        severity: Severity,
        code: Code,
        path: impl Display,
        at: usize,
        say: impl FnOnce() -> (String, String),
    ) {
        let severity = match severity {
            Severity::Warning if self.rules.strict => Severity::Error,
            severity => severity,
        };
        let count = &mut self.counts[severity as usize];
        *count += 1;
        if *count <= MAX_PROBLEMS {
            let (message, help) = say();
            self.found.push(Finding { code, severity, at, path: path.to_string(), message, help });
        }
    }

    /// Counts further problems without describing them.
    pub fn count(&mut self, code: Code, more: usize) {
        self.counts[code.severity(self.rules.profile) as usize] += more;
    }

    /// Whether there are no errors.
    pub fn are_harmless(&self) -> bool {
        self.counts[Severity::Error as usize] == 0
    }

    /// The problems, errors first, in document order within a severity; and the number of problems that were not kept.
    pub fn into_problems(mut self, text: &str) -> (Vec<Problem>, usize) {
        let omitted = self.counts.iter().sum::<usize>() - self.found.len();
        self.found.sort_by_key(|finding| finding.at);
        let mut places = Places::of(text);
        let mut problems: Vec<Problem> = self
            .found
            .into_iter()
            .map(|finding| {
                let (line, column) = places.next(finding.at);
                let Finding { code, severity, path, message, help, .. } = finding;
                Problem { code: code.as_str().to_owned(), severity, path, line, column, message, help }
            })
            .collect();
        problems.sort_by_key(|problem| problem.severity);
        (problems, omitted)
    }
}
