//! `silo validate`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use super::program::{silo, silo_fed, silo_fed_without_end, silo_on_terminal, silo_on_terminal_of};

const FILE: &str = "seed.manifest.json";

/// A folder with the starter manifest.
fn folder_with_manifest() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let who = ["--maintainer", "Ada Frost", "--organization", "Polar Works", "--email", "ada@example.org"];
    silo(folder.path(), &[&["init", "--manifest-only", "--name", "my-job"], &who[..]].concat()).expect_success();
    change(folder.path(), "What the job makes out of what, for people who search for it", "Finds the edges of sea ice");
    folder
}

/// Replaces a text in the manifest of a folder.
fn change(folder: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(FILE)).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(folder.join(FILE), text.replacen(from, to, 1)).unwrap();
}

/// The report of `--json` on a manifest from standard input.
fn report_of(manifest: &[u8], arguments: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let exit = silo_fed(folder.path(), &[&["validate", "-", "--json"], arguments].concat(), manifest);
    assert_eq!(exit.stderr, "");
    (exit.code, serde_json::from_str(&exit.stdout).expect("--json gives JSON"))
}

fn codes(report: &Value) -> Vec<&str> {
    report["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[test]
fn a_valid_manifest_takes_one_line() {
    let folder = folder_with_manifest();
    for arguments in [&["validate"][..], &["validate", "."], &["validate", FILE]] {
        let said = silo(folder.path(), arguments).expect_success();
        assert!(said.starts_with("seed.manifest.json: valid") && said.lines().count() == 1, "{said}");
    }
    let manifest = fs::read(folder.path().join(FILE)).unwrap();
    let said = silo_fed(Path::new("/"), &["validate", "-"], &manifest).expect_success();
    assert!(said.starts_with("<stdin>: valid"), "{said}");
    for profile in ["spec", "seed-cli", "scale"] {
        silo(folder.path(), &["validate", "--strict", "--profile", profile]).expect_success();
    }
}

#[test]
fn each_problem_is_shown_with_its_place() {
    let folder = folder_with_manifest();
    change(folder.path(), "\"my-job\"", "\"my job\"");
    change(folder.path(), "3600", "3600.5");
    change(folder.path(), "\"type\": \"integer\"", "\"type\": \"numeric\"");
    let exit = silo(folder.path(), &["validate"]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(1), ""));
    assert_snapshot!(exit.stdout);
}

#[test]
fn broken_json_is_shown_with_its_place() {
    let folder = folder_with_manifest();
    change(folder.path(), "\"title\":", "\"title\"");
    let exit = silo(folder.path(), &["validate"]);
    assert_eq!(exit.code, Some(1));
    assert_snapshot!(exit.stdout);
}

#[test]
fn json_is_the_report() {
    let folder = folder_with_manifest();
    let report: Value = serde_json::from_str(&silo(folder.path(), &["validate", "--json"]).expect_success()).unwrap();
    assert_eq!(
        (&report["valid"], &report["profile"], &report["strict"]),
        (&true.into(), &"spec".into(), &false.into())
    );
    assert!(report["problems"].as_array().unwrap().is_empty() && report["file"].is_null(), "{report}");

    let (code, report) = report_of(b"{}", &["--profile", "scale", "--strict"]);
    assert_eq!((code, &report["valid"], &report["profile"]), (Some(1), &false.into(), &"scale".into()));
    assert_eq!((&report["strict"], codes(&report)), (&true.into(), vec!["missing-field"; 2]));
    let problem = report["problems"][0].as_object().unwrap();
    let keys: Vec<&str> = problem.keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "severity", "path", "line", "column", "message", "help"]);
}

