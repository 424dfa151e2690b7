//! What a run was given and what it left, as its page lists it.

use serde_json::Value;

use crate::engine::run::outputs::{CapturedFile, RunOutputs};
use crate::engine::run::record::{GivenFile, RecordedInputs};
use crate::http::pages::PageFrame;
use crate::http::pages::job::bytes;
use crate::http::pages::ports::{cut, format_name};
use crate::http::path_part::run_file_path;

use super::run_path;

/// Most files that are listed, of all inputs and of all outputs; the archive and the list of REST have all.
const MOST_FILES: usize = 300;
/// Longest value, in characters.
const LONGEST_VALUE: usize = 2000;

/// A name with a value.
pub(super) struct NamedValue {
    pub name: String,
    pub value: String,
}

impl NamedValue {
    pub(super) fn new(name: impl Into<String>, value: &str) -> Self {
        Self { name: name.into(), value: cut(value, LONGEST_VALUE) }
    }

    /// A JSON value; a text without its quotes.
    pub(super) fn of_json(name: &str, value: &Value) -> Self {
        Self::new(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// What a run was given.
pub(super) struct GivenView {
    pub inputs: Vec<GivenInputRow>,
    pub values: Vec<NamedValue>,
    pub settings: Vec<NamedValue>,
    pub mounts: Vec<NamedValue>,
}

/// A file input.
pub(super) struct GivenInputRow {
    pub name: String,
    pub files: Vec<GivenFileRow>,
    /// Number of files that are not listed.
    pub more: usize,
}

/// A file of an input.
pub(super) struct GivenFileRow {
    pub name: String,
    pub size: String,
    pub sha256: String,
    /// The run whose output it is.
    pub run_url: Option<String>,
}

impl GivenView {
    pub(super) fn of(frame: &PageFrame, given: &RecordedInputs) -> Self {
        let mut left = MOST_FILES;
        let file = |file: &GivenFile| GivenFileRow {
            name: file.name.clone(),
            size: bytes(file.size),
            sha256: file.sha256.clone(),
            run_url: file.facts.product.as_ref().map(|product| frame.url(&run_path(&product.run))),
        };
        let inputs = given.files.iter().map(|input| {
            let files: Vec<GivenFileRow> = input.files.iter().take(left).map(file).collect();
            left -= files.len();
            GivenInputRow { name: input.name.clone(), more: input.files.len() - files.len(), files }
        });
        let texts = |(name, value): (&String, &String)| NamedValue::new(name, value);
        Self {
            inputs: inputs.collect(),
            values: given.json.iter().map(|(name, value)| NamedValue::of_json(name, value)).collect(),
            settings: given.settings.iter().map(texts).collect(),
            mounts: given.mounts.iter().map(texts).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.values.is_empty() && self.settings.is_empty() && self.mounts.is_empty()
    }
}

/// What a run left.
pub(super) struct OutputsView {
    pub outputs: Vec<OutputFilesRow>,
    pub values: Vec<NamedValue>,
    /// Files that belong to no output.
    pub extra: OutputFilesRow,
    /// Violations of the manifest, with the output or file they are about.
    pub problems: Vec<NamedValue>,
    pub warnings: Vec<String>,
    /// Of all files.
    pub size: String,
}

/// The files of an output.
pub(super) struct OutputFilesRow {
    pub name: String,
    pub files: Vec<OutputFileRow>,
    /// Number of files that are not listed.
    pub more: usize,
}

/// A file that a run left.
pub(super) struct OutputFileRow {
    pub path: String,
    /// To download it; `None` after the files were deleted.
    pub url: Option<String>,
    pub format: String,
    pub size: String,
    pub sha256: String,
}

impl OutputsView {
    /// `run`: its id, unless its files were deleted.
    pub(super) fn of(frame: &PageFrame, run: Option<&str>, outputs: &RunOutputs) -> Self {
        let mut left = MOST_FILES;
        let file = |file: &CapturedFile| OutputFileRow {
            path: file.path.clone(),
            url: run.map(|run| frame.url(&run_file_path(run, &file.path))),
            format: file.media_type.as_deref().map(format_name).unwrap_or_default(),
            size: bytes(file.size),
            sha256: file.sha256.clone().unwrap_or_default(),
        };
        let mut row = |name: &str, files: &[CapturedFile]| {
            let listed: Vec<OutputFileRow> = files.iter().take(left).map(file).collect();
            left -= listed.len();
            OutputFilesRow { name: name.to_owned(), more: files.len() - listed.len(), files: listed }
        };
        Self {
            outputs: outputs.files.iter().map(|output| row(&output.name, &output.files)).collect(),
            extra: row("", &outputs.extra),
            values: outputs.json.iter().map(|(name, value)| NamedValue::of_json(name, value)).collect(),
            problems: outputs
                .problems
                .iter()
                .map(|problem| NamedValue::new(&problem.subject, &problem.message))
                .collect(),
            warnings: outputs.warnings.iter().take(MOST_FILES).cloned().collect(),
            size: bytes(outputs.bytes),
        }
    }
}
