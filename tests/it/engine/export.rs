//! `silo export` of images at an engine: the exported files work.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::examples::{build, example, files};
use crate::cli::program::silo;
use crate::support::docker_engine::engine;

#[tokio::test]
async fn scripts_for_docker_do_what_silo_does() {
    let engine = engine().await;
    let table: [(&str, &[&str]); 4] = [
        ("image-rotate", &["INPUT_FILE=inputs/seed.ppm", "DEGREES=90"]),
        ("io-demo", &["INPUT_FILE=inputs/grain.txt"]),
        ("image-watermark", &["INPUT_IMAGE=inputs/field.ppm", "CENTER=[125.6,10.1]"]),
        ("two-directories", &["GRANULES=inputs", "SHORT_NAME=hs3cpl"]),
    ];
    for (name, given) in table {
        let image = build(&engine, name).await;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("job.sh");
        let line = ["export", "docker", &image, "--engine", &engine.host, "-o", script.to_str().unwrap()];
        silo(folder.path(), &line).expect_success();
        let out = folder.path().join("out");
        let mut command = Command::new("bash");
        command.current_dir(example(name)).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("DOCKER_HOST", &engine.host);
        let ended = command.arg(&script).arg(&out).args(given).output().expect("bash is there");
        assert!(ended.status.success(), "{name}: {ended:?}\n{}", fs::read_to_string(&script).unwrap());
        assert_eq!(files(&out), files(&example(name).join("expected")), "{name}");
    }
}

#[tokio::test]
async fn an_image_tells_where_its_command_starts() {
    let engine = engine().await;
    for (name, base, note) in [
        ("image-rotate", "[\"/bin/sh\",\"-c\",\"cd /algorithm && exec \\\"$@\\\"\",\"sh\"]", false),
        ("image-watermark", "null", false),
        ("two-directories", "null", true),
    ] {
        let image = build(&engine, name).await;
        let exit = silo(Path::new("/"), &["export", "cwl", &image, "--engine", &engine.host]);
        assert_eq!(exit.code, Some(0), "{exit:#?}");
        let tool: Value = serde_json::from_str(&exit.stdout).expect("JSON");
        assert_eq!(tool["baseCommand"].to_string(), base);
        assert_eq!(tool["requirements"]["DockerRequirement"]["dockerPull"], image);
        assert_eq!(exit.stderr.contains("starts the image's entry point in the output folder"), note, "{exit:#?}");
    }
    let missing = silo(Path::new("/"), &["export", "cwl", "nothing:1", "--engine", &engine.host]).expect_failure(1);
    assert!(missing.contains("the engine does not have the image nothing:1"), "{missing}");
    let base = crate::support::docker_engine::BASE;
    let unlabelled = silo(Path::new("/"), &["export", "docker", base, "--engine", &engine.host]).expect_failure(1);
    assert!(unlabelled.contains("is no Seed image"), "{unlabelled}");
}
