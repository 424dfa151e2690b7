//! The manifest as an untyped document: defaults filled in, and the fields that the catalogue lists and searches.

use serde_json::{Map, Number, Value};

use super::schema::{FieldDefault, FieldSchema, FieldShape, MANIFEST, ObjectSchema};

/// Maximum length of an identifier or name, in characters; longer ones are truncated. The other limits are alike.
pub(super) const NAME_CHARS: usize = 255;
const TITLE_CHARS: usize = 1_000;
const DESCRIPTION_CHARS: usize = 20_000;
pub(super) const TAG_CHARS: usize = 100;
/// Maximum number of list entries.
const LIST_ITEMS: usize = 100;

/// The manifest with the standard's defaults filled in, in the standard's field order, unknown keys kept: the body of
/// `/images/{id}/manifest`. A text that is not a JSON object gives a manifest of defaults only.
///
/// Empty optional values are omitted and whole numbers are written without `.0`, for compatibility with existing
/// clients. A missing `scalar` becomes an empty list, as Scale rejects null. A value of a wrong type is kept, except
/// that `job`, `maintainer`, `interface`, `inputs`, `outputs` and `resources` are always objects.
pub fn with_defaults(manifest: &str) -> Value {
    let mut document = parse(manifest);
    shorten_numbers(&mut document);
    fill(&MANIFEST, document)
}

pub(super) fn parse(manifest: &str) -> Value {
    serde_json::from_str(manifest).unwrap_or_default()
}

/// Fills in an object's defaults; a value that is not an object is treated as an empty one.
fn fill(object: &ObjectSchema, value: Value) -> Value {
    let Value::Object(mut source) = value else { return fill(object, Value::Object(Map::new())) };
    let mut filled = Map::with_capacity(object.fields.len());
    for field in object.fields {
        // Null counts as absent, as in every known consumer of manifests.
        let value = source.shift_remove(field.name).filter(|value| !value.is_null());
        if let Some(value) = fill_field(field, value) {
            filled.insert(field.name.to_owned(), value);
        }
    }
    filled.extend(source);
    Value::Object(filled)
}

fn fill_field(field: &FieldSchema, value: Option<Value>) -> Option<Value> {
    let value = match (&field.shape, value) {
        (FieldShape::Object(object), value) => return Some(fill(object, value.unwrap_or_default())),
        (FieldShape::List(FieldShape::Object(object)), Some(Value::Array(items))) => Some(Value::Array(
            items.into_iter().map(|item| if item.is_object() { fill(object, item) } else { item }).collect(),
        )),
        (_, value) => value,
    };
    match (&field.missing, value) {
        (FieldDefault::Omit, value) => value.filter(|value| !is_empty(value)),
        (_, Some(value)) => Some(value),
        (FieldDefault::Absent, None) => None,
        (FieldDefault::NoItems, None) => Some(Value::Array(Vec::new())),
        (FieldDefault::Object, None) => Some(Value::Null),
        (FieldDefault::Text(text), None) => Some(Value::from(*text)),
        (FieldDefault::Zero, None) => Some(Value::from(0)),
        (FieldDefault::Bool(value), None) => Some(Value::Bool(*value)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// Converts whole floats to integers, recursively: 1.0 → 1. The parser has bounded the depth.
fn shorten_numbers(value: &mut Value) {
    /// 2^53: doubles represent every integer up to here exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT) {
                *number = Number::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(fields) => fields.values_mut().for_each(shorten_numbers),
        _ => {}
    }
}

/// The fields of a manifest that the catalogue lists and searches. Missing texts are empty; all are truncated to a
/// maximum length, and control characters other than line feed and tab are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestEssentials {
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub maintainer: String,
    pub email: String,
    pub maint_org: String,
    pub seed_version: String,
    pub inputs: IoEssentials,
    pub outputs: IoEssentials,
    /// The job requests a GPU.
    pub gpu: bool,
}

/// The inputs or the outputs of a job, files and JSON together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoEssentials {
    pub names: Vec<String>,
    /// Without duplicates.
    pub media_types: Vec<String>,
}

