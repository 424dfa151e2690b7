//! Captures the outputs of a job and checks them against its manifest. Blocking.
//!
//! The job may be hostile: no link is followed out of the output directory, and count, depth and size are limited.

mod json;
mod links;
mod pattern;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::disk;
use crate::engine::halt::{HaltReason, HaltSignal};
use crate::engine::walk::WalkBounds;
use crate::seed::metadata::{self, SeedMetadata};
use crate::seed::model::{JobOutputFile, SeedManifest};
pub(in crate::engine) use links::mend_links;
use pattern::OutputGlob;
use tree::OutputTree;

/// The file of JSON outputs (Seed 1.0.0, "JSON outputs").
pub const JSON_FILE: &str = "seed.outputs.json";
/// Its name in Seed 0.x. As in Scale, it is not an output in any version.
const OLD_JSON_FILE: &str = "results_manifest.json";
/// Limit for files and folders.
pub(in crate::engine) const MAX_ENTRIES: usize = 200_000;
/// Limit for the metadata of a run, in bytes, since all of it is stored.
const MAX_METADATA: usize = 64 * 1024 * 1024;
/// Limit for warnings.
const MAX_WARNINGS: usize = 1000;
/// Limit for file names in a message.
const NAMES: usize = 10;

/// Rules for capturing outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRules {
    /// Limit for the outputs on disk, in bytes: from the manifest or the operator; `None`: no limit.
    pub bytes: Option<u64>,
    /// Whether a missing required JSON output is an error, as in the standard; Scale only warns.
    pub strict_json: bool,
}

impl Default for OutputRules {
    fn default() -> Self {
        Self { bytes: None, strict_json: true }
    }
}

/// Captured outputs of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunOutputs {
    /// One entry for each file output of the manifest, in its order, also without files.
    pub files: Vec<CapturedOutput>,
    /// By the name of the JSON output.
    pub json: Map<String, Value>,
    /// Files that belong to no output.
    pub extra: Vec<CapturedFile>,
    /// Metadata that the job wrote for its inputs, by input name.
    pub input_metadata: BTreeMap<String, SeedMetadata>,
    /// Total length of all files, hard links counted once; a lower bound if the directory exceeds a limit.
    pub bytes: u64,
    /// Violations of the manifest.
    pub problems: Vec<OutputProblem>,
    /// Warnings, a sentence each.
    pub warnings: Vec<String>,
}

/// The files of a file output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapturedOutput {
    pub name: String,
    pub files: Vec<CapturedFile>,
}

/// An output file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapturedFile {
    /// Relative to the output directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits; `None` for files of no output, or if a limit is exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// From the manifest, or by file name extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SeedMetadata>,
}

/// A violation of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputProblem {
    pub code: OutputCode,
    /// Name of the output, or path of the file.
    pub subject: String,
    /// One sentence.
    pub message: String,
}

/// Stable codes: the first three are Scale's error names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputCode {
    /// No file for a required output.
    MissingRequiredOutput,
    /// Several files for a single-file output.
    UnexpectedMultipleOutputs,
    /// `seed.outputs.json` does not fit the manifest.
    InvalidResultsManifest,
    /// A file cannot be read.
    UnreadableOutput,
    /// A limit for bytes or files is exceeded.
    TooLargeOutput,
}

/// Captures an output directory. If it exceeds a limit, no file is read and no output is reported as missing.
///
/// # Errors
/// It was halted.
pub fn capture(
    manifest: &SeedManifest,
    folder: &Path,
    rules: OutputRules,
    halt: &HaltSignal,
) -> Result<RunOutputs, HaltReason> {
    let tree = tree::list(folder, WalkBounds { entries: MAX_ENTRIES, bytes: rules.bytes }, halt)?;
    let (metadata_left, halt) = (MAX_METADATA, halt.clone());
    let digests = HashMap::new();
    let mut capture =
        OutputCapture { tree, outputs: RunOutputs::default(), used: BTreeSet::new(), metadata_left, digests, halt };
    capture.check_tree(rules);
    for output in &manifest.job.interface.outputs.files {
        let captured = capture.files(output)?;
        capture.outputs.files.push(captured);
    }
    if !capture.tree.is_cut {
        capture.json(manifest, rules);
        capture.input_metadata(manifest);
    }
    capture.extra();
    Ok(capture.outputs)
}

struct OutputCapture {
    tree: OutputTree,
    outputs: RunOutputs,
    /// Paths that belong to an output or to metadata.
    used: BTreeSet<String>,
    /// Bytes of metadata left before the limit.
    metadata_left: usize,
    /// Digests by device and inode, so that hard links are read once.
    digests: HashMap<(u64, u64), String>,
    halt: HaltSignal,
}

impl OutputCapture {
    fn problem(&mut self, code: OutputCode, subject: &str, message: String) {
        self.outputs.problems.push(OutputProblem { code, subject: subject.to_owned(), message });
    }

    fn warn(&mut self, warning: String) {
        if self.outputs.warnings.len() < MAX_WARNINGS {
            self.outputs.warnings.push(warning);
        }
    }

    fn check_tree(&mut self, rules: OutputRules) {
        self.outputs.warnings = std::mem::take(&mut self.tree.warnings);
        self.outputs.bytes = self.tree.usage.length;
        let bytes = self.tree.usage.on_disk;
        if let Some(most) = rules.bytes.filter(|most| bytes > *most) {
            let message = format!("the job wrote {bytes} bytes or more to the disk, but it may write {most}.");
            self.problem(OutputCode::TooLargeOutput, "disk", message);
        }
        if let Some(message) = self.tree.fault.take() {
            let code = if self.tree.is_cut { OutputCode::TooLargeOutput } else { OutputCode::UnreadableOutput };
            self.problem(code, "OUTPUT_DIR", message);
        }
    }

