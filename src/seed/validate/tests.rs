use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::seed::Severity;
use crate::seed::testing::{COMPLETE, any_json_object};

fn all(text: &str) -> Vec<Problem> {
    judge(text.as_bytes(), Rules::default()).problems
}

fn spec(text: &str) -> Vec<Problem> {
    all(text).into_iter().filter(|problem| problem.severity == Severity::Error).collect()
}

fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut manifest: Value = serde_json::from_str(COMPLETE).expect("the complete manifest is JSON");
    change(&mut manifest);
    manifest.to_string()
}

/// `(code, path)` of every error after `change` was made to the complete manifest.
fn found(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    spec(&changed(change)).into_iter().map(|p| (p.code, p.path)).collect()
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

fn warning(code: &str, path: &str) -> (Severity, String, String) {
    (Severity::Warning, code.to_owned(), path.to_owned())
}

fn advice(code: &str, path: &str) -> (Severity, String, String) {
    (Severity::Advice, code.to_owned(), path.to_owned())
}

/// Every problem that is no error.
fn beside_errors(text: &str) -> Vec<(Severity, String, String)> {
    let problems = all(text).into_iter().filter(|problem| problem.severity != Severity::Error);
    problems.map(|p| (p.severity, p.code, p.path)).collect()
}

fn one(code: &str, path: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), path.to_owned())]
}

#[test]
fn the_complete_manifest_has_no_problem() {
    for profile in Profile::ALL {
        let report = judge(COMPLETE.as_bytes(), Rules { profile, strict: true });
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
    let seed_cli = judge(manifest.as_bytes(), Rules { profile: Profile::SeedCli, strict: false });
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
    // What was cut off is not missing.
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
    let report = judge(&utf16, Rules::default());
    assert_eq!(report.problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), ["not-utf8"]);
    let latin: Vec<u8> = COMPLETE.replacen("Ada", "Ad\u{e4}", 1).chars().map(|c| c as u8).collect();
    let report = judge(&latin, Rules::default());
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert_eq!((problem.code.as_str(), problem.line, problem.column), ("not-utf8", 11, 18));
    assert!(readable(&latin).contains("Ad\u{fffd} Frost"));
    for bytes in [&b"\xff\xfe"[..], b"\xfe\xff\0", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf", b"\x80", b"\0\0"] {
        assert!(!judge(bytes, Rules::default()).valid, "{bytes:?}");
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
    let many = judge(json!({"job": {"tags": vec![1; 10_000]}}).to_string().as_bytes(), Rules::default());
    assert_eq!(many.problems.iter().filter(|p| p.severity == Severity::Error).count(), MAX_PROBLEMS);
    // The tags, and what is missing.
    assert_eq!(many.problems.len() + many.omitted, 10_000 + 10);
    let long = all(&json!({"x".repeat(10_000): 1, "seedVersion": "\u{1b}[2J".repeat(1000)}).to_string());
    let is_short = |text: &str| text.len() < 500 && !text.contains('\u{1b}');
    assert!(long.iter().all(|p| is_short(&p.message) && is_short(&p.help)), "{long:?}");
}

proptest! {
    #[test]
    fn never_panics_and_points_into_the_document(manifest in any_json_object()) {
        let text = manifest.to_string();
        let report = judge(text.as_bytes(), Rules::default());
        prop_assert!(!report.valid);
        for problem in report.problems {
            prop_assert!(manifest.pointer(&problem.path).is_some(), "{:?}", problem);
            prop_assert!(problem.line == 1 && (1..=text.len()).contains(&(problem.column as usize)), "{:?}", problem);
            prop_assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{:?}", problem);
        }
    }

    #[test]
    fn any_bytes_give_a_report(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!judge(&bytes, Rules::default()).valid);
    }
}

/// What is not an error after `value` was put at `pointer`.
fn mild(pointer: &str, value: Value) -> Vec<(Severity, String, String)> {
    let text = changed(|manifest| put(manifest, pointer, value));
    assert_eq!(spec(&text), [], "{pointer}");
    beside_errors(&text)
}

