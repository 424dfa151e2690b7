//! Judging a manifest: every rule of the standard that it breaks, not only the first.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::environment::variable_name;
use super::schema::{MANIFEST, Object, Rule, Shape};
use super::{Code, LABEL, Problem, Profile, Severity, version};

/// The longest manifest that is judged, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The most problems of one severity that are listed.
pub const MAX_PROBLEMS: usize = 200;

/// How to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub profile: Profile,
    /// Warnings become errors.
    pub strict: bool,
}

/// The one report that REST, the command line and scans give of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether there is no error.
    pub valid: bool,
    pub profile: Profile,
    pub strict: bool,
    /// The name that the standard gives the image; `None` while name and versions do not obey the rules.
    pub image_name: Option<String>,
    /// Every problem, errors first, in document order within a severity; at most [`MAX_PROBLEMS`] of each severity.
    pub problems: Vec<Problem>,
    /// How many problems more there are.
    pub omitted: usize,
}

/// Judges a manifest's text, whatever bytes it is made of.
pub fn judge(source: &[u8], rules: Rules) -> Report {
    let problems = check(&String::from_utf8_lossy(source));
    let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    Report { valid, profile: rules.profile, strict: rules.strict, image_name: None, problems, omitted: 0 }
}

/// Judges the manifest in a label, in whatever form the label is stored. Places are those of the manifest's text, after
/// the quoting is gone.
pub fn judge_label(label: &str, rules: Rules) -> Report {
    judge(label.as_bytes(), rules)
}

/// The report on an image that carries no Seed label.
pub fn judge_unlabelled(rules: Rules) -> Report {
    let message = format!("The image has no label {LABEL}.");
    let help = "Build the image with the manifest as the value of that label.".to_owned();
    let problem = Problem {
        code: Code::NoLabel.as_str().to_owned(),
        severity: Code::NoLabel.severity(rules.profile),
        path: String::new(),
        line: 0,
        column: 0,
        message,
        help,
    };
    Report {
        valid: false,
        profile: rules.profile,
        strict: rules.strict,
        image_name: None,
        problems: vec![problem],
        omitted: 0,
    }
}

/// Judges a manifest's JSON text.
fn check(manifest: &str) -> Vec<Problem> {
    let mut findings = Findings::default();
    if manifest.len() > MAX_BYTES {
        let message = format!("The manifest has {} bytes; at most {MAX_BYTES} are read.", manifest.len());
        findings.error("too-large", "", message);
        return findings.problems;
    }
    match serde_json::from_str(manifest) {
        Ok(document) => {
            findings.object(&MANIFEST, "", &document);
            findings.variables(&document);
            findings.duplicates(&document);
            findings.in_order(&document)
        }
        Err(error) => {
            findings.error("json-syntax", "", format!("The manifest is not valid JSON: {error}."));
            findings.problems
        }
    }
}

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    errors: usize,
}

impl Findings {
    fn error(&mut self, code: &str, path: &str, message: String) {
        self.errors += 1;
        if self.errors <= MAX_PROBLEMS {
            self.problems.push(problem(code, Severity::Error, path, message));
        }
    }

    fn in_order(mut self, document: &Value) -> Vec<Problem> {
        self.problems.sort_by_cached_key(|problem| (problem.severity, position(document, &problem.path)));
        self.problems
    }

    /// Checks a value that should be an object of the standard, and everything below it.
    fn object(&mut self, object: &Object, path: &str, value: &Value) {
        let Value::Object(source) = value else { return self.wrong_type(path, "an object", value) };
        for field in object.fields.iter().filter(|field| field.required && !source.contains_key(field.name)) {
            self.error("missing-field", path, format!("`{}` is missing: the standard requires it here.", field.name));
        }
        for (name, value) in source {
            let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
            match object.fields.iter().find(|field| field.name == name) {
                Some(_) if path == "/job/resources/scalar" && value.is_null() => {
                    let message = "`scalar` is null: leave it out, or list the resources.".to_owned();
                    self.problems.push(problem("null-scalar", Severity::Warning, &path, message));
                }
                Some(field) => self.value(&field.shape, &path, value),
                None => {
                    let known = object.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
                    let message = format!("{} is no field of the standard; known here: {known}.", excerpt(name));
                    self.error("unknown-field", &path, message);
                }
            }
        }
    }

