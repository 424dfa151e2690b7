//! The fields of a form, made from the manifest and from what was typed before.

use super::choices::{FileChoice, label, marked};
use super::prefilled::{files_of, has_secret, is_kept_possible};
use super::problem::FormProblem;
use super::runner::FormRunner;
use crate::app::{EarlierRun, RunLimits};
use crate::http::pages::file_form::FormTexts;
use crate::http::pages::ports::{extension, formats};
use crate::seed::environment::variable_name;
use crate::seed::media_type;
use crate::seed::model::{JobInputFile, JobInputJson, JobMount, JobSetting, JsonType, MountMode, SeedManifest};

/// Most uploads, and most outputs of runs, that one input offers; and most that all inputs of a page do.
const MOST_CHOICES: usize = 20;
const MOST_CHOICES_OF_PAGE: usize = 1000;

/// The state that fields are made from.
struct FieldSource<'f> {
    manifest: &'f SeedManifest,
    texts: &'f FormTexts,
    earlier: Option<&'f EarlierRun>,
    runner: &'f FormRunner,
    problems: &'f [FormProblem],
}

/// All fields of a form.
pub(super) struct FormFields {
    pub files: Vec<FileField>,
    pub values: Vec<ValueField>,
    pub settings: Vec<SettingField>,
    pub mounts: Vec<MountField>,
    pub options: OptionFields,
}

/// A file input. Ids of elements are `id` and words after it.
pub(super) struct FileField {
    pub id: String,
    pub name: String,
    /// What it takes, in words.
    pub takes: String,
    /// Value of `accept`; empty for any file.
    pub accept: String,
    pub is_required: bool,
    pub is_multiple: bool,
    /// Which source is chosen: `kept`, `upload`, `uploaded`, `url`, `output` or `path`.
    pub source: String,
    /// The files of the earlier run.
    pub kept: Vec<String>,
    /// Files that were sent with this form before.
    pub sent: Vec<FileChoice>,
    pub uploads: Vec<FileChoice>,
    pub outputs: Vec<FileChoice>,
    pub url: String,
    pub sha256: String,
    pub path: String,
    pub problems: Vec<String>,
}

/// A JSON input.
pub(super) struct ValueField {
    pub id: String,
    pub name: String,
    pub json_type: &'static str,
    pub is_required: bool,
    pub text: String,
    pub problems: Vec<String>,
}

/// A setting. A secret has no text.
pub(super) struct SettingField {
    pub id: String,
    pub name: String,
    pub is_secret: bool,
    /// Whether the earlier run's secret is used if the field stays empty.
    pub is_kept: bool,
    pub text: String,
    pub problems: Vec<String>,
}

/// A mount.
pub(super) struct MountField {
    pub id: String,
    pub name: String,
    /// Path in the container.
    pub target: String,
    pub is_writable: bool,
    pub text: String,
    pub problems: Vec<String>,
}

/// Options that most runs do not need.
pub(super) struct OptionFields {
    pub fields: Vec<OptionField>,
    pub is_scale: bool,
    pub is_dedup: bool,
    /// Whether one of them is not the default, or wrong.
    pub is_open: bool,
}

/// An option with a text.
pub(super) struct OptionField {
    /// Name of the field; its id is `o-` and the name.
    pub name: &'static str,
    pub label: &'static str,
    /// What may be given.
    pub hint: String,
    pub is_number: bool,
    pub text: String,
    pub problems: Vec<String>,
}

impl FormFields {
    pub(super) fn new(
        manifest: &SeedManifest,
        texts: &FormTexts,
        earlier: Option<&EarlierRun>,
        runner: &FormRunner,
        problems: &[FormProblem],
    ) -> Self {
        let earlier = earlier.filter(|earlier| is_kept_possible(earlier, manifest));
        let source = FieldSource { manifest, texts, earlier, runner, problems };
        let interface = &manifest.job.interface;
        let numbered = |letter: char| move |number: usize| format!("{letter}{number}");
        Self {
            files: interface
                .inputs
                .files
                .iter()
                .enumerate()
                .map(|(at, it)| source.file(numbered('f')(at), it))
                .collect(),
            values: interface
                .inputs
                .json
                .iter()
                .enumerate()
                .map(|(at, it)| source.value(numbered('v')(at), it))
                .collect(),
            settings: interface
                .settings
                .iter()
                .enumerate()
                .map(|(at, it)| source.setting(numbered('s')(at), it))
                .collect(),
            mounts: interface.mounts.iter().enumerate().map(|(at, it)| source.mount(numbered('m')(at), it)).collect(),
            options: source.options(),
        }
    }

    /// The id of the field that a problem is beside.
    pub(super) fn id_of(&self, subject: &str) -> Option<String> {
        let variable = variable_name(subject);
        let is_meant = |name: &str| !variable.is_empty() && variable_name(name) == variable;
        let files = self.files.iter().map(|field| (&field.name, &field.id));
        let values = self.values.iter().map(|field| (&field.name, &field.id));
        let settings = self.settings.iter().map(|field| (&field.name, &field.id));
        let mounts = self.mounts.iter().map(|field| (&field.name, &field.id));
        let mut named = files.chain(values).chain(settings).chain(mounts);
        let option = || self.options.fields.iter().find(|field| field.name == subject);
        let id = named.find(|(name, _)| is_meant(name)).map(|(_, id)| id.clone());
        id.or_else(|| option().map(|field| format!("o-{}", field.name)))
    }
}

