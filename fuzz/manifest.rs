//! Whatever bytes are judged: no panic, and a report that is true of the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seed_standard::validate::{self, MAX_PROBLEMS, ValidationReport, ValidationRules};
use seed_standard::{ManifestProblem, ProblemSeverity, ValidationProfile, manifest, upgrade};
use serde_json::Value;

/// What may be wrong with the text itself: without any of these it is JSON.
const TEXT: [&str; 8] = [
    "json-syntax",
    "not-utf8",
    "byte-order-mark",
    "trailing-text",
    "too-deep",
    "number-out-of-range",
    "duplicate-key",
    "too-large",
];

/// Those of them that serde_json refuses a text for, too, wherever they are.
const REFUSED: [&str; 4] = ["json-syntax", "not-utf8", "byte-order-mark", "trailing-text"];

fuzz_target!(|source: &[u8]| {
    for profile in ValidationProfile::ALL {
        for strict in [false, true] {
            check(source, &validate::judge(source, ValidationRules { profile, strict }));
        }
    }
    if let Ok(text) = std::str::from_utf8(source) {
        _ = manifest::with_defaults(text).to_string();
        _ = manifest::essentials(text);
        if let Ok(upgraded) = upgrade::upgrade(text) {
            let again = upgrade::upgrade(&upgraded.manifest).expect("what was upgraded can be upgraded");
            assert_eq!((again.manifest, again.changes), (upgraded.manifest, Vec::new()));
        }
    }
});

fn check(source: &[u8], report: &ValidationReport) {
    let has = |codes: &[&str]| report.problems.iter().any(|problem| codes.contains(&problem.code.as_str()));
    let document = serde_json::from_slice::<Value>(source);
    assert!(document.is_ok() || has(&TEXT), "not JSON, and nothing is said of it: {report:?}");
    assert!(document.is_err() || !has(&REFUSED), "JSON, and yet refused: {report:?}");
    assert_eq!(report.valid, report.problems.iter().all(|problem| problem.severity != ProblemSeverity::Error));
    for severity in ProblemSeverity::ALL {
        let of_severity = report.problems.iter().filter(|problem| problem.severity == severity).count();
        assert!(of_severity <= MAX_PROBLEMS, "{of_severity} problems of one severity");
    }
    let text = validate::readable(source);
    for problem in &report.problems {
        place(&text, problem);
        // A key that is there twice makes two values of one path; serde_json keeps the last alone.
        if let (Ok(document), false) = (&document, has(&["duplicate-key"])) {
            assert!(document.pointer(&problem.path).is_some(), "there is no such place: {problem:?}");
        }
    }
}

/// A problem's line and column lie in the text, or just behind the end of a line.
fn place(text: &str, problem: &ManifestProblem) {
    if (problem.line, problem.column) == (0, 0) {
        return;
    }
    assert!(problem.line > 0 && problem.column > 0, "half a place: {problem:?}");
    let line = text.split('\n').nth(problem.line as usize - 1);
    let line = line.unwrap_or_else(|| panic!("there is no such line: {problem:?}"));
    assert!(problem.column as usize <= line.chars().count() + 1, "there is no such column: {problem:?}");
}
