//! Converts manifests of versions 0.x of the standard to 1.0.0.
//!
//! Conversion depends on the members that are present, not on the stated version. Nothing is validated: values of wrong
//! types and missing members are left for validation to report.

mod job;

use serde_json::{Map, Value};

use super::json::quoted;
use super::schema::{FieldShape, MANIFEST, ObjectSchema, VERSION};

/// The versions of the standard before 1.0.0.
const OLD: [&str; 7] = ["0.0.1", "0.0.2", "0.0.3", "0.0.4", "0.0.5", "0.0.6", "0.1.0"];
/// Version of an old manifest that does not state one.
const UNSTATED: &str = "0.x";

/// Members that identify an old manifest: 1.0.0 does not have them, and they are no likely typo of one that it has.
const OLD_JOB_MEMBERS: [&str; 5] = ["algorithmVersion", "authorName", "authorEmail", "authorUrl", "errorMapping"];
const OLD_INTERFACE_MEMBERS: [&str; 4] = ["cmd", "envVars", "inputData", "outputData"];

/// A manifest of 1.0.0, and how it was obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradedManifest {
    /// The version before the upgrade, such as `0.0.4`; `0.x` if an old manifest states none.
    pub from: String,
    /// JSON text, indented by two, with a line feed at the end; unchanged if the manifest already was of 1.0.0.
    pub manifest: String,
    /// The changes, in the order of the new manifest.
    pub changes: Vec<UpgradeChange>,
}

/// One change made by an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UpgradeChange {
    /// JSON pointer into the new manifest.
    pub path: String,
    /// Whether a value was invented or dropped, so that a person should review it; otherwise it was only moved or
    /// renamed.
    pub invented: bool,
    /// What was changed, in one sentence.
    pub message: String,
}

/// Why a manifest cannot be upgraded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpgradeError {
    #[error("the manifest is not JSON: {0}")]
    Json(String),
    #[error("a manifest is a JSON object; this is something else")]
    NotAnObject,
    #[error("{0}")]
    UnknownVersion(String),
}

/// Upgrades a manifest's JSON text to 1.0.0. A manifest that states 1.0.0 is returned unchanged.
///
/// # Errors
/// The text is not a JSON object, or it is of an unknown version.
pub fn upgrade(manifest: &str) -> Result<UpgradedManifest, UpgradeError> {
    let document = match serde_json::from_str(manifest) {
        Ok(Value::Object(document)) => document,
        Ok(_) => return Err(UpgradeError::NotAnObject),
        Err(error) => return Err(UpgradeError::Json(error.to_string())),
    };
    if stated(&document, "seedVersion") == Some(VERSION) {
        return Ok(UpgradedManifest { from: VERSION.to_owned(), manifest: manifest.to_owned(), changes: Vec::new() });
    }
    let from = version_of(&document)?;
    let (document, changes) = convert(document, &from);
    Ok(UpgradedManifest { from, manifest: format!("{document:#}\n"), changes })
}

/// The version of a manifest that is recognisably of 0.x. `None` for other documents, and if an upgrade would only
/// change the stated version.
pub fn old_version(document: &Value) -> Option<String> {
    let old = document.as_object().filter(|document| stated(document, "seedVersion") != Some(VERSION))?;
    let from = version_of(old).ok()?;
    let (mut new, _) = convert(old.clone(), &from);
    match old.get("seedVersion") {
        Some(version) => new["seedVersion"] = version.clone(),
        None => _ = new.as_object_mut()?.shift_remove("seedVersion"),
    }
    (new != *document).then_some(from)
}

/// Determines the old version of a document.
fn version_of(document: &Map<String, Value>) -> Result<String, UpgradeError> {
    // Up to 0.0.3 the member was called `manifestVersion`.
    let manifest_version = || stated(document, "manifestVersion").filter(|version| version.starts_with("0."));
    match stated(document, "seedVersion").or_else(manifest_version) {
        Some(version) if OLD.contains(&version) => Ok(version.to_owned()),
        Some(version) if version.starts_with("0.") && has_old_members(document) => Ok(quoted(version)),
        None if has_old_members(document) => Ok(UNSTATED.to_owned()),
        Some(version) => Err(UpgradeError::UnknownVersion(format!(
            "`{}` is no known version of the standard: set `seedVersion` to the one that the manifest follows, {VERSION} or one of {}",
            quoted(version),
            OLD.join(", ")
        ))),
        None => Err(UpgradeError::UnknownVersion(format!(
            "the manifest states no version, and has no member that only old versions have: set `seedVersion` to {VERSION} and validate it"
        ))),
    }
}

