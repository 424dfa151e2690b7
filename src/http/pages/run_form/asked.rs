//! What a sent form asks for.

use serde_json::Value;

use super::choices::as_value;
use super::prefilled::{has_secret, is_kept_possible};
use super::problem::FormProblem;
use crate::app::{
    EarlierRun, Error, FileAddress, FileSpec, InputFile, KeptInputs, RequestedImage, RunForm, RunInputs, RunOptions,
    SettingValue,
};
use crate::catalog::ImageId;
use crate::engine::plan::request::ContainerLayout;
use crate::http::pages::file_form::{FileForm, FormTexts};
use crate::seed::model::{JobInputFile, JobInputJson, JsonType, SeedManifest};

/// A run that a form asks for, and what is wrong with the form itself. Values are checked when the run is planned.
#[derive(Debug)]
pub(super) struct AskedRun {
    pub form: RunForm,
    pub problems: Vec<FormProblem>,
}

/// Prefix of the fields with files.
const FILES: &str = "files.";

/// Whether the files of a field are stored: only those of inputs whose source they are.
pub(super) fn is_wanted(texts: &FormTexts, field: &str) -> bool {
    let Some(input) = field.strip_prefix(FILES) else { return false };
    matches!(texts.text(&format!("source.{input}")), "" | "upload")
}

impl AskedRun {
    /// Reads the form. Its stored files become values of the fields `sent.INPUT`, which the page shows.
    pub(super) fn read(
        image: ImageId,
        manifest: &SeedManifest,
        earlier: Option<&EarlierRun>,
        sent: &mut FileForm,
    ) -> Self {
        let mut problems: Vec<FormProblem> = Vec::new();
        for (field, why) in &sent.refused {
            problems.push(FormProblem::new(field.strip_prefix(FILES).unwrap_or(field), why.clone()));
        }
        keep_sent(manifest, sent);
        let texts = &sent.texts;
        let kept = earlier.filter(|earlier| is_kept_possible(earlier, manifest));
        let options = options(texts, &mut problems);
        let platform = Some(texts.text("platform").trim().to_owned()).filter(|platform| !platform.is_empty());
        let form = RunForm {
            image: RequestedImage::Id(image),
            inputs: inputs(manifest, texts),
            options,
            layout: if texts.text("layout") == "scale" { ContainerLayout::Scale } else { ContainerLayout::Silo },
            platform,
            dedup: texts.text("dedup") == "yes",
            kept: kept.map(|earlier| kept_inputs(manifest, texts, earlier)),
        };
        Self { form, problems }
    }

    /// The problems of the form, and those that its run has.
    pub(super) fn with_problems_of(self, why: &Error) -> Vec<FormProblem> {
        let mut problems = self.problems;
        match why {
            Error::Unrunnable(found) => problems.extend(found.iter().map(|problem| {
                let blank = if problem.help.is_empty() { "" } else { " " };
                FormProblem::new(&problem.subject, format!("{}{blank}{}", problem.message, problem.help))
            })),
            other => problems.push(FormProblem::new("", other.to_string())),
        }
        problems
    }
}

/// Adds the stored files to those that were sent before; to an input of one file, in their place.
fn keep_sent(manifest: &SeedManifest, sent: &mut FileForm) {
    for (field, file) in std::mem::take(&mut sent.files) {
        let Some(input) = field.strip_prefix(FILES) else { continue };
        let known = manifest.job.interface.inputs.files.iter().find(|known| known.name == input);
        let field = format!("sent.{input}");
        if known.is_some_and(|known| !known.multiple) {
            sent.texts.remove(&field);
        }
        sent.texts.add(field, as_value(&file));
    }
}

fn inputs(manifest: &SeedManifest, texts: &FormTexts) -> RunInputs {
    let interface = &manifest.job.interface;
    let files = interface.inputs.files.iter().flat_map(|input| {
        files(input, texts).into_iter().map(|source| InputFile { input: input.name.clone(), source })
    });
    let json = interface.inputs.json.iter().filter_map(|input| Some((input.name.clone(), value(input, texts)?)));
    let settings = interface.settings.iter().filter_map(|setting| {
        let text = texts.text(&format!("setting.{}", setting.name));
        let value = match setting.secret {
            true => SettingValue::Secret(text.into()),
            false => SettingValue::Shown(text.to_owned()),
        };
        (!text.is_empty()).then(|| (setting.name.clone(), value))
    });
    let mounts = interface.mounts.iter().filter_map(|mount| {
        let path = texts.text(&format!("mount.{}", mount.name)).trim();
        (!path.is_empty()).then(|| (mount.name.clone(), path.into()))
    });
    RunInputs { files: files.collect(), json: json.collect(), settings: settings.collect(), mounts: mounts.collect() }
}