impl FieldSource<'_> {
    fn text(&self, word: &str, name: &str) -> String {
        self.texts.text(&format!("{word}.{name}")).to_owned()
    }

    fn problems(&self, name: &str) -> Vec<String> {
        let variable = variable_name(name);
        let here = self.problems.iter().filter(|problem| variable_name(&problem.subject) == variable);
        here.map(|problem| problem.message.clone()).collect()
    }

    fn file(&self, id: String, input: &JobInputFile) -> FileField {
        let name = &input.name;
        let chosen = |word: &str| self.texts.all(&format!("{word}.{name}"));
        let most =
            (MOST_CHOICES_OF_PAGE / self.manifest.job.interface.inputs.files.len().max(1)).clamp(1, MOST_CHOICES);
        let outputs = self
            .runner
            .outputs
            .iter()
            .filter(|(media_type, _)| media_type::fits(media_type.as_deref(), &input.media_types));
        let source = match self.texts.text(&format!("source.{name}")) {
            "" => "upload",
            given => given,
        };
        FileField {
            takes: formats(&input.media_types, false),
            accept: accept(&input.media_types),
            is_required: input.required,
            is_multiple: input.multiple,
            source: source.to_owned(),
            kept: self.earlier.iter().flat_map(|earlier| files_of(earlier, input)).map(label).collect(),
            sent: marked(std::iter::empty(), chosen("sent")),
            uploads: marked(self.runner.uploads.iter().take(most), chosen("uploaded")),
            outputs: marked(outputs.map(|(_, choice)| choice).take(most), chosen("output")),
            url: self.text("url", name),
            sha256: self.text("sha256", name),
            path: self.text("path", name),
            problems: self.problems(name),
            name: name.clone(),
            id,
        }
    }

    fn value(&self, id: String, input: &JobInputJson) -> ValueField {
        ValueField {
            json_type: input.json_type.as_str(),
            is_required: input.required,
            text: match input.json_type {
                JsonType::Boolean => self.text("json", &input.name).trim().to_owned(),
                _ => self.text("json", &input.name),
            },
            problems: self.problems(&input.name),
            name: input.name.clone(),
            id,
        }
    }

    fn setting(&self, id: String, setting: &JobSetting) -> SettingField {
        SettingField {
            is_secret: setting.secret,
            is_kept: self.earlier.is_some_and(|earlier| has_secret(earlier, &setting.name)),
            text: if setting.secret { String::new() } else { self.text("setting", &setting.name) },
            problems: self.problems(&setting.name),
            name: setting.name.clone(),
            id,
        }
    }

    fn mount(&self, id: String, mount: &JobMount) -> MountField {
        MountField {
            target: mount.path.clone(),
            is_writable: mount.mode != MountMode::ReadOnly,
            text: self.text("mount", &mount.name),
            problems: self.problems(&mount.name),
            name: mount.name.clone(),
            id,
        }
    }

    fn options(&self) -> OptionFields {
        let RunLimits {
            timeout_seconds,
            tries,
            most_tries,
            priority,
            highest_priority,
            longest_label,
            most_tags,
            longest_tag,
            ..
        } = &self.runner.limits;
        let field = |name: &'static str, label: &'static str, is_number: bool, hint: String| OptionField {
            name,
            label,
            hint,
            is_number,
            text: self.texts.text(name).to_owned(),
            problems: self.problems.iter().filter(|it| it.subject == name).map(|it| it.message.clone()).collect(),
        };
        let fields = vec![
            field("label", "Label", false, format!("To find the run again. At most {longest_label} characters.")),
            field(
                "tags",
                "Tags",
                false,
                format!("With commas; at most {most_tags}, each of {longest_tag} characters."),
            ),
            field(
                "timeoutSeconds",
                "Time limit in seconds",
                true,
                format!(
                    "Of one attempt, with the transfer of its files. At most {timeout_seconds}; the limit of the manifest holds, too."
                ),
            ),
            field(
                "maxTries",
                "Attempts",
                true,
                format!("If SILO or the machine fails. 1 to {most_tries}, usually {tries}."),
            ),
            field(
                "priority",
                "Priority",
                true,
                format!("0 to {highest_priority}, usually {priority}. The highest runs first."),
            ),
            field("platform", "Platform", false, "Such as linux/arm64. Empty: the engine's own.".to_owned()),
        ];
        let is_scale = self.texts.text("layout") == "scale";
        let is_dedup = self.texts.text("dedup") == "yes";
        let is_open = is_scale || is_dedup || fields.iter().any(|it| !it.text.is_empty() || !it.problems.is_empty());
        OptionFields { fields, is_scale, is_dedup, is_open }
    }
}

/// The files that a browser offers first: media types, and extensions, since few browsers know many types.
fn accept(media_types: &[String]) -> String {
    if media_types.iter().any(|media_type| media_type.trim() == "*/*") {
        return String::new();
    }
    let bare = |media_type: &String| media_type.split(';').next().unwrap_or_default().trim().to_owned();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/+-.*_".contains(c);
    let named = media_types.iter().map(bare).filter(|bare| bare.contains('/') && bare.chars().all(is_plain));
    let extensions = media_types.iter().filter_map(|media_type| extension(media_type)).map(|it| format!(".{it}"));
    named.chain(extensions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn browsers_are_told_types_and_extensions() {
        let accept = |types: &[&str]| super::accept(&types.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            accept(&["image/tiff; application=geotiff", "application/x-own"]),
            "image/tiff,application/x-own,.tif"
        );
        assert_eq!(accept(&[]), "");
        assert_eq!(accept(&["image/tiff", "*/*"]), "");
        assert_eq!(accept(&["a,b/c", "none", "<b>/x"]), "");
    }
}
