//! Tests of errors, and of texts that are not manifests. Warnings and advice are tested in `mild`.

mod mild;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ProblemSeverity;
use crate::testing::{COMPLETE, any_json_object};

fn all(text: &str) -> Vec<ManifestProblem> {
    judge(text.as_bytes(), ValidationRules::default()).problems
}

fn spec(text: &str) -> Vec<ManifestProblem> {
    all(text).into_iter().filter(|problem| problem.severity == ProblemSeverity::Error).collect()
}

fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut manifest: Value = serde_json::from_str(COMPLETE).expect("the complete manifest is JSON");
    change(&mut manifest);
    manifest.to_string()
}

/// `(code, path)` of every error after applying `change` to the complete manifest.
fn found(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    spec(&changed(change)).into_iter().map(|p| (p.code, p.path)).collect()
}

/// Sets the value at `pointer`; null removes it.
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

fn warning(code: &str, path: &str) -> (ProblemSeverity, String, String) {
    (ProblemSeverity::Warning, code.to_owned(), path.to_owned())
}

fn advice(code: &str, path: &str) -> (ProblemSeverity, String, String) {
    (ProblemSeverity::Advice, code.to_owned(), path.to_owned())
}

/// Every problem that is not an error.
fn beside_errors(text: &str) -> Vec<(ProblemSeverity, String, String)> {
    let problems = all(text).into_iter().filter(|problem| problem.severity != ProblemSeverity::Error);
    problems.map(|p| (p.severity, p.code, p.path)).collect()
}

fn one(code: &str, path: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), path.to_owned())]
}

