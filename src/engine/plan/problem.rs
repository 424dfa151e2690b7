//! Reasons why a request cannot be planned; all are reported at once.

use std::fmt;

use serde::Serialize;

/// A reason why a job cannot run as requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanProblem {
    pub code: PlanCode,
    /// The input, setting, mount or resource, or another part of the request.
    pub subject: String,
    /// A sentence: what is wrong.
    pub message: String,
    /// A sentence: how to fix it.
    pub help: String,
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, message, help, .. } = self;
        let blank = if help.is_empty() { "" } else { " " };
        write!(f, "{subject}: {message}{blank}{help}")
    }
}

/// Stable codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanCode {
    /// The manifest cannot be run.
    BadManifest,
    /// The command cannot be expanded.
    BadCommand,
    /// Given, but not declared by the job.
    Unknown,
    /// Required, but not given.
    Missing,
    /// Given too often.
    TooMany,
    /// The type of a JSON input does not match.
    WrongType,
    /// An invalid file name, folder path or value.
    BadValue,
    /// A resource is needed that the machine does not have or allow.
    NotEnough,
}

/// Limit for problems: a request of 2 MB may have one for every 20 bytes.
const MOST: usize = 100;

/// Collects the first [`MOST`] problems.
#[derive(Default)]
pub(super) struct PlanProblems(pub Vec<PlanProblem>);

impl PlanProblems {
    pub(super) fn add(&mut self, code: PlanCode, subject: &str, message: impl Into<String>, help: impl Into<String>) {
        if self.0.len() == MOST {
            return;
        }
        let subject = subject.chars().take(200).collect();
        self.0.push(PlanProblem { code, subject, message: message.into(), help: help.into() });
    }
}