/// The files of the source that is chosen for an input.
fn files(input: &JobInputFile, texts: &FormTexts) -> Vec<FileSpec> {
    let field = |word: &str| format!("{word}.{}", input.name);
    let chosen =
        |word: &str| texts.all(&field(word)).iter().filter(|value| !value.is_empty()).map(|it| file(it)).collect();
    match texts.text(&field("source")) {
        "kept" => Vec::new(),
        "uploaded" => chosen("uploaded"),
        "output" => chosen("output"),
        "url" => addresses(texts.text(&field("url")), texts.text(&field("sha256"))),
        "path" => {
            let lines = texts.text(&field("path")).lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(|line| FileSpec::Path { path: line.into(), name: None }).collect()
        }
        _ => chosen("sent"),
    }
}

/// The opposite of [`as_value`]; a value that is none is a problem of the input.
fn file(value: &str) -> FileSpec {
    serde_json::from_str(value).unwrap_or(FileSpec::Unclear)
}

/// One address a line, with a SHA-256 after a blank; for a single address it may be given apart.
fn addresses(lines: &str, sha256: &str) -> Vec<FileSpec> {
    let apart = sha256.trim();
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let url = FileAddress::from(words.next()?.to_owned());
        let sha256 = words.next().unwrap_or(apart).to_ascii_lowercase();
        Some(FileSpec::Url { url, sha256: Some(sha256).filter(|sha256| !sha256.is_empty()), name: None })
    };
    lines.lines().filter_map(address).collect()
}

/// The value of a JSON input. A text that is no JSON is a string, which then has the wrong type.
fn value(input: &JobInputJson, texts: &FormTexts) -> Option<Value> {
    let text = texts.text(&format!("json.{}", input.name));
    match input.json_type {
        _ if text.trim().is_empty() => None,
        JsonType::String => Some(Value::String(text.to_owned())),
        _ => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))),
    }
}

/// What the form takes over from the earlier run: files where it says so, and secrets that are not typed anew.
fn kept_inputs(manifest: &SeedManifest, texts: &FormTexts, earlier: &EarlierRun) -> KeptInputs {
    let interface = &manifest.job.interface;
    let files = interface.inputs.files.iter().map(|input| &input.name);
    let settings = interface.settings.iter().map(|setting| &setting.name);
    KeptInputs {
        run: earlier.id.clone(),
        files: files.filter(|name| texts.text(&format!("source.{name}")) == "kept").cloned().collect(),
        settings: settings
            .filter(|name| has_secret(earlier, name) && texts.text(&format!("setting.{name}")).is_empty())
            .cloned()
            .collect(),
    }
}

fn options(texts: &FormTexts, problems: &mut Vec<FormProblem>) -> RunOptions {
    let tags = texts.text("tags").split(',').map(str::trim).filter(|tag| !tag.is_empty());
    RunOptions {
        timeout_seconds: number(texts, "timeoutSeconds", problems),
        max_tries: number(texts, "maxTries", problems),
        priority: number(texts, "priority", problems),
        label: Some(texts.text("label").trim().to_owned()),
        tags: Some(tags.map(str::to_owned).collect()),
    }
}

/// The number in a field; `None` if it is empty.
fn number<N: std::str::FromStr>(texts: &FormTexts, field: &str, problems: &mut Vec<FormProblem>) -> Option<N> {
    let text = texts.text(field).trim();
    let number = text.parse().ok();
    if number.is_none() && !text.is_empty() {
        problems.push(FormProblem::new(field, "it must be a whole number, or empty.".to_owned()));
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_line_with_words_is_one_address(lines in proptest::collection::vec("[ -~]{0,12}", 0..6), apart in "[0-9A-Fa-f]{0,8}") {
            let expected: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
            let found = addresses(&lines.join("\n"), &apart);
            prop_assert_eq!(found.len(), expected.len());
            for (file, expected) in found.iter().zip(expected) {
                let FileSpec::Url { url, sha256, name: None } = file else { panic!("{file:?}") };
                prop_assert_eq!(url.expose(), expected);
                prop_assert!(sha256.as_ref().is_none_or(|sha256| !sha256.is_empty() && *sha256 == sha256.to_lowercase()));
            }
        }

        #[test]
        fn a_file_is_read_as_it_was_written(sha256 in "[0-9a-f]{64}", name in "\\PC{0,20}") {
            let upload = FileSpec::Upload { sha256, name: Some(name.clone()) };
            prop_assert_eq!(file(&as_value(&upload)), upload);
            let output = FileSpec::Output { run: "7".to_owned(), output: Some(name.clone()), file: Some(name), name: None };
            prop_assert_eq!(file(&as_value(&output)), output);
        }

        #[test]
        fn any_value_is_a_file_or_unclear(value in "\\PC{0,40}") {
            file(&value);
        }
    }

    #[test]
    fn a_digest_stands_in_the_line_or_apart() {
        let digests = |lines: &str, apart: &str| -> Vec<Option<String>> {
            let digest = |file| match file {
                FileSpec::Url { sha256, .. } => sha256,
                other => panic!("{other:?}"),
            };
            addresses(lines, apart).into_iter().map(digest).collect()
        };
        assert_eq!(digests("https://a.example/x", " AB "), [Some("ab".to_owned())]);
        assert_eq!(digests("https://a.example/x CD\n\nhttps://a.example/y\n", ""), [Some("cd".to_owned()), None]);
    }
}
