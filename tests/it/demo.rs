//! `demo/`: manifests to try SILO with, and the image layout made from them.
//!
//! The layout is committed so that a first start needs no registry; these tests keep it equal to `demo/jobs`.

use silo::seed::image_name::ImageName;
use silo::seed::label;
use silo::seed::validate::ValidationRules;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

use crate::support::{docker_registry::DockerRegistry, layout::LayoutBuilder};

/// Set to write `demo/layout` instead of comparing it.
const WRITE: &str = "SILO_WRITE_DEMO";
/// The demo is embedded in the binary.
const SIZE_LIMIT: usize = 200_000;

type Files = BTreeMap<String, Vec<u8>>;

fn demo(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(part)
}

/// Every file below a folder: relative path and bytes.
fn read_files(folder: &Path) -> Files {
    fn visit(root: &Path, folder: &Path, files: &mut Files) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = Files::new();
    visit(folder, folder, &mut files);
    files
}

/// File name and text of every manifest, sorted by name.
fn manifests() -> Vec<(String, String)> {
    let text = |(name, bytes)| (name, String::from_utf8(bytes).expect("manifests are UTF-8"));
    read_files(&demo("jobs")).into_iter().map(text).collect()
}

fn image_name(manifest: &str) -> String {
    let manifest: Value = serde_json::from_str(manifest).expect("manifests are JSON");
    let member = |name: &str| manifest["job"][name].as_str().expect("a required text").to_owned();
    ImageName::of(&member("name"), &member("jobVersion"), &member("packageVersion")).to_string()
}

fn built() -> LayoutBuilder {
    let mut layout = LayoutBuilder::oci();
    for (_, manifest) in manifests() {
        let label = label::write(&manifest, label::LabelForm::Plain).expect("manifests are JSON objects");
        layout.image(&image_name(&manifest), &[(silo::seed::LABEL, &label)]);
    }
    layout
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how a developer asks for the folder to be written")]
fn the_layout_is_made_from_the_jobs() {
    let (folder, layout) = (demo("layout"), built());
    if env::var_os(WRITE).is_some() {
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        layout.write(&folder).unwrap();
    }
    let (expected, found) = (layout.files(), if folder.is_dir() { read_files(&folder) } else { Files::new() });
    let differing: Vec<String> = expected
        .keys()
        .chain(found.keys().filter(|path| !expected.contains_key(*path)))
        .filter_map(|path| match (expected.get(path), found.get(path)) {
            (Some(_), None) => Some(format!("{path} is missing")),
            (None, Some(_)) => Some(format!("{path} belongs to no job")),
            (expected, found) => (expected != found).then(|| format!("{path} differs")),
        })
        .collect();
    assert!(
        differing.is_empty(),
        "demo/layout is not what demo/jobs gives:\n  {}\nWrite it again with `{WRITE}=1 cargo test --test it demo::`",
        differing.join("\n  ")
    );
}

#[test]
fn no_manifest_has_a_problem() {
    for (name, manifest) in manifests() {
        let report = silo::seed::validate::judge(manifest.as_bytes(), ValidationRules::default());
        assert_eq!(report.problems, [], "{name}");
    }
}

#[test]
fn files_are_named_after_their_images() {
    for (name, manifest) in manifests() {
        assert_eq!(name, format!("{}.json", image_name(&manifest).replace(':', "-")));
    }
}

#[test]
fn the_demo_stays_small() {
    let (jobs, layout) = (read_files(&demo("jobs")), built().files());
    let size: usize = jobs.values().chain(layout.values()).map(Vec::len).sum();
    assert!(size < SIZE_LIMIT, "demo/ has {size} bytes, {SIZE_LIMIT} are allowed");
}

#[tokio::test]
async fn the_images_can_be_pushed() {
    let (folder, layout) = (tempfile::tempdir().unwrap(), built());
    layout.write(folder.path()).unwrap();
    let registry = DockerRegistry::open().await;
    let reference = "burn-severity-1.0.0-seed:1.0.0";
    registry.push(folder.path(), reference).await;

    let manifest = layout.bytes(layout.digest(reference).unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let digest = manifest["config"]["digest"].as_str().unwrap();
    let config: Value = registry.get(&format!("burn-severity-1.0.0-seed/blobs/{digest}")).await.json().await.unwrap();
    let label = config["config"]["Labels"][silo::seed::LABEL].as_str().unwrap();
    let label: Value = serde_json::from_str(label).unwrap();
    assert_eq!(label["job"]["maintainer"]["name"], "Éloïse Gagné");
}
