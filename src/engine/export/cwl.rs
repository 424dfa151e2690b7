//! Exports a job as a CommandLineTool of CWL v1.2, as JSON, which is valid YAML.
//!
//! Inputs, settings and mounts become inputs of the tool, and the job gets them in its environment variables. The
//! words of the command become arguments of the image's entry point, as in the standard.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::command_words::{CommandWord, ExpandedWord, ExportError, WordPart, take_apart};
use super::{ExportSource, ExportedJob};
use crate::engine::runtime::ImageStartConfig;
use crate::seed::environment::{OUTPUT_DIR, variable_name};
use crate::seed::model::{
    JobInputFile, JobOutputFile, JobOutputJson, JsonType, MountMode, ScalarResource, SeedManifest,
};
use crate::seed::resources::{ResourceAllocation, ResourceKind};

/// JavaScript functions of the expressions. `mebibytes`: total size of all input files. `split`: Bash word splitting.
const LIBRARY: &str = r#"function mebibytes(inputs) {
  function size(value) {
    if (Array.isArray(value)) { return value.map(size).reduce(function (a, b) { return a + b; }, 0); }
    if (value && value["class"] === "File") { return value.size || 0; }
    if (value && value["class"] === "Directory") { return size(value.listing || []); }
    return 0;
  }
  return Object.keys(inputs).map(function (name) { return size(inputs[name]); }).reduce(function (a, b) { return a + b; }, 0) / 1048576;
}
function split(value) {
  return String(value).split(/[ \t\n]+/).filter(function (word) { return word !== ""; });
}"#;

/// Creates the tool.
///
/// # Errors
/// [`ExportError`].
pub fn tool(subject: ExportSource<'_>) -> Result<ExportedJob, ExportError> {
    let SeedManifest { job, .. } = subject.manifest;
    let mut making = CwlBuilder { variables: variables(subject.manifest), notes: Vec::new() };
    let mut tool = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
        if !is_empty || key == "inputs" || key == "outputs" {
            tool.insert(key.to_owned(), value);
        }
    };
    put("cwlVersion", json!("v1.2"));
    put("class", json!("CommandLineTool"));
    put("$namespaces", json!({"s": "https://schema.org/", "cwltool": "http://commonwl.org/cwltool#"}));
    put("id", json!(job.name));
    put("label", json!(job.title));
    put("doc", json!(doc(subject.manifest)));
    put("requirements", making.requirements(subject)?);
    put("hints", making.hints(subject.manifest));
    let (base, arguments) = making.command(subject)?;
    put("baseCommand", base);
    put("arguments", arguments);
    put("inputs", inputs(subject.manifest));
    put("outputs", making.outputs(subject.manifest));
    put("permanentFailCodes", json!(job.errors.iter().map(|error| error.code).collect::<Vec<_>>()));
    put("s:softwareVersion", json!(job.job_version));
    put("s:version", json!(job.package_version));
    put("s:keywords", json!(job.tags));
    put("s:author", json!([{"s:name": job.maintainer.name, "s:email": job.maintainer.email}]));
    Ok(ExportedJob { text: format!("{:#}\n", Value::Object(tool)), notes: making.notes })
}

/// A variable of the job, as CWL expressions.
struct CwlVariable {
    /// Expression of its value.
    value: String,
    /// Expression of the input that may be null; `None`: it always has a value.
    optional: Option<String>,
    /// Whether Bash might split the value at blanks. Paths are not split.
    may_split: bool,
}

struct CwlBuilder {
    variables: BTreeMap<String, CwlVariable>,
    notes: Vec<String>,
}

/// An input as an expression.
fn input(name: &str) -> String {
    format!("inputs[{}]", json!(name))
}

fn variables(manifest: &SeedManifest) -> BTreeMap<String, CwlVariable> {
    let interface = &manifest.job.interface;
    let mut all = BTreeMap::new();
    let mut set = |name: String, value: String, optional: Option<String>, may_split: bool| {
        all.insert(name, CwlVariable { value, optional, may_split });
    };
    for file in &interface.inputs.files {
        let optional = (!file.required).then(|| input(&file.name));
        set(variable_name(&file.name), format!("{}.path", input(&file.name)), optional, false);
    }
    for value in &interface.inputs.json {
        let optional = (!value.required).then(|| input(&value.name));
        let is_text = matches!(value.json_type, JsonType::String | JsonType::Array | JsonType::Object);
        set(variable_name(&value.name), format!("String({})", input(&value.name)), optional, is_text);
    }
    for setting in &interface.settings {
        set(variable_name(&setting.name), input(&setting.name), None, true);
    }
    for scalar in &manifest.job.resources.scalar {
        let kind = ResourceKind::of(&scalar.name);
        let value = match kind {
            ResourceKind::Cpus => "Number(runtime.cores).toFixed(6)".to_owned(),
            ResourceKind::Mem => "String(Math.ceil(runtime.ram))".to_owned(),
            ResourceKind::Disk => "Number(runtime.outdirSize).toFixed(6)".to_owned(),
            ResourceKind::SharedMem | ResourceKind::Gpus => format!("String(Math.ceil({}))", amount(scalar)),
            ResourceKind::Other => format!("Number({}).toFixed(6)", amount(scalar)),
        };
        set(crate::seed::environment::allocated_name(&scalar.name), value, None, false);
    }
    set(OUTPUT_DIR.to_owned(), "runtime.outdir".to_owned(), None, false);
    all
}

