//! Input files on a disk.

use std::os::unix::fs::{MetadataExt as _, symlink};

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::engine::run::record::{FileWorkspace, RecordedInputs, RunProduct, RunRecord};
use crate::engine::testing::planned_with;
use crate::seed::metadata::SeedMetadata;

/// A folder with a scene and masks.
fn with_inputs(masks: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = folder.path().join("in");
    fs::create_dir(&inputs).expect("a folder");
    fs::write(inputs.join("scene.png"), "abc").expect("a file");
    (0..masks).for_each(|number| fs::write(inputs.join(format!("{number}.tif")), "abc").expect("a file"));
    folder
}

fn names(source: &InputSource) -> Vec<&str> {
    match source {
        InputSource::File(file) => vec![&file.name],
        InputSource::Folder { files, .. } => files.iter().map(|file| &*file.name).collect(),
    }
}

#[test]
fn a_path_is_a_file_or_a_folder_of_files() {
    let folder = with_inputs(2);
    let path = folder.path().canonicalize().expect("it is there").join("in");
    let file = HostFile { name: "scene.png".to_owned(), path: path.join("scene.png"), size: 3 };
    assert_eq!(survey(&path.join("scene.png")).expect("a file"), InputSource::File(file.clone()));
    // The name is that of the link, as the user gave it.
    symlink("scene.png", path.join("a link")).expect("a link");
    let linked = HostFile { name: "a link".to_owned(), ..file };
    assert_eq!(survey(&path.join("a link")).expect("a file"), InputSource::File(linked));
    let source = survey(&path).expect("a folder");
    assert!(matches!(source, InputSource::Folder { is_flat: false, .. }));
    assert_eq!(names(&source), ["0.tif", "1.tif", "a link", "scene.png"]);
    fs::remove_file(path.join("a link")).expect("it is ours");
    assert!(matches!(survey(&path).expect("a folder"), InputSource::Folder { is_flat: true, .. }));
    fs::create_dir(path.join("deep")).expect("a folder");
    assert!(matches!(survey(&path.join("deep/..")).expect("a folder"), InputSource::Folder { is_flat: false, .. }));
}

#[test]
fn what_cannot_be_given_is_said() {
    let folder = with_inputs(0);
    let path = folder.path().join("in");
    let refused = |path: &Path| survey(path).expect_err("it cannot be given").to_string();
    assert!(refused(&path.join("nowhere")).starts_with("there is no file or folder "));
    assert!(refused(Path::new("/dev/null")).ends_with(" is neither a file nor a folder"));
    assert!(refused(&path.join("scene.png/x")).contains(" cannot be read: "));
    symlink("loop", path.join("loop")).expect("a link");
    assert!(refused(&path).contains(" cannot be read: "));
    fs::remove_file(path.join("loop")).expect("it is ours");
    symlink("../in/../../..", path.join("up")).expect("a link");
    assert!(refused(&path).ends_with("in/up is a link that leads out of its folder: give the file itself"));
    fs::remove_file(path.join("up")).expect("it is ours");
    fs::write(path.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff")), "").expect("a file");
    assert!(refused(&path).ends_with("is not UTF-8: rename it"));
}

#[test]
fn staging_makes_everything_that_the_plan_binds() {
    let folder = with_inputs(40);
    let (manifest, request, plan) = planned_with(folder.path(), 40);
    let (given, warnings) = read(&manifest, &plan, &HaltSignal::default()).expect("the files are there");
    assert_eq!(warnings, ["SCENE: scene.png does not look like image/tiff, which the job can read."]);
    // Twice, as for a second attempt.
    for _ in 0..2 {
        stage(&manifest, &plan, &given, &request.folder, &HaltSignal::default()).expect("there is room");
        for bind in &plan.container.binds {
            assert!(Path::new(&bind.source).exists(), "{bind:?}");
        }
    }
    let masks = request.folder.input("MASKS");
    assert_eq!(fs::read_dir(&masks).expect("a folder").count(), 40);
    let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
    assert_eq!(inode(&masks.join("7.tif")), inode(&folder.path().join("in/7.tif")), "nothing is copied");
    let record = RunRecord::new(
        "7",
        &manifest,
        &plan,
        RecordedInputs::of(&manifest, &request, &plan, given),
        DateTime::UNIX_EPOCH,
    );
    request.folder.write_plan(&plan).expect("there is room");
    request.folder.write_record(&record).expect("there is room");
    let written = |name: &str| fs::read_to_string(request.folder.root.join(name)).expect("it is written");
    let run = written("run.sh");
    assert!(
        run.starts_with("#!/bin/sh\n# Set and export first: DB_KEY. ")
            && run.contains("\nexec docker run --rm --init "),
        "{run}"
    );
    assert_eq!(serde_json::from_str::<RunRecord>(&written("job.json")).expect("a record"), record);
    let inputs: Value = serde_json::from_str(&written("inputs.json")).expect("JSON");
    assert_eq!(inputs["settings"], serde_json::json!({"DB-KEY": "*****", "HOST": "db"}));
    assert_eq!(inputs["files"][1]["files"][39]["size"], 3);
    let all = ["run.sh", "job.json", "inputs.json", "context.json"].map(written).concat();
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn the_job_is_told_what_scale_tells() {
    let folder = with_inputs(1);
    let (manifest, request, plan) = planned_with(folder.path(), 1);
    let (mut given, _) = read(&manifest, &plan, &HaltSignal::default()).expect("the files are there");
    for file in given.iter_mut().flat_map(|input| &mut input.files) {
        file.modified = DateTime::from_timestamp_millis(1_772_345_678_901);
        file.facts.url = Some("https://silo.example.org/files/other".to_owned());
    }
    let geojson = br#"{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]},
        "properties": {"dataStarted": "2026-03-01T06:15:00Z", "sourceSensor": "radar", "dataTypes": ["ice"]}}"#;
    given[1].files[0].facts = FileFacts {
        id: Some("f1".to_owned()),
        url: Some("https://silo.example.org/files/f1".to_owned()),
        created: None,
        product: Some(RunProduct { run: "6".to_owned(), job: "masks-1.0.0".to_owned(), output: "MASK".to_owned() }),
        metadata: Some(SeedMetadata::read(geojson).expect("it is GeoJSON")),
        workspace: Some(FileWorkspace::Runs),
        chain: Some(serde_json::json!({"FIRST": [{"file_name": "first.tif"}]})),
    };
    stage(&manifest, &plan, &given, &request.folder, &HaltSignal::default()).expect("there is room");
    let context = fs::read(request.folder.context()).expect("it is written");
    insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&context).expect("JSON"));
}

#[test]
fn a_file_that_went_away_is_named() {
    let folder = with_inputs(0);
    let (manifest, _, plan) = planned_with(folder.path(), 0);
    fs::remove_file(folder.path().join("in/scene.png")).expect("it is ours");
    let error = read(&manifest, &plan, &HaltSignal::default()).expect_err("it is gone");
    assert!(matches!(&error, InputError::Missing(path) if path.ends_with("in/scene.png")), "{error}");
}