fn stated<'a>(document: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    document.get(member)?.as_str()
}

fn has_old_members(document: &Map<String, Value>) -> bool {
    let has = |object: Option<&Value>, members: &[&str]| {
        object
            .and_then(Value::as_object)
            .is_some_and(|object| members.iter().any(|member| object.contains_key(*member)))
    };
    let job = document.get("job");
    document.contains_key("manifestVersion")
        || has(job, &OLD_JOB_MEMBERS)
        || has(job.and_then(|job| job.get("interface")), &OLD_INTERFACE_MEMBERS)
}

/// Converts a document to 1.0.0, and lists the changes.
fn convert(mut document: Map<String, Value>, from: &str) -> (Value, Vec<UpgradeChange>) {
    let mut changes = ManifestUpgrader::default();
    if let Some(version) = document.shift_remove("manifestVersion")
        && document.contains_key("seedVersion")
    {
        changes.record_dropped("/seedVersion", "manifestVersion", &version);
    }
    document.insert("seedVersion".to_owned(), VERSION.into());
    if from == UNSTATED {
        changes.invented("/seedVersion", "No version was stated.".to_owned());
    } else {
        changes.moved("/seedVersion", format!("This was {from}."));
    }
    if let Some(Value::Object(job)) = document.get_mut("job") {
        changes.job(job, from);
    }
    let document = in_standard_order(&MANIFEST, Value::Object(document));
    changes.0.sort_by_cached_key(|change| position(&document, &change.path));
    (document, changes.0)
}

/// Sorts the members in the standard's order, recursively; unknown ones last.
fn in_standard_order(object: &ObjectSchema, value: Value) -> Value {
    let Value::Object(mut source) = value else { return value };
    let mut members = Map::with_capacity(source.len());
    for field in object.fields {
        let Some(value) = source.shift_remove(field.name) else { continue };
        let value = match (&field.shape, value) {
            (FieldShape::Object(object), value) => in_standard_order(object, value),
            (FieldShape::List(FieldShape::Object(object)), Value::Array(items)) => {
                items.into_iter().map(|item| in_standard_order(object, item)).collect()
            }
            (_, value) => value,
        };
        members.insert(field.name.to_owned(), value);
    }
    members.extend(source);
    Value::Object(members)
}

/// Resolves a JSON pointer to the index at each level, for sorting. Its keys are the standard's, so they need no
/// unescaping and come first in their objects.
fn position(document: &Value, pointer: &str) -> Vec<usize> {
    let mut place = document;
    let mut position = Vec::new();
    for token in pointer.split('/').skip(1) {
        let index = match place {
            Value::Object(members) => members.keys().position(|key| key == token),
            _ => token.parse().ok(),
        };
        let child = match place {
            Value::Array(items) => index.and_then(|index| items.get(index)),
            place => place.get(token),
        };
        let (Some(index), Some(child)) = (index, child) else { break };
        position.push(index);
        place = child;
    }
    position
}

#[derive(Default)]
struct ManifestUpgrader(Vec<UpgradeChange>);

impl ManifestUpgrader {
    fn moved(&mut self, path: &str, message: String) {
        self.0.push(UpgradeChange { path: path.to_owned(), invented: false, message });
    }

    fn invented(&mut self, path: &str, message: String) {
        self.0.push(UpgradeChange { path: path.to_owned(), invented: true, message });
    }

    /// Records that an old member was dropped, because its new member exists already.
    fn record_dropped(&mut self, path: &str, old: &str, value: &Value) {
        let value = quoted(&value.to_string());
        self.invented(path, format!("`{old}`, {value}, was given up, because this was there too."));
    }

    /// Moves an old member's value to its new member; dropped if that exists already.
    fn put(&mut self, object: &mut Map<String, Value>, path: &str, (old, new): (&str, &str), value: Value) {
        let path = format!("{path}/{new}");
        if object.contains_key(new) {
            self.record_dropped(&path, old, &value);
        } else {
            object.insert(new.to_owned(), value);
            self.moved(&path, format!("This was `{old}`."));
        }
    }

    fn rename(&mut self, object: &mut Map<String, Value>, path: &str, (old, new): (&str, &str)) {
        if let Some(value) = object.shift_remove(old) {
            self.put(object, path, (old, new), value);
        }
    }
}

#[cfg(test)]
mod tests;
