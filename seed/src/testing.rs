//! Test manifests and proptest strategies for the tests of this module.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::schema::{FieldShape, MANIFEST, ObjectSchema, TextRule};

/// A valid manifest that uses every part of the standard.
pub(crate) const COMPLETE: &str = r##"{
  "seedVersion": "1.0.0",
  "job": {
    "name": "sea-ice-edge",
    "jobVersion": "1.2.0",
    "packageVersion": "0.3.1",
    "title": "Sea ice edge",
    "description": "Finds the edge of sea ice in radar scenes.\nNeeds two passes.",
    "tags": ["radar", "ice"],
    "maintainer": {
      "name": "Ada Frost",
      "organization": "Polar Works",
      "email": "ada@example.org",
      "url": "https://example.org/ice",
      "phone": "555-0100"
    },
    "timeout": 3600,
    "interface": {
      "command": "edge ${SCENES} ${MASK/#/-m } ${THRESHOLD} ${OUTPUT_DIR}",
      "inputs": {
        "files": [
          {"name": "SCENES", "mediaTypes": ["image/tiff", "image/x-hdf5-image"], "multiple": true, "partial": true},
          {"name": "MASK", "mediaTypes": ["image/tiff"], "required": false}
        ],
        "json": [{"name": "THRESHOLD", "type": "number", "required": false}]
      },
      "outputs": {
        "files": [
          {"name": "EDGE", "mediaType": "application/geo+json", "pattern": "edge*.geojson"},
          {"name": "MAPS", "mediaType": "image/tiff", "pattern": "maps/*.tif", "multiple": true, "required": false}
        ],
        "json": [{"name": "LENGTH_KM", "key": "length", "type": "number"}]
      },
      "mounts": [{"name": "COASTLINES", "path": "/data/coast", "mode": "ro"}],
      "settings": [{"name": "DB_HOST"}, {"name": "DB_PASSWORD", "secret": true}]
    },
    "resources": {
      "scalar": [
        {"name": "cpus", "value": 1.5},
        {"name": "mem", "value": 512, "inputMultiplier": 2.0},
        {"name": "disk", "value": 10, "inputMultiplier": 1}
      ]
    },
    "errors": [
      {"code": 10, "name": "no-orbit", "title": "No orbit", "description": "The orbit file is missing.", "category": "data"},
      {"code": 11, "name": "crash", "category": "job"}
    ]
  }
}"##;

/// Arbitrary JSON objects, with strings that are hard to quote and some of the manifest's field names.
pub(crate) fn any_json_object() -> impl Strategy<Value = Value> {
    let text = prop_oneof![r#"[\\"$/'<>&{}\n\t a-z\u{2028}\u{1f600}]{0,8}"#, "\\PC{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1000i32..1000).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        text.clone().prop_map(Value::from),
    ];
    let key = prop_oneof![
        3 => prop::sample::select(vec!["job", "interface", "inputs", "outputs", "files", "json", "name", "title", "tags",
            "resources", "scalar", "errors", "value", "maintainer", "required", "timeout", "seedVersion"]).prop_map(str::to_owned),
        1 => text,
    ];
    let value = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(key.clone().boxed(), inner.boxed()),
        ]
    });
    object(prop_oneof!["[a-zA-Z]{1,8}", Just("job".to_owned())].boxed(), value.boxed())
}

fn object(key: BoxedStrategy<String>, value: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((key, value), 0..5).prop_map(|fields| Value::Object(Map::from_iter(fields)))
}

/// The text of a JSON object, with random white space between its tokens and without any. It uses spellings that
/// serializing a parsed value would not preserve.
pub(crate) fn any_object_text() -> impl Strategy<Value = (String, String)> {
    let piece = prop_oneof![
        3 => "[\\PC&&[^\"\\\\]]",
        2 => prop::sample::select(vec!["$", "/", "'", "<", "&", "\u{2028}", "\u{7f}", " ", "  "]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![r"\\", r#"\""#, r"\/", r"\n", r"\b", r"\u0000", r"\u2028", r"\u003C", r"\ud83d\uDE00", r"\u0024"])
            .prop_map(str::to_owned),
    ];
    let text = prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat())).boxed();
    let word = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1E5",
        "1e-7",
        "0.10",
        "12345678901234567890123",
        "18446744073709551615",
    ]);
    let leaf = prop_oneof![word.prop_map(|word| vec![word.to_owned()]), text.clone().prop_map(|text| vec![text])];
    let value = leaf.prop_recursive(4, 40, 4, {
        let text = text.clone();
        move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| tokens("[", items, "]"));
            prop_oneof![list, object_tokens(text.clone(), inner.boxed())]
        }
    });
    let spaces = prop::collection::vec("[ \t\r\n]{0,2}", 1..8);
    (object_tokens(text, value.boxed()), spaces).prop_map(|(tokens, spaces)| {
        let odd = tokens.iter().zip(spaces.iter().cycle()).flat_map(|(token, space)| [space.as_str(), token]).collect();
        (odd, tokens.concat())
    })
}