#[test]
fn several_manifests_are_judged_one_after_another() {
    let folder = folder_with_manifest();
    fs::write(folder.path().join("bad.json"), "{}").unwrap();
    let exit = silo(folder.path(), &["validate", ".", "bad.json"]);
    assert_eq!(exit.code, Some(1));
    let ends: Vec<&str> =
        exit.stdout.lines().filter(|line| line.contains(": valid") || line.contains("not valid")).collect();
    assert!(ends[0].starts_with("seed.manifest.json: valid"), "{ends:?}");
    assert!(ends[1].starts_with("bad.json: not valid: 2 errors"), "{ends:?}");

    let exit = silo(folder.path(), &["validate", "--json", "bad.json", "nowhere", "."]);
    assert_eq!(exit.code, Some(2), "what cannot be read is worse than what is not valid");
    assert!(exit.stderr.contains("nowhere cannot be read"), "{}", exit.stderr);
    let reports: Value = serde_json::from_str(&exit.stdout).unwrap();
    let files: Vec<(&str, bool)> = reports
        .as_array()
        .unwrap()
        .iter()
        .map(|report| (report["file"].as_str().unwrap(), report["valid"].as_bool().unwrap()))
        .collect();
    assert_eq!(files, [("bad.json", false), (FILE, true)]);
}

#[test]
fn strict_takes_warnings_for_errors() {
    let folder = folder_with_manifest();
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let (start, end) = (text.find("\"scalar\": [").unwrap(), text.find("    \"errors\"").unwrap());
    let changed = format!("{}\"scalar\": null\n    }},\n{}", &text[..start], &text[end..]);
    let (code, report) = report_of(changed.as_bytes(), &[]);
    assert_eq!((code, &report["valid"]), (Some(0), &true.into()), "{report}");
    assert!(codes(&report).contains(&"null-scalar"), "{report}");
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = silo(folder.path(), &["validate"]).expect_failure(2);
    assert_eq!(error, "silo: there is no seed.manifest.json in .; make one with: silo init .\n");
    let path = folder.path().to_str().unwrap();
    let error = silo(Path::new("/"), &["validate", path]).expect_failure(2);
    assert_eq!(error, format!("silo: there is no seed.manifest.json in {path}; make one with: silo init {path}\n"));
    let error = silo(folder.path(), &["validate", "a.json", "--json"]).expect_failure(2);
    assert!(error.contains("a.json cannot be read: No such file") && error.contains("give a manifest"), "{error}");
    fs::create_dir(folder.path().join(FILE)).unwrap();
    let error = silo(folder.path(), &["validate"]).expect_failure(2);
    assert!(error.contains("seed.manifest.json cannot be read: Is a directory"), "{error}");
    silo(folder.path(), &["validate", "--profile", "mine"]).expect_failure(2);
}

#[test]
fn no_more_is_read_than_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    fs::File::create(folder.path().join("large")).unwrap().set_len(100_000_000).unwrap();
    // The device never ends: without a limit this test would not, either.
    for path in ["large", "/dev/zero"] {
        let exit = silo(folder.path(), &["validate", "--json", path]);
        let report: Value = serde_json::from_str(&exit.stdout).unwrap();
        assert_eq!((exit.code, codes(&report)), (Some(1), vec!["too-large"]));
        let exit = silo(folder.path(), &["validate", path]);
        assert!(exit.stdout.contains("error[too-large]") && exit.stdout.len() < 2_000, "{}", exit.stdout);
    }
    let (exit, fed) = silo_fed_without_end(folder.path(), &["validate", "-"]);
    assert!(exit.code == Some(1) && exit.stdout.contains("error[too-large]"), "{exit:?}");
    // The bytes read, one more chunk, and the content of the pipe.
    assert!(fed < 3 * 1024 * 1024, "{fed}");
}

#[test]
fn a_long_line_is_not_printed_whole() {
    let folder = folder_with_manifest();
    let manifest: Value = serde_json::from_slice(&fs::read(folder.path().join(FILE)).unwrap()).unwrap();
    let mut manifest = manifest.to_string();
    manifest = manifest.replacen("\"my-job\"", "\"my job\"", 1);
    let filler = "ä".repeat((1024 * 1024 - manifest.len()) / 2);
    for text in [
        manifest.replacen("What the job", &filler, 1),
        manifest.replacen("\"seedVersion\"", &format!("\"{}\":1,\"seedVersion\"", &filler[..filler.len() - 8]), 1),
    ] {
        let exit = silo_fed(folder.path(), &["validate", "-"], text.as_bytes());
        assert!(exit.code == Some(1) && exit.stdout.contains("error[bad-name]"), "{}", exit.stdout.len());
        let longest = exit.stdout.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest < 300 && exit.stdout.len() < 5_000, "{longest}: {}", exit.stdout.len());
    }
}