impl ManifestEssentials {
    /// Whether job name, job version and package version are all present.
    pub fn identifies_a_job(&self) -> bool {
        [&self.job_name, &self.job_version, &self.package_version].iter().all(|text| !text.trim().is_empty())
    }
}

/// Extracts the fields; missing values and values of a wrong type are empty.
pub fn essentials(manifest: &str) -> ManifestEssentials {
    let document = parse(manifest);
    let job = &document["job"];
    let name = |value: &Value| text(value, NAME_CHARS);
    ManifestEssentials {
        job_name: name(&job["name"]),
        job_version: name(&job["jobVersion"]),
        package_version: name(&job["packageVersion"]),
        title: text(&job["title"], TITLE_CHARS),
        description: text(&job["description"], DESCRIPTION_CHARS),
        tags: texts(items_of(&job["tags"]), TAG_CHARS),
        maintainer: name(&job["maintainer"]["name"]),
        email: name(&job["maintainer"]["email"]),
        maint_org: name(&job["maintainer"]["organization"]),
        seed_version: name(&document["seedVersion"]),
        inputs: side(&job["interface"]["inputs"]),
        outputs: side(&job["interface"]["outputs"]),
        gpu: items_of(&job["resources"]["scalar"])
            .any(|resource| resource["name"] == "gpus" && resource["value"].as_f64().is_some_and(|value| value > 0.0)),
    }
}

fn side(side: &Value) -> IoEssentials {
    let items = || [&side["files"], &side["json"]].into_iter().flat_map(items_of);
    let types = items().flat_map(|item| items_of(&item["mediaTypes"]).chain([&item["mediaType"]]));
    let mut media_types = Vec::new();
    for media_type in texts(types, NAME_CHARS) {
        if !media_types.contains(&media_type) {
            media_types.push(media_type);
        }
    }
    IoEssentials { names: texts(items().map(|item| &item["name"]), NAME_CHARS), media_types }
}

pub(super) fn items_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn texts<'a>(values: impl Iterator<Item = &'a Value>, chars: usize) -> Vec<String> {
    values.map(|value| text(value, chars)).filter(|text| !text.is_empty()).take(LIST_ITEMS).collect()
}

