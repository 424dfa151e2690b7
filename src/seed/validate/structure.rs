//! Checks the structure of a manifest against the table in [`schema`](crate::seed::schema): fields, types, and the
//! rules of single values.

use super::findings::Findings;
use super::suggest;
use crate::seed::environment::is_name;
use crate::seed::json::{Kind, Node, Object as Members, Path, excerpt};
use crate::seed::schema::{self, MANIFEST, Object, Rule, Shape};
use crate::seed::{Code, version};

/// Checks a whole document against the standard's table.
pub(super) fn check(findings: &mut Findings, document: &Node<'_>) {
    object(findings, &MANIFEST, Path::Root, document);
}

/// Checks a value that must be an object of the standard, recursively.
fn object(findings: &mut Findings, object: &'static Object, path: Path<'_>, node: &Node<'_>) {
    let Kind::Object(members) = &node.kind else { return wrong_type(findings, "an object", path, node) };
    for field in object.fields.iter().filter(|field| field.required && members.whole) {
        if members.members.iter().all(|member| member.key != field.name) {
            findings.add(Code::MissingField, path, node.at, || {
                let message = format!("`{}` is missing, which the standard requires here.", field.name);
                (message, format!("Add `{}`. {}", field.name, field.about))
            });
        }
    }
    for member in &members.members {
        let path = Path::Key(&path, &member.key);
        match object.fields.iter().find(|field| field.name == member.key) {
            Some(_) if matches!(member.value.kind, Kind::Null) && path.is(&["job", "resources", "scalar"]) => {
                findings.add(Code::NullScalar, path, member.value.at, || {
                    let help = "Leave `scalar` out, or list the resources that the job needs.";
                    ("`scalar` is null.".to_owned(), help.to_owned())
                });
            }
            Some(field) => value(findings, &field.shape, path, &member.value),
            None => unknown(findings, object, members, path, member.at),
        }
    }
}

fn unknown(findings: &mut Findings, object: &'static Object, members: &Members<'_>, path: Path<'_>, at: usize) {
    let Path::Key(_, key) = path else { return };
    findings.add(Code::UnknownField, path, at, || {
        let is_free = |name: &str| members.members.iter().all(|member| member.key != name);
        (format!("{} is no field of the standard.", excerpt(key)), suggest::field(key, object, is_free))
    });
}

fn value(findings: &mut Findings, shape: &'static Shape, path: Path<'_>, node: &Node<'_>) {
    match (shape, &node.kind) {
        (_, Kind::Broken) => {}
        (Shape::Object(inner), _) => object(findings, inner, path, node),
        (Shape::List(inner), Kind::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                value(findings, inner, Path::Index(&path, index), item);
            }
        }
        (Shape::Ruled(rule), Kind::Text(text)) => ruled(findings, *rule, path, node.at, text),
        (Shape::OneOf(allowed), Kind::Text(text)) if !allowed.contains(&&**text) => {
            findings.add(Code::UnknownValue, path, node.at, || {
                (format!("{} is not one of the allowed values.", excerpt(text)), suggest::value(text, allowed))
            });
        }
        (Shape::Integer, Kind::Number(number)) if !number.is_whole() => {
            findings.add(Code::WrongType, path, node.at, || {
                let message = format!("Expected a whole number, found {}.", excerpt(number.0));
                (message, "Write it without fraction and exponent.".to_owned())
            });
        }
        (Shape::Integer, Kind::Number(number)) if number.integer().is_none() => {
            findings.add(Code::NumberOutOfRange, path, node.at, || {
                let message = format!("{} is beyond what 64 bits hold.", excerpt(number.0));
                (message, "Write a smaller number.".to_owned())
            });
        }
        (Shape::Text | Shape::OneOf(_), Kind::Text(_))
        | (Shape::Integer | Shape::Number, Kind::Number(_))
        | (Shape::Boolean, Kind::Bool(_)) => {}
        (Shape::Text | Shape::Ruled(_) | Shape::OneOf(_), _) => wrong_type(findings, "a string", path, node),
        (Shape::Integer, _) => wrong_type(findings, "a whole number", path, node),
        (Shape::Number, _) => wrong_type(findings, "a number", path, node),
        (Shape::Boolean, _) => wrong_type(findings, "true or false", path, node),
        (Shape::List(_), _) => wrong_type(findings, "an array", path, node),
    }
}

fn wrong_type(findings: &mut Findings, expected: &str, path: Path<'_>, node: &Node<'_>) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    findings.add(Code::WrongType, path, node.at, || {
        let help = match (expected, &node.kind) {
            (_, Kind::Null) => "Give it a value, or leave it out where the standard does not require it.".to_owned(),
            ("a string", Kind::Number(_) | Kind::Bool(_)) => "Put it in double quotes.".to_owned(),
            ("a whole number" | "a number" | "true or false", Kind::Text(_)) => {
                format!("Write {expected} without quotes.")
            }
            ("an array", _) => "Put the entries in `[` and `]`, also where there is only one.".to_owned(),
            ("an object", _) => "Write an object with named fields, in `{` and `}`.".to_owned(),
            _ => format!("Write {expected}."),
        };
        (format!("Expected {expected}, found {}.", described(&node.kind)), help)
    });
}

fn described(kind: &Kind<'_>) -> String {
    match kind {
        Kind::Null | Kind::Broken => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(number) => format!("the number {}", excerpt(number.0)),
        Kind::Text(text) => format!("the string {}", excerpt(text)),
        Kind::List(_) => "an array".to_owned(),
        Kind::Object(_) => "an object".to_owned(),
    }
}

fn ruled(findings: &mut Findings, rule: Rule, path: Path<'_>, at: usize, text: &str) {
    if obeys(rule, text) {
        return;
    }
    let (code, what, help) = match rule {
        Rule::SeedVersion => {
            (Code::UnsupportedVersion, "no released version of the standard", "Write `1.0.0`, the only one.")
        }
        Rule::JobName => (Code::BadName, "no name for a job", "Use letters, digits and dashes only."),
        Rule::Name => (Code::BadName, "no name", "Use letters, digits, dashes and underscores only."),
        Rule::Version => {
            (Code::BadVersion, "no version", "Write three numbers as in `1.0.0`, by the rules of semver.org.")
        }
        Rule::ContainerPath => {
            (Code::RelativePath, "no absolute path", "Begin with `/`: it is a place inside the container.")
        }
        Rule::OutputPattern => (
            Code::EscapingPattern,
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

/// Whether a text obeys a rule.
pub(super) fn obeys(rule: Rule, text: &str) -> bool {
    match rule {
        Rule::SeedVersion => text == schema::VERSION,
        Rule::JobName => is_name(text) && !text.contains('_'),
        Rule::Name => is_name(text),
        Rule::Version => version::is_valid(text),
        Rule::ContainerPath => text.starts_with('/'),
        Rule::OutputPattern => !text.starts_with('/') && text.split('/').all(|part| part != ".."),
    }
}
