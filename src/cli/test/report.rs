//! Results of cases: for people, as JSON and as JUnit XML.

use std::fmt::Write as _;

use serde::Serialize;

use super::case::TestCase;
use super::compare::tree::{ComparisonFinding, ComparisonState};
use crate::cli::ExitStatus;
use crate::cli::output::render::tame;
use crate::xml::escaped;

/// Result of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum CaseOutcome {
    Passed,
    /// The outputs were stored as the expected ones.
    Updated,
    Differs,
    NotRun,
}

/// An ended case.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CaseResult {
    pub name: String,
    pub outcome: CaseOutcome,
    pub seconds: f64,
    /// Messages about the run.
    pub messages: Vec<String>,
    pub findings: Vec<ComparisonFinding>,
}

/// A case of a dry run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlannedCase {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_run: Option<String>,
    /// Why it cannot be run.
    messages: Vec<String>,
}

impl PlannedCase {
    pub(super) fn new(case: &TestCase, docker_run: Option<String>, messages: &[String]) -> Self {
        Self { name: case.name.clone(), docker_run, messages: messages.to_vec() }
    }
}

#[derive(Serialize)]
pub(super) struct TestReport<'a> {
    image: &'a str,
    passed: bool,
    cases: &'a [CaseResult],
}

impl<'a> TestReport<'a> {
    pub(super) fn new(image: &'a str, cases: &'a [CaseResult]) -> Self {
        Self { image, passed: exit(cases) == ExitStatus::Done, cases }
    }
}

impl CaseResult {
    pub(super) fn new(case: &TestCase, outcome: CaseOutcome, messages: Vec<String>) -> Self {
        Self { name: case.name.clone(), outcome, seconds: 0.0, messages, findings: Vec::new() }
    }

    /// Everything that makes the case fail, a line each.
    fn told(&self) -> Vec<String> {
        let bad = self.findings.iter().filter(|finding| !finding.is_fine());
        let bad = bad.map(|finding| match finding.state {
            ComparisonState::Missing => format!("{} is missing", finding.path),
            _ => format!("{}: {}", finding.path, finding.message),
        });
        self.messages.iter().cloned().chain(bad).collect()
    }
}

/// A case that could not be run says nothing about the job, so it takes precedence over one that differs.
pub(super) fn exit(cases: &[CaseResult]) -> ExitStatus {
    let any = |outcome| cases.iter().any(|case| case.outcome == outcome);
    match () {
        () if any(CaseOutcome::NotRun) => ExitStatus::Failed,
        () if any(CaseOutcome::Differs) => ExitStatus::Differs,
        () => ExitStatus::Done,
    }
}

pub(super) fn lines(case: &CaseResult) -> String {
    let word = match case.outcome {
        CaseOutcome::Passed => "pass",
        CaseOutcome::Updated => "updated",
        CaseOutcome::Differs => "DIFFERS",
        CaseOutcome::NotRun => "NOT RUN",
    };
    let mut text = format!("{word:<8} {}\n", tame(&case.name));
    for line in case.told() {
        writeln!(text, "         {}", tame(&line)).expect("memory takes it");
    }
    text
}

pub(super) fn summary(cases: &[CaseResult]) -> String {
    let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    let good = count(CaseOutcome::Passed) + count(CaseOutcome::Updated);
    let (differ, not_run) = (count(CaseOutcome::Differs), count(CaseOutcome::NotRun));
    let noun = if cases.len() == 1 { "case" } else { "cases" };
    let verb = if differ == 1 { "differs" } else { "differ" };
    format!("{} {noun}: {good} good, {differ} {verb}, {not_run} could not be run\n", cases.len())
}

pub(super) fn junit(image: &str, cases: &[CaseResult]) -> String {
    let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    let (failures, errors) = (count(CaseOutcome::Differs), count(CaseOutcome::NotRun));
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\">\n",
        escaped(image),
        cases.len(),
    );
    for case in cases {
        let element = match case.outcome {
            CaseOutcome::Differs => "failure",
            CaseOutcome::NotRun => "error",
            CaseOutcome::Passed | CaseOutcome::Updated => "system-out",
        };
        let (name, suite) = (escaped(&case.name), escaped(image));
        write!(text, "<testcase name=\"{name}\" classname=\"{suite}\" time=\"{:.3}\">", case.seconds)
            .and_then(|()| write!(text, "<{element}>{}</{element}>", escaped(&case.told().join("\n"))))
            .and_then(|()| writeln!(text, "</testcase>"))
            .expect("memory takes it");
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}
