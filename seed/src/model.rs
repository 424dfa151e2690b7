//! The manifest as Rust types, for code that runs or shows jobs.
//!
//! Deserializing fills in the standard's defaults, and serializing writes them. Nothing is validated beyond what the
//! types need; [`validate`](super::validate) does that. Unknown members are kept on every object (`other`).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

/// A manifest cannot be deserialized into the types. Holds serde_json's error.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the manifest cannot be read ({0}): `silo validate` lists all problems")]
pub struct ModelError(String);

/// A manifest of Seed 1.0.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedManifest {
    /// The version of the standard, `1.0.0`.
    pub seed_version: String,
    pub job: SeedJob,
    /// Members that the standard does not define; every type here has this field.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl SeedManifest {
    /// Parses a manifest's JSON text.
    pub fn parse(manifest: &str) -> Result<Self, ModelError> {
        serde_json::from_str(manifest).map_err(|error| ModelError(error.to_string()))
    }

    /// The manifest as JSON, with defaults, in the standard's field order.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("texts, numbers, lists and maps of texts are JSON")
    }

    /// As [`SeedManifest::to_value`], as text: indented by two, with a line feed at the end.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.to_value())
    }
}

/// The job of the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedJob {
    /// Identifies the algorithm, together with the version: letters, digits and dashes.
    pub name: String,
    /// Version of the algorithm (SemVer 2.0.0).
    pub job_version: String,
    /// Version of the packaging: the image and this manifest (SemVer 2.0.0).
    pub package_version: String,
    /// Short name for people.
    pub title: String,
    /// Long description for people.
    pub description: String,
    /// Search keywords.
    #[serde(default)]
    pub tags: Vec<String>,
    pub maintainer: JobMaintainer,
    /// Seconds after which a run is stopped. The standard defines no bounds and no special meaning of 0.
    pub timeout: i64,
    #[serde(default)]
    pub interface: JobInterface,
    #[serde(default)]
    pub resources: JobResources,
    /// Meanings of exit codes.
    #[serde(default)]
    pub errors: Vec<JobError>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The contact for the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobMaintainer {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The job's command line, inputs, outputs, mounts and settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobInterface {
    /// Arguments of the container, with variables in Bash syntax. If absent, the image's own command is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default)]
    pub inputs: JobInputs,
    #[serde(default)]
    pub outputs: JobOutputs,
    #[serde(default)]
    pub mounts: Vec<JobMount>,
    #[serde(default)]
    pub settings: Vec<JobSetting>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The inputs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobInputs {
    #[serde(default)]
    pub files: Vec<JobInputFile>,
    #[serde(default)]
    pub json: Vec<JobInputJson>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An input file, or a directory of input files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobInputFile {
    /// Normalised, it is the name of the variable with the absolute path inside the container.
    pub name: String,
    /// Media types (IANA) that the job reads; empty for any.
    #[serde(default)]
    pub media_types: Vec<String>,
    /// Whether the input is a directory with any number of files directly inside, rather than one file.
    #[serde(default)]
    pub multiple: bool,
    /// Whether the job reads less than half of a very large file.
    #[serde(default)]
    pub partial: bool,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A JSON value as input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobInputJson {
    /// Normalised, it is the name of the variable with the value.
    pub name: String,
    #[serde(rename = "type")]
    pub json_type: JsonType,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The outputs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobOutputs {
    #[serde(default)]
    pub files: Vec<JobOutputFile>,
    #[serde(default)]
    pub json: Vec<JobOutputJson>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One or several files that a run writes to the output directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobOutputFile {
    pub name: String,
    /// Media type of the file (IANA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Whether several files may match.
    #[serde(default)]
    pub multiple: bool,
    /// Glob relative to the output directory.
    pub pattern: String,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A JSON value that a run writes to `seed.outputs.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOutputJson {
    pub name: String,
    /// The manifest's `key`; use [`JobOutputJson::key`] for the effective one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(rename = "type")]
    pub json_type: JsonType,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl JobOutputJson {
    /// The member of `seed.outputs.json` that holds the value: `key`, or the name if `key` is absent or empty.
    pub fn key(&self) -> &str {
        self.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(&self.name)
    }
}

/// A host directory that the operator mounts into the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobMount {
    /// Name of the mount in the operator's configuration. It is not an environment variable.
    pub name: String,
    /// Absolute path inside the container.
    pub path: String,
    #[serde(default)]
    pub mode: MountMode,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A value that the operator configures. Always required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSetting {
    /// Normalised, it is the name of the variable with the value.
    pub name: String,
    /// Whether the value must not be shown.
    #[serde(default)]
    pub secret: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The resources that a run needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobResources {
    /// Null is read as an empty list: Seed CLI 1.3 writes it if there are no resources.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub scalar: Vec<ScalarResource>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The amount of one resource: `value` + `inputMultiplier` × the size of all input files in MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalarResource {
    /// `cpus`, `mem`, `disk`, `sharedMem`, or a resource specific to an executor.
    pub name: String,
    /// Cores for `cpus`; MiB for `mem`, `disk` and `sharedMem`.
    pub value: Number,
    /// 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_multiplier: Option<Number>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The meaning of an exit code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobError {
    /// Exit code of the process; 0 always means success.
    pub code: i64,
    /// Identifier of the error for programs; the same in every version of the job.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub category: ErrorCategory,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JsonType {
    Array,
    Boolean,
    /// A number without a fraction.
    Integer,
    Number,
    Object,
    String,
}

impl JsonType {
    /// The type's name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    /// Whether a value has this type. `1.0` is not an integer.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::Array => value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.as_number().is_some_and(is_integer),
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
        }
    }

    /// Describes the type of a value, such as "an integer".
    pub fn described(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if is_integer(number) => "an integer",
            Value::Number(_) => "a number with a fraction",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

fn is_integer(number: &Number) -> bool {
    // serde_json parses integers beyond 64 bits as floats.
    !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() >= 18_446_744_073_709_551_615.0)
}

/// Access of the job to a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountMode {
    #[default]
    #[serde(rename = "ro")]
    ReadOnly,
    #[serde(rename = "rw")]
    ReadWrite,
}

/// The cause of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorCategory {
    /// The algorithm or its packaging.
    #[default]
    Job,
    /// The input data.
    Data,
}

fn yes() -> bool {
    true
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ScalarResource>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::{FieldSchema, FieldShape, MANIFEST, ObjectSchema};
    use crate::testing::{COMPLETE, valid_manifest, valid_manifest_with_more};
    use crate::validate::{ValidationRules, judge};

    /// Whether `whole` contains everything that `part` contains.
    fn holds(whole: &Value, part: &Value) -> bool {
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => {
                part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
            }
            (Value::Array(whole), Value::Array(part)) => {
                whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
            }
            (whole, part) => whole == part,
        }
    }

    #[test]
    fn reads_the_complete_manifest() {
        let manifest = SeedManifest::parse(COMPLETE).expect("it is valid");
        assert!(holds(&manifest.to_value(), &serde_json::from_str(COMPLETE).expect("it is JSON")));
        let SeedJob { interface, resources, errors, .. } = manifest.job;
        assert_eq!(manifest.seed_version, "1.0.0");
        assert_eq!(manifest.job.maintainer.phone.as_deref(), Some("555-0100"));
        assert_eq!(manifest.job.timeout, 3600);
        let [scenes, mask] = &interface.inputs.files[..] else { panic!("two input files") };
        assert!(scenes.multiple && scenes.partial && scenes.required);
        assert!(!mask.multiple && !mask.partial && !mask.required);
        assert_eq!(interface.inputs.json[0].json_type, JsonType::Number);
        assert_eq!(interface.outputs.json[0].key(), "length");
        assert_eq!(interface.mounts[0].mode, MountMode::ReadOnly);
        assert_eq!(interface.settings.iter().map(|setting| setting.secret).collect::<Vec<_>>(), [false, true]);
        assert_eq!(resources.scalar[0].value.as_f64(), Some(1.5));
        assert_eq!(resources.scalar[1].value.as_i64(), Some(512));
        assert_eq!(resources.scalar[1].input_multiplier.as_ref().map(ToString::to_string).as_deref(), Some("2.0"));
        assert_eq!(errors[0].category, ErrorCategory::Data);
    }

    #[test]
    fn fills_in_the_defaults_and_writes_them() {
        let manifest = SeedManifest::parse(
            r#"{"job": {"name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "", "description": "",
                "maintainer": {"name": "m", "email": "e"}, "timeout": 0, "x": 1, "errors": [{"name": "n", "code": 3}],
                "interface": {"inputs": {"files": [{"name": "f"}], "json": [{"name": "j", "type": "array"}]},
                    "outputs": {"files": [{"name": "o", "pattern": "*"}], "json": [{"name": "k", "type": "string", "key": ""}]},
                    "mounts": [{"name": "m", "path": "/m"}], "settings": [{"name": "s"}]},
                "resources": {"scalar": null}}, "seedVersion": "1.0.0"}"#,
        )
        .expect("it is valid");
        assert_eq!(manifest.job.interface.outputs.json[0].key(), "k");
        insta::assert_snapshot!(manifest.to_value(), @r#"{"seedVersion":"1.0.0","job":{"name":"j","jobVersion":"1.0.0","packageVersion":"1.0.0","title":"","description":"","tags":[],"maintainer":{"name":"m","email":"e"},"timeout":0,"interface":{"inputs":{"files":[{"name":"f","mediaTypes":[],"multiple":false,"partial":false,"required":true}],"json":[{"name":"j","type":"array","required":true}]},"outputs":{"files":[{"name":"o","multiple":false,"pattern":"*","required":true}],"json":[{"name":"k","key":"","type":"string","required":true}]},"mounts":[{"name":"m","path":"/m","mode":"ro"}],"settings":[{"name":"s","secret":false}]},"resources":{"scalar":[]},"errors":[{"code":3,"name":"n","category":"job"}],"x":1}}"#);
    }

    #[test]
    fn what_is_absent_is_empty() {
        let manifest = SeedManifest::parse(
            r#"{"seedVersion": "1.0.0", "job": {"name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "t",
                "description": "d", "maintainer": {"name": "m", "email": "e"}, "timeout": 60}}"#,
        )
        .expect("it is valid");
        assert_eq!(manifest.job.interface, JobInterface::default());
        assert_eq!(manifest.job.resources, JobResources::default());
        assert!(judge(manifest.to_json().as_bytes(), ValidationRules::default()).valid);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let error = SeedManifest::parse("{\n}").unwrap_err().to_string();
        assert_eq!(
            error,
            "the manifest cannot be read (missing field `seedVersion` at line 2 column 1): `silo validate` lists all \
             problems"
        );
        for text in ["", "[]", "{} {}", "{\"seedVersion\":\"1.0.0\",\"job\":null}", &"[".repeat(100_000)] {
            assert!(SeedManifest::parse(text).is_err(), "{text:.20}");
        }
    }

    /// An object with every field of the table, and the path of every field.
    fn every_field(object: &ObjectSchema, path: &str, places: &mut Vec<(String, &'static FieldSchema)>) -> Value {
        let member = |field: &'static FieldSchema| {
            let path = format!("{path}/{}", field.name);
            let value = any_value(&field.shape, &path, places);
            places.push((path, field));
            (field.name.to_owned(), value)
        };
        Value::Object(object.fields.iter().map(member).collect())
    }

    fn any_value(shape: &FieldShape, path: &str, places: &mut Vec<(String, &'static FieldSchema)>) -> Value {
        match shape {
            FieldShape::Text | FieldShape::Ruled(_) => json!("x"),
            FieldShape::OneOf(allowed) => json!(allowed[0]),
            FieldShape::Integer => json!(1),
            FieldShape::Number => json!(0.5),
            FieldShape::Boolean => json!(true),
            FieldShape::Object(object) => every_field(object, path, places),
            FieldShape::List(shape) => json!([any_value(shape, &format!("{path}/0"), places)]),
        }
    }

    fn everything() -> (Value, Vec<(String, &'static FieldSchema)>) {
        let mut places = Vec::new();
        let document = every_field(&MANIFEST, "", &mut places);
        (document, places)
    }

    #[test]
    fn the_types_have_the_fields_of_the_table_and_no_others() {
        let (document, _) = everything();
        let manifest = SeedManifest::parse(&document.to_string()).expect("it fits");
        // A field missing in the table would be serialized or be `None`; a field missing in the types would be in
        // `other`.
        assert_eq!(manifest.to_value().to_string(), document.to_string(), "also in the order of the table");
        let fields = format!("{manifest:?}");
        assert_eq!(fields.matches("None").count(), 0, "{fields}");
        assert_eq!(fields.matches("other: ").count(), fields.matches("other: {}").count(), "{fields}");
    }

    #[test]
    fn the_types_ask_for_what_the_table_asks_for() {
        let (document, places) = everything();
        for (path, field) in places {
            let (parent, name) = path.rsplit_once('/').expect("a pointer has a slash");
            let with = |value: Option<Value>| {
                let mut document = document.clone();
                let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
                parent.shift_remove(name);
                parent.extend(value.map(|value| (name.to_owned(), value)));
                SeedManifest::parse(&document.to_string()).map_err(|error| error.to_string())
            };
            assert_eq!(with(None).is_err(), field.required, "{path}");
            let wrong =
                if matches!(field.shape, FieldShape::Text | FieldShape::Ruled(_)) { json!(1) } else { json!("?") };
            let error = with(Some(wrong)).expect_err(&path);
            if let FieldShape::OneOf(allowed) = field.shape {
                assert_eq!(error.matches('`').count(), 2 * (1 + allowed.len()) + 2, "{error}");
                for word in allowed {
                    assert!(with(Some(json!(word))).is_ok(), "{path} = {word}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn valid_manifests_come_back(manifest in prop_oneof![valid_manifest(), valid_manifest_with_more()]) {
            let read = SeedManifest::parse(&manifest.to_string()).expect("a valid manifest");
            let written = read.to_json();
            prop_assert_eq!(SeedManifest::parse(&written), Ok(read));
            let written: Value = serde_json::from_str(&written).expect("JSON");
            prop_assert!(holds(&written, &manifest), "{} does not hold {}", written, manifest);
        }

        #[test]
        fn defaults_keep_a_manifest_valid(manifest in valid_manifest()) {
            let report = judge(manifest.to_string().as_bytes(), ValidationRules::default());
            prop_assert!(report.valid, "{} {:?}", manifest, report.problems);
            let written = SeedManifest::parse(&manifest.to_string()).expect("a valid manifest").to_json();
            let report = judge(written.as_bytes(), ValidationRules::default());
            prop_assert!(report.valid, "{} {:?}", written, report.problems);
        }
    }
}
