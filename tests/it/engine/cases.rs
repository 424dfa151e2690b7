//! `silo test`, run with a real engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};
use silo::seed::LABEL;
use tempfile::TempDir;

use super::examples::{build, example, files};
use crate::cli::program::silo;
use crate::support::docker_engine::{DockerEngine, engine};
use crate::support::manifest::{few_resources, of_job};
use crate::support::process::Exit;

/// Sources its input file in the output folder.
const SCRIPT: &str = "cd $OUTPUT_DIR; . \"$1\"";

/// A job whose input is a script, and a folder for its cases.
struct Tested {
    engine: DockerEngine,
    image: String,
    folder: TempDir,
}

impl Tested {
    async fn new(name: &str) -> Self {
        let engine = engine().await;
        let job = json!({
            "interface": {
                "command": "${SCRIPT}",
                "inputs": {"files": [{"name": "SCRIPT"}], "json": [{"name": "LEVEL", "type": "integer", "required": false}]},
                "outputs": {"files": [{"name": "ALL", "pattern": "*", "multiple": true, "required": false}]}
            },
            "resources": few_resources(),
            "errors": [{"code": 9, "name": "bad-picture", "title": "Bad picture", "category": "data"}]
        });
        let image = engine.script(name, SCRIPT, &[(LABEL, &of_job(name, job).to_string())]).await;
        Self { engine, image, folder: tempfile::tempdir().unwrap() }
    }

    /// Adds a case: the job's script, and other files.
    fn case(&self, name: &str, script: &str, more: &[(&str, &str)]) -> PathBuf {
        let case = self.folder.path().join("cases").join(name);
        for (path, text) in [&[("input/SCRIPT/do.sh", script)], more].concat() {
            let path = case.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        case
    }

    fn test(&self, more: &[&str]) -> Exit {
        let common = ["test", &self.image, "--engine", &self.engine.host, "--network", "none"];
        silo(self.folder.path(), &[&common[..], more].concat())
    }
}

const RULES: &str = r#"{"rules": [
    {"files": "*.csv", "compare": {"csv": {"columns": {"mean": {"abs": 0.01}}}}},
    {"files": "*.json", "compare": {"json": {"tolerance": {"rel": 0.001}, "ignore": ["/when"]}}},
    {"files": "*.txt", "compare": {"text": {"masks": ["\\d{4}-\\d\\d-\\d\\d"]}}},
    {"files": "*.bin", "compare": {"size": {"percent": 50}}},
    {"files": "*.id", "compare": "exists"},
    {"files": "log/**", "compare": "ignore"}
]}"#;

const GOOD: &str = "printf 'name,mean\\na,2.005\\n' >t.csv; echo '{\"when\": \"now\", \"n\": 1000.5, \"l\": [1]}' >r.json
    printf 'made 2026-11-26 \\nend\\r\\n' >n.txt; printf 123 >x.bin; echo $$ >a.id; mkdir log; date >log/today; printf 'ab\\ncd\\n' >same";

const EXPECTED: [(&str, &str); 7] = [
    ("compare.json", RULES),
    ("expected/t.csv", "name,mean\na,2\n"),
    ("expected/r.json", "{\"n\": 1000, \"l\": [1.0], \"when\": \"then\"}"),
    ("expected/n.txt", "made 1999-01-01\nend\n"),
    ("expected/x.bin", "1234"),
    ("expected/a.id", ""),
    ("expected/same", "ab\ncd\n"),
];