pub(super) fn text(value: &Value, chars: usize) -> String {
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
    value.as_str().unwrap_or_default().chars().take(chars).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{COMPLETE, any_json_object};

    #[test]
    fn anything_else_gives_the_all_empty_manifest() {
        let empty = r#"{"seedVersion":"","job":{"name":"","jobVersion":"","packageVersion":"","maintainer":{"name":"","email":""},"interface":{"inputs":{},"outputs":{}},"resources":{"scalar":[]}}}"#;
        for source in
            ["", "{}", "null", "[1]", "hello", "{\"job\":7}", "{\"job\":{\"interface\":[],\"resources\":null}}"]
        {
            assert_eq!(with_defaults(source).to_string(), empty, "{source}");
        }
    }

    #[test]
    fn fills_defaults_in_the_order_of_the_standard() {
        let source = r#"{"job":{"timeout":60.0,"x-top":1.0,"errors":[{"title":"T","code":2},{"name":"n","code":3}],
            "resources":{"scalar":[{"value":2.0,"name":"mem","inputMultiplier":0.0},{"name":"cpus","value":0.5}]},
            "interface":{"settings":[{"name":"s"}],"mounts":[{"path":"/m","name":"m"}],"command":"",
                "outputs":{"json":[{"name":"j","type":"string","key":""}],"files":[{"pattern":"*.tif","name":"o"}]},
                "inputs":{"json":[{"type":"number","name":"n"}],"files":[{"required":false,"name":"i","mediaTypes":[]}]}},
            "maintainer":{"email":"e","name":"m"},"tags":[],"title":"","packageVersion":"1.0.0","jobVersion":"2.0.0","name":"j"},
            "seedVersion":"1.0.0","$schema":"s"}"#;
        let expected = concat!(
            r#"{"seedVersion":"1.0.0","job":{"name":"j","jobVersion":"2.0.0","packageVersion":"1.0.0","title":"","maintainer":{"name":"m","email":"e"},"#,
            r#""timeout":60,"interface":{"inputs":{"files":[{"name":"i","multiple":false,"partial":false,"required":false}],"#,
            r#""json":[{"name":"n","type":"number","required":true}]},"outputs":{"files":[{"name":"o","multiple":false,"pattern":"*.tif","required":true}],"#,
            r#""json":[{"name":"j","type":"string","required":true}]},"mounts":[{"name":"m","path":"/m","mode":"ro"}],"#,
            r#""settings":[{"name":"s","secret":false}]},"resources":{"scalar":[{"name":"mem","value":2},{"name":"cpus","value":0.5}]},"#,
            r#""errors":[{"code":2,"title":"T","category":"job"},{"code":3,"name":"n","category":"job"}],"x-top":1},"$schema":"s"}"#,
        );
        assert_eq!(with_defaults(source).to_string(), expected);
    }

    #[test]
    fn keeps_values_of_a_wrong_type() {
        let filled =
            with_defaults(r#"{"job":{"title":5,"tags":"x","interface":{"inputs":{"files":[7,{"required":"no"}]}}}}"#);
        assert_eq!(filled["job"]["title"], 5);
        assert_eq!(filled["job"]["tags"], "x");
        let files = json!([7, {"name": "", "multiple": false, "partial": false, "required": "no"}]);
        assert_eq!(filled["job"]["interface"]["inputs"]["files"], files);
    }

    #[test]
    fn reads_the_essentials() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let side = |names: &[&str], types: &[&str]| IoEssentials { names: texts(names), media_types: texts(types) };
        let found = essentials(COMPLETE);
        let expected = ManifestEssentials {
            job_name: "sea-ice-edge".into(),
            job_version: "1.2.0".into(),
            package_version: "0.3.1".into(),
            title: "Sea ice edge".into(),
            description: "Finds the edge of sea ice in radar scenes.\nNeeds two passes.".into(),
            tags: vec!["radar".into(), "ice".into()],
            maintainer: "Ada Frost".into(),
            email: "ada@example.org".into(),
            maint_org: "Polar Works".into(),
            seed_version: "1.0.0".into(),
            inputs: side(&["SCENES", "MASK", "THRESHOLD"], &["image/tiff", "image/x-hdf5-image"]),
            outputs: side(&["EDGE", "MAPS", "LENGTH_KM"], &["application/geo+json", "image/tiff"]),
            gpu: false,
        };
        assert_eq!(found, expected);
        assert!(found.identifies_a_job());
    }

    #[test]
    fn hostile_texts_are_capped_and_cleaned() {
        let manifest = json!({"job": {
            "name": "n".repeat(300), "jobVersion": " ", "packageVersion": 1, "title": "a\u{0}b\u{1b}c\nd\te\u{85}",
            "description": "é".repeat(30_000), "tags": (0..200).map(|_| "t".repeat(200)).chain([String::new()]).collect::<Vec<_>>(),
            "maintainer": [], "interface": {"inputs": {"files": [1, {"name": ""}, {"mediaTypes": "x"}]}}}});
        let found = essentials(&manifest.to_string());
        assert_eq!(found.job_name.len(), 255);
        assert_eq!(found.title, "a b c\nd\te ");
        assert_eq!(found.description.chars().count(), 20_000);
        assert_eq!((found.tags.len(), found.tags[0].len()), (100, 100));
        assert!(!found.identifies_a_job());
        assert_eq!((found.inputs, found.package_version.as_str()), (IoEssentials::default(), ""));
        assert_eq!(essentials("[".repeat(100_000).as_str()), ManifestEssentials::default());
    }

    proptest! {
        #[test]
        fn filling_twice_changes_nothing(manifest in any_json_object()) {
            let once = with_defaults(&manifest.to_string());
            prop_assert_eq!(with_defaults(&once.to_string()).to_string(), once.to_string());
        }
    }
}