    fn value(&mut self, shape: &Shape, path: &str, value: &Value) {
        match (shape, value) {
            (Shape::Object(object), value) => self.object(object, path, value),
            (Shape::List(shape), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(shape, &format!("{path}/{index}"), item);
                }
            }
            (Shape::Ruled(rule), Value::String(text)) => self.rule(*rule, path, text),
            (Shape::OneOf(allowed), Value::String(text)) if !allowed.contains(&text.as_str()) => {
                let message = format!("{} is none of: {}.", excerpt(text), allowed.join(", "));
                self.error("unknown-value", path, message);
            }
            (Shape::Integer, Value::Number(number)) if number.is_f64() => {
                self.error("wrong-type", path, format!("Expected a whole number without fraction, found {number}."));
            }
            (Shape::Text | Shape::OneOf(_), Value::String(_))
            | (Shape::Integer | Shape::Number, Value::Number(_))
            | (Shape::Boolean, Value::Bool(_)) => {}
            (Shape::Text | Shape::Ruled(_) | Shape::OneOf(_), _) => self.wrong_type(path, "a string", value),
            (Shape::Integer, _) => self.wrong_type(path, "an integer", value),
            (Shape::Number, _) => self.wrong_type(path, "a number", value),
            (Shape::Boolean, _) => self.wrong_type(path, "true or false", value),
            (Shape::List(_), _) => self.wrong_type(path, "an array", value),
        }
    }

    fn wrong_type(&mut self, path: &str, expected: &str, found: &Value) {
        self.error("wrong-type", path, format!("Expected {expected}, found {}.", describe(found)));
    }

    fn rule(&mut self, rule: Rule, path: &str, text: &str) {
        if !obeys(rule, text) {
            let (code, expected) = demand(rule);
            self.error(code, path, format!("{} is not accepted: {expected}.", excerpt(text)));
        }
    }

    /// Inputs and settings become environment variables: they must collide neither with each other nor with what the
    /// executor sets itself.
    fn variables(&mut self, document: &Value) {
        let allocated =
            names(document, "/job/resources/scalar").map(|(_, name)| format!("ALLOCATED_{}", variable_name(name)));
        let mut taken: HashMap<String, String> =
            allocated.chain(["OUTPUT_DIR".to_owned()]).map(|variable| (variable, String::new())).collect();
        for list in ["/job/interface/inputs/files", "/job/interface/inputs/json", "/job/interface/settings"] {
            for (path, name) in names(document, list) {
                let variable = variable_name(name);
                match taken.get(&variable).map(String::as_str) {
                    None => _ = taken.insert(variable, path),
                    Some("") => {
                        let message = format!(
                            "{} becomes the variable {}, which the executor sets.",
                            excerpt(name),
                            excerpt(&variable)
                        );
                        self.error("reserved-name", &path, message);
                    }
                    Some(first) => {
                        let message =
                            format!("{} becomes the variable {}, like {first}.", excerpt(name), excerpt(&variable));
                        self.error("name-collision", &path, message);
                    }
                }
            }
        }
    }

    /// Every other list names its entries uniquely too.
    fn duplicates(&mut self, document: &Value) {
        let outputs = ["/job/interface/outputs/files", "/job/interface/outputs/json"];
        for list in outputs.into_iter().chain(["/job/interface/mounts", "/job/resources/scalar", "/job/errors"]) {
            let mut first = HashMap::new();
            for (path, name) in names(document, list) {
                if let Some(first) = first.get(name) {
                    self.error("duplicate-name", &path, format!("{} is already the name of {first}.", excerpt(name)));
                } else {
                    first.insert(name, path);
                }
            }
        }
    }
}