#[tokio::test]
async fn each_way_to_compare_lets_pass_what_it_should_and_no_more() {
    let job = Tested::new("compares").await;
    job.case("good", GOOD, &EXPECTED);
    let exit = job.test(&[]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:#?}");
    assert_eq!(exit.stdout, "pass     good\n1 case: 1 good, 0 differ, 0 could not be run\n");

    let bad = "printf 'name,mean\\na,2.02\\n' >t.csv; echo '{\"when\": 1, \"n\": 1002, \"l\": [1]}' >r.json
        printf 'made today\\nend\\n' >n.txt; printf 1 >x.bin; printf 'ab\\nce\\n' >same; echo >extra";
    job.case("bad", bad, &EXPECTED);
    let exit = job.test(&["--junit", "report.xml"]);
    assert_eq!(exit.code, Some(4), "{exit:#?}");
    assert_snapshot!(exit.stdout, @r#"
    DIFFERS  bad
             a.id is missing
             extra: the job wrote it, but it was not expected
             n.txt: line 1 is "made today", expected "made *"
             r.json: /n is 1002, expected 1000
             same: line 2 is "ce", expected "cd"
             t.csv: line 2, column "mean": it is "2.02", expected "2"
             x.bin: it has 1 bytes, expected 4 ± 50 %
    pass     good
    2 cases: 1 good, 1 differs, 0 could not be run
    "#);
    let report = fs::read_to_string(job.folder.path().join("report.xml")).unwrap();
    let mut xml = quick_xml::Reader::from_str(&report);
    while xml.read_event().unwrap_or_else(|why| panic!("{why}: {report}")) != quick_xml::events::Event::Eof {}
    let time = regex::Regex::new("time=\"[0-9]+\\.[0-9]{3}\"").unwrap();
    assert_snapshot!("junit", time.replace_all(&report, "time=\"…\""));
}

#[tokio::test]
async fn ends_are_held_against_what_is_expected() {
    let job = Tested::new("ends-otherwise").await;
    let expect = |expect: Value| json!({ "expect": expect }).to_string();
    for (name, script, wanted) in [
        ("1-named", "exit 9", Some(expect(json!({"error": "bad-picture", "exitCode": 9})))),
        ("2-code", "exit 7", Some(expect(json!({"exitCode": 7})))),
        ("3-other-name", "exit 9", Some(expect(json!({"error": "timeout"})))),
        ("4-other-code", "exit 7", Some(expect(json!({"exitCode": 8})))),
        ("5-went-well", "true", Some(expect(json!({"error": "bad-picture"})))),
        ("6-failed", "exit 9", None),
        ("7-nothing-expected", "true", None),
    ] {
        let wanted: Vec<(&str, &str)> = wanted.iter().map(|text| ("compare.json", text.as_str())).collect();
        job.case(name, script, &wanted);
    }
    let exit = job.test(&[]);
    assert_eq!(exit.code, Some(1), "a case that says nothing of what is expected cannot pass: {exit:#?}");
    assert_snapshot!(exit.stdout.replace(job.folder.path().to_str().unwrap(), "…"), @r"
    pass     1-named
    pass     2-code
    DIFFERS  3-other-name
             it failed with bad-picture, expected timeout
             Bad picture.
    DIFFERS  4-other-code
             it failed with algorithm-unknown; exit code 7, expected 8
             Unknown error of the job. The job ended with exit code 7, for which its manifest has no name.
    DIFFERS  5-went-well
             it was successful, expected bad-picture
             The job was successful.
    DIFFERS  6-failed
             it failed with bad-picture (exit code 9)
             Bad picture.
    NOT RUN  7-nothing-expected
             …/cases/7-nothing-expected/expected does not exist: write it, or create it with --update
    7 cases: 2 good, 4 differ, 1 could not be run
    ");
    // A single case, with its outputs kept.
    let exit = job.test(&["cases/1-named", "-o", "kept"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(job.folder.path().join("kept/1-named/job.json").is_file());
    let again = job.test(&["cases/1-named", "-o", "kept"]).expect_failure(2);
    assert!(again.contains("give a folder that does not exist yet"), "{again}");
}

#[tokio::test]
async fn what_is_no_case_is_said_before_anything_is_run() {
    let job = Tested::new("no-cases").await;
    let root = job.folder.path();
    let refused = |part: &str| {
        let said = job.test(&[]).expect_failure(2);
        assert!(said.contains(part), "{said}");
    };
    refused("the cases in cases cannot be read; make a folder for each");
    fs::create_dir(root.join("cases")).unwrap();
    refused("cases holds no cases");
    fs::create_dir(root.join("cases/empty")).unwrap();
    refused("empty is not a test case: it has no input, inputs.json, expected, output or compare.json");
    fs::remove_dir(root.join("cases/empty")).unwrap();
    let case = job.case("case", "", &[]);
    for (file, text, part) in [
        (
            "inputs.json",
            "{\"json\":\n{\"LEVEL\": 1,}}",
            "inputs.json is not valid; see `silo test --help`: trailing comma at line 2",
        ),
        ("inputs.json", "{\"jsn\": {}}", "unknown field `jsn`, expected `json` or `settings`"),
        (
            "compare.json",
            "{\"rules\": [{\"files\": \"*\", \"compare\": \"roughly\"}]}",
            "unknown variant `roughly`, expected one of `exact`",
        ),
        (
            "compare.json",
            "{\"rules\": [{\"files\": \"[\", \"compare\": \"exact\"}]}",
            "compare.json: the rule for \"[\"",
        ),
        ("compare.json", "{\"expect\": {\"exit\": 1}}", "unknown field `exit`, expected `exitCode` or `error`"),
        ("input/loose", "", "loose is not a folder; put files into input/NAME"),
    ] {
        fs::write(case.join(file), text).unwrap();
        refused(part);
        fs::remove_file(case.join(file)).unwrap();
    }
    for folder in ["expected", "output"] {
        fs::create_dir(case.join(folder)).unwrap();
    }
    refused("has both expected and output; keep one");
    // An input that the job does not have: the other cases run all the same.
    fs::remove_dir(case.join("output")).unwrap();
    fs::write(case.join("inputs.json"), "{\"json\": {\"LVEL\": 1}}").unwrap();
    job.case("good", "echo x >a", &[("output/a", "x\n")]);
    let exit = job.test(&[]);
    assert!(exit.code == Some(1) && exit.stdout.contains("NOT RUN  case\n         LVEL: "), "{exit:#?}");
    assert!(exit.stdout.contains("pass     good\n"), "{exit:#?}");
    let nowhere = silo(root, &["test", "nothing-1.0.0-seed:1.0.0", "--engine", "unix:///nowhere"]).expect_failure(1);
    assert!(nowhere.contains("no container engine answers"), "{nowhere}");
}

#[tokio::test]
async fn a_signal_stops_the_case_that_runs() {
    let job = Tested::new("is-stopped").await;
    job.case("1-endless", "while :; do sleep 1; done", &[("expected/a", "")]);
    job.case("2-never-run", "true", &[("expected/a", "")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    command.current_dir(job.folder.path()).env_clear().args(["test", &job.image, "--engine", &job.engine.host]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let label = "silo.job=is-stopped-1.0.0";
    job.engine.until_containers(label, 1).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(!String::from_utf8(ended.stdout).unwrap().contains("2-never-run"));
    assert_eq!(job.engine.containers(label).await, [""; 0]);
}

#[tokio::test]
async fn the_cases_of_an_example_pass_and_tell_when_they_do_not() {
    let engine = engine().await;
    let image = build(&engine, "image-rotate").await;
    let common = ["--engine", &engine.host, "--network", "none"];
    let test = |folder: &Path, more: &[&str]| silo(folder, &[&["test", &image], &common[..], more].concat());
    // Also by the job's folder, which contains the cases.
    for subject in [image.as_str(), "."] {
        let exit = silo(&example("image-rotate"), &[&["test", subject], &common[..]].concat());
        let last = exit.stdout.lines().last();
        assert_eq!((exit.code, last), (Some(0), Some("2 cases: 2 good, 0 differ, 0 could not be run")), "{exit:#?}");
    }
    for (name, count) in [("io-demo", 1), ("image-watermark", 2), ("two-directories", 2)] {
        build(&engine, name).await;
        let exit = silo(Path::new("/"), &[&["test", example(name).to_str().unwrap()], &common[..]].concat());
        assert_eq!(exit.code, Some(0), "{name}: {exit:#?}");
        assert_eq!(exit.stdout.lines().count(), count + 1, "{name}: {exit:#?}");
    }

    // The same with another expected result.
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("cases/turns");
    fs::create_dir_all(case.join("input/INPUT_FILE")).unwrap();
    fs::create_dir_all(case.join("expected")).unwrap();
    let from = example("image-rotate").join("cases/turns");
    for file in ["input/INPUT_FILE/seed.ppm", "inputs.json"] {
        fs::copy(from.join(file), case.join(file)).unwrap();
    }
    fs::write(case.join("expected/other.ppm"), "").unwrap();
    let exit = test(folder.path(), &["--json"]);
    assert_eq!(exit.code, Some(4), "{exit:#?}");
    let report: Value = serde_json::from_str(&exit.stdout).expect("--json gives JSON");
    let findings = report["cases"][0]["findings"].as_array().unwrap().iter();
    let findings: Vec<_> = findings.map(|it| (it["path"].as_str().unwrap(), it["state"].as_str().unwrap())).collect();
    assert_eq!(findings, [("ROTATED_90_seed.ppm", "extra"), ("other.ppm", "missing")]);
    assert_eq!((&report["passed"], &report["cases"][0]["outcome"]), (&json!(false), &json!("differs")));
    assert!(test(folder.path(), &[]).stdout.contains("other.ppm is missing"));
    assert_eq!(test(folder.path(), &["--update"]).code, Some(0));
    assert_eq!(files(&case.join("expected")), files(&example("image-rotate").join("expected")));
    assert_eq!(test(folder.path(), &[]).code, Some(0));
}
