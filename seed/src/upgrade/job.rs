//! Upgrades the members of `job`, part by part.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{ManifestUpgrader, quoted};
use crate::version;

/// Maximum length of an error name derived from a title, in characters.
const NAME_CHARS: usize = 60;

impl ManifestUpgrader {
    pub(super) fn job(&mut self, job: &mut Map<String, Value>, from: &str) {
        self.name(job, "/job", "-");
        self.rename(job, "/job", ("algorithmVersion", "jobVersion"));
        self.rename(job, "/job", ("tag", "tags"));
        self.maintainer(job);
        if let Some(Value::Object(interface)) = job.get_mut("interface") {
            self.interface(interface, from);
        }
        self.resources(job);
        self.rename(job, "/job", ("errorMapping", "errors"));
        self.errors(job);
    }

    fn maintainer(&mut self, job: &mut Map<String, Value>) {
        for (old, new) in [("authorName", "name"), ("authorEmail", "email"), ("authorUrl", "url")] {
            let Some(value) = job.shift_remove(old) else { continue };
            match job.entry("maintainer").or_insert_with(|| json!({})) {
                Value::Object(maintainer) => self.put(maintainer, "/job/maintainer", (old, new), value),
                _ => self.record_dropped("/job/maintainer", old, &value),
            }
        }
    }

    fn interface(&mut self, interface: &mut Map<String, Value>, from: &str) {
        const PATH: &str = "/job/interface";
        self.environment(interface);
        self.command(interface, from);
        self.rename(interface, PATH, ("inputData", "inputs"));
        if let Some(Value::Object(inputs)) = interface.get_mut("inputs") {
            for (path, file) in objects(inputs, "/job/interface/inputs", "files") {
                self.name(file, &path, "_");
                self.rename(file, &path, ("mediaType", "mediaTypes"));
            }
            self.names(inputs, "/job/interface/inputs", "json");
        }
        self.rename(interface, PATH, ("outputData", "outputs"));
        if let Some(Value::Object(outputs)) = interface.get_mut("outputs") {
            self.outputs(outputs, from);
        }
        self.names(interface, PATH, "mounts");
        self.names(interface, PATH, "settings");
    }

    /// Drops `envVars`: since 0.0.5 environment variables are set in the image.
    fn environment(&mut self, interface: &mut Map<String, Value>) {
        let variables = match interface.shift_remove("envVars") {
            None => return,
            Some(Value::Array(variables)) => variables,
            Some(other) => vec![other],
        };
        if variables.is_empty() {
            return self.moved("/job/interface", "`envVars` was empty and is gone.".to_owned());
        }
        let said = |variable: &Value| match (variable["name"].as_str(), &variable["value"]) {
            (Some(name), Value::String(value)) => format!("`{}={}`", quoted(name), quoted(value)),
            (Some(name), value) => format!("`{}={}`", quoted(name), quoted(&value.to_string())),
            (None, _) => format!("`{}`", quoted(&variable.to_string())),
        };
        let list = variables.iter().map(said).collect::<Vec<_>>().join(", ");
        let message = format!(
            "`envVars` was given up: set {list} with ENV in the Dockerfile, or declare a setting where the operator chooses."
        );
        self.invented("/job/interface", message);
    }

    fn command(&mut self, interface: &mut Map<String, Value>, from: &str) {
        const PATH: &str = "/job/interface/command";
        if interface.contains_key("command") {
            for old in ["cmd", "args"] {
                self.rename(interface, "/job/interface", (old, "command"));
            }
        } else if let (Some(Value::String(cmd)), Some(Value::String(args))) =
            (interface.get("cmd"), interface.get("args"))
        {
            let command = format!("{cmd} {args}").trim().to_owned();
            interface.retain(|member, _| member != "cmd" && member != "args");
            interface.insert("command".to_owned(), command.into());
            self.moved(PATH, "This was `cmd` and `args`.".to_owned());
        } else if !(interface.contains_key("cmd") && interface.contains_key("args")) {
            self.rename(interface, "/job/interface", ("cmd", "command"));
            self.rename(interface, "/job/interface", ("args", "command"));
        }
        let message = "`JOB_OUTPUT_DIR` is called `OUTPUT_DIR` now: the program must read that variable, too.";
        let command = interface.get("command").and_then(Value::as_str);
        if let Some(command) = command.and_then(|command| replace_word(command, "JOB_OUTPUT_DIR", "OUTPUT_DIR")) {
            interface.insert("command".to_owned(), command.into());
            self.invented(PATH, message.to_owned());
        } else if version::compare(from, "0.0.6") == Ordering::Less {
            self.invented("/job/interface", message.to_owned());
        }
    }