fn problem(code: &str, severity: Severity, path: &str, message: String) -> Problem {
    let (path, help) = (path.to_owned(), "See docs/problems.md.".to_owned());
    Problem { code: code.to_owned(), severity, path, line: 1, column: 1, message, help }
}

/// The valid names of a list's items with their places; a name that breaks the rules is reported for that alone.
fn names<'a>(document: &'a Value, list: &'a str) -> impl Iterator<Item = (String, &'a str)> {
    let items = document.pointer(list).and_then(Value::as_array).into_iter().flatten().enumerate();
    items.filter_map(move |(index, item)| {
        let name = item.get("name")?.as_str().filter(|name| obeys(Rule::Name, name))?;
        Some((format!("{list}/{index}/name"), name))
    })
}

fn obeys(rule: Rule, text: &str) -> bool {
    let letters =
        |extra: &[u8]| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b));
    match rule {
        Rule::SeedVersion => text == "1.0.0",
        Rule::JobName => letters(b"-"),
        Rule::Name => letters(b"-_"),
        Rule::Version => version::is_valid(text),
        Rule::ContainerPath => text.starts_with('/'),
        Rule::OutputPattern => !text.starts_with('/') && text.split('/').all(|part| part != ".."),
    }
}

/// A broken rule's code, and what the rule wants.
fn demand(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::SeedVersion => ("unsupported-version", "the only released version of the standard is 1.0.0"),
        Rule::JobName => ("bad-name", "a job's name is letters, digits and dashes"),
        Rule::Name => ("bad-name", "a name is letters, digits, dashes and underscores"),
        Rule::Version => ("bad-version", "a version is three numbers as in 1.0.0, by the rules of semver.org"),
        Rule::ContainerPath => ("relative-path", "a mount's path inside the container starts with `/`"),
        Rule::OutputPattern => {
            ("escaping-pattern", "a pattern is relative to the output directory and stays inside it")
        }
    }
}

/// Where a pointer leads: the index at each level, so that the order of positions is document order.
fn position(document: &Value, pointer: &str) -> Vec<usize> {
    let mut place = document;
    let mut position = Vec::new();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let (index, child) = match place {
            Value::Object(fields) => match child_of(fields, &token) {
                Some(found) => found,
                None => break,
            },
            Value::Array(items) => match token.parse::<usize>().ok().and_then(|index| Some((index, items.get(index)?)))
            {
                Some(found) => found,
                None => break,
            },
            _ => break,
        };
        position.push(index);
        place = child;
    }
    position
}

fn child_of<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<(usize, &'a Value)> {
    fields.iter().enumerate().find(|(_, (key, _))| *key == name).map(|(index, (_, child))| (index, child))
}

