//! Checks the structure of a manifest against the table in [`crate::schema`]: fields, types, and the
//! rules of single values.

use super::findings::FindingCollector;
use super::suggest;
use crate::ProblemCode;
use crate::json::{JsonNode, JsonNodeKind, JsonObject as Members, JsonPointer, excerpt};
use crate::schema::{FieldShape, MANIFEST, ObjectSchema, TextRule};

/// Checks a whole document against the standard's table.
pub(super) fn check(findings: &mut FindingCollector, document: &JsonNode<'_>) {
    object(findings, &MANIFEST, JsonPointer::Root, document);
}

/// Checks a value that must be an object of the standard, recursively.
fn object(findings: &mut FindingCollector, object: &'static ObjectSchema, path: JsonPointer<'_>, node: &JsonNode<'_>) {
    let JsonNodeKind::Object(members) = &node.kind else { return wrong_type(findings, "an object", path, node) };
    for field in object.fields.iter().filter(|field| field.required && members.whole) {
        if members.members.iter().all(|member| member.key != field.name) {
            findings.add(ProblemCode::MissingField, path, node.at, || {
                let message = format!("`{}` is missing, which the standard requires here.", field.name);
                (message, format!("Add `{}`. {}", field.name, field.about))
            });
        }
    }
    for member in &members.members {
        let path = JsonPointer::Key(&path, &member.key);
        match object.fields.iter().find(|field| field.name == member.key) {
            Some(_) if matches!(member.value.kind, JsonNodeKind::Null) && path.is(&["job", "resources", "scalar"]) => {
                findings.add(ProblemCode::NullScalar, path, member.value.at, || {
                    let help = "Leave `scalar` out, or list the resources that the job needs.";
                    ("`scalar` is null.".to_owned(), help.to_owned())
                });
            }
            Some(field) => value(findings, &field.shape, path, &member.value),
            None => unknown(findings, object, members, path, member.at),
        }
    }
}

fn unknown(
    findings: &mut FindingCollector,
    object: &'static ObjectSchema,
    members: &Members<'_>,
    path: JsonPointer<'_>,
    at: usize,
) {
    let JsonPointer::Key(_, key) = path else { return };
    findings.add(ProblemCode::UnknownField, path, at, || {
        let is_free = |name: &str| members.members.iter().all(|member| member.key != name);
        (format!("{} is no field of the standard.", excerpt(key)), suggest::field(key, object, is_free))
    });
}

fn value(findings: &mut FindingCollector, shape: &'static FieldShape, path: JsonPointer<'_>, node: &JsonNode<'_>) {
    match (shape, &node.kind) {
        (_, JsonNodeKind::Broken) => {}
        (FieldShape::Object(inner), _) => object(findings, inner, path, node),
        (FieldShape::List(inner), JsonNodeKind::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                value(findings, inner, JsonPointer::Index(&path, index), item);
            }
        }
        (FieldShape::Ruled(rule), JsonNodeKind::Text(text)) => ruled(findings, *rule, path, node.at, text),
        (FieldShape::OneOf(allowed), JsonNodeKind::Text(text)) if !allowed.contains(&&**text) => {
            findings.add(ProblemCode::UnknownValue, path, node.at, || {
                (format!("{} is not one of the allowed values.", excerpt(text)), suggest::value(text, allowed))
            });
        }
        (FieldShape::Integer, JsonNodeKind::Number(number)) if !number.is_whole() => {
            findings.add(ProblemCode::WrongType, path, node.at, || {
                let message = format!("Expected a whole number, found {}.", excerpt(number.0));
                (message, "Write it without fraction and exponent.".to_owned())
            });
        }
        (FieldShape::Integer, JsonNodeKind::Number(number)) if number.integer().is_none() => {
            findings.add(ProblemCode::NumberOutOfRange, path, node.at, || {
                let message = format!("{} is beyond what 64 bits hold.", excerpt(number.0));
                (message, "Write a smaller number.".to_owned())
            });
        }
        (FieldShape::Text | FieldShape::OneOf(_), JsonNodeKind::Text(_))
        | (FieldShape::Integer | FieldShape::Number, JsonNodeKind::Number(_))
        | (FieldShape::Boolean, JsonNodeKind::Bool(_)) => {}
        (FieldShape::Text | FieldShape::Ruled(_) | FieldShape::OneOf(_), _) => {
            wrong_type(findings, "a string", path, node)
        }
        (FieldShape::Integer, _) => wrong_type(findings, "a whole number", path, node),
        (FieldShape::Number, _) => wrong_type(findings, "a number", path, node),
        (FieldShape::Boolean, _) => wrong_type(findings, "true or false", path, node),
        (FieldShape::List(_), _) => wrong_type(findings, "an array", path, node),
    }
}