/// The amount of a resource, as an expression.
fn amount(scalar: &ScalarResource) -> String {
    match multiplier(scalar) {
        None => scalar.value.to_string(),
        Some(multiplier) => format!("{} + {multiplier} * mebibytes(inputs)", scalar.value),
    }
}

fn multiplier(scalar: &ScalarResource) -> Option<f64> {
    scalar.input_multiplier.as_ref().and_then(serde_json::Number::as_f64).filter(|multiplier| *multiplier != 0.0)
}

/// Quotes a text in which CWL would find an expression.
fn literal(text: &str) -> String {
    if text.contains(['$', '\\']) { format!("$({})", json!(text)) } else { text.to_owned() }
}

fn doc(manifest: &SeedManifest) -> String {
    let job = &manifest.job;
    let mut text = job.description.clone();
    for error in &job.errors {
        let title = error.title.as_deref().map(|title| format!(": {title}")).unwrap_or_default();
        text += &format!("\nExit code {}: {}{title}", error.code, error.name);
    }
    text
}

fn inputs(manifest: &SeedManifest) -> Value {
    let interface = &manifest.job.interface;
    let optional = |kind: &str, required: bool| if required { kind.to_owned() } else { format!("{kind}?") };
    let mut all = Map::new();
    for JobInputFile { name, media_types, multiple, required, .. } in &interface.inputs.files {
        let kind = optional(if *multiple { "Directory" } else { "File" }, *required);
        let mut entry = json!({"type": kind});
        if *multiple {
            // The sizes of its files are needed for `inputMultiplier`.
            entry["loadListing"] = json!("shallow_listing");
        }
        if !media_types.is_empty() {
            entry["doc"] = json!(media_types.join(", "));
        }
        all.insert(name.clone(), entry);
    }
    for value in &interface.inputs.json {
        let kind = match value.json_type {
            JsonType::Boolean => "boolean",
            JsonType::Integer => "long",
            JsonType::Number => "double",
            JsonType::String | JsonType::Array | JsonType::Object => "string",
        };
        let mut entry = json!({"type": optional(kind, value.required)});
        if matches!(value.json_type, JsonType::Array | JsonType::Object) {
            entry["doc"] = json!(format!("JSON, {}", value.json_type.as_str()));
        }
        all.insert(value.name.clone(), entry);
    }
    for setting in &interface.settings {
        all.insert(setting.name.clone(), json!({"type": "string", "doc": "A setting"}));
    }
    for mount in &interface.mounts {
        all.insert(mount.name.clone(), json!({"type": "Directory", "doc": format!("Goes to {}", mount.path)}));
    }
    Value::Object(all)
}

impl CwlBuilder {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn requirements(&mut self, subject: ExportSource<'_>) -> Result<Value, ExportError> {
        let job = &subject.manifest.job;
        let mut all = Map::new();
        all.insert("DockerRequirement".to_owned(), json!({"dockerPull": subject.image}));
        all.insert("InlineJavascriptRequirement".to_owned(), json!({"expressionLib": [LIBRARY]}));
        all.insert("EnvVarRequirement".to_owned(), json!({"envDef": self.environment()}));
        let resources = self.resources(&job.resources.scalar);
        if !resources.is_empty() {
            all.insert("ResourceRequirement".to_owned(), Value::Object(resources));
        }
        if job.timeout > 0 {
            all.insert("ToolTimeLimit".to_owned(), json!({"timelimit": job.timeout}));
        }
        // Manifests cannot ask for network; engines give it by default.
        all.insert("NetworkAccess".to_owned(), json!({"networkAccess": true}));
        let mounts = job.interface.mounts.iter().map(|mount| {
            let (name, path) = (format!("$({})", input(&mount.name)), literal(&mount.path));
            json!({"entryname": path, "entry": name, "writable": mount.mode == MountMode::ReadWrite})
        });
        let mounts: Vec<Value> = mounts.collect();
        if !mounts.is_empty() {
            all.insert("InitialWorkDirRequirement".to_owned(), json!({"listing": mounts}));
        }
        Ok(Value::Object(all))
    }

