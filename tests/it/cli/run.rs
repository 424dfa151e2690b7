//! `silo run --dry-run`: arguments and the resulting plan. Also regressions of Seed CLI.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::plain;
use super::program::{silo, silo_in};
use crate::support::manifest::of_job;
use crate::support::process::Exit;

/// The guide's job, with one input of every kind in addition.
fn manifest() -> Value {
    let job = json!({
        "interface": {
            "command": "sh image_rotate.sh \"${INPUT_FILE}\" ${DEGREES} ${EXTRA/#/-x } ${OUTPUT_DIR}",
            "inputs": {
                "files": [{"name": "INPUT_FILE", "mediaTypes": ["image/png"]}, {"name": "EXTRA", "multiple": true, "required": false}],
                "json": [{"name": "DEGREES", "type": "integer"}, {"name": "NOTE", "type": "string", "required": false}]
            },
            "outputs": {"files": [{"name": "ROTATED", "pattern": "*.png"}]},
            "mounts": [{"name": "FONTS", "path": "/usr/share/fonts"}],
            "settings": [{"name": "API_KEY", "secret": true}]
        },
        "resources": {"scalar": [
            {"name": "cpus", "value": 0.1}, {"name": "mem", "value": 256, "inputMultiplier": 4.0}, {"name": "disk", "value": 128}
        ]},
        "errors": [{"code": 1, "name": "bad-picture", "category": "data"}]
    });
    of_job("image-rotate", job)
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seed.manifest.json"), manifest().to_string()).unwrap();
    fs::write(folder.path().join("seed, a=b.png"), "picture").unwrap();
    fs::create_dir(folder.path().join("fonts")).unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/1.txt"), "1").unwrap();
    folder
}

const GIVEN: [&str; 10] = [
    "-i",
    "INPUT_FILE=seed, a=b.png",
    "-j",
    "DEGREES=180",
    "-e",
    "API_KEY=hunter2=,x",
    "-m",
    "FONTS=fonts",
    "-o",
    "out",
];

fn dry_run(folder: &Path, more: &[&str]) -> Exit {
    silo(folder, &[&["run", ".", "--dry-run"], more].concat())
}

/// The plan as JSON, with the folder's name replaced.
fn as_json(folder: &TempDir, more: &[&str]) -> (Option<i32>, Value) {
    let exit = dry_run(folder.path(), &[more, &["--json"]].concat());
    assert_eq!(exit.stderr, "", "{exit:?}");
    let path = folder.path().canonicalize().unwrap();
    (exit.code, serde_json::from_str(&plain(&exit.stdout, &[(path.to_str().unwrap(), "[folder]")])).unwrap())
}

fn problems(outcome: &Value) -> Vec<String> {
    let problems = outcome["problems"].as_array().unwrap().iter();
    problems.map(|it| format!("{} {}", it["code"].as_str().unwrap(), it["subject"].as_str().unwrap())).collect()
}

#[test]
fn the_plan_as_json() {
    let folder = folder();
    let (code, outcome) = as_json(&folder, &[&GIVEN[..], &["-i", "extra=more", "-j", "NOTE=a, b=c"]].concat());
    assert_eq!((code, &outcome["valid"]), (Some(0), &json!(true)), "{outcome:#}");
    assert!(!outcome.to_string().contains("hunter2"), "{outcome:#}");
    insta::assert_json_snapshot!(outcome);
}

/// The printed line is valid shell: it is run with another `docker`.
#[test]
fn the_line_can_be_run() {
    let folder = folder();
    let exit = dry_run(folder.path(), &GIVEN);
    let note = "note: secrets are not shown: export API_KEY before you run the command\n";
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), note), "{exit:?}");
    assert!(!exit.stdout.contains("hunter2"), "{}", exit.stdout);
    // The dry run created nothing.
    assert!(!folder.path().join("out").exists() && !folder.path().join("out.run").exists());
    let script = format!("docker() {{ printf '%s\\n' \"$@\"; }}; {}", exit.stdout);
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    insta::assert_snapshot!(plain(&words, &[(path.to_str().unwrap(), "[folder]")]));
}

/// Missing files are reported with the other problems, once each.
#[test]
fn paths_that_cannot_be_used_are_said_with_the_rest() {
    let folder = folder();
    let (code, outcome) = as_json(&folder, &["-i", "INPUT_FILE=sed, a=b.png", "-m", "FONTS=font", "-j", "DEGREES=x"]);
    assert_eq!((code, &outcome["valid"]), (Some(2), &json!(false)));
    let expected = ["bad-value INPUT_FILE", "bad-value FONTS", "wrong-type DEGREES", "missing API_KEY"];
    assert_eq!(problems(&outcome), expected);
    let told = outcome["problems"].as_array().unwrap();
    assert_eq!(told[0]["message"], "there is no file or folder sed, a=b.png.");
    assert_eq!(
        (&told[0]["help"], &told[1]["help"]),
        (&json!("Did you mean seed, a=b.png?"), &json!("Did you mean fonts?"))
    );
}

