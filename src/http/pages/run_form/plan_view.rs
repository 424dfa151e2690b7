//! What a checked form would do, and the same as commands.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{FileSpec, PlannedRun, RunForm, SettingValue};
use crate::engine::plan::docker_run::quoted;
use crate::engine::plan::request::ContainerLayout;
use crate::http::pages::job::{assigned, bytes, joined};

/// A planned run, for people.
pub(super) struct PlanView {
    /// The image, and its digest.
    pub image: String,
    pub digest: String,
    /// Arguments of the container, with secrets masked; `None`: those of the image.
    pub arguments: Option<String>,
    /// Names and values, secrets masked.
    pub environment: Vec<(String, String)>,
    pub binds: Vec<PlannedBind>,
    /// Names and amounts.
    pub limits: Vec<(&'static str, String)>,
    pub warnings: Vec<String>,
    pub docker_run: String,
    /// The same run by `silo`; `None` if it has no option for something.
    pub silo: Option<String>,
    pub curl: String,
    /// Whether the commands have marks in place of secrets.
    pub has_secrets: bool,
}

/// A file or folder of the server in the container.
pub(super) struct PlannedBind {
    pub source: String,
    pub target: String,
    pub is_writable: bool,
}

impl PlanView {
    pub(super) fn new(planned: PlannedRun, public_url: &str, form: &RunForm) -> Self {
        let PlannedRun { image, digest, plan, docker_run } = planned;
        let container = &plan.container;
        let environment = container.environment.iter().map(|it| (it.name.clone(), it.value.to_string()));
        let binds = container.binds.iter().map(|bind| PlannedBind {
            source: bind.source.clone(),
            target: bind.target.clone(),
            is_writable: !bind.read_only,
        });
        let network = serde_json::to_value(container.network).ok();
        let limits = [
            ("CPUs", container.cpus.map(|cpus| cpus.to_string())),
            ("Memory", container.memory.map(bytes)),
            ("Shared memory", container.shared_memory.map(bytes)),
            ("GPUs", Some(container.gpus).filter(|gpus| *gpus > 0).map(|gpus| gpus.to_string())),
            ("Processes", container.processes.map(|processes| processes.to_string())),
            ("Outputs", plan.disk.map(bytes)),
            ("Time", container.timeout.map(duration)),
            ("Network", network.and_then(|word| word.as_str().map(str::to_owned))),
        ];
        Self {
            digest: digest.unwrap_or_default(),
            arguments: plan.arguments(),
            environment: environment.collect(),
            binds: binds.collect(),
            limits: limits.into_iter().filter_map(|(name, amount)| Some((name, amount?))).collect(),
            silo: silo(public_url, &image, form),
            curl: curl(public_url, form),
            has_secrets: form.inputs.settings.values().any(|value| matches!(value, SettingValue::Secret(_)))
                || form
                    .inputs
                    .files
                    .iter()
                    .any(|file| matches!(&file.source, FileSpec::Url { url, .. } if url.masked() != url.expose())),
            warnings: plan.warnings,
            docker_run,
            image,
        }
    }
}

fn duration(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// The request of the REST interface, with masks in place of secrets.
fn request(form: &RunForm) -> Value {
    let inputs = serde_json::to_value(&form.inputs).expect("texts, numbers and lists are JSON");
    let mut request = json!({});
    if let crate::app::RequestedImage::Id(id) = &form.image {
        request["imageId"] = json!(id.0);
    }
    let mut files = serde_json::Map::new();
    for file in &form.inputs.files {
        let list = files.entry(file.input.clone()).or_insert_with(|| json!([]));
        list.as_array_mut().expect("only lists are put in").push(json!(file.source));
    }
    let options = &form.options;
    let given = [
        ("files", Value::Object(files)),
        ("json", inputs["json"].clone()),
        ("settings", inputs["settings"].clone()),
        ("mounts", inputs["mounts"].clone()),
        ("timeoutSeconds", json!(options.timeout_seconds)),
        ("maxTries", json!(options.max_tries)),
        ("priority", json!(options.priority)),
        ("label", json!(options.label)),
        ("tags", json!(options.tags)),
        ("layout", if form.layout == ContainerLayout::Silo { Value::Null } else { json!(form.layout) }),
        ("platform", json!(form.platform)),
        ("dedup", if form.dedup { json!(true) } else { Value::Null }),
        (
            "kept",
            form.kept
                .as_ref()
                .map_or(Value::Null, |kept| json!({"run": kept.run, "files": kept.files, "settings": kept.settings})),
        ),
    ];
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    for (name, value) in given.into_iter().filter(|(_, value)| !is_empty(value)) {
        request[name] = value;
    }
    request
}

fn curl(public_url: &str, form: &RunForm) -> String {
    joined(&[
        "curl -H \"Authorization: Bearer $SILO_TOKEN\" -H \"Content-Type: application/json\"".to_owned(),
        quoted(&format!("{public_url}/api/v1/runs")).into_owned(),
        format!("-d {}", quoted(&request(form).to_string())),
    ])
}

fn silo(public_url: &str, image: &str, form: &RunForm) -> Option<String> {
    if form.kept.is_some() || form.platform.is_some() || form.layout != ContainerLayout::Silo {
        return None;
    }
    let (inputs, options) = (&form.inputs, &form.options);
    let mut lines = vec![format!("silo runs submit --server {} {}", quoted(public_url), quoted(image))];
    for file in &inputs.files {
        let source = match &file.source {
            FileSpec::Upload { sha256, .. } => format!("sha256:{sha256}"),
            FileSpec::Url { url, sha256: None, .. } => url.masked(),
            FileSpec::Path { path, .. } => format!("server:{}", path.display()),
            // It has no way to name one file of an output, or a digest.
            FileSpec::Output { .. } | FileSpec::Url { .. } | FileSpec::Unclear => return None,
        };
        lines.push(format!("-i {}", assigned(&file.input, &source)));
    }
    for (name, value) in &inputs.json {
        lines.push(format!("-j {}", assigned(name, &value.to_string())));
    }
    for (name, value) in &inputs.settings {
        let shown = serde_json::to_value(value).ok()?;
        lines.push(format!("-e {}", assigned(name, shown.as_str()?)));
    }
    lines.extend(inputs.mounts.iter().map(|(name, path)| format!("-m {}", assigned(name, &path.to_string_lossy()))));
    let number = |name: &str, value: Option<u64>| value.map(|value| format!("--{name} {value}"));
    lines.extend(number("timeout", options.timeout_seconds));
    lines.extend(number("max-tries", options.max_tries.map(u64::from)));
    lines.extend(number("priority", options.priority.map(u64::from)));
    let label = options.label.iter().filter(|label| !label.is_empty());
    lines.extend(label.map(|label| format!("--label {}", quoted(label))));
    lines.extend(options.tags.iter().flatten().map(|tag| format!("--tag {}", quoted(tag))));
    lines.extend(form.dedup.then(|| "--dedup".to_owned()));
    Some(joined(&lines))
}
