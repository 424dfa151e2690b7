//! Tests of warnings, advice, profiles and help texts.

use serde_json::{Value, json};

use super::*;

/// The problems that are not errors after setting `value` at `pointer`.
fn mild(pointer: &str, value: Value) -> Vec<(ProblemSeverity, String, String)> {
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
        ValidationProfile::ALL.map(|profile| {
            let problems = judge(text.as_bytes(), ValidationRules { profile, strict: false }).problems;
            problems.into_iter().map(|p| (p.severity, p.code)).collect::<Vec<_>>()
        })
    };
    let all = |found: [ProblemSeverity; 3], code: &str| found.map(|severity| vec![(severity, code.to_owned())]);
    use ProblemSeverity::{Advice, Error, Warning};
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
    assert_eq!(severities("/job/resources/scalar/1/value", json!(-1)), all([Warning; 3], "bad-amount"));
    let empty = [Warning, Advice, Error].map(|severity| (severity, "empty-resources".to_owned()));
    assert!(severities("/job/resources", json!({})).iter().zip(&empty).all(|(found, one)| found.contains(one)));
    let null = changed(|manifest| manifest["job"]["resources"]["scalar"] = Value::Null);
    assert_eq!(
        judge(null.as_bytes(), ValidationRules { profile: ValidationProfile::Scale, strict: false }).problems[0].code,
        "null-scalar"
    );
    assert!(!judge(null.as_bytes(), ValidationRules { profile: ValidationProfile::Scale, strict: false }).valid);
}

#[test]
fn scale_compares_resources_without_case_and_finds_outputs_by_name_alone() {
    let scale = |pointer: &str, value: Value| {
        let text = changed(|manifest| put(manifest, pointer, value));
        let report = judge(text.as_bytes(), ValidationRules { profile: ValidationProfile::Scale, strict: false });
        report.problems.into_iter().map(|p| (p.severity, p.code, p.path)).collect::<Vec<_>>()
    };
    let found = |severity, code: &str, path: &str| (severity, code.to_owned(), path.to_owned());
    let scalar = "/job/resources/scalar/1/name";
    assert!(scale(scalar, json!("CPUS")).contains(&found(ProblemSeverity::Error, "similar-name", scalar)));
    let output = "/job/interface/outputs/json/0/name";
    assert_eq!(scale(output, json!("EDGE")), [found(ProblemSeverity::Warning, "shared-name", output)]);
    // The same if an input has the name as well.
    let text = changed(|manifest| {
        put(manifest, "/job/interface/outputs/files/0/name", json!("MASK"));
        put(manifest, output, json!("MASK"));
    });
    let report = judge(text.as_bytes(), ValidationRules { profile: ValidationProfile::Scale, strict: false });
    assert!(
        report.problems.iter().any(|p| p.path == output && p.severity == ProblemSeverity::Warning),
        "{:?}",
        report.problems
    );
    assert_eq!(scale(output, json!("MASK")), [found(ProblemSeverity::Advice, "shared-name", output)]);
}

#[test]
fn strict_turns_warnings_into_errors_and_leaves_advice() {
    let text = changed(|manifest| {
        put(manifest, "/job/timeout", json!(0));
        put(manifest, "/job/title", json!(""));
    });
    let loose = judge(text.as_bytes(), ValidationRules::default());
    assert!(loose.valid && !loose.strict);
    let strict = judge(text.as_bytes(), ValidationRules { strict: true, ..ValidationRules::default() });
    assert!(!strict.valid && strict.strict);
    let found: Vec<_> = strict.problems.iter().map(|p| (p.severity, p.code.as_str())).collect();
    assert_eq!(found, [(ProblemSeverity::Error, "bad-timeout"), (ProblemSeverity::Advice, "empty-text")]);
    assert_eq!(loose.problems[0].severity, ProblemSeverity::Warning);
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
        ("\"name\": \"THRESHOLD\"", "\"name\": \"my threshold\"", "For example: `MY_THRESHOLD`."),
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
    let legacy = label::write(COMPLETE, label::LabelForm::Legacy).expect("it is a manifest");
    assert!(judge_label(&legacy, ValidationRules::default()).valid);
    let code = |label: &str| {
        let report = judge_label(label, ValidationRules::default());
        assert!(!report.valid);
        report.problems[0].clone()
    };
    let problem = code("hello");
    assert_eq!((problem.code.as_str(), problem.line, problem.column), ("unreadable-label", 0, 0));
    assert_eq!(code("{\"job\": {").code, "json-syntax");
    assert_eq!(code("{\\\"a\\\": 1").code, "unreadable-label");
    assert_eq!(judge_unlabelled(ValidationRules::default()).problems[0].code, "no-label");
}

#[test]
fn old_versions_are_recognised() {
    let old = |text: &str| all(text).into_iter().map(|p| (p.code, p.path, p.line, p.column)).collect::<Vec<_>>();
    let found = old("{\n  \"seedVersion\": \"0.0.4\",\n  \"job\": {\"algorithmVersion\": \"1.0.0\", \"tag\": [1]}}");
    assert_eq!(found, [("old-version".to_owned(), "/seedVersion".to_owned(), 2, 18)]);
    let found = old("{\"job\": {\"algorithmVersion\": \"1.0.0\"}}");
    assert_eq!(found, [("old-version".to_owned(), String::new(), 1, 1)]);
    // A manifest that upgrading would not change is validated as 1.0.0.
    let codes: Vec<_> = all(&COMPLETE.replacen("1.0.0", "0.1.0", 1)).into_iter().map(|p| p.code).collect();
    assert_eq!(codes, ["unsupported-version"]);
}