#[test]
fn values_that_will_not_do_are_warned_about() {
    let inputs = "/job/interface/inputs";
    let table = [
        ("/job/timeout", json!(0), "bad-timeout", "/job/timeout"),
        ("/job/timeout", json!(-5), "bad-timeout", "/job/timeout"),
        ("/job/errors/0/code", json!(0), "bad-exit-code", "/job/errors/0/code"),
        ("/job/errors/0/code", json!(256), "bad-exit-code", "/job/errors/0/code"),
        ("/job/errors/0/code", json!(11), "duplicate-code", "/job/errors/1/code"),
        ("/job/resources/scalar/0/value", json!(-0.5), "bad-amount", "/job/resources/scalar/0/value"),
        ("/job/resources/scalar/1/inputMultiplier", json!(-1), "bad-amount", "/job/resources/scalar/1/inputMultiplier"),
        ("/job/resources/scalar/0/name", json!("CPUs"), "resource-spelling", "/job/resources/scalar/0/name"),
        ("/job/resources/scalar/0/name", json!("disc"), "missing-resource", "/job/resources/scalar"),
        ("/job/resources", Value::Null, "missing-resource", "/job"),
        ("/job/name", json!("SeaIce"), "docker-name", "/job/name"),
        ("/job/name", json!("-ice"), "docker-name", "/job/name"),
        ("/job/jobVersion", json!("1.0.0-RC"), "docker-name", "/job/jobVersion"),
        ("/job/packageVersion", json!("1.0.0+5"), "docker-name", "/job/packageVersion"),
        ("/job/interface/mounts/0/name", json!("coast"), "unnormalised-name", "/job/interface/mounts/0/name"),
        ("/job/interface/mounts/0/name", json!("MASK"), "shared-name", "/job/interface/mounts/0/name"),
        ("/job/interface/mounts/0/name", json!("DISK"), "shared-name", "/job/interface/mounts/0/name"),
        ("/job/errors/0/name", json!("mask"), "shared-name", "/job/errors/0/name"),
        ("/job/errors/0/name", json!("CRASH"), "similar-name", "/job/errors/1/name"),
        ("/job/interface/settings/0/name", json!("1ST"), "unusable-variable", "/job/interface/settings/0/name"),
        ("/job/title", json!("a\u{7}"), "control-character", "/job/title"),
        (
            "/job/interface/command",
            json!("run $SCENES $MASK $THRESHOLD $TRESHOLD"),
            "unset-variable",
            "/job/interface/command",
        ),
    ];
    for (pointer, value, code, path) in table {
        let found = mild(pointer, value.clone());
        assert!(found.contains(&warning(code, path)), "{pointer} = {value}: {found:?}");
    }
    let advices = [
        ("/job/errors", json!([]), "unmapped-exit-codes", "/job/errors"),
        ("/job/errors", Value::Null, "unmapped-exit-codes", "/job"),
        ("/job/title", json!(" "), "empty-text", "/job/title"),
        ("/job/maintainer/email", json!(""), "empty-text", "/job/maintainer/email"),
        ("/job/interface/outputs/json/0/key", json!(""), "empty-key", "/job/interface/outputs/json/0/key"),
        (
            "/job/interface/outputs/files/0/mediaType",
            json!("tiff"),
            "odd-media-type",
            "/job/interface/outputs/files/0/mediaType",
        ),
        ("/job/interface/command", json!("run $SCENES $MASK"), "unused-input", "/job/interface/inputs/json/0/name"),
        ("/job/resources/scalar/0/name", json!("fpga"), "unknown-resource", "/job/resources/scalar/0/name"),
    ];
    for (pointer, value, code, path) in advices {
        let found = mild(pointer, value.clone());
        assert!(found.contains(&advice(code, path)), "{pointer} = {value}: {found:?}");
    }
    assert_eq!(mild("/job/interface/command", json!("")), []);
    assert_eq!(mild("/job/interface/command", Value::Null), []);
    assert_eq!(mild(&format!("{inputs}/files/0/mediaTypes"), json!(["text/csv; header=present", "image/svg+xml"])), []);
}

