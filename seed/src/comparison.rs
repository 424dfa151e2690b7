//! The differences of two manifests, field by field.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The part of a manifest that a field belongs to, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManifestSection {
    /// Names, versions, texts, maintainer.
    About,
    Inputs,
    Outputs,
    /// `job.resources` and `job.timeout`.
    Resources,
    Settings,
    Mounts,
    Errors,
    /// `job.interface.command`
    Command,
    /// Fields that the standard does not define.
    Other,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestChange {
    pub section: ManifestSection,
    /// Path of the value: names of fields with dots between; an entry of a list is given by its `name`, in brackets.
    pub field: String,
    /// `None` if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub old: Option<Value>,
    /// `None` if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub new: Option<Value>,
}

/// A value that is there, also null.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Paths of the sections; a field belongs to the first that is a beginning of its path.
const SECTIONS: [(&str, ManifestSection); 17] = [
    ("seedVersion", ManifestSection::About),
    ("job.name", ManifestSection::About),
    ("job.jobVersion", ManifestSection::About),
    ("job.packageVersion", ManifestSection::About),
    ("job.title", ManifestSection::About),
    ("job.description", ManifestSection::About),
    ("job.tags", ManifestSection::About),
    ("job.maintainer", ManifestSection::About),
    ("job.interface.inputs", ManifestSection::Inputs),
    ("job.interface.outputs", ManifestSection::Outputs),
    ("job.resources", ManifestSection::Resources),
    ("job.timeout", ManifestSection::Resources),
    ("job.interface.settings", ManifestSection::Settings),
    ("job.interface.mounts", ManifestSection::Mounts),
    ("job.errors", ManifestSection::Errors),
    ("job.interface.command", ManifestSection::Command),
    ("", ManifestSection::Other),
];

/// Compares two manifests, by section. Entries of a list of named objects are compared by name, whatever their order;
/// every other list is one value.
pub fn compare(old: &Value, new: &Value) -> Vec<ManifestChange> {
    let mut changes = Vec::new();
    walk(String::new(), Some(old), Some(new), &mut changes);
    changes.sort_by_key(|change| change.section);
    changes
}

fn walk(field: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<ManifestChange>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let field = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                walk(field, before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if is_named(before) && is_named(after) => {
            let (before, after) = (by_name(before), by_name(after));
            let known: HashMap<_, &Value> = before.iter().copied().collect();
            let found: HashMap<_, &Value> = after.iter().copied().collect();
            let added = after.iter().filter(|(name, _)| !known.contains_key(name));
            for (name, _) in before.iter().chain(added) {
                walk(format!("{field}[{}]", name.0), known.get(name).copied(), found.get(name).copied(), changes);
            }
        }
        // A list that is not there is empty.
        (None, Some(Value::Array(after))) if is_named(after) => {
            walk(field, Some(&Value::Array(Vec::new())), new, changes);
        }
        (Some(Value::Array(before)), None) if is_named(before) => {
            walk(field, old, Some(&Value::Array(Vec::new())), changes);
        }
        (None, None) => {}
        (old, new) => {
            changes.push(ManifestChange { section: section(&field), field, old: old.cloned(), new: new.cloned() })
        }
    }
}

