//! Why a request cannot be run, all reasons at once.

use std::fmt;

use serde::Serialize;

/// One reason why a job cannot run as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanProblem {
    pub code: PlanCode,
    /// The input, setting, mount or resource; or the part of the request.
    pub subject: String,
    /// One sentence: what is wrong with it.
    pub message: String,
    /// One sentence: how to mend it.
    pub help: String,
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, message, help, .. } = self;
        write!(f, "{subject}: {message} {help}")
    }
}

/// Stable words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanCode {
    /// The manifest itself cannot be run.
    BadManifest,
    /// The command holds what is no part of the subset that is expanded.
    BadCommand,
    /// Given, but the job has none of that name.
    Unknown,
    /// The job needs it, and it is not given.
    Missing,
    /// Given more often than the job takes it.
    TooMany,
    /// A JSON input of another type.
    WrongType,
    /// A file's name, a folder's path or a value that cannot be handed over.
    BadValue,
    /// The machine cannot give what the job needs.
    NotEnough,
}

/// A request of two megabytes can have a problem for every twenty bytes.
const MOST: usize = 100;

/// Collects problems, the first [`MOST`] of them.
#[derive(Default)]
pub(super) struct Problems(pub Vec<PlanProblem>);

impl Problems {
    pub fn add(&mut self, code: PlanCode, subject: &str, message: impl Into<String>, help: impl Into<String>) {
        if self.0.len() == MOST {
            return;
        }
        let subject = subject.chars().take(200).collect();
        self.0.push(PlanProblem { code, subject, message: message.into(), help: help.into() });
    }
}
