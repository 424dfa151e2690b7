//! Results of a batch's rows, for people and as JSON.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::journal::JournalEntry;
use crate::cli::ExitStatus;
use crate::cli::output::render::tame;
use crate::cli::output::table::{name, table, whole, words};

/// State of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RowState {
    Successful,
    Failed,
    /// Stopped while running.
    Dismissed,
    /// Successful in an earlier run of the batch.
    DoneBefore,
    NotBegun,
    /// The row is invalid, and was not run.
    Bad,
}

impl RowState {
    fn words(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Dismissed => "dismissed",
            Self::DoneBefore => "done before",
            Self::NotBegun => "not begun",
            Self::Bad => "bad",
        }
    }
}

/// Result of one row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowReport {
    pub row: usize,
    /// Line of its file where it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub state: RowState,
    pub error: Option<String>,
    pub exit_code: Option<i64>,
    pub seconds: Option<f64>,
    /// Relative to the batch's folder.
    pub folder: Option<String>,
    /// Problems of an invalid row, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_run: Option<String>,
    /// Exit code of the command for this row.
    #[serde(skip)]
    pub exit: ExitStatus,
}

impl RowReport {
    pub(super) fn new(row: usize, line: Option<u64>, state: RowState) -> Self {
        Self {
            row,
            line,
            state,
            error: None,
            exit_code: None,
            seconds: None,
            folder: None,
            problems: Vec::new(),
            docker_run: None,
            exit: ExitStatus::Done,
        }
    }

    /// Result of an ended row.
    pub(super) fn ended(entry: &JournalEntry, line: Option<u64>, state: RowState, exit: ExitStatus) -> Self {
        Self {
            error: entry.error.clone(),
            exit_code: entry.exit_code,
            seconds: Some(entry.seconds),
            folder: Some(entry.folder.clone()),
            exit,
            ..Self::new(entry.row, line, state)
        }
    }

    /// Position of the row, for messages.
    pub(super) fn place(&self) -> String {
        self.line.map_or_else(|| format!("row {}", self.row), |line| format!("row {} (line {line})", self.row))
    }
}

/// Problems of invalid rows, each once, in the order of the rows.
pub(super) fn complaints(bad: &[RowReport]) -> String {
    let mut faults: Vec<&str> = Vec::new();
    let mut rows: HashMap<&str, Vec<&RowReport>> = HashMap::new();
    for line in bad {
        for problem in &line.problems {
            let having = rows.entry(problem).or_default();
            if having.is_empty() {
                faults.push(problem);
            }
            having.push(line);
        }
    }
    let line = |fault: &&str| format!("  {}: {}\n", places(&rows[fault]), tame(fault));
    faults.iter().map(line).collect()
}

/// Positions of rows; consecutive rows are given as a range.
fn places(rows: &[&RowReport]) -> String {
    /// Limit of ranges listed.
    const MOST: usize = 10;
    if let [only] = rows {
        return only.place();
    }
    let numbers: Vec<usize> = rows.iter().map(|line| line.row).collect();
    let runs: Vec<&[usize]> = numbers.chunk_by(|a, b| a + 1 == *b).collect();
    let told = runs.iter().take(MOST).map(|run| match run {
        [first, .., last] => format!("{first} to {last}"),
        run => run[0].to_string(),
    });
    let told: Vec<String> = told.collect();
    let left_out: usize = runs.iter().skip(MOST).map(|run| run.len()).sum();
    let more = if left_out > 0 { format!(" and {left_out} more") } else { String::new() };
    format!("rows {}{more}", told.join(", "))
}

/// The report as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchReport<'a> {
    pub image: &'a str,
    pub output: &'a Path,
    pub rows: &'a [RowReport],
}

/// The report for people; folders are relative to the batch's.
pub(super) fn drawn(lines: &[RowReport]) -> String {
    let rows = lines.iter().map(|line| {
        [
            line.row.to_string(),
            line.state.words().to_owned(),
            tame(&error(line)),
            line.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
            line.folder.as_deref().map(tame).unwrap_or_default(),
        ]
    });
    let columns = [whole("ROW"), whole("STATE"), words("ERROR"), whole("SECONDS"), name("FOLDER")];
    format!("{}\n", table(columns, rows))
}

/// Name of the error, with the exit code if there is one.
pub(super) fn error(line: &RowReport) -> String {
    match (&line.error, line.exit_code) {
        (Some(name), Some(code)) => format!("{name} ({code})"),
        (Some(name), None) => name.clone(),
        (None, _) => String::new(),
    }
}

/// Number of rows in each state, as a sentence.
pub(super) fn summary(lines: &[RowReport]) -> String {
    let states = [
        RowState::Successful,
        RowState::DoneBefore,
        RowState::Failed,
        RowState::Dismissed,
        RowState::NotBegun,
        RowState::Bad,
    ];
    let counted = states.into_iter().filter_map(|state| {
        let count = lines.iter().filter(|line| line.state == state).count();
        (count > 0).then(|| format!("{count} {}", state.words()))
    });
    format!("{} rows: {}", lines.len(), counted.collect::<Vec<_>>().join(", "))
}