    fn files(&mut self, output: &JobOutputFile) -> Result<CapturedOutput, HaltReason> {
        let pattern = OutputGlob::new(&output.pattern);
        let found: Vec<String> =
            self.tree.files.keys().filter(|path| !is_bookkeeping(path) && pattern.matches(path)).cloned().collect();
        let name = &output.name;
        let pattern = &output.pattern;
        match found.len() {
            // Files beyond the limit may match.
            _ if self.tree.is_cut => {}
            0 if output.required => {
                let there = listed(self.tree.files.keys().filter(|path| !is_bookkeeping(path)));
                let message = format!("no file matches {pattern}; the job wrote {there}.");
                self.problem(OutputCode::MissingRequiredOutput, name, message);
            }
            count if count > 1 && !output.multiple => {
                let message = format!("it is a single file, but {count} match {pattern}: {}.", listed(found.iter()));
                self.problem(OutputCode::UnexpectedMultipleOutputs, name, message);
            }
            _ => {}
        }
        let files = found.iter().map(|path| self.left(path, output)).collect::<Result<_, _>>()?;
        self.used.extend(found);
        Ok(CapturedOutput { name: name.clone(), files })
    }

    fn left(&mut self, path: &str, output: &JobOutputFile) -> Result<CapturedFile, HaltReason> {
        let name = &output.name;
        if let Some(wanted) = output.media_type.as_deref()
            && !disk::may_be(path, [wanted].into_iter())
        {
            let warning = format!("{name}: {path} does not look like {wanted}, the type in the manifest.");
            self.warn(warning);
        }
        let size = self.tree.files[path].size;
        let media_type = output.media_type.clone().or_else(|| disk::media_type(path).map(str::to_owned));
        if self.tree.is_cut {
            return Ok(CapturedFile { path: path.to_owned(), size, sha256: None, media_type, metadata: None });
        }
        let sha256 = match self.digest(path) {
            Ok(digest) => Some(digest),
            Err(disk::FileReadError::Halted(why)) => return Err(why),
            Err(disk::FileReadError::Disk(why)) => {
                self.problem(OutputCode::UnreadableOutput, name, format!("{path} cannot be read: {why}."));
                None
            }
        };
        let metadata = self.metadata(&format!("{path}{}", metadata::SUFFIX));
        Ok(CapturedFile { path: path.to_owned(), size, sha256, media_type, metadata })
    }

    fn digest(&mut self, path: &str) -> Result<String, disk::FileReadError> {
        let entry = &self.tree.files[path];
        if let Some(known) = self.digests.get(&entry.id) {
            return Ok(known.clone());
        }
        let digest = disk::sha256_of(self.tree.open(entry)?, &self.halt)?;
        self.digests.insert(entry.id, digest.clone());
        Ok(digest)
    }

    /// Reads a metadata file, if there is one. An invalid one is a warning, as in Scale.
    fn metadata(&mut self, path: &str) -> Option<SeedMetadata> {
        let file = self.tree.open(self.tree.files.get(path)?);
        self.used.insert(path.to_owned());
        match self.read_metadata(file) {
            Ok(metadata) => {
                metadata.remarks.iter().for_each(|remark| self.warn(format!("{path}: {remark}")));
                Some(metadata)
            }
            Err(why) => {
                self.warn(format!("{path} is not used: {why}."));
                None
            }
        }
    }

    fn read_metadata(&mut self, file: std::io::Result<std::fs::File>) -> Result<SeedMetadata, String> {
        let bytes =
            file.and_then(|file| disk::read_capped(file, metadata::MAX_BYTES)).map_err(|why| why.to_string())?;
        let too_much = || format!("there is more than {MAX_METADATA} bytes of metadata");
        self.metadata_left = self.metadata_left.checked_sub(bytes.len()).ok_or_else(too_much)?;
        SeedMetadata::read(&bytes).map_err(|why| why.to_string())
    }

    /// Metadata of an input is named after the input, not after its file.
    fn input_metadata(&mut self, manifest: &SeedManifest) {
        for input in &manifest.job.interface.inputs.files {
            if let Some(metadata) = self.metadata(&format!("{}{}", input.name, metadata::SUFFIX)) {
                self.outputs.input_metadata.insert(input.name.clone(), metadata);
            }
        }
    }

    fn extra(&mut self) {
        let extra = self.tree.files.iter().filter(|(path, _)| !self.used.contains(*path));
        let left = extra.map(|(path, file)| CapturedFile {
            path: path.clone(),
            size: file.size,
            sha256: None,
            media_type: disk::media_type(path).map(str::to_owned),
            metadata: None,
        });
        self.outputs.extra = left.collect();
    }
}

/// Whether a file holds metadata or JSON outputs, so that no pattern matches it (as in Scale).
fn is_bookkeeping(path: &str) -> bool {
    [metadata::SUFFIX, JSON_FILE, OLD_JSON_FILE].iter().any(|word| path.contains(word))
}

/// The first names, and the number of others.
fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

/// A listed file.
struct OutputEntry {
    /// Bytes.
    size: u64,
    /// Path below the directory; for a link, that of its target.
    place: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}