#[test]
fn a_label_longer_than_a_build_keeps_is_warned_about() {
    let description = |length: usize| {
        let text = changed(|manifest| manifest["job"]["description"] = json!(""));
        "d".repeat(length - text.len())
    };
    let with = |length| mild("/job/description", json!(description(length)));
    assert_eq!(with(label::MAX_BUILD_BYTES), []);
    assert_eq!(with(label::MAX_BUILD_BYTES + 1), [warning("long-label", "")]);
}

#[test]
fn profiles_differ() {
    let severities = |pointer: &str, value: Value| {
        let text = changed(|manifest| put(manifest, pointer, value));
        Profile::ALL.map(|profile| {
            let problems = judge(text.as_bytes(), Rules { profile, strict: false }).problems;
            problems.into_iter().map(|p| (p.severity, p.code)).collect::<Vec<_>>()
        })
    };
    let all = |found: [Severity; 3], code: &str| found.map(|severity| vec![(severity, code.to_owned())]);
    use Severity::{Advice, Error, Warning};
    let setting = "/job/interface/settings/0/name";
    assert_eq!(severities(setting, json!("OUTPUT_DIR")), all([Error; 3], "reserved-name"));
    let found = severities(setting, json!("output-dir"));
    assert!(
        found[1].iter().all(|(severity, _)| *severity == Warning) && found[0][0].0 == Error && found[2][0].0 == Error
    );
    let found = severities(setting, json!("allocated-cpus"));
    assert!(found[1].iter().all(|(severity, _)| *severity == Warning) && found[0][0].0 == Error);
    assert_eq!(severities(setting, json!("allocated_cpus"))[1][0], (Error, "reserved-name".to_owned()));
    assert_eq!(severities("/job/interface/mounts/0/name", json!("MASK")), all([Warning, Error, Advice], "shared-name"));
    assert_eq!(severities("/job/errors/0/name", json!("CRASH")), all([Warning, Error, Advice], "similar-name"));
    let gpus = json!([{"name": "cpus", "value": 1}, {"name": "mem", "value": 1}, {"name": "disk", "value": 1}, {"name": "gpus", "value": 0.5}]);
    assert_eq!(severities("/job/resources/scalar", gpus), all([Warning, Warning, Error], "bad-amount"));
}

#[test]
fn strict_turns_warnings_into_errors_and_leaves_advice() {
    let text = changed(|manifest| {
        put(manifest, "/job/timeout", json!(0));
        put(manifest, "/job/title", json!(""));
    });
    let loose = judge(text.as_bytes(), Rules::default());
    assert!(loose.valid && !loose.strict);
    let strict = judge(text.as_bytes(), Rules { strict: true, ..Rules::default() });
    assert!(!strict.valid && strict.strict);
    let found: Vec<_> = strict.problems.iter().map(|p| (p.severity, p.code.as_str())).collect();
    assert_eq!(found, [(Severity::Error, "bad-timeout"), (Severity::Advice, "empty-text")]);
    assert_eq!(loose.problems[0].severity, Severity::Warning);
}

