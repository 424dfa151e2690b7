//! Generates the manifest's JSON Schema from the table in [`schema`](crate::schema).

use serde_json::{Map, Value, json};

use super::{DRAFT, PublishedSchema};
use crate::schema::{FieldDefault, FieldSchema, FieldShape, MANIFEST, ObjectSchema, TextRule};

/// The whole schema.
pub(super) fn schema() -> Value {
    let mut schema = json!({"$schema": DRAFT, "title": PublishedSchema::Manifest.title()});
    object(&MANIFEST, &mut schema);
    let mut definitions = Map::new();
    define(&MANIFEST, &mut definitions);
    schema["$defs"] = definitions.into();
    schema
}

/// Adds the keywords for an object to a schema.
fn object(object: &ObjectSchema, schema: &mut Value) {
    let required: Vec<_> = object.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    schema["description"] = json!(object.about);
    schema["type"] = json!("object");
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = json!(false);
    schema["properties"] = object.fields.iter().map(|field| (field.name, property(field))).collect();
}

/// Adds a definition for every object below this one, by name, in the standard's order.
fn define(parent: &ObjectSchema, definitions: &mut Map<String, Value>) {
    for child in parent.fields.iter().filter_map(|field| object_of(&field.shape)) {
        let mut schema = json!({});
        object(child, &mut schema);
        definitions.insert(child.name.to_owned(), schema);
        define(child, definitions);
    }
}

fn object_of(shape: &FieldShape) -> Option<&'static ObjectSchema> {
    match shape {
        FieldShape::Object(object) => Some(object),
        FieldShape::List(item) => object_of(item),
        _ => None,
    }
}

fn property(field: &FieldSchema) -> Value {
    let mut schema = json!({"description": field.about});
    shape(&field.shape, field.examples, &mut schema);
    // Required fields have no default in the schema.
    match field.missing {
        FieldDefault::Bool(value) if !field.required => schema["default"] = json!(value),
        FieldDefault::Text(value) if !field.required => schema["default"] = json!(value),
        _ => {}
    }
    schema
}

/// Adds the keywords for a value to a schema.
fn shape(shape: &FieldShape, examples: &[&str], schema: &mut Value) {
    match shape {
        FieldShape::Object(object) => schema["$ref"] = json!(format!("#/$defs/{}", object.name)),
        FieldShape::List(item) => {
            schema["type"] = json!("array");
            schema["items"] = json!({});
            return self::shape(item, examples, &mut schema["items"]);
        }
        FieldShape::Integer => schema["type"] = json!("integer"),
        FieldShape::Number => schema["type"] = json!("number"),
        FieldShape::Boolean => schema["type"] = json!("boolean"),
        FieldShape::Text => schema["type"] = json!("string"),
        FieldShape::OneOf(allowed) => {
            schema["type"] = json!("string");
            schema["enum"] = json!(allowed);
        }
        FieldShape::Ruled(rule) => {
            schema["type"] = json!("string");
            let (keyword, value) = rule_keyword(*rule);
            schema[keyword] = value;
        }
    }
    if !examples.is_empty() {
        schema["examples"] = json!(examples);
    }
}

