//! `docs/problems.md` is complete and correct: it contains every code, and every example has the problem that it shows.

use silo::seed::validate::{REVISION, ValidationRules, judge};
use silo::seed::{ManifestProblem, ProblemCode, ValidationProfile};

const PAGE: &str = include_str!("../../docs/problems.md");

/// Codes that a small change of the example cannot show.
const WITHOUT_EXAMPLE: [ProblemCode; 7] = [
    ProblemCode::NoLabel,
    ProblemCode::UnreadableLabel,
    ProblemCode::TooLarge,
    ProblemCode::NotUtf8,
    ProblemCode::ByteOrderMark,
    ProblemCode::TooDeep,
    ProblemCode::LongLabel,
];

/// Other codes that an example of this code has inevitably.
fn unavoidable(code: ProblemCode) -> &'static [ProblemCode] {
    match code {
        // A null or absent list contains no resources.
        ProblemCode::NullScalar | ProblemCode::EmptyResources => &[ProblemCode::MissingResource],
        _ => &[],
    }
}

/// Title and text of each code's section.
fn sections() -> Vec<(&'static str, &'static str)> {
    let parts = PAGE.split("\n### ").skip(1);
    parts.map(|part| part.split_once('\n').expect("a section has a text below its title")).collect()
}

/// The content of a section's code block of a kind.
fn fence(text: &'static str, kind: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once(&format!("```{kind}\n"))?;
    Some(rest.split_once("\n```").expect("a fence is closed").0)
}

fn example() -> &'static str {
    fence(PAGE, "json").expect("the page holds a whole manifest")
}

/// The removed and the added lines of a diff.
fn sides(diff: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut wrong, mut right) = (Vec::new(), Vec::new());
    for line in diff.lines() {
        match (line.strip_prefix('-'), line.strip_prefix('+'), line.strip_prefix(' ')) {
            (Some(line), _, _) => wrong.push(line),
            (_, Some(line), _) => right.push(line),
            (_, _, Some(line)) => (wrong.push(line), right.push(line)).0,
            _ => panic!("a line of a diff begins with -, + or a blank: {line}"),
        }
    }
    (wrong, right)
}

/// The example with the right lines, which must occur once, replaced by the wrong ones.
fn spoilt(diff: &str) -> String {
    let (wrong, right) = sides(diff);
    let lines: Vec<&str> = example().lines().collect();
    assert!(!right.is_empty() && wrong != right, "the diff changes nothing:\n{diff}");
    let places: Vec<usize> = (0..lines.len()).filter(|at| lines[*at..].starts_with(&right)).collect();
    let [at] = places[..] else { panic!("these lines stand {} times in the example:\n{diff}", places.len()) };
    [&lines[..at], &wrong, &lines[at + right.len()..]].concat().join("\n")
}

fn codes(manifest: &str, profile: ValidationProfile) -> Vec<String> {
    let report = judge(manifest.as_bytes(), ValidationRules { profile, strict: false });
    let mut codes: Vec<String> = report.problems.into_iter().map(|problem| problem.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

#[test]
fn every_code_has_one_section_and_no_other_has() {
    let titles: Vec<&str> = sections().into_iter().map(|(title, _)| title).collect();
    let expected: Vec<String> = ProblemCode::ALL.iter().map(|code| format!("`{}`", code.as_str())).collect();
    assert_eq!(titles, expected);
    for (title, text) in sections() {
        let prose = text.split("```").next().expect("a split gives at least one part").trim();
        assert!(prose.len() > 60 && prose.ends_with('.'), "{title} says too little: {prose}");
    }
}

#[test]
fn the_table_has_the_severities() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with("| [`"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let expected: Vec<Vec<String>> = ProblemCode::ALL
        .iter()
        .map(|code| {
            let link = format!("[`{0}`](#{0})", code.as_str());
            let severities = ValidationProfile::ALL.map(|profile| code.severity(profile).as_str().to_owned());
            [link].into_iter().chain(severities).collect()
        })
        .collect();
    assert_eq!(rows, expected);
    let head = PAGE.lines().find(|line| line.starts_with("| code")).expect("the table has a head");
    let profiles: Vec<&str> = head.trim_matches('|').split('|').skip(1).map(str::trim).collect();
    assert_eq!(profiles, ValidationProfile::ALL.map(ValidationProfile::as_str));
}

#[test]
fn the_example_has_no_problem() {
    for profile in ValidationProfile::ALL {
        let report = judge(example().as_bytes(), ValidationRules { profile, strict: true });
        assert!(report.valid && report.problems.is_empty(), "{profile:?}: {:?}", report.problems);
    }
}

#[test]
fn every_diff_shows_its_problem() {
    let mut wrong = Vec::new();
    for (code, (_, text)) in ProblemCode::ALL.iter().zip(sections()) {
        let diff = fence(text, "diff");
        assert_eq!(diff.is_none(), WITHOUT_EXAMPLE.contains(code), "{code:?}: a diff, or a place in the list");
        let Some(manifest) = diff.map(spoilt) else { continue };
        let mut expected: Vec<&str> = unavoidable(*code).iter().chain([code]).map(|code| code.as_str()).collect();
        expected.sort_unstable();
        let found = codes(&manifest, ValidationProfile::Spec);
        if found != expected {
            wrong.push(format!("{}: {found:?}", code.as_str()));
        }
    }
    assert!(wrong.is_empty(), "these examples show something else:\n{}", wrong.join("\n"));
}

/// Stored reports are recomputed when the revision changes: a change of this snapshot requires a new
/// `seed::validate::REVISION`.
#[test]
fn the_reports_of_this_revision() {
    let mut reports = format!("revision {REVISION}\n");
    for (title, text) in sections() {
        let Some(manifest) = fence(text, "diff").map(spoilt) else { continue };
        reports += &format!("\n{title}\n");
        for problem in judge(manifest.as_bytes(), ValidationRules::default()).problems {
            let ManifestProblem { code, severity, path, line, column, message, help } = problem;
            reports += &format!("{line}:{column} {severity:?} {code} {path}\n  {message}\n  {help}\n");
        }
    }
    insta::assert_snapshot!(reports);
}

#[test]
fn diffs_may_only_add_or_only_remove() {
    let first = example().lines().nth(1).expect("a second line");
    assert!(!spoilt(&format!("+{first}")).contains(first));
    let added = spoilt(&format!(" {first}\n-  \"a\": 1,"));
    assert_eq!(added.lines().nth(2), Some("  \"a\": 1,"));
    assert_eq!(added.lines().count(), example().lines().count() + 1);
}
