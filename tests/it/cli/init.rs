//! `silo init`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::{silo, silo_on_terminal};

const FILE: &str = "seed.manifest.json";

/// The job in a folder's manifest, which must have no problem.
fn job(folder: &Path) -> Value {
    for profile in ["spec", "seed-cli", "scale"] {
        let said = silo(folder, &["validate", "--profile", profile, "--json"]).expect_success();
        let report: Value = serde_json::from_str(&said).unwrap();
        assert!(report["problems"].as_array().unwrap().is_empty(), "{report:#}");
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
    let said = silo(&inner, &["init"]).expect_success();
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
    assert!(error.starts_with("silo: a name or title cannot be used: ") && !error.contains('\u{1b}'), "{error}");
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
    // Nobody is asked in vain.
    let exit = silo_on_terminal(folder.path(), &[], &["init"], "");
    assert!(exit.code == Some(0) && !exit.stdout.contains("Name of"), "{exit:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    // A link that leads nowhere is somebody's too.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(silo(folder.path(), &["init"]).stderr, left);
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn of_two_at_once_one_writes() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let run = || silo(folder.path(), &["init"]);
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
    let error = silo(folder.path(), &["init", "nowhere/deep"]).expect_failure(1);
    assert_eq!(error, "silo: there is no folder nowhere/deep; make it with: mkdir -p nowhere/deep\n");
    fs::write(folder.path().join("file"), "").unwrap();
    let error = silo(folder.path(), &["init", "file"]).expect_failure(1);
    assert!(error.contains("file is no folder"), "{error}");
    // Nobody can make a file there, root neither.
    let error = silo(folder.path(), &["init", "/proc/self/fd", "--name", "x"]).expect_failure(1);
    assert!(error.contains("seed.manifest.json cannot be written: "), "{error}");
}

#[test]
fn on_a_terminal_it_asks_until_answers_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let typed = "my_job\nndvi\n\nSCENE\n\nOUTPUT_DIR\nMASK\nimage/png\n\n";
    let exit = silo_on_terminal(folder.path(), &[("NO_COLOR", "1")], &["init"], typed);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let shown = exit.stdout.replace('\r', "");
    assert!(shown.contains("Created Seed file: "), "{shown}");
    assert!(shown.contains("`my_job`"), "the reason comes with the next question: {shown}");
    assert_eq!(shown.matches("Name of the job [").count(), 2, "{shown}");
    assert!(
        shown.contains("Title for people [Ndvi]: ") && shown.contains("Media type of SCENE [image/tiff]: "),
        "{shown}"
    );
    // Three answers, one of them refused, and the end.
    assert_eq!(shown.matches("Name of an input file").count(), 4, "{shown}");
    assert!(shown.contains("`OUTPUT_DIR`"), "{shown}");
    let job = job(folder.path());
    assert_eq!((&job["name"], &job["title"]), (&"ndvi".into(), &"Ndvi".into()));
    let files = job["interface"]["inputs"]["files"].as_array().unwrap();
    let inputs: Vec<(&str, &str)> =
        files.iter().map(|file| (file["name"].as_str().unwrap(), file["mediaTypes"][0].as_str().unwrap())).collect();
    assert_eq!(inputs, [("SCENE", "image/tiff"), ("MASK", "image/png")]);
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
        assert!(exit.code == Some(1) && exit.stdout.contains("nothing is written"), "{exit:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
