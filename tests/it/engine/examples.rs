//! `examples/`: each is built and run with a real engine, and its outputs are compared with the expected ones.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use silo::seed::LABEL;
use silo::seed::validate::{ValidationRules, judge};

use crate::cli::program::silo;
use crate::support::docker_engine::{BASE, DockerEngine, engine, tar};

pub(super) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// The files directly in a folder.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Builds an example as its README describes, but on the base image of CI. Returns the image's name.
pub(super) async fn build(engine: &DockerEngine, name: &str) -> String {
    let folder = example(name);
    let manifest = fs::read_to_string(folder.join("seed.manifest.json")).unwrap();
    let report = judge(manifest.as_bytes(), ValidationRules { strict: true, ..ValidationRules::default() });
    assert!(report.valid, "{name}: {:#?}", report.problems);
    let image = report.image_name.expect("a valid manifest names its image");
    let context = files(&folder);
    let context: Vec<(&str, &[u8])> = context.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    engine.build(&image, &tar(&context), &HashMap::from([(LABEL, manifest.as_str())])).await;
    image
}

/// The arguments of each example. The notebook needs Python: `.ci/notebook` builds it and runs its cases.
const EXAMPLES: [(&str, &[&str]); 4] = [
    ("image-rotate", &["-i", "INPUT_FILE=inputs/seed.ppm", "-j", "DEGREES=90"]),
    ("io-demo", &["-i", "INPUT_FILE=inputs/grain.txt"]),
    ("image-watermark", &["-i", "INPUT_IMAGE=inputs/field.ppm", "-j", "CENTER=[125.6,10.1]"]),
    ("two-directories", &["-i", "GRANULES=inputs", "-e", "SHORT_NAME=hs3cpl"]),
];

/// Runs an example, given by its image's name or by its folder.
fn gives_what_it_should(engine: &DockerEngine, (name, arguments): (&str, &[&str]), subject: &str) {
    let out = tempfile::tempdir().unwrap();
    let out_folder = out.path().join("out").display().to_string();
    let common = ["--engine", &engine.host, "--network", "none", "-o", &out_folder];
    let exit = silo(&example(name), &[&["run", subject], arguments, &common[..]].concat());
    assert_eq!(exit.code, Some(0), "{name}: {exit:#?}");
    assert_eq!(files(&out.path().join("out")), files(&example(name).join("expected")), "{name}");
}

#[tokio::test]
async fn every_example_gives_what_it_should() {
    let entries = fs::read_dir(example("")).unwrap().map(|it| it.unwrap());
    let mut all: Vec<String> =
        entries.filter(|it| it.path().is_dir()).map(|it| it.file_name().into_string().unwrap()).collect();
    all.sort();
    let mut listed: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).chain(["notebook-rotate"]).collect();
    listed.sort_unstable();
    assert_eq!(all, listed, "every example stands in the table");
    let engine = engine().await;
    for given in EXAMPLES {
        let image = build(&engine, given.0).await;
        for subject in [image.as_str(), "."] {
            gives_what_it_should(&engine, given, subject);
        }
    }
}

/// Built on Podman by the program itself.
#[tokio::test]
async fn every_example_gives_it_on_podman() {
    let engine = DockerEngine::podman().await;
    for given in EXAMPLES {
        let base = format!("BASE={BASE}");
        let options = ["build", "-q", "--engine", &engine.host, "--build-network", "none", "--build-arg", &base];
        silo(&example(given.0), &options).expect_success();
        gives_what_it_should(&engine, given, ".");
    }
}

#[tokio::test]
async fn the_rows_of_an_example_can_be_run() {
    let engine = engine().await;
    let image = build(&engine, "image-rotate").await;
    let out = tempfile::tempdir().unwrap();
    let arguments = ["batch", &image, "-b", "inputs/rows.csv", "-o", out.path().to_str().unwrap(), "--jobs", "2"];
    let exit =
        silo(&example("image-rotate"), &[&arguments[..], &["--engine", &engine.host, "--network", "none"]].concat());
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let first = out.path().join("0001-seed.ppm/output");
    assert_eq!(files(&first), files(&example("image-rotate").join("expected")));
}

#[tokio::test]
async fn errors_of_an_example_have_names() {
    let engine = engine().await;
    let image = build(&engine, "image-rotate").await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b.ppm"), "P3 1 1 255 0 0\n").unwrap();
    fs::write(folder.path().join("x.ppm"), "GIF89a").unwrap();
    for (file, degrees, code, name) in
        [("a b.ppm", 90, 10, "not-an-image"), ("x.ppm", 90, 10, "not-an-image"), ("a b.ppm", 45, 11, "bad-angle")]
    {
        let (file, degrees) = (format!("INPUT_FILE={file}"), format!("DEGREES={degrees}"));
        let common = ["--engine", &engine.host, "--network", "none", "-o", "out", "--json", "-q"];
        let exit = silo(folder.path(), &[&["run", &image, "-i", &file, "-j", &degrees], &common[..]].concat());
        assert_eq!(exit.code, Some(3), "{exit:#?}");
        let report: serde_json::Value = serde_json::from_str(&exit.stdout).expect("--json gives JSON");
        assert_eq!(report["error"]["name"], name, "{report:#}");
        assert_eq!((&report["error"]["exitCode"], &report["error"]["category"]), (&code.into(), &"data".into()));
    }
}
