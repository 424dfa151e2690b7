//! Judging a manifest: everything that is wrong with it at once, where, and how to mend it.
//!
//! One pass over the text, from grammar to advice, that stops at no class of problems: a text that is not JSON is read
//! as well as can be guessed, and judged further. `docs/problems.md` explains the codes.

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

use super::json::{self, Node, Path};
use super::schema::VERSION;
use super::{Code, LABEL, Problem, Profile, label, upgrade};
use findings::Findings;

/// The longest manifest that is judged, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The most problems of one severity that are listed.
pub const MAX_PROBLEMS: usize = 200;

/// Rises with every change of a rule, so that what was judged before can be judged again.
pub const REVISION: i64 = 3;

/// How to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub profile: Profile,
    /// Warnings become errors.
    pub strict: bool,
}

/// The one report that REST, the command line and scans give of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether there is no error.
    pub valid: bool,
    pub profile: Profile,
    pub strict: bool,
    /// The name that the standard gives the image; `None` while name and versions do not obey the rules.
    pub image_name: Option<String>,
    /// Every problem, errors first, in document order within a severity; at most [`MAX_PROBLEMS`] of each severity.
    pub problems: Vec<Problem>,
    /// How many problems more there are.
    pub omitted: usize,
}

/// Judges a manifest's text, whatever bytes it is made of.
pub fn judge(bytes: &[u8], rules: Rules) -> Report {
    if bytes.len() > MAX_BYTES {
        let message = format!("The manifest has more than {MAX_BYTES} bytes, and was not read.");
        let help = "Shorten it: a label holds a manifest of some kilobytes.".to_owned();
        return unread(Code::TooLarge, message, help, rules);
    }
    let mut findings = Findings::new(rules);
    let source = source::decode(bytes);
    text::encoding(&mut findings, &source);
    let mut document = json::read(&source.text);
    text::faults(&mut findings, &mut document);
    text::sweep(&mut findings, Path::Root, &document.root);
    if let Some(version) = old_version(&document.root, &source.text) {
        let stated =
            ["seedVersion", "manifestVersion"].into_iter().find_map(|key| Some((key, document.root.get(key)?)));
        let (path, at) =
            stated.map_or((Path::Root, document.root.at), |(key, node)| (Path::Key(&Path::Root, key), node.at));
        findings.add(Code::OldVersion, path, at, || {
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

/// Judges the manifest in a label, in whatever form the label is stored. Places are those of the manifest's text, after
/// the quoting is gone.
pub fn judge_label(label: &str, rules: Rules) -> Report {
    match label::read(label) {
        Ok(manifest) => judge(manifest.as_bytes(), rules),
        // A manifest that is merely broken: the reader tells more.
        Err(_) if label.trim_start().starts_with('{') && !label.trim_start().starts_with("{\\") => {
            judge(label.as_bytes(), rules)
        }
        Err(why) => {
            let help = format!("Build the image again with the manifest as the value of the label {LABEL}.");
            unread(Code::UnreadableLabel, why.to_string(), help, rules)
        }
    }
}

/// Judges an image that has no Seed label.
pub fn judge_unlabelled(rules: Rules) -> Report {
    let message = format!("The image has no label {LABEL}.");
    unread(Code::NoLabel, message, "Build it with its manifest as that label's value.".to_owned(), rules)
}

/// The text that the places of [`judge`]'s problems refer to: what is not UTF-8 is replaced, a byte order mark is gone.
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    source::decode(bytes).text
}

fn unread(code: Code, message: String, help: String, rules: Rules) -> Report {
    let mut findings = Findings::new(rules);
    findings.add(code, Path::Root, 0, || (message, help));
    let mut report = report(findings, "", None);
    // There is no text that the problem could have a place in.
    report.problems.iter_mut().for_each(|problem| (problem.line, problem.column) = (0, 0));
    report
}

fn report(findings: Findings, text: &str, image_name: Option<String>) -> Report {
    let (Rules { profile, strict }, valid) = (findings.rules(), findings.are_harmless());
    let (problems, omitted) = findings.into_problems(text);
    Report { valid, profile, strict, image_name, problems, omitted }
}

/// The version of a manifest from before 1.0.0 that is written otherwise than today's.
fn old_version(document: &Node<'_>, text: &str) -> Option<String> {
    let is_current = document.get("seedVersion").and_then(Node::text) == Some(VERSION);
    let is_candidate = !is_current && document.object().is_some();
    is_candidate.then(|| upgrade::old_version(&serde_json::from_str(text).ok()?))?
}
