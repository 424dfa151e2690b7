//! Two versions of a job, compared: changed fields, and the lines of both manifests.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::manifest_view::text;
use super::see_other;
use crate::app::{Error, JobComparison, JobKey};
use crate::catalog::CatalogueImage;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::pages::ports::cut;
use crate::http::pages::{PageFrame, filters, reply};
use crate::http::path_part::{
    job_path, job_version_path, part, read_part, version_choice, version_part, version_range,
};
use crate::seed::comparison::{ManifestChange, ManifestSection};
use crate::seed::listing::ManifestListing;
use crate::seed::manifest;

/// Most changed fields, and most lines, that are shown.
const MOST_CHANGES: usize = 500;
const MOST_LINES: usize = 2_000;
/// Longest line, in characters.
const LONGEST_LINE: usize = 2_000;
/// Time after which no shorter difference is looked for.
const LONGEST_DIFF: Duration = Duration::from_millis(200);
/// Unchanged lines around a change.
const CONTEXT: usize = 3;

#[derive(Template)]
#[template(path = "job_compare.html")]
struct ComparePage {
    frame: PageFrame,
    name: String,
    job_url: String,
    old: ComparedVersion,
    new: ComparedVersion,
    /// The same with old and new exchanged.
    swapped_url: String,
    count: usize,
    sections: Vec<ChangedSection>,
    more: usize,
    lines: Vec<DiffLine>,
    is_cut: bool,
}

struct ComparedVersion {
    url: String,
    job_version: String,
    package_version: String,
    is_valid: bool,
}

struct ChangedSection {
    heading: &'static str,
    changes: Vec<ChangedField>,
}

struct ChangedField {
    field: String,
    /// `None`: the field is not there.
    old: Option<String>,
    new: Option<String>,
}

struct DiffLine {
    /// CSS class; empty for unchanged lines.
    class: &'static str,
    /// `+`, `−`, a blank, or `⋮` for lines that are left out.
    sign: &'static str,
    text: String,
}

#[derive(Deserialize)]
pub(super) struct CompareQuery {
    old: Option<String>,
    new: Option<String>,
}

/// Goes to the comparison that a form asks for.
pub(super) async fn choose(
    PathParameters(name): PathParameters<String>,
    QueryParameters(CompareQuery { old, new }): QueryParameters<CompareQuery>,
) -> Result<Response> {
    let path = job_path(&read_part(&name));
    let (Some(old), Some(new)) = (old, new) else { return Ok(see_other(&format!("{path}#versions"))) };
    let spelled = |version: &str| {
        let choice = version_choice(version);
        match &choice.package_version {
            Some(package_version) => version_part(&choice.job_version, package_version),
            None => part(&choice.job_version),
        }
    };
    Ok(see_other(&format!("{path}/compare/{}..{}", spelled(&old), spelled(&new))))
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PathParameters((name, versions)): PathParameters<(String, String)>,
) -> Result<Response> {
    let range = version_range(&versions);
    let (old, new) = range.ok_or_else(|| Error::Invalid("Name two versions as OLD..NEW".to_owned()))?;
    let comparison = app.job_compare(&JobKey::Name(read_part(&name)), &old, &new).await?;
    reply(&ComparePage::new(frame, comparison))
}

impl ComparePage {
    fn new(frame: PageFrame, comparison: JobComparison) -> Self {
        let JobComparison { old, new, changes } = comparison;
        let name = new.facts.job_name.clone();
        let version = |image: &CatalogueImage| version_part(&image.facts.job_version, &image.facts.package_version);
        let count = changes.len();
        let (lines, is_cut) = difference(&canonical(&old), &canonical(&new));
        Self {
            job_url: frame.job_url(&name),
            swapped_url: frame.url(&format!("{}/compare/{}..{}", job_path(&name), version(&new), version(&old))),
            old: compared(&frame, &old),
            new: compared(&frame, &new),
            count,
            sections: sections(changes),
            more: count.saturating_sub(MOST_CHANGES),
            lines,
            is_cut,
            name,
            frame,
        }
    }
}