    fn environment(&mut self) -> Value {
        let mut all = Map::new();
        let mut optional = Vec::new();
        for (name, variable) in &self.variables {
            let value = match &variable.optional {
                None => variable.value.clone(),
                Some(there) => {
                    optional.push(name.clone());
                    format!("{there} === null ? \"\" : {}", variable.value)
                }
            };
            all.insert(name.clone(), json!(format!("$({value})")));
        }
        if !optional.is_empty() {
            self.note(format!(
                "CWL cannot leave a variable unset: without its input, the variable is empty ({}).",
                optional.join(", ")
            ));
        }
        Value::Object(all)
    }

    fn resources(&mut self, scalars: &[ScalarResource]) -> Map<String, Value> {
        let mut all = Map::new();
        for scalar in scalars {
            let key = match ResourceKind::of(&scalar.name) {
                ResourceKind::Cpus => "coresMin",
                ResourceKind::Mem => "ramMin",
                ResourceKind::Disk => "outdirMin",
                ResourceKind::SharedMem => continue,
                ResourceKind::Gpus | ResourceKind::Other => {
                    let name = &scalar.name;
                    self.note(format!(
                        "CWL does not know the resource {name}: the tool sets its variable, but does not request the \
                         resource."
                    ));
                    continue;
                }
            };
            let least = ResourceAllocation::of(scalar, 0).map(|allocation| allocation.amount).unwrap_or_default();
            let value = match (multiplier(scalar), key) {
                (None, "coresMin") => json!(least),
                (None, _) => json!(least.ceil() as u64),
                (Some(_), "coresMin") => json!(format!("$({})", amount(scalar))),
                (Some(_), _) => json!(format!("$(Math.ceil({}))", amount(scalar))),
            };
            all.insert(key.to_owned(), value);
        }
        all
    }

    fn hints(&mut self, manifest: &SeedManifest) -> Value {
        let mut all = Map::new();
        let shared =
            manifest.job.resources.scalar.iter().find(|it| ResourceKind::of(&it.name) == ResourceKind::SharedMem);
        if let Some(shared) = shared {
            let size = ResourceAllocation::of(shared, 0).map(|allocation| allocation.amount).unwrap_or_default();
            all.insert("cwltool:ShmSize".to_owned(), json!({"shmSize": format!("{size:.0}m")}));
            self.note("sharedMem is a hint for cwltool; other runners ignore it and its inputMultiplier.");
        }
        let secrets: Vec<&String> =
            manifest.job.interface.settings.iter().filter(|it| it.secret).map(|it| &it.name).collect();
        if !secrets.is_empty() {
            self.note("Secret settings are hidden by cwltool; other runners may show them.");
            all.insert("cwltool:Secrets".to_owned(), json!({"secrets": secrets}));
        }
        Value::Object(all)
    }

    fn command(&mut self, subject: ExportSource<'_>) -> Result<(Value, Value), ExportError> {
        let command = subject.manifest.job.interface.command.as_deref().unwrap_or_default();
        let variables = self.variables.iter().map(|(name, it)| (name.clone(), it.optional.is_none())).collect();
        let words = take_apart(command, &variables)?;
        let arguments: Vec<Value> =
            words.iter().flat_map(|written| self.arguments(written)).map(Value::String).collect();
        Ok((self.base(subject.config), Value::Array(arguments)))
    }

    /// `baseCommand`: runners start the container in the output folder, not in the image's WORKDIR.
    fn base(&mut self, config: Option<&ImageStartConfig>) -> Value {
        let nothing = json!([]);
        match config {
            None => {
                self.note(
                    "CWL starts the command in the output folder. If the command depends on the image's WORKDIR, \
                     export an image that the engine has, or give it with --workdir.",
                );
                nothing
            }
            Some(ImageStartConfig { folder, .. }) if folder.is_empty() || folder == "/" => nothing,
            Some(ImageStartConfig { has_entrypoint: true, .. }) => {
                self.note(
                    "CWL starts the image's entry point in the output folder, not in its WORKDIR: this works if the \
                     job does not depend on its WORKDIR.",
                );
                nothing
            }
            Some(ImageStartConfig { folder, .. }) => {
                let folder = shlex::try_quote(folder).unwrap_or_default();
                // CWL evaluates no expressions in `baseCommand`.
                json!(["/bin/sh", "-c", format!("cd {folder} && exec \"$@\""), "sh"])
            }
        }
    }

