//! Commands that get or run the image of a job, with the job's own names.

use serde_json::{Map, Value, json};

use crate::catalog::{CatalogueImage, RegistryKind, RegistryRecord};
use crate::engine::plan::docker_run::quoted;
use crate::http::pages::ports::extension;
use crate::seed::model::{JobInputFile, JsonType, SeedManifest};

/// A group of commands for one purpose.
#[derive(Debug)]
pub(super) struct CommandGroup {
    pub heading: &'static str,
    /// What to know before; may be empty.
    pub note: String,
    pub commands: Vec<CopyableCommand>,
    /// A file to download: its path and its name.
    pub download: Option<(String, String)>,
    /// Differences to a run by SILO.
    pub differences: Vec<String>,
}

/// A command to copy.
#[derive(Debug)]
pub(super) struct CopyableCommand {
    /// What it is, for screen readers.
    pub label: &'static str,
    pub text: String,
}

impl CommandGroup {
    pub(super) fn new(heading: &'static str, commands: Vec<CopyableCommand>) -> Self {
        Self { heading, note: String::new(), commands, download: None, differences: Vec::new() }
    }

    pub(super) fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl CopyableCommand {
    pub(super) fn new(label: &'static str, text: String) -> Self {
        Self { label, text }
    }
}

/// `NAME=VALUE` for a shell.
pub(crate) fn assigned(name: &str, value: &str) -> String {
    format!("{}={}", quoted(name), quoted(value))
}

/// Lines of one command.
pub(crate) fn joined(lines: &[String]) -> String {
    lines.join(" \\\n  ")
}

/// `silo run`, or `silo runs submit`, with an example value for everything that the job needs.
pub(super) fn silo(command: &str, image: &str, manifest: &SeedManifest, outputs: bool) -> String {
    let interface = &manifest.job.interface;
    let mut lines = vec![format!("{command} {}", quoted(image))];
    for file in interface.inputs.files.iter().filter(|file| file.required) {
        lines.push(format!("-i {}", assigned(&file.name, &example_file(file))));
    }
    for value in interface.inputs.json.iter().filter(|value| value.required) {
        lines.push(format!("-j {}", assigned(&value.name, &example_text(value.json_type))));
    }
    for setting in &interface.settings {
        lines.push(format!("-e {}", assigned(&setting.name, "VALUE")));
    }
    for mount in &interface.mounts {
        lines.push(format!("-m {}", assigned(&mount.name, "/FOLDER")));
    }
    if outputs {
        lines.push("-o results".to_owned());
    }
    joined(&lines)
}

/// The request of a run by the REST interface.
pub(super) fn curl(public_url: &str, image: &CatalogueImage, manifest: &SeedManifest) -> String {
    let interface = &manifest.job.interface;
    let members = |entries: Vec<(String, Value)>| Value::Object(Map::from_iter(entries));
    let values = interface.inputs.json.iter().filter(|value| value.required);
    let parts = [
        ("json", values.map(|value| (value.name.clone(), example_value(value.json_type))).collect()),
        ("settings", interface.settings.iter().map(|setting| (setting.name.clone(), json!("VALUE"))).collect()),
        ("mounts", interface.mounts.iter().map(|mount| (mount.name.clone(), json!("/FOLDER"))).collect()),
    ];
    let mut request = json!({"imageId": image.id.0});
    for (name, entries) in parts.into_iter().filter(|(_, entries): &(_, Vec<_>)| !entries.is_empty()) {
        request[name] = members(entries);
    }
    let mut lines = vec![
        "curl -H \"Authorization: Bearer $SILO_TOKEN\"".to_owned(),
        quoted(&format!("{public_url}/api/v1/runs")).into_owned(),
        format!("-F {}", quoted(&format!("request={request}"))),
    ];
    for file in interface.inputs.files.iter().filter(|file| file.required) {
        let names =
            if file.multiple { vec![one_file(file, "-1"), one_file(file, "-2")] } else { vec![one_file(file, "")] };
        lines.extend(names.iter().map(|name| format!("-F {}", quoted(&format!("files.{}=@{name}", file.name)))));
    }
    joined(&lines)
}

/// Runs the CWL tool at an address.
pub(super) fn cwltool(address: &str, manifest: &SeedManifest) -> String {
    let mut lines = vec![format!("cwltool --outdir results {}", quoted(address))];
    let interface = &manifest.job.interface;
    for (name, example) in required(manifest) {
        lines.push(format!("{} {}", quoted(&format!("--{name}")), quoted(&example)));
    }
    for setting in &interface.settings {
        lines.push(format!("{} VALUE", quoted(&format!("--{}", setting.name))));
    }
    for mount in &interface.mounts {
        lines.push(format!("{} /FOLDER", quoted(&format!("--{}", mount.name))));
    }
    joined(&lines)
}

/// Downloads the script at an address, and runs it. Secret settings are variables of the environment.
pub(super) fn script(address: &str, file: &str, manifest: &SeedManifest) -> [String; 2] {
    let interface = &manifest.job.interface;
    let secrets = interface.settings.iter().filter(|setting| setting.secret);
    let before: String =
        secrets.map(|setting| format!("{}=VALUE ", crate::seed::environment::variable_name(&setting.name))).collect();
    let mut lines = vec![format!("{before}bash {} results", quoted(file))];
    lines.extend(required(manifest).iter().map(|(name, example)| assigned(name, example)));
    let settings = interface.settings.iter().filter(|setting| !setting.secret);
    lines.extend(settings.map(|setting| assigned(&setting.name, "VALUE")));
    lines.extend(interface.mounts.iter().map(|mount| assigned(&mount.name, "/FOLDER")));
    [format!("curl -fsS -o {} {}", quoted(file), quoted(address)), joined(&lines)]
}

/// Loads an image of a layout or an archive on the server's disk into a container engine. `None` for registries.
pub(super) fn load(registry: &RegistryRecord, image: &CatalogueImage) -> Option<CopyableCommand> {
    let (path, name) = (registry.url.as_str(), image.pull_reference());
    let text = match registry.kind {
        RegistryKind::Layout => {
            let (from, into) = (format!("oci:{path}:{name}"), format!("docker-daemon:{name}"));
            format!("skopeo copy {} {}", quoted(&from), quoted(&into))
        }
        RegistryKind::Archive => format!("docker load -i {}", quoted(path)),
        _ => return None,
    };
    Some(CopyableCommand::new("command that loads the image", text))
}

/// Shows an image of a layout or an archive.
pub(super) fn inspect(registry: &RegistryRecord, image: &CatalogueImage) -> String {
    format!("silo image inspect {} --name {}", quoted(&registry.url), quoted(&image.pull_reference()))
}

/// Names of the inputs that are needed, with example values.
fn required(manifest: &SeedManifest) -> Vec<(String, String)> {
    let inputs = &manifest.job.interface.inputs;
    let files = inputs.files.iter().filter(|file| file.required).map(|file| (file.name.clone(), example_file(file)));
    let values = inputs.json.iter().filter(|value| value.required);
    let values = values.map(|value| (value.name.clone(), example_text(value.json_type)));
    files.chain(values).collect()
}

/// A file name, or a folder for an input of several files.
fn example_file(file: &JobInputFile) -> String {
    if file.multiple { file.name.to_lowercase() } else { one_file(file, "") }
}

fn one_file(file: &JobInputFile, number: &str) -> String {
    let name = file.name.to_lowercase();
    let extension = file.media_types.first().and_then(|media_type| extension(media_type));
    format!("{name}{number}.{}", extension.as_deref().unwrap_or("dat"))
}

/// An example for a command line: a string without quotes.
fn example_text(json_type: JsonType) -> String {
    let example = example_value(json_type);
    example.as_str().map_or_else(|| example.to_string(), str::to_owned)
}

fn example_value(json_type: JsonType) -> Value {
    match json_type {
        JsonType::Array => json!([1, 2]),
        JsonType::Boolean => json!(true),
        JsonType::Integer => json!(1),
        JsonType::Number => json!(0.5),
        JsonType::Object => json!({"key": 1}),
        JsonType::String => json!("text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> SeedManifest {
        SeedManifest::parse(
            r#"{"seedVersion": "1.0.0", "job": {"name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "t",
                "description": "d", "maintainer": {"name": "m", "email": "e"}, "timeout": 60, "interface": {
                "inputs": {"files": [{"name": "SCENES", "mediaTypes": ["image/jp2"], "multiple": true}, {"name": "MASK", "mediaTypes": ["image/tiff"]},
                    {"name": "MORE", "required": false}], "json": [{"name": "LEVEL", "type": "number"}, {"name": "WORDS", "type": "object"}]},
                "settings": [{"name": "HOST"}, {"name": "db-key", "secret": true}], "mounts": [{"name": "COAST", "path": "/c"}]}}}"#,
        )
        .expect("it is valid")
    }

    #[test]
    fn commands_have_the_names_of_the_job() {
        insta::assert_snapshot!(silo("silo run", "registry.example/geo/j-1.0.0-seed:1.0.0", &manifest(), true), @r#"
        silo run registry.example/geo/j-1.0.0-seed:1.0.0 \
          -i SCENES=scenes \
          -i MASK=mask.tif \
          -j LEVEL=0.5 \
          -j WORDS='{"key":1}' \
          -e HOST=VALUE \
          -e db-key=VALUE \
          -m COAST=/FOLDER \
          -o results
        "#);
        let [download, run] = script("https://silo.example/api/v1/images/7/script", "j-1.0.0.sh", &manifest());
        assert_eq!(download, "curl -fsS -o j-1.0.0.sh https://silo.example/api/v1/images/7/script");
        insta::assert_snapshot!(run, @r#"
        DB_KEY=VALUE bash j-1.0.0.sh results \
          SCENES=scenes \
          MASK=mask.tif \
          LEVEL=0.5 \
          WORDS='{"key":1}' \
          HOST=VALUE \
          COAST=/FOLDER
        "#);
    }
}