fn compared(frame: &PageFrame, image: &CatalogueImage) -> ComparedVersion {
    let facts = &image.facts;
    ComparedVersion {
        url: frame.url(&job_version_path(&facts.job_name, &facts.job_version, &facts.package_version)),
        job_version: facts.job_version.clone(),
        package_version: facts.package_version.clone(),
        is_valid: facts.valid,
    }
}

fn sections(changes: Vec<ManifestChange>) -> Vec<ChangedSection> {
    let mut sections: Vec<(ManifestSection, ChangedSection)> = Vec::new();
    for ManifestChange { section, field, old, new } in changes.into_iter().take(MOST_CHANGES) {
        let shown = |value: Option<Value>| value.map(|value| text(&value));
        let change = ChangedField { field: short(&field).to_owned(), old: shown(old), new: shown(new) };
        match sections.last_mut() {
            Some((last, known)) if *last == section => known.changes.push(change),
            _ => sections.push((section, ChangedSection { heading: heading(section), changes: vec![change] })),
        }
    }
    sections.into_iter().map(|(_, section)| section).collect()
}

/// A path without the beginning that its section has.
fn short(field: &str) -> &str {
    let field = field.strip_prefix("job.").unwrap_or(field);
    field.strip_prefix("interface.").unwrap_or(field)
}

fn heading(section: ManifestSection) -> &'static str {
    match section {
        ManifestSection::About => "About the job",
        ManifestSection::Inputs => "Inputs",
        ManifestSection::Outputs => "Outputs",
        ManifestSection::Resources => "Needs",
        ManifestSection::Settings => "Settings",
        ManifestSection::Mounts => "Mounts",
        ManifestSection::Errors => "Errors",
        ManifestSection::Command => "Command",
        ManifestSection::Other => "Other fields",
    }
}

/// The manifest with the standard's defaults, in lines.
fn canonical(image: &CatalogueImage) -> String {
    let listing = ManifestListing::of(&manifest::with_defaults(&image.facts.manifest).to_string(), []);
    let mut lines = String::new();
    for line in listing.lines {
        line.iter().for_each(|span| lines.push_str(&span.text));
        lines.push('\n');
    }
    lines
}

/// Changed lines with some unchanged ones around them, and whether more are left out at the end.
fn difference(old: &str, new: &str) -> (Vec<DiffLine>, bool) {
    // Long texts without common lines take quadratic time; a diff that is cut short is only longer.
    let diff = TextDiff::configure().timeout(LONGEST_DIFF).diff_lines(old, new);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(DiffLine { class: "gap", sign: "⋮", text: String::new() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if lines.len() >= MOST_LINES {
                return (lines, true);
            }
            let (class, sign) = match change.tag() {
                ChangeTag::Equal => ("", " "),
                ChangeTag::Delete => ("gone", "−"),
                ChangeTag::Insert => ("new", "+"),
            };
            let text = cut(change.value().trim_end_matches('\n'), LONGEST_LINE);
            lines.push(DiffLine { class, sign, text });
        }
    }
    (lines, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_around_changes_are_shown() {
        let lines: Vec<String> = (0..20).map(|number| format!("{number}\n")).collect();
        let old = lines.concat();
        let new = old.replace("\n2\n", "\ntwo\n").replace("\n17\n", "\n17\nnew\n");
        let (shown, is_cut) = difference(&old, &new);
        let signs: String = shown.iter().map(|line| line.sign).collect();
        assert_eq!((signs.as_str(), is_cut), ("  −+   ⋮   +  ", false));
        assert_eq!(difference(&old, &old).0.len(), 0);
        assert!(difference("", &"x\n".repeat(3 * MOST_LINES)).1);
    }
}