#[test]
fn values_have_their_types() {
    let folder = folder();
    let (_, outcome) = as_json(&folder, &[&GIVEN[..], &["-j", "NOTE=7"]].concat());
    assert_eq!(outcome["plan"]["json"], json!({"DEGREES": 180, "NOTE": "7"}), "{outcome:#}");
}

#[test]
fn everything_that_is_missing_or_unknown_is_said_at_once() {
    let folder = folder();
    let exit = dry_run(folder.path(), &["-j", "DEGREES=notanint", "-i", "INPUT_FLIE=seed, a=b.png", "-e", "X=1"]);
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(2), ""), "{exit:?}");
    insta::assert_snapshot!(exit.stderr);
    let (code, outcome) = as_json(&folder, &["-j", "DEGREES=1.0", "-i", "DEGREES=more"]);
    assert_eq!((code, &outcome["valid"]), (Some(2), &json!(false)));
    let expected = ["unknown DEGREES", "missing INPUT_FILE", "wrong-type DEGREES", "missing API_KEY", "missing FONTS"];
    assert_eq!(problems(&outcome), expected);
}

/// An unknown input name with a missing file: both are reported, the name first.
#[test]
fn an_unknown_name_of_a_missing_file_is_said_as_both() {
    let folder = folder();
    let exit = dry_run(folder.path(), &[&GIVEN[..], &["-i", "PICTURE=nowhere.png", "-m", "LETTERS=nowhere"]].concat());
    let said = exit.expect_failure(2);
    let told: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(told.len(), 4, "{said}");
    assert!(told[0].starts_with("PICTURE: the job has no file input of this name."), "{said}");
    assert!(told[1].starts_with("LETTERS: the job has no mount of this name."), "{said}");
    assert!(told[2].starts_with("PICTURE: there is no file or folder nowhere.png."), "{said}");
    assert!(told[3].starts_with("LETTERS: nowhere: "), "{said}");
    // An input with an invalid value is not reported as missing, too.
    let said = dry_run(folder.path(), &["-i", "INPUT_FILE=nowhere.png"]).expect_failure(2);
    assert_eq!(said.matches("INPUT_FILE: ").count(), 1, "{said}");
}

#[test]
fn the_old_command_line_is_not_back() {
    let folder = folder();
    let plan = |more: &[&str]| {
        let (code, outcome) = as_json(&folder, &[&GIVEN[..], more].concat());
        assert_eq!(code, Some(0), "{outcome:#}");
        outcome["plan"]["container"].clone()
    };
    let container = plan(&["-j", "NOTE="]);
    // Time limit, cores and memory are enforced; inputs are read-only.
    assert_eq!((&container["timeoutSeconds"], &container["cpus"]), (&json!(60), &json!(0.1)));
    assert_eq!(container["memory"], 257 * 1024 * 1024);
    assert_eq!(container["binds"][0]["readOnly"], true);
    // Quotes keep arguments together; an absent input leaves no argument and no variable.
    let command = json!(["sh", "image_rotate.sh", "/seed/in/INPUT_FILE/seed, a=b.png", "180", "/seed/out"]);
    assert_eq!(container["command"], command);
    let names: Vec<&str> =
        container["environment"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"EXTRA") && names.contains(&"NOTE"), "{names:?}");
    // An input may be given by its variable's name.
    assert_eq!(plan(&["-i", "extra=more"])["binds"][1]["target"], "/seed/in/EXTRA");
    // The value of a JSON input may come from a file, whatever that is called.
    fs::write(folder.path().join("note.json"), "\"from the file\"").unwrap();
    let container = plan(&["-j", "NOTE=note.json"]);
    assert!(container.to_string().contains("from the file"), "{container}");
    // Missing files are errors.
    for (arguments, why) in [
        (vec!["-i", "INPUT_FILE=nowhere.png"], "INPUT_FILE: there is no file or folder nowhere.png"),
        (vec!["-m", "FONTS=nowhere"], "FONTS: nowhere: "),
        (vec!["-i", "INPUT_FILE"], "write it as KEY=VALUE"),
        (vec!["-i", "=x"], "write it as KEY=VALUE"),
        (vec!["--unknown"], "unexpected argument"),
    ] {
        let error = dry_run(folder.path(), &arguments).expect_failure(2);
        assert!(error.contains(why), "{error}");
    }
    let error = silo(folder.path(), &["run", "./no-such-folder", "--dry-run"]).expect_failure(2);
    assert!(error.contains("no-such-folder cannot be read"), "{error}");
}

#[test]
fn a_manifest_that_is_not_valid_is_not_run() {
    let folder = folder();
    let text = manifest().to_string().replace("\"timeout\":60", "\"timeout\":\"60\"");
    fs::write(folder.path().join("seed.manifest.json"), text).unwrap();
    let error = dry_run(folder.path(), &GIVEN).expect_failure(1);
    assert!(error.contains("error[wrong-type]") && error.contains("not valid: 1 error"), "{error}");
    let (code, outcome) = as_json(&folder, &GIVEN);
    assert_eq!((code, &outcome["report"]["valid"], &outcome["valid"]), (Some(1), &json!(false), &json!(false)));
}