    fn outputs(&mut self, outputs: &mut Map<String, Value>, from: &str) {
        const PATH: &str = "/job/interface/outputs";
        let declares = |list| outputs.get(list).and_then(Value::as_array).is_some_and(|items| !items.is_empty());
        if declares("files") {
            let message = "Metadata beside a file, `<file>.metadata.json`, is GeoJSON now: a program that writes any must follow.";
            self.invented(&format!("{PATH}/files"), message.to_owned());
        }
        if declares("json") && version::compare(from, "0.1.0") == Ordering::Less {
            let message =
                "The program must write its values to `seed.outputs.json`, no longer to `results_manifest.json`.";
            self.invented(&format!("{PATH}/json"), message.to_owned());
        }
        for (path, file) in objects(outputs, PATH, "files") {
            self.name(file, &path, "_");
            self.count(file, &path);
        }
        self.names(outputs, PATH, "json");
    }

    /// Replaces `count`, the number of files that are expected or `*`, by `multiple`.
    fn count(&mut self, file: &mut Map<String, Value>, path: &str) {
        let Some(count) = file.shift_remove("count") else { return };
        let text = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
        let multiple = format!("{path}/multiple");
        if file.contains_key("multiple") {
            return self.record_dropped(&multiple, "count", &count);
        }
        if text == "1" {
            return self.moved(path, "`count` was 1: one file is what holds without it.".to_owned());
        }
        file.insert("multiple".to_owned(), true.into());
        if text == "*" {
            self.moved(&multiple, "This was `count`, any number of files.".to_owned());
        } else {
            self.invented(&multiple, format!("`count` was {}: any number of files may match now.", quoted(&text)));
        }
    }

    /// Collects the resources, which used to be members of the job, later a list of the interface.
    fn resources(&mut self, job: &mut Map<String, Value>) {
        let interface = job.get_mut("interface").and_then(Value::as_object_mut);
        if let Some(resources) = interface.and_then(|interface| interface.shift_remove("resources")) {
            self.put(job, "/job", ("interface.resources", "resources"), resources);
        }
        if let Some(Value::Array(scalars)) = job.get_mut("resources").and_then(|resources| resources.get_mut("scalar"))
        {
            self.cpu(scalars);
        }
        for (old, new) in [("cpus", "cpus"), ("mem", "mem"), ("sharedMem", "sharedMem"), ("storage", "disk")] {
            if let Some(value) = job.shift_remove(old) {
                self.scalar(job, (old, new), value);
            }
        }
        if let Some(Value::Object(resources)) = job.get_mut("resources") {
            self.names(resources, "/job/resources", "scalar");
        }
    }

    fn cpu(&mut self, scalars: &mut Vec<Value>) {
        if scalars.iter().any(|scalar| scalar["name"] == "cpus") {
            for old in scalars.extract_if(.., |scalar| scalar["name"] == "cpu") {
                self.record_dropped("/job/resources/scalar", "cpu", &old);
            }
            return;
        }
        for (index, scalar) in scalars.iter_mut().enumerate().filter(|(_, scalar)| scalar["name"] == "cpu") {
            scalar["name"] = "cpus".into();
            self.moved(&format!("/job/resources/scalar/{index}/name"), "This was `cpu`.".to_owned());
        }
    }

