//! `silo init`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::plain;
use super::program::{silo, silo_in, silo_on_terminal};
use crate::support::docker_engine::{BASE, engine};

const FILE: &str = "seed.manifest.json";

/// The job in a folder's manifest, whose only problem may be the placeholders.
fn job(folder: &Path) -> Value {
    for profile in ["spec", "seed-cli", "scale"] {
        let said = silo(folder, &["validate", "--profile", profile, "--json"]).expect_success();
        let report: Value = serde_json::from_str(&said).unwrap();
        let mut problems = report["problems"].as_array().unwrap().iter();
        assert!(problems.all(|it| it["code"] == "placeholder" && it["severity"] == "advice"), "{report:#}");
    }
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join(FILE)).unwrap()).unwrap();
    manifest["job"].clone()
}

#[test]
fn without_a_terminal_it_writes_the_starter() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("Sea Ice_Edge");
    fs::create_dir(&inner).unwrap();
    let path = inner.canonicalize().unwrap().join(FILE);
    let said = silo(&inner, &["init", "--manifest-only"]).expect_success();
    assert_eq!(said, format!("Created Seed file: {}\n", path.display()));
    let job = job(&inner);
    assert_eq!((&job["name"], &job["title"]), (&"sea-ice-edge".into(), &"Sea ice edge".into()));
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn names_and_titles_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    silo(Path::new("/"), &["init", path, "--name", "ndvi", "--title", "Grün \"1\""]).expect_success();
    let job = job(folder.path());
    assert_eq!((&job["name"], &job["title"]), (&"ndvi".into(), &"Grün \"1\"".into()));
}

#[test]
fn a_name_that_breaks_the_standard_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let error = silo(folder.path(), &["init", "--name", "my_\u{1b}job"]).expect_failure(2);
    assert!(
        error.starts_with("silo: a name, title or maintainer cannot be used: ") && !error.contains('\u{1b}'),
        "{error}"
    );
    assert!(!folder.path().join(FILE).exists());
}

#[test]
fn an_existing_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join(FILE);
    let left = format!("Pre-existing {} found. Existing file left unmodified.\n", path.display());
    fs::write(&path, "mine").unwrap();
    let exit = silo(folder.path(), &["init", "--yes"]);
    assert_eq!((exit.code, exit.stdout.as_str(), exit.stderr.as_str()), (Some(0), "", left.as_str()));
    // No questions if the manifest exists already.
    let exit = silo_on_terminal(folder.path(), &[], &["init"], "");
    assert!(exit.code == Some(0) && !exit.stdout.contains("Name of"), "{exit:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    // A dangling symlink is not replaced, either.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(silo(folder.path(), &["init"]).stderr, left);
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn of_two_at_once_one_writes() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let run = || silo(folder.path(), &["init", "--manifest-only"]);
        let exits = std::thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(|run| run.join().unwrap()));
        let said =
            |words: &str| exits.iter().filter(|exit| (exit.stdout.clone() + &exit.stderr).contains(words)).count();
        assert!(exits.iter().all(|exit| exit.code == Some(0)), "{exits:?}");
        assert_eq!((said("Created Seed file: "), said("left unmodified")), (1, 1), "{exits:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        job(folder.path());
    }
}

#[test]
fn the_mode_is_that_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other"), "").unwrap();
    silo(folder.path(), &["init"]).expect_success();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode(FILE), mode("other"));
}

#[test]
fn where_it_cannot_write_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = silo(folder.path(), &["seed", "init", "-d", "nowhere/deep"]).expect_failure(1);
    assert_eq!(error, "silo seed: there is no folder nowhere/deep; create it with: mkdir -p nowhere/deep\n");
    fs::write(folder.path().join("file"), "").unwrap();
    let error = silo(folder.path(), &["init", "file"]).expect_failure(1);
    assert!(error.contains("file is not a folder"), "{error}");
    // Not even root can create files there.
    let error = silo(folder.path(), &["init", "/proc/self/fd", "--name", "x"]).expect_failure(1);
    assert!(error.contains("seed.manifest.json cannot be written: "), "{error}");
}