fn section(field: &str) -> ManifestSection {
    let is_below = |path: &str| {
        let rest = field.strip_prefix(path);
        rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = SECTIONS.iter().find(|(path, _)| is_below(path));
    found.map_or(ManifestSection::Other, |(_, section)| *section)
}

/// Whether each entry is an object with a `name`. True for an empty list.
fn is_named(entries: &[Value]) -> bool {
    entries.iter().all(|entry| entry["name"].is_string())
}

/// Entries with their names; of entries with the same name, the first is compared with the first.
fn by_name(entries: &[Value]) -> Vec<((&str, usize), &Value)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    entries
        .iter()
        .map(|entry| {
            let name = entry["name"].as_str().unwrap_or_default();
            let count = seen.entry(name).or_default();
            *count += 1;
            ((name, *count), entry)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::manifest::with_defaults;
    use crate::testing::{COMPLETE, valid_manifest_with_more};

    #[test]
    fn changes_are_told_by_section_and_by_name() {
        let old = with_defaults(COMPLETE);
        let mut new = old.clone();
        new["job"]["title"] = json!("Another");
        new["job"]["timeout"] = json!(1);
        new["job"]["interface"]["inputs"]["files"].as_array_mut().unwrap().reverse();
        new["job"]["interface"]["inputs"]["files"][0]["required"] = json!(true);
        new["job"]["interface"]["settings"].as_array_mut().unwrap().pop();
        new["job"]["tags"] = json!(["x"]);
        new["x"] = json!({"y": 1});
        let changes = compare(&old, &new);
        let told: Vec<_> = changes.iter().map(|change| (change.section, change.field.as_str())).collect();
        let name = |pointer: &str| old.pointer(pointer).and_then(Value::as_str).unwrap();
        let (input, setting) = (name("/job/interface/inputs/files/1/name"), name("/job/interface/settings/1/name"));
        assert_eq!(
            told,
            [
                (ManifestSection::About, "job.title"),
                (ManifestSection::About, "job.tags"),
                (ManifestSection::Inputs, &format!("job.interface.inputs.files[{input}].required")),
                (ManifestSection::Resources, "job.timeout"),
                (ManifestSection::Settings, &format!("job.interface.settings[{setting}]")),
                (ManifestSection::Other, "x"),
            ]
        );
        assert_eq!((&changes[2].old, &changes[2].new), (&Some(json!(false)), &Some(json!(true))));
        assert_eq!((&changes[4].new, &changes[5].old), (&None, &None));
    }

    #[test]
    fn lists_that_are_not_of_named_objects_are_one_value() {
        let of = |files: Value| json!({"job": {"interface": {"inputs": {"files": files}}}});
        let told = |old: Value, new: Value| {
            compare(&of(old), &of(new)).into_iter().map(|change| change.field).collect::<Vec<_>>()
        };
        let twice = json!([{"name": "A", "x": 1}, {"name": "A", "x": 2}]);
        assert_eq!(told(twice.clone(), json!([{"name": "A", "x": 1}])), ["job.interface.inputs.files[A]"]);
        assert_eq!(told(twice, json!([7])), ["job.interface.inputs.files"]);
        assert_eq!(told(json!([]), json!([{"name": "A"}])), ["job.interface.inputs.files[A]"]);
        assert_eq!(told(json!(null), json!([{"name": "A"}])), ["job.interface.inputs.files"]);
        let without = json!({"job": {"interface": {"inputs": {}}}});
        assert_eq!(compare(&without, &of(json!([{"name": "A"}])))[0].field, "job.interface.inputs.files[A]");
        assert_eq!(compare(&of(json!([])), &without), []);
        assert_eq!(told(json!("files"), json!({})), ["job.interface.inputs.files"]);
    }

    #[test]
    fn a_value_that_became_null_is_no_value_that_is_gone() {
        let changes = compare(&json!({"x": 1, "y": 1}), &json!({"x": null}));
        let text = serde_json::to_string(&changes).expect("JSON");
        assert_eq!(
            text,
            r#"[{"section":"other","field":"x","old":1,"new":null},{"section":"other","field":"y","old":1}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<ManifestChange>>(&text).expect("the same"), changes);
    }

    proptest! {
        #[test]
        fn a_manifest_does_not_differ_from_itself(manifest in valid_manifest_with_more(), other in valid_manifest_with_more()) {
            prop_assert_eq!(compare(&manifest, &manifest), []);
            let (there, back) = (compare(&manifest, &other), compare(&other, &manifest));
            prop_assert_eq!(there.len(), back.len());
            prop_assert_eq!(there.is_empty(), back.is_empty());
        }
    }
}