    /// Moves a resource from a member of the job to the list.
    fn scalar(&mut self, job: &mut Map<String, Value>, (old, new): (&str, &str), value: Value) {
        const PATH: &str = "/job/resources";
        let Value::Object(resources) = job.entry("resources").or_insert_with(|| json!({})) else {
            return self.record_dropped(PATH, old, &value);
        };
        let scalars = resources.entry("scalar").or_insert(Value::Null);
        if scalars.is_null() {
            *scalars = json!([]);
        }
        let Value::Array(scalars) = scalars else { return self.record_dropped(&format!("{PATH}/scalar"), old, &value) };
        if let Some(index) = scalars.iter().position(|scalar| scalar["name"] == new) {
            return self.record_dropped(&format!("{PATH}/scalar/{index}"), old, &value);
        }
        self.moved(&format!("{PATH}/scalar/{}", scalars.len()), format!("This was `{old}`."));
        scalars.push(json!({"name": new, "value": value}));
    }

    fn errors(&mut self, job: &mut Map<String, Value>) {
        self.names(job, "/job", "errors");
        let mut taken: HashMap<String, usize> = HashMap::new();
        taken.extend(
            objects(job, "/job", "errors").filter_map(|(_, error)| Some((error.get("name")?.as_str()?.to_owned(), 1))),
        );
        for (path, error) in objects(job, "/job", "errors") {
            if !error.contains_key("name") {
                let name = unique(error_name(error), &mut taken);
                let message =
                    format!("`{name}` was made up: errors have names now, the same in every version of the job.");
                self.invented(&format!("{path}/name"), message);
                error.insert("name".to_owned(), name.into());
            }
            let blame = match error.get("category").and_then(Value::as_str) {
                Some("algorithm") => false,
                Some("system") => true,
                _ => continue,
            };
            error.insert("category".to_owned(), "job".into());
            let path = format!("{path}/category");
            if blame {
                self.invented(&path, "This was `system`: an error is the job's or the data's now.".to_owned());
            } else {
                self.moved(&path, "This was `algorithm`.".to_owned());
            }
        }
    }

    /// Replaces invalid characters in the names of a list; old versions allowed any character.
    fn names(&mut self, parent: &mut Map<String, Value>, path: &str, list: &str) {
        for (path, item) in objects(parent, path, list) {
            self.name(item, &path, "_");
        }
    }

    /// Replaces characters that are invalid in a name by `other`: `-` in names of jobs, else `_`.
    fn name(&mut self, object: &mut Map<String, Value>, path: &str, other: &str) {
        let Some(Value::String(name)) = object.get_mut("name") else { return };
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || (c == '_' && other == "_");
        if !name.chars().all(allowed) {
            let message = format!("This was `{}`: change what refers to it.", quoted(name));
            *name = name.replace(|c| !allowed(c), other);
            self.invented(&format!("{path}/name"), message);
        }
    }
}

/// The objects in a list, with their JSON pointers.
fn objects<'a>(
    parent: &'a mut Map<String, Value>,
    path: &str,
    list: &str,
) -> impl Iterator<Item = (String, &'a mut Map<String, Value>)> {
    let path = format!("{path}/{list}");
    let items = parent.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().enumerate();
    items.filter_map(move |(index, item)| Some((format!("{path}/{index}"), item.as_object_mut()?)))
}

/// Derives a name for an error: its title in lower case with dashes, else its code.
fn error_name(error: &Map<String, Value>) -> String {
    let title = error.get("title").and_then(Value::as_str).unwrap_or_default();
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(NAME_CHARS).collect();
    match error.get("code").and_then(Value::as_i64) {
        _ if !slug.is_empty() => slug.trim_end_matches('-').to_owned(),
        Some(code) => format!("error-{code}"),
        None => "error".to_owned(),
    }
}

/// Makes a name unique by appending a number. `taken` maps each used name to the last number appended to it.
fn unique(base: String, taken: &mut HashMap<String, usize>) -> String {
    let mut name = base.clone();
    while taken.contains_key(&name) {
        let number = taken.entry(base.clone()).or_insert(1);
        *number += 1;
        name = format!("{base}-{number}");
    }
    taken.insert(name.clone(), 1);
    name
}

/// Replaces `old` by `new` where it is a whole word; `None` if it does not occur as one.
fn replace_word(text: &str, old: &str, new: &str) -> Option<String> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (start, _) in text.match_indices(old) {
        let end = start + old.len();
        if !text[..start].ends_with(in_word) && !text[end..].starts_with(in_word) {
            out.push_str(&text[copied..start]);
            out.push_str(new);
            copied = end;
        }
    }
    (copied > 0).then(|| out + &text[copied..])
}