fn wrong_type(findings: &mut FindingCollector, expected: &str, path: JsonPointer<'_>, node: &JsonNode<'_>) {
    if matches!(node.kind, JsonNodeKind::Broken) {
        return;
    }
    findings.add(ProblemCode::WrongType, path, node.at, || {
        let help = match (expected, &node.kind) {
            (_, JsonNodeKind::Null) => {
                "Give it a value, or leave it out where the standard does not require it.".to_owned()
            }
            ("a string", JsonNodeKind::Number(_) | JsonNodeKind::Bool(_)) => "Put it in double quotes.".to_owned(),
            ("a whole number" | "a number" | "true or false", JsonNodeKind::Text(_)) => {
                format!("Write {expected} without quotes.")
            }
            ("an array", _) => "Put the entries in `[` and `]`, also where there is only one.".to_owned(),
            ("an object", _) => "Write an object with named fields, in `{` and `}`.".to_owned(),
            _ => format!("Write {expected}."),
        };
        (format!("Expected {expected}, found {}.", described(&node.kind)), help)
    });
}

fn described(kind: &JsonNodeKind<'_>) -> String {
    match kind {
        JsonNodeKind::Null | JsonNodeKind::Broken => "null".to_owned(),
        JsonNodeKind::Bool(value) => value.to_string(),
        JsonNodeKind::Number(number) => format!("the number {}", excerpt(number.0)),
        JsonNodeKind::Text(text) => format!("the string {}", excerpt(text)),
        JsonNodeKind::List(_) => "an array".to_owned(),
        JsonNodeKind::Object(_) => "an object".to_owned(),
    }
}

fn ruled(findings: &mut FindingCollector, rule: TextRule, path: JsonPointer<'_>, at: usize, text: &str) {
    if rule.is_obeyed_by(text) {
        return;
    }
    let (code, what, help) = match rule {
        TextRule::SeedVersion => {
            (ProblemCode::UnsupportedVersion, "no released version of the standard", "Write `1.0.0`, the only one.")
        }
        TextRule::JobName => (ProblemCode::BadName, "no name for a job", "Use letters, digits and dashes only."),
        TextRule::Name => (ProblemCode::BadName, "no name", "Use letters, digits, dashes and underscores only."),
        TextRule::Version => {
            (ProblemCode::BadVersion, "no version", "Write three numbers as in `1.0.0`, by the rules of semver.org.")
        }
        TextRule::ContainerPath => {
            (ProblemCode::RelativePath, "no absolute path", "Begin with `/`: it is a place inside the container.")
        }
        TextRule::OutputPattern => (
            ProblemCode::EscapingPattern,
            "no pattern below the output directory",
            "Write it relative to the output directory, without a `/` at the start and without `..`.",
        ),
    };
    findings.add(code, path, at, || {
        // All other names are found in their normal form.
        let pointer = path.to_string();
        let is_plain = ["/job/resources/", "/job/errors/"].iter().any(|list| pointer.starts_with(list));
        let mended = suggest::mended(rule, text, help, !is_plain);
        (format!("{} is {what}.", excerpt(text)), mended)
    });
}
