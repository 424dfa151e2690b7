//! Validates a manifest: reports all problems at once, with position and fix.
//!
//! All checks run, from syntax to advice, whatever earlier checks found: invalid JSON is parsed with error recovery and
//! validated further. `docs/problems.md` explains the codes.

mod advice;
mod command;
mod findings;
mod names;
mod source;
mod structure;
mod suggest;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use serde::Serialize;

use super::json::{self, JsonNode, JsonPointer};
use super::schema::VERSION;
use super::{LABEL, ManifestProblem, ProblemCode, ValidationProfile, label, upgrade};
use findings::FindingCollector;

/// Largest manifest that is validated, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Maximum number of problems of one severity that are listed.
pub const MAX_PROBLEMS: usize = 200;

/// Revision of the rules. To be incremented with every change of a report, so that stored manifests are validated
/// again.
pub const REVISION: i64 = 3;

/// Options of a validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidationRules {
    pub profile: ValidationProfile,
    /// Report warnings as errors.
    pub strict: bool,
}

/// The result of a validation, the same for REST, the command line and scans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationReport {
    /// Whether the manifest has no errors.
    pub valid: bool,
    pub profile: ValidationProfile,
    pub strict: bool,
    /// The standard's name of the image; `None` if the job's name or a version is invalid.
    pub image_name: Option<String>,
    /// The problems, errors first, in document order within a severity; at most [`MAX_PROBLEMS`] of each severity.
    pub problems: Vec<ManifestProblem>,
    /// Number of problems that are not listed.
    pub omitted: usize,
}

/// Validates a manifest given as arbitrary bytes.
pub fn judge(bytes: &[u8], rules: ValidationRules) -> ValidationReport {
    if bytes.len() > MAX_BYTES {
        let message = format!("The manifest has more than {MAX_BYTES} bytes, and was not read.");
        let help = "Shorten it: a label holds a manifest of some kilobytes.".to_owned();
        return unread(ProblemCode::TooLarge, message, help, rules);
    }
    let mut findings = FindingCollector::new(rules);
    let source = source::decode(bytes);
    text::encoding(&mut findings, &source);
    let mut document = json::read(&source.text);
    text::faults(&mut findings, &mut document);
    text::sweep(&mut findings, JsonPointer::Root, &document.root);
    if let Some(version) = old_version(&document.root, &source.text) {
        let stated =
            ["seedVersion", "manifestVersion"].into_iter().find_map(|key| Some((key, document.root.get(key)?)));
        let (path, at) = stated.map_or((JsonPointer::Root, document.root.at), |(key, node)| {
            (JsonPointer::Key(&JsonPointer::Root, key), node.at)
        });
        findings.add(ProblemCode::OldVersion, path, at, || {
            let message = format!("This is a manifest of version {version} of the standard.");
            (message, "Bring it to 1.0.0: `silo upgrade` does most of it.".to_owned())
        });
        return report(findings, &source.text, None);
    }
    structure::check(&mut findings, &document.root);
    let names = names::collect(&document.root);
    names::check(&mut findings, &names);
    advice::check(&mut findings, &document.root, &names, &source.text);
    let image_name = advice::image(&mut findings, &document.root);
    report(findings, &source.text, image_name)
}

/// Validates the manifest in a label, in any [`label`] encoding. Positions refer to the manifest's text after the
/// quoting was removed.
pub fn judge_label(label: &str, rules: ValidationRules) -> ValidationReport {
    match label::read(label) {
        Ok(manifest) => judge(manifest.as_bytes(), rules),
        // An unquoted manifest with syntax errors: the parser reports more than the label error does.
        Err(_) if label.trim_start().starts_with('{') && !label.trim_start().starts_with("{\\") => {
            judge(label.as_bytes(), rules)
        }
        Err(why) => {
            let help = format!("Build the image again with the manifest as the value of the label {LABEL}.");
            unread(ProblemCode::UnreadableLabel, why.to_string(), help, rules)
        }
    }
}

/// The report for an image without a Seed label.
pub fn judge_unlabelled(rules: ValidationRules) -> ValidationReport {
    let message = format!("The image has no label {LABEL}.");
    unread(ProblemCode::NoLabel, message, "Build it with its manifest as that label's value.".to_owned(), rules)
}

/// The text that the positions of [`judge`]'s problems refer to: without byte order mark, invalid UTF-8 replaced.
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    source::decode(bytes).text
}

fn unread(code: ProblemCode, message: String, help: String, rules: ValidationRules) -> ValidationReport {
    let mut findings = FindingCollector::new(rules);
    findings.add(code, JsonPointer::Root, 0, || (message, help));
    let mut report = report(findings, "", None);
    // There is no text for a position.
    report.problems.iter_mut().for_each(|problem| (problem.line, problem.column) = (0, 0));
    report
}

fn report(findings: FindingCollector, text: &str, image_name: Option<String>) -> ValidationReport {
    let (ValidationRules { profile, strict }, valid) = (findings.rules(), findings.has_no_errors());
    let (problems, omitted) = findings.into_problems(text);
    ValidationReport { valid, profile, strict, image_name, problems, omitted }
}

/// The version of a 0.x manifest whose format differs from 1.0.0.
fn old_version(document: &JsonNode<'_>, text: &str) -> Option<String> {
    let is_current = document.get("seedVersion").and_then(JsonNode::text) == Some(VERSION);
    let is_candidate = !is_current && document.object().is_some();
    is_candidate.then(|| upgrade::old_version(&serde_json::from_str(text).ok()?))?
}
