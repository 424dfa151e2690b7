//! `silo upgrade`. The changes themselves are tested in `seed`; these tests are about input and output.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::program::{silo, silo_fed};

const FILE: &str = "seed.manifest.json";

/// Errors had no names in that version, so one must be invented.
const OLD: &str = r#"{
  "seedVersion": "0.1.0",
  "job": {
    "name": "ndvi",
    "jobVersion": "1.0.0",
    "packageVersion": "1.0.0",
    "title": "NDVI",
    "description": "Vegetation from two bands",
    "maintainer": {"name": "Ada Frost", "email": "ada@example.org"},
    "timeout": 60,
    "interface": {
      "command": "ndvi.sh ${SCENE} ${OUTPUT_DIR}",
      "inputs": {"files": [{"name": "SCENE", "mediaTypes": ["image/tiff"]}]},
      "outputs": {"files": [{"name": "INDEX", "mediaType": "image/tiff", "pattern": "*.tif", "count": "1"}]}
    },
    "resources": {
      "scalar": [{"name": "cpu", "value": 1}, {"name": "mem", "value": 64}, {"name": "disk", "value": 64}]
    },
    "errors": [{"code": 3, "title": "No bands", "category": "data"}]
  }
}
"#;

fn folder_with(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), text).unwrap();
    folder
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn version(manifest: &str) -> Value {
    serde_json::from_str::<Value>(manifest).unwrap()["seedVersion"].clone()
}

#[test]
fn the_new_manifest_is_printed_and_the_old_one_stays() {
    let folder = folder_with(OLD);
    for exit in [
        silo(folder.path(), &["upgrade"]),
        silo(folder.path(), &["upgrade", FILE]),
        silo_fed(folder.path(), &["upgrade", "-"], OLD.as_bytes()),
    ] {
        assert_eq!(exit.code, Some(0), "{exit:?}");
        assert_eq!(version(&exit.stdout), "1.0.0");
        assert!(exit.stderr.contains("upgraded from 0.1.0 to 1.0.0\n"), "{}", exit.stderr);
        let invented = exit.stderr.lines().filter(|line| line.starts_with("! /job/")).count();
        assert!(invented > 0 && exit.stderr.contains(&format!("marked with ! ({invented})")), "{}", exit.stderr);
        // The output must be a valid manifest.
        silo_fed(folder.path(), &["validate", "-"], exit.stdout.as_bytes()).expect_success();
    }
    assert_eq!(read(folder.path(), FILE), OLD);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn in_place_keeps_the_old_one_and_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_with(OLD);
    let path = folder.path().join(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let exit = silo(folder.path(), &["upgrade", "--in-place"]);
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), ""), "{exit:?}");
    assert_eq!(version(&read(folder.path(), FILE)), "1.0.0");
    let kept = "seed.manifest.json.bak";
    assert_eq!(read(folder.path(), kept), OLD);
    for name in [FILE, kept] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
    // A second upgrade changes nothing.
    let exit = silo(folder.path(), &["upgrade", "--in-place"]);
    assert!(exit.code == Some(0) && exit.stderr.contains("nothing to do"), "{exit:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    // An existing backup is not overwritten.
    fs::write(&path, OLD).unwrap();
    let error = silo(folder.path(), &["upgrade", "--in-place"]).expect_failure(1);
    assert!(error.contains("seed.manifest.json.bak already exists"), "{error}");
    assert_eq!(read(folder.path(), FILE), OLD);
}

#[test]
fn in_place_writes_what_a_link_leads_to() {
    let folder = folder_with(OLD);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.json");
    std::os::unix::fs::symlink(folder.path().join(FILE), &link).unwrap();
    let exit = silo(elsewhere.path(), &["upgrade", "link.json", "--in-place"]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(version(&read(folder.path(), FILE)), "1.0.0");
}

#[test]
fn json_is_everything_in_one_object() {
    let folder = folder_with(OLD);
    let exit = silo(folder.path(), &["upgrade", "--json"]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""));
    let outcome: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((&outcome["from"], &outcome["manifest"]["seedVersion"]), (&"0.1.0".into(), &"1.0.0".into()));
    assert_eq!(outcome["report"]["valid"], true);
    let changes = outcome["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["invented"] == true), "{changes:?}");
    for change in changes {
        assert!(change["path"].is_string() && change["message"].is_string(), "{change}");
    }
}

#[test]
fn a_manifest_of_today_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let who = ["--maintainer", "Ada Frost", "--email", "ada@example.org"];
    silo(folder.path(), &[&["init", "--manifest-only"], &who[..]].concat()).expect_success();
    let placeholder = "What the job makes out of what, for people who search for it";
    let today = read(folder.path(), FILE).replace(placeholder, "Finds the edges of sea ice");
    fs::write(folder.path().join(FILE), &today).unwrap();
    let exit = silo(folder.path(), &["upgrade"]);
    assert_eq!((exit.code, &exit.stdout), (Some(0), &today));
    assert_eq!(exit.stderr, "seed.manifest.json already has version 1.0.0; nothing to do.\n");
}

#[test]
fn what_is_still_wrong_is_said_and_is_a_failure() {
    let folder = folder_with(&OLD.replace("\"timeout\": 60", "\"timeout\": \"soon\""));
    let exit = silo(folder.path(), &["upgrade"]);
    assert_eq!((exit.code, version(&exit.stdout)), (Some(1), "1.0.0".into()), "{exit:?}");
    assert!(
        exit.stderr.contains("error[wrong-type]") && exit.stderr.contains(" (upgraded): not valid: 1 error"),
        "{}",
        exit.stderr
    );
    let exit = silo(folder.path(), &["upgrade", "--json"]);
    let outcome: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((exit.code, &outcome["report"]["valid"]), (Some(1), &false.into()));
}

#[test]
fn what_cannot_be_upgraded_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for text in [&b"{"[..], b"", b"[]", b"{\"seedVersion\": \"7\"}", b"\"\xff\""] {
        let error = silo_fed(folder.path(), &["upgrade", "-"], text).expect_failure(1);
        assert!(error.starts_with("silo: <stdin> cannot be upgraded: "), "{text:?}: {error}");
    }
    let error = silo(folder.path(), &["upgrade", "/dev/zero"]).expect_failure(1);
    assert!(error.contains("it has more than 1048576 bytes"), "{error}");
    let error = silo(folder.path(), &["upgrade"]).expect_failure(2);
    assert!(error.contains("there is no seed.manifest.json in ."), "{error}");
    let error = silo_fed(folder.path(), &["upgrade", "-", "--in-place"], OLD.as_bytes()).expect_failure(2);
    assert!(error.contains("--in-place does not work with standard input"), "{error}");
}
