//! JSON Schemas (draft 2020-12) of the standard, with our own descriptions, for editors and for `silo spec`.
//!
//! A schema describes the structure of a manifest only. Relations between its parts, such as colliding names or unset
//! variables, are checked by [`super::validate`].

mod manifest;
mod metadata;

use std::sync::LazyLock;

use serde_json::Value;

/// A published schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedSchema {
    /// The manifest.
    Manifest,
    /// The metadata of an output file, `<file>.metadata.json`.
    Metadata,
}

impl PublishedSchema {
    pub const ALL: [Self; 2] = [Self::Manifest, Self::Metadata];

    /// Its name in URLs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Metadata => "metadata",
        }
    }

    /// The schema's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Manifest => "Seed manifest 1.0.0",
            Self::Metadata => "Seed metadata 1.0.0",
        }
    }
}

/// The schema as JSON text, indented, with a line feed at the end.
pub fn json_schema(document: PublishedSchema) -> &'static str {
    static MANIFEST: LazyLock<String> = LazyLock::new(|| text(&manifest::schema()));
    static METADATA: LazyLock<String> = LazyLock::new(|| text(&metadata::schema()));
    match document {
        PublishedSchema::Manifest => &MANIFEST,
        PublishedSchema::Metadata => &METADATA,
    }
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;

    pub(super) fn parsed(document: PublishedSchema) -> Value {
        serde_json::from_str(json_schema(document)).expect("a schema is JSON")
    }

    pub(super) fn validator(document: PublishedSchema) -> Validator {
        jsonschema::draft202012::new(&parsed(document)).expect("a schema that can be used")
    }

    /// Asserts that a value is valid; the failure lists the schema's errors.
    #[track_caller]
    pub(super) fn assert_passes(validator: &Validator, value: &Value) {
        let differing: Vec<_> =
            validator.iter_errors(value).map(|why| format!("{}: {why}", why.instance_path())).collect();
        assert!(differing.is_empty(), "{value}: {differing:?}");
    }

    #[test]
    fn both_obey_the_draft() {
        for document in PublishedSchema::ALL {
            let schema = parsed(document);
            assert_eq!(schema["$schema"], DRAFT);
            assert_eq!(schema["title"], document.title());
            jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|why| panic!("{document:?}: {why}"));
            assert!(json_schema(document).ends_with("}\n"));
        }
    }

    #[test]
    fn everything_has_a_description() {
        for document in PublishedSchema::ALL {
            let schema = parsed(document);
            described(&schema, document.as_str());
            for (name, object) in schema["$defs"].as_object().expect("definitions") {
                described(object, name);
            }
        }
    }

    /// Asserts that a schema and every property below it have a description.
    fn described(schema: &Value, place: &str) {
        let about = schema["description"].as_str().unwrap_or_default();
        assert!(about.ends_with('.'), "{place} has the description {about:?}");
        properties(schema, place);
    }

    fn properties(schema: &Value, place: &str) {
        for (name, value) in schema.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("$defs", _) => {}
                ("properties", Value::Object(fields)) => {
                    fields.iter().for_each(|(name, field)| described(field, &format!("{place}/{name}")));
                }
                (_, Value::Array(parts)) => parts.iter().for_each(|part| properties(part, place)),
                _ => properties(value, place),
            }
        }
    }

    #[test]
    fn every_definition_is_used_and_every_reference_leads_to_one() {
        for document in PublishedSchema::ALL {
            let (text, schema) = (json_schema(document), parsed(document));
            let defined: Vec<_> = schema["$defs"].as_object().expect("definitions").keys().collect();
            for name in &defined {
                assert!(text.contains(&format!("\"#/$defs/{name}\"")), "nothing uses {name}");
            }
            for (at, found) in text.match_indices("\"#/$defs/") {
                let name = text[at + found.len()..].split('"').next().expect("a split gives at least one part");
                assert!(defined.iter().any(|known| *known == name), "{name} is not defined");
            }
        }
    }
}
