//! Image layouts as the tests build them.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::layout::{LayoutBuilder, tar};

fn json_blob(layout: &LayoutBuilder, digest: &Value) -> Value {
    serde_json::from_slice(layout.bytes(digest.as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn the_same_calls_give_the_same_files() {
    let build = || {
        let mut layout = LayoutBuilder::oci();
        layout.image("geo/my-job-1.0.0-seed:1.0.0", &[("b", "2"), ("a", "1")]);
        layout.files()
    };
    assert_eq!(build(), build());
    let mut reordered = LayoutBuilder::oci();
    reordered.image("geo/my-job-1.0.0-seed:1.0.0", &[("a", "1"), ("b", "2")]);
    assert_eq!(build(), reordered.files());
}

#[test]
fn every_blob_lies_at_its_digest() {
    let mut layout = LayoutBuilder::docker();
    layout.image("a:1", &[("name", "value")]);
    layout.attested_index("b:1", &[("linux/amd64", &[]), ("linux/arm/v7", &[])]);
    let folder = tempfile::tempdir().unwrap();
    layout.write(folder.path()).unwrap();
    let mut blobs = 0;
    for entry in fs::read_dir(folder.path().join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        assert_eq!(entry.file_name().to_str().unwrap(), hex::encode(Sha256::digest(bytes)));
        blobs += 1;
    }
    assert_eq!(blobs + 2, layout.files().len());
}

#[test]
fn an_attested_index_ends_with_a_child_that_is_no_image() {
    let mut layout = LayoutBuilder::oci();
    let digest = layout.attested_index("a:1", &[("linux/amd64", &[("name", "value")])]);
    let index = json_blob(&layout, &json!(digest));
    let [image, attestation] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(attestation["platform"], json!({"architecture": "unknown", "os": "unknown"}));
    assert_eq!(attestation["annotations"]["vnd.docker.reference.digest"], image["digest"]);
    let config = json_blob(&layout, &json_blob(&layout, &image["digest"])["config"]["digest"]);
    assert_eq!(config["config"]["Labels"], json!({"name": "value"}));
}

#[test]
fn tar_reads_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("layer.tar"), tar()).unwrap();
    let listing = std::process::Command::new("tar").args(["-tvf", "layer.tar"]).current_dir(&folder).output().unwrap();
    let text = String::from_utf8_lossy(&listing.stdout);
    assert!(listing.status.success() && text.trim_end().ends_with("README"), "{text}");
}