/// The JSON Schema keyword and value for a rule. Patterns use only syntax that means the same in ECMA-262 and in regex
/// engines without look-around.
fn rule_keyword(rule: TextRule) -> (&'static str, Value) {
    // SemVer 2.0.0: three numbers without leading zeros, optional pre-release, optional build metadata.
    const VERSION: &str = concat!(
        r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)",
        r"(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?",
        r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
    );
    match rule {
        TextRule::SeedVersion => ("const", json!("1.0.0")),
        TextRule::JobName => ("pattern", json!("^[A-Za-z0-9-]+$")),
        TextRule::Name => ("pattern", json!("^[A-Za-z0-9_-]+$")),
        TextRule::Version => ("pattern", json!(VERSION)),
        TextRule::ContainerPath => ("pattern", json!("^/")),
        // Neither absolute nor with a component `..`.
        TextRule::OutputPattern => ("not", json!({"pattern": r"^/|(^|/)\.\.(/|$)"})),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::ValidationProfile;
    use crate::manifest::with_defaults;
    use crate::spec::tests::{assert_passes, validator};
    use crate::testing::{COMPLETE, any_json_object};
    use crate::validate::{self, ValidationRules};

    /// Problems that a schema can express. The other codes are about colliding names, and about values that are valid
    /// but suspicious.
    const STRUCTURE: [&str; 11] = [
        "old-version",
        "unsupported-version",
        "missing-field",
        "unknown-field",
        "wrong-type",
        "unknown-value",
        "bad-name",
        "bad-version",
        "null-scalar",
        "relative-path",
        "escaping-pattern",
    ];

    fn complete() -> Value {
        serde_json::from_str(COMPLETE).expect("the complete manifest is JSON")
    }

    /// The problems of a manifest for which the schema should reject it.
    fn structural(manifest: &Value) -> Vec<String> {
        let report = validate::judge(manifest.to_string().as_bytes(), ValidationRules::default());
        let codes = report.problems.into_iter().map(|problem| problem.code);
        codes.filter(|code| STRUCTURE.contains(&code.as_str())).collect()
    }

    /// JSON pointers to all values of a document.
    fn pointers(value: &Value) -> Vec<String> {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        let deeper = below.into_iter().flat_map(|(name, value)| {
            let token = name.replace('~', "~0").replace('/', "~1");
            pointers(value).into_iter().map(move |rest| format!("/{token}{rest}"))
        });
        std::iter::once(String::new()).chain(deeper).collect()
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(Index, Value),
        Remove(Index, Index),
        Add(Index, String, Value),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => (any::<Index>(), value()).prop_map(|(at, value)| Change::Put(at, value)),
            2 => (any::<Index>(), any::<Index>()).prop_map(|(at, which)| Change::Remove(at, which)),
            2 => (any::<Index>(), name(), value()).prop_map(|(at, name, value)| Change::Add(at, name, value)),
        ]
    }

    /// Values of every type, some of which obey or nearly obey a rule. No whole number is written with a fraction: see
    /// [`whole_numbers_with_a_fraction`].
    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[a-zA-Z0-9_-]{0,4}\n?",
            "[0-2]\\.[0-2]\\.0?[0-2](-[a0.]{1,3})?(\\+[0a]{1,2})?\n?",
            "[/.a]{0,5}\n?",
            prop::sample::select(vec!["1.0.0", "ro", "rw", "job", "data", "array", "string", "null", "Ro"])
                .prop_map(str::to_owned),
            "\\PC{0,4}",
        ];
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-9i32..9).prop_map(|n| Value::from(f64::from(n) + 0.5)),
            text.clone().prop_map(Value::from),
            text.prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            any_json_object().prop_map(|mut value| {
                without_fractions(&mut value);
                value
            }),
            prop::collection::vec("[a-z]{0,3}", 0..3).prop_map(Value::from),
        ]
    }

    /// For each rule a field, with texts that obey or nearly obey it.
    fn ruled_text() -> impl Strategy<Value = (&'static str, String)> {
        prop_oneof![
            (Just("/seedVersion"), "[01]\\.0\\.0\n?"),
            (Just("/job/name"), "[aZ0_-]{0,3}[\n ]?"),
            (Just("/job/errors/0/name"), "[aZ0_-]{0,3}[\n ]?"),
            (Just("/job/jobVersion"), "[01]{1,2}\\.[01]{1,2}\\.[01]{1,2}(-[a0.-]{0,3})?(\\+[a0.]{0,3})?\n?"),
            (Just("/job/interface/mounts/0/path"), "[/.a\n]{0,3}"),
            (Just("/job/interface/outputs/files/0/pattern"), "(/|\\.|\\.\\.|a|\n){0,4}"),
            (Just("/job/interface/mounts/0/mode"), "[rwo]{2}\n?"),
        ]
    }

    fn without_fractions(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => *value = json!(0.5),
            Value::Array(items) => items.iter_mut().for_each(without_fractions),
            Value::Object(fields) => fields.values_mut().for_each(without_fractions),
            _ => {}
        }
    }

    /// Member names: those of the standard, and others.
    fn name() -> impl Strategy<Value = String> {
        let mut known = Vec::new();
        collect(&MANIFEST, &mut known);
        prop_oneof![4 => prop::sample::select(known).prop_map(str::to_owned), 1 => "[a-z$~/]{0,3}"]
    }

    fn collect(object: &ObjectSchema, names: &mut Vec<&'static str>) {
        for field in object.fields {
            names.push(field.name);
            object_of(&field.shape).into_iter().for_each(|below| collect(below, names));
        }
    }

    fn apply(change: Change, manifest: &mut Value) {
        let (Change::Put(at, _) | Change::Remove(at, _) | Change::Add(at, ..)) = &change;
        let pointer = at.get(&pointers(manifest)).clone();
        let place = manifest.pointer_mut(&pointer).expect("it was listed");
        match (change, place) {
            (Change::Put(_, value), place) => *place = value,
            (Change::Add(_, name, value), Value::Object(fields)) => _ = fields.insert(name, value),
            (Change::Add(_, _, value), Value::Array(items)) => items.push(value),
            (Change::Remove(_, which), Value::Object(fields)) if !fields.is_empty() => {
                let name = which.get(&fields.keys().cloned().collect::<Vec<_>>()).clone();
                fields.shift_remove(&name);
            }
            (Change::Remove(_, which), Value::Array(items)) if !items.is_empty() => {
                items.remove(which.index(items.len()));
            }
            (Change::Add(..) | Change::Remove(..), _) => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn agrees_with_validation(changes in prop::collection::vec(change(), 1..4)) {
            let mut manifest = complete();
            changes.into_iter().for_each(|change| apply(change, &mut manifest));
            agree(&manifest)?;
        }

        #[test]
        fn rules_are_the_same_as_patterns((place, text) in ruled_text()) {
            let mut manifest = complete();
            *manifest.pointer_mut(place).expect("it is there") = json!(text);
            agree(&manifest)?;
        }

        #[test]
        fn what_scale_takes_is_served_in_a_form_that_it_takes(
            removed in prop::collection::vec((any::<Index>(), any::<Index>()), 0..6),
            changes in prop::collection::vec(change(), 0..2),
        ) {
            let mut manifest = complete();
            removed.into_iter().for_each(|(at, which)| apply(Change::Remove(at, which), &mut manifest));
            changes.into_iter().for_each(|change| apply(change, &mut manifest));
            served_as_taken(&manifest)?;
        }
    }

    fn served_as_taken(manifest: &Value) -> Result<(), TestCaseError> {
        let rules = ValidationRules { profile: ValidationProfile::Scale, strict: false };
        if validate::judge(manifest.to_string().as_bytes(), rules).valid {
            let served = with_defaults(&manifest.to_string());
            let report = validate::judge(served.to_string().as_bytes(), rules);
            prop_assert!(report.valid, "{} is served as {}: {:?}", manifest, served, report.problems);
        }
        Ok(())
    }

    #[test]
    fn what_the_standard_requires_is_served_as_it_is() {
        let mut manifest = complete();
        let job = manifest["job"].as_object_mut().expect("an object");
        job.extend([
            ("timeout".to_owned(), json!(0)),
            ("title".to_owned(), json!("")),
            ("description".to_owned(), json!("")),
        ]);
        job.retain(|name, _| !["resources", "interface", "errors", "tags"].contains(&name.as_str()));
        let served = with_defaults(&manifest.to_string());
        assert_eq!(
            [&served["job"]["timeout"], &served["job"]["title"], &served["job"]["description"]],
            [&json!(0), &json!(""), &json!("")]
        );
        assert_eq!(served["job"]["resources"], json!({"scalar": []}));
        served_as_taken(&manifest).expect("Scale takes it");
    }

    /// The schema accepts exactly the manifests without a structural problem.
    fn agree(manifest: &Value) -> Result<(), TestCaseError> {
        static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(PublishedSchema::Manifest));
        let codes = structural(manifest);
        prop_assert_eq!(SCHEMA.is_valid(manifest), codes.is_empty(), "{:?} {}", codes, manifest);
        Ok(())
    }

    #[test]
    fn the_complete_manifest_passes() {
        assert_passes(&validator(PublishedSchema::Manifest), &complete());
        assert_eq!(structural(&complete()), [""; 0]);
    }

    /// JSON Schema does not distinguish 60 and 60.0; the standard's tools reject the latter as an integer.
    #[test]
    fn whole_numbers_with_a_fraction() {
        let mut manifest = complete();
        manifest["job"]["timeout"] = json!(60.0);
        assert_passes(&validator(PublishedSchema::Manifest), &manifest);
        assert_eq!(structural(&manifest), ["wrong-type"]);
    }

    #[test]
    fn examples_and_defaults_are_valid() {
        fn check(schema: &Value, root: &Value) {
            let mut alone = schema.clone();
            alone["$defs"] = root["$defs"].clone();
            let values = schema["examples"].as_array().into_iter().flatten().chain(schema.get("default"));
            let validator = jsonschema::draft202012::new(&alone).expect("part of a schema");
            values.for_each(|value| assert_passes(&validator, value));
            for part in schema["properties"].as_object().into_iter().flat_map(Map::values).chain(schema.get("items")) {
                check(part, root);
            }
        }
        let schema = schema();
        check(&schema, &schema);
        schema["$defs"].as_object().expect("definitions").values().for_each(|object| check(object, &schema));
    }

    #[test]
    fn no_two_objects_have_one_name() {
        fn count(object: &ObjectSchema) -> usize {
            1 + object.fields.iter().filter_map(|field| object_of(&field.shape)).map(count).sum::<usize>()
        }
        assert_eq!(schema()["$defs"].as_object().map(Map::len), Some(count(&MANIFEST) - 1));
    }
}
