//! Collecting what is found, within bounds.

use std::fmt::Display;

use super::source::Places;
use super::{MAX_PROBLEMS, Rules};
use crate::seed::{Code, Problem, Severity};

/// What is found, before it has lines and columns.
pub(super) struct Findings {
    rules: Rules,
    found: Vec<Finding>,
    /// How many of each severity there are, kept or not.
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

    /// Notes a problem with the value at `path`, which starts at byte `at`. `say` gives message and help, and is not
    /// asked when there are too many problems already.
    pub fn add(&mut self, code: Code, path: impl Display, at: usize, say: impl FnOnce() -> (String, String)) {
        self.add_as(code.severity(self.rules.profile), code, path, at, say);
    }

    /// The same with a severity of its own.
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

    /// Counts problems that nobody describes.
    pub fn count(&mut self, code: Code, more: usize) {
        self.counts[code.severity(self.rules.profile) as usize] += more;
    }

    /// Whether there is no error.
    pub fn are_harmless(&self) -> bool {
        self.counts[Severity::Error as usize] == 0
    }

    /// The problems, errors first, in document order within a severity, and how many more there were.
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