#[test]
fn bytes_that_are_not_text_are_judged_too() {
    for junk in [&b"\xff\xfe\x00"[..], b"{\"seedVersion\": \"\xc3\x28\"}", b"\xef\xbb\xbf{}", b"\0\0", b""] {
        let folder = tempfile::tempdir().unwrap();
        let exit = silo_fed(folder.path(), &["validate", "-"], junk);
        assert!(exit.code == Some(1) && exit.stdout.starts_with("error["), "{junk:?}: {exit:?}");
        assert!(exit.stdout.contains("<stdin>: not valid: "), "{}", exit.stdout);
        assert_eq!(report_of(junk, &[]).0, Some(1));
    }
}

#[test]
fn nothing_in_a_manifest_steers_a_terminal() {
    let hostile = "\u{1b}[31m\u{9b}2J\u{202e}\u{7}\u{0}\u{7f}";
    let texts = [
        format!("{{\"job\": {{\"name\": \"{hostile}\"}}}}"),
        format!("{{\"{hostile}\": 1}}"),
        hostile.to_owned(),
        "{\"\\u001b[31m\\u009b\\u202e\": 1, \"seedVersion\": \"\\u001b]0;x\\u0007\"}".to_owned(),
    ];
    let folder = tempfile::tempdir().unwrap();
    for text in &texts {
        for arguments in [&["validate", "-"][..], &["validate", "-", "--json"]] {
            let exit = silo_fed(folder.path(), arguments, text.as_bytes());
            assert_eq!(exit.code, Some(1));
            let raw = exit.stdout.chars().find(|&c| c != '\n' && (c.is_control() || c == '\u{202e}'));
            assert_eq!(raw, None, "{:?}", exit.stdout);
        }
    }
    // File names are untrusted, too.
    fs::write(folder.path().join("\u{1b}[31m"), "{}").unwrap();
    let exit = silo(folder.path(), &["validate", "\u{1b}[31m", "\u{1b}[32m"]);
    assert!(!exit.stdout.contains('\u{1b}') && !exit.stderr.contains('\u{1b}'), "{exit:?}");
}

#[test]
fn colours_are_for_terminals() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "{}").unwrap();
    let colourful = |environment: &[(&str, &str)]| {
        let exit = silo_on_terminal(folder.path(), environment, &["validate"], "");
        assert!(exit.code == Some(1) && exit.stdout.contains("not valid: 2 errors"), "{exit:?}");
        exit.stdout.contains('\u{1b}')
    };
    assert!(colourful(&[]));
    assert!(!colourful(&[("NO_COLOR", "1")]));
    assert!(!silo(folder.path(), &["validate"]).stdout.contains('\u{1b}'));
}

#[test]
fn help_says_the_exit_codes() {
    for command in ["validate", "init", "upgrade"] {
        let help = silo(Path::new("/"), &[command, "--help"]).expect_success().replace('\n', " ");
        let codes = help.split("Exit codes:").nth(1).unwrap_or_else(|| panic!("{help}"));
        assert!(["0 ", "1 ", "2 "].iter().all(|code| codes.contains(code)), "{help}");
    }
}

/// A long line is cut around the problem, with marks: the caret stays below the problem.
#[test]
fn a_report_fits_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let label =
        format!("{{\"seedVersion\": \"1.0.0\", \"job\": {{{}\"nmae\": 1}}}}", "\"x\": \"long enough\", ".repeat(20));
    fs::write(folder.path().join("seed.manifest.json"), label).unwrap();
    for columns in [80, 60] {
        let shown = silo_on_terminal_of(columns, folder.path(), &[("NO_COLOR", "1")], &["validate"], "").stdout;
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        let unknown = lines.iter().position(|line| line.starts_with("error[unknown-field]: `nmae`")).expect(&shown);
        let at = unknown + lines[unknown..].iter().position(|line| line.contains("\"nmae\"")).expect(&shown);
        let (line, caret) = (lines[at], lines[at + 1]);
        assert!(line.chars().count() <= usize::from(columns) && line.contains("..."), "{columns}: {shown}");
        assert_eq!(line.find("\"nmae\""), caret.find('^'), "{shown}");
    }
}
