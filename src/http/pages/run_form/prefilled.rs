//! The texts of a form that begins with an earlier run.

use serde_json::Value;

use crate::app::{EarlierRun, FileSpec};
use crate::engine::plan::request::ContainerLayout;
use crate::http::pages::file_form::FormTexts;
use crate::seed::environment::variable_name;
use crate::seed::model::{JobInputFile, SeedManifest};

/// Whether inputs of the run can be taken over: only by its owner, and for the same job.
pub(super) fn is_kept_possible(earlier: &EarlierRun, manifest: &SeedManifest) -> bool {
    earlier.is_own && earlier.job == manifest.job.name
}

/// Whether the run has a secret value of this setting.
pub(super) fn has_secret(earlier: &EarlierRun, setting: &str) -> bool {
    earlier.secrets.iter().any(|name| is_same(name, setting))
}

/// The files that the run was given for an input.
pub(super) fn files_of<'e>(earlier: &'e EarlierRun, input: &JobInputFile) -> Vec<&'e FileSpec> {
    let files = earlier.form.inputs.files.iter().filter(|file| is_same(&file.input, &input.name));
    files.map(|file| &file.source).collect()
}

/// The values of the earlier run as the fields of a form for this manifest; secrets and their masks are not among them.
pub(super) fn prefilled(manifest: &SeedManifest, earlier: &EarlierRun) -> FormTexts {
    let (interface, form) = (&manifest.job.interface, &earlier.form);
    let mut texts = FormTexts::default();
    for input in &interface.inputs.files {
        add_files(&mut texts, input, &files_of(earlier, input), is_kept_possible(earlier, manifest));
    }
    for input in &interface.inputs.json {
        if let Some((_, value)) = form.inputs.json.iter().find(|(name, _)| is_same(name, &input.name)) {
            let text = match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            texts.add(format!("json.{}", input.name), text);
        }
    }
    for setting in interface.settings.iter().filter(|setting| !setting.secret && !has_secret(earlier, &setting.name)) {
        if let Some((_, value)) = form.inputs.settings.iter().find(|(name, _)| is_same(name, &setting.name)) {
            texts.add(format!("setting.{}", setting.name), value.expose());
        }
    }
    for mount in &interface.mounts {
        if let Some((_, path)) = form.inputs.mounts.iter().find(|(name, _)| is_same(name, &mount.name)) {
            texts.add(format!("mount.{}", mount.name), path.to_string_lossy());
        }
    }
    add_options(&mut texts, earlier);
    texts
}

fn add_files(texts: &mut FormTexts, input: &JobInputFile, files: &[&FileSpec], is_kept_possible: bool) {
    let name = &input.name;
    let path = |file: &&FileSpec| match file {
        FileSpec::Path { path, .. } => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    let paths: Vec<String> = files.iter().filter_map(path).collect();
    if is_kept_possible && !files.is_empty() {
        texts.add(format!("source.{name}"), "kept");
    } else if !paths.is_empty() {
        texts.add(format!("source.{name}"), "path");
    }
    if !paths.is_empty() {
        texts.add(format!("path.{name}"), paths.join("\n"));
    }
}

fn add_options(texts: &mut FormTexts, earlier: &EarlierRun) {
    let (form, options) = (&earlier.form, &earlier.form.options);
    let mut add = |field: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            texts.add(field, value);
        }
    };
    add("from", Some(earlier.id.clone()));
    add("label", options.label.clone());
    add("tags", options.tags.as_ref().map(|tags| tags.join(", ")));
    add("timeoutSeconds", options.timeout_seconds.map(|seconds| seconds.to_string()));
    add("maxTries", options.max_tries.map(|tries| tries.to_string()));
    add("priority", options.priority.map(|priority| priority.to_string()));
    add("platform", form.platform.clone());
    add("layout", (form.layout == ContainerLayout::Scale).then(|| "scale".to_owned()));
}

fn is_same(one: &str, other: &str) -> bool {
    variable_name(one) == variable_name(other)
}