#[test]
fn on_a_terminal_it_asks_until_answers_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let typed = "my_job\nndvi\n\nAda Frost\nada\nada@example.org\nmy scene\nSCENE\n\nOUTPUT_DIR\nMASK\nimage/png\n\n";
    let exit = silo_on_terminal(folder.path(), &[("NO_COLOR", "1")], &["init", "--manifest-only"], typed);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let shown = exit.stdout.replace('\r', "");
    assert!(shown.contains("Created Seed file: "), "{shown}");
    assert!(shown.contains("`my_job`"), "the reason comes with the next question: {shown}");
    assert_eq!(shown.matches("Name of the job [").count(), 2, "{shown}");
    assert!(
        shown.contains("Title for people [Ndvi]: ") && shown.contains("Media type of SCENE [text/plain]: "),
        "{shown}"
    );
    // Four answers, two of them rejected, and the end of input.
    assert_eq!(shown.matches("Name of an input file").count(), 5, "{shown}");
    assert!(shown.contains("For example: `MY_SCENE`."), "{shown}");
    assert_eq!(shown.matches("Your e-mail address [").count(), 2, "{shown}");
    assert!(shown.contains("'ada' is not an e-mail address. Write it like ada@example.org."), "{shown}");
    assert!(shown.contains("`OUTPUT_DIR`"), "{shown}");
    let job = job(folder.path());
    assert_eq!((&job["name"], &job["title"]), (&"ndvi".into(), &"Ndvi".into()));
    assert_eq!(job["maintainer"], json!({"name": "Ada Frost", "email": "ada@example.org"}));
    let files = job["interface"]["inputs"]["files"].as_array().unwrap();
    let inputs: Vec<(&str, &str)> =
        files.iter().map(|file| (file["name"].as_str().unwrap(), file["mediaTypes"][0].as_str().unwrap())).collect();
    assert_eq!(inputs, [("SCENE", "text/plain"), ("MASK", "image/png")]);
    let command = job["interface"]["command"].as_str().unwrap();
    assert!(["${SCENE}", "${MASK}", "${OUTPUT_DIR}"].iter().all(|word| command.contains(word)), "{command}");
}

#[test]
fn yes_asks_nothing_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let exit = silo_on_terminal(folder.path(), &[], &["init", "--yes", "--name", "a"], "");
    assert!(exit.code == Some(0) && !exit.stdout.contains("Name of"), "{exit:?}");
    assert_eq!(job(folder.path())["interface"]["inputs"]["files"][0]["name"], "INPUT_FILE");
}

#[test]
fn answers_that_end_early_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for typed in ["\u{4}", "ndvi\n\u{4}", "ndvi\n\nSCENE\n\u{4}"] {
        let exit = silo_on_terminal(folder.path(), &[], &["init"], typed);
        assert!(exit.code == Some(1) && exit.stdout.contains("nothing was written"), "{exit:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// A new job builds and passes its case; only its texts have to be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_job_builds_and_passes() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), engine().await);
    // The base image of the Dockerfile.
    engine.tag(BASE, "busybox", "1.37").await;
    let who = ["--maintainer", "Ada Frost", "--email", "ada@example.org"];
    let said = silo(folder.path(), &[&["init", "jobs/sea-ice"], &who[..]].concat()).expect_success();
    let job_folder = folder.path().join("jobs/sea-ice");
    let made = plain(&said, &[(job_folder.canonicalize().unwrap().to_str().unwrap(), "FOLDER")]);
    insta::assert_snapshot!(made, @r"
    Created Seed file: FOLDER/seed.manifest.json
    Created: Dockerfile
    Created: run.sh
    Created: cases/example/inputs.json
    Created: cases/example/expected/result.txt
    Created: cases/example/expected/seed.outputs.json
    Created: cases/example/input/INPUT_FILE/example.txt
    Next:
      cd jobs/sea-ice
      silo build      builds the image
      silo test       runs the case in cases/example
      silo validate   says what to complete in the manifest
    ");
    assert_eq!(job(&job_folder)["maintainer"], json!({"name": "Ada Frost", "email": "ada@example.org"}));
    let environment = [("DOCKER_HOST", engine.host.as_str())];
    let silo = |arguments: &[&str]| silo_in(&job_folder, &environment, arguments, "");
    silo(&["build", "-q", "--build-network", "none"]).expect_success();
    let tested = silo(&["test", "--network", "none"]).expect_success();
    assert!(tested.contains("pass     example") && tested.contains("1 case: 1 good"), "{tested}");
    let judged = silo(&["validate"]).expect_success();
    assert!(judged.contains("valid as sea-ice-1.0.0-seed:1.0.0, 1 piece of advice"), "{judged}");
    // Existing files are not overwritten; of missing files only the manifest is created.
    fs::write(job_folder.join("run.sh"), "mine").unwrap();
    fs::remove_file(job_folder.join(FILE)).unwrap();
    silo(&["init"]).expect_success();
    assert_eq!(fs::read_to_string(job_folder.join("run.sh")).unwrap(), "mine");
}

/// Any number of inputs of any type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_job_of_other_inputs_passes_as_well() {
    let engine = engine().await;
    engine.tag(BASE, "busybox", "1.37").await;
    for (number, inputs) in ["SCENE\nimage/tiff\nMASK\napplication/geo+json\n\n", "\n"].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let typed = format!("new-{number}\n\n\n\n{inputs}");
        let exit = silo_on_terminal(folder.path(), &[], &["init"], &typed);
        assert_eq!(exit.code, Some(0), "{exit:?}");
        let environment = [("DOCKER_HOST", engine.host.as_str())];
        let silo = |arguments: &[&str]| silo_in(folder.path(), &environment, arguments, "");
        silo(&["build", "-q", "--build-network", "none"]).expect_success();
        let tested = silo(&["test", "--network", "none"]).expect_success();
        assert!(tested.contains("1 case: 1 good"), "{tested}");
    }
}