/// A value in few words.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", excerpt(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A text from the manifest for a message: quoted, escaped and short.
fn excerpt(text: &str) -> String {
    const CHARS: usize = 60;
    let start: String = text.chars().take(CHARS).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::seed::testing::{COMPLETE, any_json_object};

    fn is_valid(problems: &[Problem]) -> bool {
        problems.iter().all(|problem| problem.severity != Severity::Error)
    }

    /// `(code, path)` of every problem after `change` was made to the complete manifest.
    fn found(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
        let mut manifest: Value = serde_json::from_str(COMPLETE).expect("the complete manifest is JSON");
        change(&mut manifest);
        check(&manifest.to_string()).into_iter().map(|p| (p.code, p.path)).collect()
    }

    /// What putting `value` at `pointer` gives; null removes.
    fn with(pointer: &str, value: Value) -> Vec<(String, String)> {
        found(|manifest| put(manifest, pointer, value))
    }

    fn put(manifest: &mut Value, pointer: &str, value: Value) {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
        match manifest.pointer_mut(parent).expect("the parent exists") {
            Value::Object(fields) if value.is_null() => _ = fields.shift_remove(name),
            Value::Object(fields) => _ = fields.insert(name.to_owned(), value),
            Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
            other => panic!("{parent} is {other}"),
        }
    }

    fn one(code: &str, path: &str) -> Vec<(String, String)> {
        vec![(code.to_owned(), path.to_owned())]
    }

    #[test]
    fn the_complete_manifest_is_valid() {
        assert_eq!(check(COMPLETE), []);
    }

    #[test]
    fn every_required_field_is_missed() {
        let required = [
            "/seedVersion",
            "/job",
            "/job/name",
            "/job/jobVersion",
            "/job/packageVersion",
            "/job/title",
            "/job/description",
            "/job/maintainer",
            "/job/maintainer/name",
            "/job/maintainer/email",
            "/job/timeout",
            "/job/resources/scalar/0/name",
            "/job/resources/scalar/0/value",
            "/job/interface/inputs/files/0/name",
            "/job/interface/inputs/json/0/name",
            "/job/interface/inputs/json/0/type",
            "/job/interface/outputs/files/0/name",
            "/job/interface/outputs/files/0/pattern",
            "/job/interface/outputs/json/0/name",
            "/job/interface/outputs/json/0/type",
            "/job/interface/mounts/0/name",
            "/job/interface/mounts/0/path",
            "/job/interface/settings/0/name",
            "/job/errors/0/code",
            "/job/errors/0/name",
        ];
        for pointer in required {
            let (parent, _) = pointer.rsplit_once('/').expect("a pointer has a slash");
            assert_eq!(with(pointer, Value::Null), one("missing-field", parent), "{pointer}");
        }
    }

    #[test]
    fn optional_fields_may_be_missing() {
        let optional = [
            "/job/tags",
            "/job/maintainer/organization",
            "/job/maintainer/url",
            "/job/maintainer/phone",
            "/job/resources",
            "/job/resources/scalar",
            "/job/resources/scalar/1/inputMultiplier",
            "/job/interface",
            "/job/interface/command",
            "/job/interface/inputs",
            "/job/interface/inputs/files",
            "/job/interface/inputs/json",
            "/job/interface/outputs",
            "/job/interface/inputs/files/0/mediaTypes",
            "/job/interface/inputs/files/0/multiple",
            "/job/interface/inputs/files/0/partial",
            "/job/interface/inputs/files/1/required",
            "/job/interface/outputs/files",
            "/job/interface/outputs/files/0/mediaType",
            "/job/interface/outputs/json/0/key",
            "/job/interface/mounts",
            "/job/interface/mounts/0/mode",
            "/job/interface/settings",
            "/job/interface/settings/1/secret",
            "/job/errors",
            "/job/errors/0/title",
            "/job/errors/0/category",
        ];
        for pointer in optional {
            assert_eq!(with(pointer, Value::Null), [], "{pointer}");
        }
    }

    #[test]
    fn unknown_fields_are_errors_everywhere() {
        let objects = [
            "",
            "/job",
            "/job/maintainer",
            "/job/resources",
            "/job/resources/scalar/0",
            "/job/interface",
            "/job/interface/inputs",
            "/job/interface/inputs/files/0",
            "/job/interface/inputs/json/0",
            "/job/interface/outputs",
            "/job/interface/outputs/files/0",
            "/job/interface/outputs/json/0",
            "/job/interface/mounts/0",
            "/job/interface/settings/0",
            "/job/errors/0",
        ];
        for object in objects {
            let path = format!("{object}/extra");
            assert_eq!(with(&path, json!(1)), one("unknown-field", &path));
        }
    }

    #[test]
    fn single_values_are_judged() {
        let table = [
            ("/seedVersion", json!("1.0.1"), "unsupported-version"),
            ("/seedVersion", json!(1), "wrong-type"),
            ("/job", json!([]), "wrong-type"),
            ("/job/name", json!("sea_ice"), "bad-name"),
            ("/job/name", json!(""), "bad-name"),
            ("/job/name", json!("ice\n"), "bad-name"),
            ("/job/jobVersion", json!("1.0"), "bad-version"),
            ("/job/packageVersion", json!("01.0.0"), "bad-version"),
            ("/job/title", json!(5), "wrong-type"),
            ("/job/tags", json!("ice"), "wrong-type"),
            ("/job/tags/1", json!(1), "wrong-type"),
            ("/job/maintainer", json!("Ada"), "wrong-type"),
            ("/job/timeout", json!("60"), "wrong-type"),
            ("/job/timeout", json!(60.0), "wrong-type"),
            ("/job/resources/scalar/0/name", json!("a b"), "bad-name"),
            ("/job/resources/scalar/0/value", json!("1"), "wrong-type"),
            ("/job/interface/inputs/files/0/multiple", json!("true"), "wrong-type"),
            ("/job/interface/inputs/files/0/mediaTypes", json!("image/tiff"), "wrong-type"),
            ("/job/interface/inputs/json/0/type", json!("null"), "unknown-value"),
            ("/job/interface/outputs/files/0/pattern", json!("../*"), "escaping-pattern"),
            ("/job/interface/outputs/files/0/pattern", json!("/etc/*"), "escaping-pattern"),
            ("/job/interface/outputs/json/0/type", json!("float"), "unknown-value"),
            ("/job/interface/mounts/0/path", json!("data"), "relative-path"),
            ("/job/interface/mounts/0/mode", json!("rwx"), "unknown-value"),
            ("/job/interface/mounts/0/mode", json!(1), "wrong-type"),
            ("/job/interface/settings/1/secret", json!(1), "wrong-type"),
            ("/job/errors/0/code", json!(1.5), "wrong-type"),
            ("/job/errors/0/category", json!("system"), "unknown-value"),
        ];
        for (path, value, code) in table {
            assert_eq!(with(path, value.clone()), one(code, path), "{path} = {value}");
        }
    }

    #[test]
    fn the_standard_sets_no_bounds_here() {
        let fine = [
            ("/job/title", json!("")),
            ("/job/description", json!("")),
            ("/job/tags", json!([])),
            ("/job/timeout", json!(-1)),
            ("/job/resources/scalar/0/value", json!(-2)),
            ("/job/resources/scalar/0/name", json!("my_own")),
            ("/job/maintainer/email", json!("nobody")),
            ("/job/name", json!("UPPER")),
            ("/job/jobVersion", json!("1.0.0-rc.1+5")),
            ("/job/interface/outputs/json/0/key", json!("")),
            ("/job/errors/0/code", json!(11)),
        ];
        for (path, value) in fine {
            assert_eq!(with(path, value.clone()), [], "{path} = {value}");
        }
    }

    #[test]
    fn variables_must_not_collide() {
        for name in ["OUTPUT_DIR", "output-dir", "Output_Dir", "ALLOCATED_CPUS", "allocated-mem"] {
            let path = "/job/interface/inputs/files/0/name";
            assert_eq!(with(path, json!(name)), one("reserved-name", path), "{name}");
            let path = "/job/interface/settings/0/name";
            assert_eq!(with(path, json!(name)), one("reserved-name", path), "{name}");
        }
        assert_eq!(with("/job/interface/settings/0/name", json!("ALLOCATED_GPUS")), [], "no such resource is declared");
        for path in [
            "/job/interface/inputs/files/1/name",
            "/job/interface/inputs/json/0/name",
            "/job/interface/settings/0/name",
        ] {
            assert_eq!(with(path, json!("scenes")), one("name-collision", path));
        }
        // Only inputs and settings become variables.
        assert_eq!(with("/job/interface/outputs/files/0/name", json!("SCENES")), []);
        assert_eq!(with("/job/interface/mounts/0/name", json!("OUTPUT_DIR")), []);
    }

    #[test]
    fn names_are_unique_within_a_list() {
        let outputs = "/job/interface/outputs/files/1/name";
        assert_eq!(with(outputs, json!("EDGE")), one("duplicate-name", outputs));
        assert_eq!(with(outputs, json!("edge")), []);
        assert_eq!(with("/job/errors/1/name", json!("no-orbit")), one("duplicate-name", "/job/errors/1/name"));
        assert_eq!(
            with("/job/resources/scalar/1/name", json!("cpus")),
            one("duplicate-name", "/job/resources/scalar/1/name")
        );
        let mounts = json!([{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]);
        assert_eq!(with("/job/interface/mounts", mounts), one("duplicate-name", "/job/interface/mounts/1/name"));
    }

    #[test]
    fn a_null_scalar_is_only_a_warning() {
        let report = check(&COMPLETE.replacen("\"scalar\": [", "\"scalar\": null, \"x\": [", 1));
        let codes: Vec<_> = report.iter().map(|p| (p.severity, p.code.as_str())).collect();
        assert_eq!(codes, [(Severity::Error, "unknown-field"), (Severity::Warning, "null-scalar")]);
        let mut manifest: Value = serde_json::from_str(COMPLETE).expect("the complete manifest is JSON");
        manifest["job"]["resources"]["scalar"] = Value::Null;
        assert!(is_valid(&check(&manifest.to_string())));
    }

    #[test]
    fn collects_everything_in_document_order() {
        let problems = found(|manifest| {
            put(manifest, "/job/errors/1/name", json!("no-orbit"));
            put(manifest, "/job/name", json!("a_b"));
            put(manifest, "/job/interface/settings/0/name", json!("mask"));
            put(manifest, "/job/tags/0", json!(1));
            put(manifest, "/job/maintainer/email", Value::Null);
            put(manifest, "/job/a~b~1c", json!(0));
        });
        let paths: Vec<_> = problems.iter().map(|(_, path)| path.as_str()).collect();
        let expected = [
            "/job/name",
            "/job/tags/0",
            "/job/maintainer",
            "/job/interface/settings/0/name",
            "/job/errors/1/name",
            "/job/a~0b~01c",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn broken_json_is_one_problem_with_its_place() {
        for (text, place) in
            [("", "line 1 column 0"), ("{\n  \"a\": ,", "line 2 column 8"), ("{} {}", "line 1 column 4")]
        {
            let report = check(text);
            assert_eq!(report.len(), 1);
            assert_eq!(report[0].code, "json-syntax");
            assert!(report[0].message.contains(place), "{}", report[0].message);
            assert!(!is_valid(&report));
        }
        assert_eq!(check("[]")[0].code, "wrong-type");
    }

    #[test]
    fn hostile_manifests_are_bounded() {
        assert_eq!(check(&"[".repeat(100_000))[0].code, "json-syntax");
        assert_eq!(check(&" ".repeat(MAX_BYTES + 1))[0].code, "too-large");
        let many = check(&json!({"job": {"tags": vec![1; 10_000]}}).to_string());
        assert_eq!(many.len(), MAX_PROBLEMS);
        let long = check(&json!({"x".repeat(10_000): 1, "seedVersion": "\u{1b}[2J".repeat(1000)}).to_string());
        assert!(long.iter().all(|p| p.message.len() < 500 && !p.message.contains('\u{1b}')), "{long:?}");
    }

    proptest! {
        #[test]
        fn never_panics_and_points_into_the_document(manifest in any_json_object()) {
            let report = check(&manifest.to_string());
            prop_assert!(!is_valid(&report));
            for problem in report {
                prop_assert!(manifest.pointer(&problem.path).is_some(), "{:?}", problem);
            }
        }
    }
}