#[test]
fn the_complete_manifest_has_no_problem() {
    for profile in ValidationProfile::ALL {
        let report = judge(COMPLETE.as_bytes(), ValidationRules { profile, strict: true });
        assert_eq!(report.problems, []);
        assert!(report.valid && report.omitted == 0);
        assert_eq!(report.image_name.as_deref(), Some("sea-ice-edge-1.2.0-seed:0.3.1"));
    }
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
    for path in
        ["/job/interface/inputs/files/1/name", "/job/interface/inputs/json/0/name", "/job/interface/settings/0/name"]
    {
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
    let manifest = changed(|manifest| manifest["job"]["resources"]["scalar"] = Value::Null);
    let scalar = "/job/resources/scalar";
    assert_eq!(beside_errors(&manifest), [warning("null-scalar", scalar), warning("missing-resource", scalar)]);
    let seed_cli = judge(manifest.as_bytes(), ValidationRules { profile: ValidationProfile::SeedCli, strict: false });
    assert_eq!(seed_cli.problems[0].code, "null-scalar");
    assert!(!seed_cli.valid);
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
fn broken_texts_are_judged_further() {
    let text = COMPLETE.replacen("1.2.0\",", "1.2\"", 1).replacen("3600,", "\"3600\", // an hour", 1) + "}";
    let found: Vec<_> = spec(&text).into_iter().map(|p| (p.code, p.path, p.line, p.column)).collect();
    let expected = [
        ("bad-version", "/job/jobVersion", 5, 19),
        ("json-syntax", "", 5, 23),
        ("wrong-type", "/job/timeout", 17, 16),
        ("json-syntax", "", 17, 24),
        ("trailing-text", "", 49, 2),
    ];
    assert_eq!(found, expected.map(|(code, path, line, column)| (code.into(), path.into(), line, column)));
    // No field is reported as missing in a truncated text.
    let cut: Vec<_> = spec(&COMPLETE[..200]).into_iter().map(|p| p.code).collect();
    assert_eq!(cut, ["json-syntax"]);
    assert_eq!(spec("[]")[0].code, "wrong-type");
    assert_eq!(spec("")[0].code, "json-syntax");
}

#[test]
fn encodings_are_told() {
    let with_mark = format!("\u{feff}{COMPLETE}");
    assert_eq!(spec(&with_mark).len(), 1);
    assert_eq!((spec(&with_mark)[0].code.as_str(), spec(&with_mark)[0].column), ("byte-order-mark", 1));
    let utf16: Vec<u8> = with_mark.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let report = judge(&utf16, ValidationRules::default());
    assert_eq!(report.problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), ["not-utf8"]);
    let latin: Vec<u8> = COMPLETE.replacen("Ada", "Ad\u{e4}", 1).chars().map(|c| c as u8).collect();
    let report = judge(&latin, ValidationRules::default());
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert_eq!((problem.code.as_str(), problem.line, problem.column), ("not-utf8", 11, 18));
    assert!(readable(&latin).contains("Ad\u{fffd} Frost"));
    for bytes in [&b"\xff\xfe"[..], b"\xfe\xff\0", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf", b"\x80", b"\0\0"] {
        assert!(!judge(bytes, ValidationRules::default()).valid, "{bytes:?}");
    }
}

#[test]
fn repeated_keys_are_errors_wherever_they_are() {
    let text =
        COMPLETE.replacen("\"timeout\": 3600,", "\"timeout\": 3600, \"x\": {\"a\": 1, \"a\": 2}, \"title\": \"\",", 1);
    let found: Vec<_> = spec(&text).into_iter().map(|p| (p.code, p.path)).collect();
    let expected = [("unknown-field", "/job/x"), ("duplicate-key", "/job/x/a"), ("duplicate-key", "/job/title")];
    assert_eq!(found, expected.map(|(code, path)| (code.to_owned(), path.to_owned())));
    let many: String = (0..40).map(|n| format!("\"k{}\": 1,", n % 39)).collect();
    let found = spec(&format!("{{{} \"l\": 1}}", many));
    assert_eq!(found.iter().filter(|p| p.code == "duplicate-key").count(), 1);
}

#[test]
fn numbers_beyond_bounds_are_told() {
    let number = |text: &str| COMPLETE.replacen("3600", text, 1);
    assert_eq!(spec(&number("9223372036854775808"))[0].code, "number-out-of-range");
    assert_eq!(spec(&number("1e400"))[0].code, "number-out-of-range");
    assert_eq!(spec(&number("1e400")).len(), 1);
    assert_eq!(spec(&number("9223372036854775807")), []);
}

#[test]
fn hostile_manifests_are_bounded() {
    let deep: Vec<_> = spec(&"[".repeat(100_000)).into_iter().map(|p| p.code).collect();
    assert_eq!(deep, ["wrong-type", "too-deep"]);
    assert_eq!(spec(&" ".repeat(MAX_BYTES + 1))[0].code, "too-large");
    let many = judge(json!({"job": {"tags": vec![1; 10_000]}}).to_string().as_bytes(), ValidationRules::default());
    assert_eq!(many.problems.iter().filter(|p| p.severity == ProblemSeverity::Error).count(), MAX_PROBLEMS);
    // The tags, and ten other problems.
    assert_eq!(many.problems.len() + many.omitted, 10_000 + 10);
    let long = all(&json!({"x".repeat(10_000): 1, "seedVersion": "\u{1b}[2J".repeat(1000)}).to_string());
    let is_short = |text: &str| text.len() < 500 && !text.contains('\u{1b}');
    assert!(long.iter().all(|p| is_short(&p.message) && is_short(&p.help)), "{long:?}");
}

proptest! {
    #[test]
    fn never_panics_and_points_into_the_document(manifest in any_json_object()) {
        let text = manifest.to_string();
        let report = judge(text.as_bytes(), ValidationRules::default());
        prop_assert!(!report.valid);
        for problem in report.problems {
            prop_assert!(manifest.pointer(&problem.path).is_some(), "{:?}", problem);
            prop_assert!(problem.line == 1 && (1..=text.len()).contains(&(problem.column as usize)), "{:?}", problem);
            prop_assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{:?}", problem);
        }
    }

    #[test]
    fn any_bytes_give_a_report(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!judge(&bytes, ValidationRules::default()).valid);
    }
}