#[test]
fn says_what_was_meant() {
    let help = |from: &str, to: &str| {
        let text = COMPLETE.replacen(from, to, 1);
        assert_ne!(text, COMPLETE);
        all(&text).into_iter().map(|p| p.help).collect::<Vec<_>>().join("\n")
    };
    let table = [
        ("\"title\"", "\"titel\"", "Did you mean `title`?"),
        ("\"title\"", "\"Title\"", "Did you mean `title`?"),
        ("\"title\"", "\"t\u{456}tle\"", "Write `title`: the key holds U+0456 in place of `i`."),
        ("\"jobVersion\"", "\"job_version\"", "Did you mean `jobVersion`?"),
        ("\"command\"", "\"cmd\"", "Did you mean `command`?"),
        ("\"seedVersion\": \"1.0.0\",", "\"seedVersion\": \"1.0.0\", \"timeout\": 1,", "`/job/timeout`"),
        ("\"seedVersion\": \"1.0.0\",", "\"seedVersion\": \"1.0.0\", \"$schema\": 1,", "silo spec --help"),
        ("\"phone\"", "\"telefax\"", "known here: name, organization, email, url, phone."),
        ("\"type\": \"number\", \"required\"", "\"type\": \"numbr\", \"required\"", "Did you mean `number`?"),
        ("sea-ice-edge", "sea_ice edge", "For example: `sea-ice-edge`."),
        ("\"1.2.0\"", "\"v1.02\"", "For example: `1.2.0`."),
        ("${THRESHOLD}", "${TRESHOLD}", "Did you mean `${THRESHOLD}`?"),
        ("${THRESHOLD}", "${threshold}", "Did you mean `${THRESHOLD}`?"),
        ("\"cpus\"", "\"cpu\"", "Did you mean `cpus`?"),
    ];
    for (from, to, expected) in table {
        assert!(help(from, to).contains(expected), "{to}: {}", help(from, to));
    }
}

#[test]
fn a_renamed_output_keeps_its_key() {
    let help = |text: &str| all(&text.replacen("LENGTH_KM", "length_km", 1))[0].help.clone();
    assert_eq!(help(COMPLETE), "Write `LENGTH_KM`.");
    let without = COMPLETE.replacen("\"key\": \"length\", ", "", 1);
    assert_eq!(help(&without), "Write `LENGTH_KM`, with `length_km` as its `key`.");
}

#[test]
fn variables_are_pointed_at() {
    let text = COMPLETE.replacen("${THRESHOLD}", "${TRESHOLD}", 1);
    let at = text.lines().nth(18).and_then(|line| line.find("${TRESHOLD}")).expect("the command is in line 19");
    let problem = all(&text).into_iter().find(|p| p.code == "unset-variable").expect("it is found");
    assert_eq!((problem.line, problem.column as usize), (19, at + 1));
}

#[test]
fn labels_are_judged_in_any_form() {
    let legacy = label::write(COMPLETE, label::Form::Legacy).expect("it is a manifest");
    assert!(judge_label(&legacy, Rules::default()).valid);
    let code = |label: &str| {
        let report = judge_label(label, Rules::default());
        assert!(!report.valid);
        report.problems[0].clone()
    };
    let problem = code("hello");
    assert_eq!((problem.code.as_str(), problem.line, problem.column), ("unreadable-label", 0, 0));
    assert_eq!(code("{\"job\": {").code, "json-syntax");
    assert_eq!(code("{\\\"a\\\": 1").code, "unreadable-label");
    assert_eq!(judge_unlabelled(Rules::default()).problems[0].code, "no-label");
}

#[test]
fn old_versions_are_recognised() {
    let old = |text: &str| all(text).into_iter().map(|p| (p.code, p.path, p.line, p.column)).collect::<Vec<_>>();
    let found = old("{\n  \"seedVersion\": \"0.0.4\",\n  \"job\": {\"algorithmVersion\": \"1.0.0\", \"tag\": [1]}}");
    assert_eq!(found, [("old-version".to_owned(), "/seedVersion".to_owned(), 2, 18)]);
    let found = old("{\"job\": {\"algorithmVersion\": \"1.0.0\"}}");
    assert_eq!(found, [("old-version".to_owned(), String::new(), 1, 1)]);
    // What today's rules would judge as well is judged by them.
    let codes: Vec<_> = all(&COMPLETE.replacen("1.0.0", "0.1.0", 1)).into_iter().map(|p| p.code).collect();
    assert_eq!(codes, ["unsupported-version"]);
}