    /// The arguments for a word: fixed ones, or an expression that yields a list.
    fn arguments(&self, written: &CommandWord) -> Vec<String> {
        match &written.cases[..] {
            [(_, words)] => words.iter().map(|word| self.argument(word)).collect(),
            cases => vec![format!("$({})", self.choice(&written.optional, cases))],
        }
    }

    fn choice(&self, optional: &[String], cases: &[(Vec<bool>, Vec<ExpandedWord>)]) -> String {
        let Some(((there, words), rest)) = cases.split_first() else { return "[]".to_owned() };
        let list = self.list(words);
        if rest.is_empty() {
            return list;
        }
        let conditions = optional.iter().zip(there).filter_map(|(name, is_there)| {
            let input = self.variables.get(name)?.optional.as_ref()?;
            Some(format!("{input} {}== null", if *is_there { "!" } else { "=" }))
        });
        let conditions = conditions.collect::<Vec<_>>().join(" && ");
        format!("{conditions} ? {list} : {}", self.choice(optional, rest))
    }

    fn list(&self, words: &[ExpandedWord]) -> String {
        let is_split = words.iter().any(|word| self.is_split(word));
        let words = words.iter().map(|word| self.expression(word)).collect::<Vec<_>>().join(", ");
        if is_split { format!("[].concat({words})") } else { format!("[{words}]") }
    }

    fn is_split(&self, word: &ExpandedWord) -> bool {
        word.iter().any(|part| match part {
            WordPart::Literal(_) => false,
            WordPart::Value { variable, is_split } => {
                *is_split && self.variables.get(variable).is_some_and(|it| it.may_split)
            }
        })
    }

    /// A word as one argument.
    fn argument(&self, word: &ExpandedWord) -> String {
        match &word[..] {
            [WordPart::Literal(text)] => literal(text),
            _ => format!("$({})", self.expression(word)),
        }
    }

    /// A word as an expression: a string, or a list if it is split.
    fn expression(&self, word: &ExpandedWord) -> String {
        let part = |part: &WordPart| match part {
            WordPart::Literal(text) => json!(text).to_string(),
            WordPart::Value { variable, .. } => {
                self.variables.get(variable).map(|it| it.value.clone()).unwrap_or_default()
            }
        };
        let text = word.iter().map(part).collect::<Vec<_>>().join(" + ");
        if self.is_split(word) { format!("split({text})") } else { text }
    }

    fn outputs(&mut self, manifest: &SeedManifest) -> Value {
        let outputs = &manifest.job.interface.outputs;
        let mut all: Map<String, Value> =
            outputs.files.iter().map(|file| (file.name.clone(), output_file(file))).collect();
        all.extend(outputs.json.iter().map(|value| (value.name.clone(), output_value(value))));
        if !outputs.json.is_empty() {
            self.note("CWL reads no more than 64 KiB of seed.outputs.json.");
        }
        Value::Object(all)
    }
}

fn output_file(file: &JobOutputFile) -> Value {
    let kind = match (file.multiple, file.required) {
        (false, true) => "File",
        (false, false) => "File?",
        (true, true) => "File[]",
        (true, false) => "File[]?",
    };
    let mut binding = json!({"glob": literal(&file.pattern)});
    if file.multiple {
        // An empty list does not satisfy a required output.
        binding["outputEval"] = json!("$(self.length > 0 ? self : null)");
    }
    let mut entry = json!({
        "type": kind,
        "outputBinding": binding,
        "secondaryFiles": [{"pattern": ".metadata.json", "required": false}],
    });
    if let Some(media_type) = &file.media_type {
        entry["doc"] = json!(media_type);
    }
    entry
}

fn output_value(value: &JobOutputJson) -> Value {
    let kind = match (value.json_type, value.required) {
        (JsonType::Boolean, true) => json!("boolean"),
        (JsonType::Boolean, false) => json!("boolean?"),
        (JsonType::Integer, true) => json!("long"),
        (JsonType::Integer, false) => json!("long?"),
        (JsonType::Number, true) => json!("double"),
        (JsonType::Number, false) => json!("double?"),
        (JsonType::String, true) => json!("string"),
        (JsonType::String, false) => json!("string?"),
        (JsonType::Array | JsonType::Object, true) => json!("Any"),
        (JsonType::Array | JsonType::Object, false) => json!(["null", "Any"]),
    };
    let key = json!(value.key());
    let pick = format!(
        "${{ var found = self.length > 0 ? JSON.parse(self[0].contents)[{key}] : undefined; return found === undefined ? null : \
         found; }}"
    );
    json!({
        "type": kind,
        "outputBinding": {"glob": crate::engine::run::outputs::JSON_FILE, "loadContents": true, "outputEval": pick},
    })
}