#[test]
fn hostile_folders_are_refused() {
    let folder = folder();
    let more = folder.path().join("more");
    std::os::unix::fs::symlink("/etc/passwd", more.join("2.txt")).unwrap();
    let error = dry_run(folder.path(), &[&GIVEN[..], &["-i", "EXTRA=more"]].concat()).expect_failure(2);
    assert!(error.contains("more/2.txt is a link that leads out of its folder"), "{error}");
    fs::remove_file(more.join("2.txt")).unwrap();
    // Symlinks in the folder count as files; subfolders are ignored.
    std::os::unix::fs::symlink("1.txt", more.join("2.txt")).unwrap();
    fs::create_dir(more.join("deep")).unwrap();
    let (_, outcome) = as_json(&folder, &[&GIVEN[..], &["-i", "EXTRA=more"]].concat());
    let names: Vec<&Value> =
        outcome["plan"]["inputs"][1]["files"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["1.txt", "2.txt"]);
    assert_eq!(outcome["plan"]["warnings"].as_array().unwrap().len(), 1, "{outcome:#}");
    for (name, why) in [("/dev/null", "is neither a file nor a folder"), ("seed\u{1b}", "there is no file")] {
        let error = dry_run(folder.path(), &["-i", &format!("INPUT_FILE={name}")]).expect_failure(2);
        assert!(error.contains(why) && !error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn jobs_that_rely_on_scale_find_its_places() {
    let folder = folder();
    let (code, outcome) = as_json(&folder, &[&GIVEN[..], &["--layout", "scale", "--network", "none"]].concat());
    let container = &outcome["plan"]["container"];
    assert_eq!((code, &container["network"]), (Some(0), &json!("none")));
    assert_eq!(container["binds"][0]["target"], "/scale/input_data/INPUT_FILE/seed, a=b.png");
    assert!(container.to_string().contains(r#"{"name":"ALLOCATED_CPUS","value":"0.1","secret":false}"#), "{container}");
}

/// The printed line names the chosen engine, so that it works in any shell.
#[test]
fn a_dry_run_names_the_engine_that_was_chosen() {
    let folder = folder();
    let run = |more: &[&str], environment: &[(&str, &str)]| {
        let arguments = [&["run", ".", "--dry-run"], &GIVEN[..], more].concat();
        silo_in(folder.path(), environment, &arguments, "").expect_success()
    };
    assert!(run(&[], &[]).contains(" && docker run --rm "));
    let far = "tcp://engine.example.org:2375";
    let wanted = format!(" && docker -H {far} run --rm ");
    for said in [run(&["--engine", far], &[]), run(&[], &[("DOCKER_HOST", far)]), run(&[], &[("CONTAINER_HOST", far)])]
    {
        assert!(said.contains(&wanted), "{said}");
    }
    let json: Value = serde_json::from_str(&run(&["--engine", far, "--json"], &[])).unwrap();
    assert!(json["dockerRun"].as_str().unwrap().starts_with(&format!("docker -H {far} run ")), "{json}");
}

/// A case that was not run has no verdict.
#[test]
fn a_dry_run_of_cases_says_what_would_be_run_and_nothing_of_how_it_ends() {
    let folder = folder();
    for (case, values) in [("one", r#"{"json": {"DEGREES": 90}, "settings": {"API_KEY": "x"}}"#), ("two", "{}")] {
        let case = folder.path().join("cases").join(case);
        fs::create_dir_all(case.join("input/INPUT_FILE")).unwrap();
        fs::write(case.join("input/INPUT_FILE/a.png"), "picture").unwrap();
        fs::write(case.join("inputs.json"), values).unwrap();
    }
    let test = |more: &[&str]| silo(folder.path(), &[&["test", ".", "--dry-run", "-m", "FONTS=fonts"], more].concat());
    let exit = test(&["-o", "out", "--engine", "tcp://far:2375"]);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    let lines: Vec<&str> = exit.stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0] == "# one" && lines[1].contains(" && docker -H tcp://far:2375 run "),
        "{exit:#?}"
    );
    assert!(exit.stderr.contains("silo: the case two cannot be run:\n  DEGREES: "), "{exit:#?}");
    let all = exit.stdout.clone() + &exit.stderr;
    assert!(["pass", "good", "hunter2"].iter().all(|word| !all.contains(word)), "{all}");
    assert!(!folder.path().join("out").exists(), "nothing is made");
    // A case can be given by its name in the job's folder, too.
    test(&["one"]).expect_success();
    let lost = test(&["onne"]).expect_failure(2);
    assert_eq!(lost, "silo: there is no folder onne, and no case of that name in ./cases; did you mean ./cases/one?\n");
    let exit = test(&["cases/one", "--json"]);
    let told: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(
        (exit.code, &told["cases"][0]["name"], &told["passed"]),
        (Some(0), &json!("one"), &Value::Null),
        "{told}"
    );
    assert!(told["cases"][0]["dockerRun"].as_str().unwrap().starts_with("docker run "), "{told}");
}