fn object_tokens(key: BoxedStrategy<String>, value: BoxedStrategy<Vec<String>>) -> impl Strategy<Value = Vec<String>> {
    let member = (key, value).prop_map(|(key, value)| [vec![key, ":".to_owned()], value].concat());
    prop::collection::vec(member, 0..4).prop_map(|members| tokens("{", members, "}"))
}

fn tokens(open: &str, items: Vec<Vec<String>>, close: &str) -> Vec<String> {
    [vec![open.to_owned()], items.join(&",".to_owned()), vec![close.to_owned()]].concat()
}

/// Arbitrary valid manifests, generated from the table: each optional field present or not, lists of up to two items.
pub(crate) fn valid_manifest() -> impl Strategy<Value = Value> {
    any_of(&MANIFEST, false).prop_map(number_names)
}

/// As [`valid_manifest`], with unknown members.
pub(crate) fn valid_manifest_with_more() -> impl Strategy<Value = Value> {
    any_of(&MANIFEST, true).prop_map(number_names)
}

fn any_of(object: &'static ObjectSchema, more: bool) -> BoxedStrategy<Value> {
    let known: Vec<_> = object
        .fields
        .iter()
        .map(|field| {
            let value = any_value(&field.shape, more).prop_map(|value| Some((field.name.to_owned(), value)));
            if field.required { value.boxed() } else { prop_oneof![Just(None), value].boxed() }
        })
        .collect();
    let unknown = prop::collection::vec(("x-[a-z]{1,2}", any_json_object()), 0..=usize::from(more));
    let object = (known, unknown).prop_map(|(known, unknown)| known.into_iter().flatten().chain(unknown).collect());
    object.prop_map(Value::Object).boxed()
}

fn any_value(shape: &'static FieldShape, more: bool) -> BoxedStrategy<Value> {
    let text = |strategy: &'static str| strategy.prop_map(Value::from).boxed();
    match shape {
        FieldShape::Text => text("[a-zA-Z0-9 \"\\\\$/é\u{1f600}]{0,6}"),
        FieldShape::Ruled(TextRule::SeedVersion) => text("1\\.0\\.0"),
        FieldShape::Ruled(TextRule::JobName) => text("[a-z][a-zA-Z0-9-]{0,4}"),
        FieldShape::Ruled(TextRule::Name) => text("[a-zA-Z][a-zA-Z0-9_-]{0,4}"),
        FieldShape::Ruled(TextRule::Version) => text("[0-9]\\.[1-9][0-9]\\.[0-9](-[a-z]{1,3}(\\.[1-9])?)?"),
        FieldShape::Ruled(TextRule::ContainerPath) => text("(/[a-z]{1,4}){1,2}"),
        FieldShape::Ruled(TextRule::OutputPattern) => text("([a-z]{1,3}/)?[a-z*]{1,3}\\.[a-z]{3}"),
        FieldShape::OneOf(words) => prop::sample::select(*words).prop_map(Value::from).boxed(),
        FieldShape::Integer => any::<i32>().prop_map(Value::from).boxed(),
        FieldShape::Number => {
            prop_oneof![(0u64..1 << 50).prop_map(Value::from), (0u32..1000).prop_map(|n| (f64::from(n) / 8.0).into())]
                .boxed()
        }
        FieldShape::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        FieldShape::Object(object) => any_of(object, more),
        FieldShape::List(shape) => prop::collection::vec(any_value(shape, more), 0..3).prop_map(Value::from).boxed(),
    }
}

/// Appends a unique number to every name, so that no names collide.
fn number_names(mut manifest: Value) -> Value {
    fn visit(value: &mut Value, count: &mut usize) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| visit(item, count)),
            Value::Object(fields) => {
                if let Some(Value::String(name)) = fields.get_mut("name") {
                    *count += 1;
                    name.push_str(&format!("-{count}"));
                }
                fields.values_mut().for_each(|value| visit(value, count));
            }
            _ => {}
        }
    }
    visit(&mut manifest, &mut 0);
    manifest
}
