//! Files that an input can be chosen from: uploads, and outputs of earlier runs.

use crate::app::{EarlierOutput, FileSpec};
use crate::catalog::UploadedFile;
use crate::http::pages::job::bytes;
use crate::http::pages::ports::cut;

/// Longest name of a file in a choice, in characters.
const LONGEST_NAME: usize = 100;

/// A file as the value of a field.
pub(super) fn as_value(file: &FileSpec) -> String {
    serde_json::to_string(file).expect("texts are JSON")
}

/// A file that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileChoice {
    /// The value of its field.
    pub value: String,
    pub label: String,
    pub is_chosen: bool,
}

impl FileChoice {
    /// An uploaded file.
    pub(super) fn of_upload(upload: &UploadedFile) -> Self {
        let UploadedFile { sha256, name, size, created_at, .. } = upload;
        let file = FileSpec::Upload { sha256: sha256.clone(), name: Some(name.clone()) };
        let label =
            format!("{}, {}, {}", cut(name, LONGEST_NAME), bytes(size.unsigned_abs()), created_at.format("%Y-%m-%d"));
        Self { value: as_value(&file), label, is_chosen: false }
    }

    /// An output file of an earlier run.
    pub(super) fn of_output(output: &EarlierOutput) -> Self {
        let EarlierOutput { run, job, job_version, label, finished, output, file } = output;
        let path = file.path.clone();
        let source = FileSpec::Output { run: run.clone(), output: Some(output.clone()), file: Some(path), name: None };
        let of = label.as_ref().map_or_else(|| format!("{job} {job_version}"), |label| cut(label, LONGEST_NAME));
        let day = finished.map(|time| format!(", {}", time.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
        let label = format!("{}, {}, {output} of {of}{day}", cut(&file.path, LONGEST_NAME), bytes(file.size));
        Self { value: as_value(&source), label, is_chosen: false }
    }

    /// A file that the form sent.
    fn of_value(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            label: label(&serde_json::from_str(value).unwrap_or(FileSpec::Unclear)),
            is_chosen: true,
        }
    }
}

/// The choices with those marked that were chosen before, also if they are not offered any more.
pub(super) fn marked<'c>(offered: impl Iterator<Item = &'c FileChoice>, chosen: &[String]) -> Vec<FileChoice> {
    let mut choices: Vec<FileChoice> =
        offered.map(|it| FileChoice { is_chosen: chosen.contains(&it.value), ..it.clone() }).collect();
    let others = chosen.iter().filter(|value| !value.is_empty() && !choices.iter().any(|known| known.value == **value));
    let others: Vec<FileChoice> = others.map(|value| FileChoice::of_value(value)).collect();
    choices.extend(others);
    choices
}

/// A file for people; a query of an address may be a signature, and is masked.
pub(super) fn label(file: &FileSpec) -> String {
    match file {
        FileSpec::Upload { sha256, name } => cut(name.as_ref().unwrap_or(sha256), LONGEST_NAME),
        FileSpec::Url { url, .. } => url.masked(),
        FileSpec::Output { run, output, file, .. } => {
            let named = file.as_ref().or(output.as_ref()).map(|name| cut(name, LONGEST_NAME)).unwrap_or_default();
            format!("{named} of run {run}")
        }
        FileSpec::Path { path, .. } => path.to_string_lossy().into_owned(),
        FileSpec::Unclear => "unclear".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_stays_chosen() {
        let upload = |name: &str| FileSpec::Upload { sha256: "ab".to_owned(), name: Some(name.to_owned()) };
        let offered = [upload("a"), upload("b")].map(|file| FileChoice {
            value: as_value(&file),
            label: label(&file),
            is_chosen: false,
        });
        let chosen = [as_value(&upload("b")), as_value(&upload("gone")), "nonsense".to_owned(), String::new()];
        let found: Vec<(String, bool)> =
            marked(offered.iter(), &chosen).into_iter().map(|choice| (choice.label, choice.is_chosen)).collect();
        let expected = [("a", false), ("b", true), ("gone", true), ("unclear", true)];
        assert_eq!(found, expected.map(|(label, is_chosen)| (label.to_owned(), is_chosen)));
    }
}
