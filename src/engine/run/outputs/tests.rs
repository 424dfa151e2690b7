//! Output directories of jobs: valid, failed and hostile ones.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;

fn manifest(files: Value, json: Value) -> SeedManifest {
    let interface = json!({"inputs": {"files": [{"name": "SCENE"}]}, "outputs": {"files": files, "json": json}});
    let job = json!({
        "name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "", "description": "",
        "maintainer": {"name": "m", "email": "e"}, "timeout": 60, "interface": interface,
    });
    serde_json::from_value(json!({"seedVersion": "1.0.0", "job": job})).expect("it fits the types")
}

fn left(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn captured(manifest: &SeedManifest, folder: &TempDir) -> RunOutputs {
    capture(manifest, folder.path(), OutputRules::default(), &HaltSignal::default()).expect("nobody halts it")
}

fn paths(files: &[CapturedFile]) -> Vec<&str> {
    files.iter().map(|file| &*file.path).collect()
}

fn problems(outputs: &RunOutputs) -> Vec<String> {
    let word = |code: OutputCode| serde_json::to_value(code).expect("a word").as_str().expect("a word").to_owned();
    outputs.problems.iter().map(|problem| format!("{} {}", word(problem.code), problem.subject)).collect()
}

#[test]
fn files_come_to_their_outputs() {
    let manifest = manifest(
        json!([{"name": "EDGE", "pattern": "edge*.geojson", "mediaType": "application/x-edge"},
            {"name": "MAPS", "pattern": "maps/*", "multiple": true}, {"name": "ALL", "pattern": "*", "multiple": true},
            {"name": "NONE", "pattern": "*.none", "required": false}]),
        json!([{"name": "LENGTH", "key": "length", "type": "number"}, {"name": "n", "key": "", "type": "integer", "required": false}]),
    );
    let folder = left(&[
        ("edge-1.geojson", "abc"),
        ("edge-1.geojson.metadata.json", r#"{"type": "Point", "coordinates": [1, 2], "bbox": [1, 2, 1, 2]}"#),
        ("maps/a.tif", ""),
        ("maps/deep/b.tif", "deep"),
        ("results_manifest.json", "{}"),
        ("orphan.metadata.json", "{}"),
        ("SCENE.metadata.json", r#"{"type": "Feature", "geometry": null, "properties": {"dataTypes": ["one"]}}"#),
        (JSON_FILE, r#"{"length": 12.5, "n": 3, "more": null}"#),
    ]);
    let outputs = captured(&manifest, &folder);
    assert!(outputs.problems.is_empty(), "{:?}", outputs.problems);
    let found: Vec<Vec<&str>> = outputs.files.iter().map(|it| paths(&it.files)).collect();
    assert_eq!(found, [vec!["edge-1.geojson"], vec!["maps/a.tif"], vec!["edge-1.geojson"], vec![]]);
    let edge = &outputs.files[0].files[0];
    assert_eq!((edge.size, edge.media_type.as_deref()), (3, Some("application/x-edge")));
    assert!(edge.sha256.as_deref().is_some_and(|digest| digest.starts_with("ba7816bf")));
    assert_eq!(edge.metadata.as_ref().and_then(|it| it.bbox), Some([1.0, 2.0, 1.0, 2.0]));
    assert_eq!(outputs.files[1].files[0].media_type.as_deref(), Some("image/tiff"));
    assert_eq!(Value::Object(outputs.json), json!({"LENGTH": 12.5, "n": 3}));
    assert_eq!(outputs.input_metadata["SCENE"].data_types, ["one"]);
    assert_eq!(paths(&outputs.extra), ["maps/deep/b.tif", "orphan.metadata.json", "results_manifest.json"]);
    assert_eq!(
        outputs.warnings,
        ["EDGE: edge-1.geojson does not look like application/x-edge, the type in the manifest."]
    );
}

/// The old Seed CLI wanted two files for `multiple`, only warned about too many, and never failed a job.
#[test]
fn what_is_missing_or_too_much_is_a_problem() {
    let manifest = manifest(
        json!([{"name": "ONE", "pattern": "*.txt"}, {"name": "MANY", "pattern": "*.csv", "multiple": true},
            {"name": "GONE", "pattern": "*.tif", "multiple": true}, {"name": "OUT", "pattern": "../*"}]),
        json!([{"name": "a", "type": "string"}]),
    );
    let outputs = captured(&manifest, &left(&[("1.txt", ""), ("2.txt", ""), ("only.csv", "")]));
    let expected = [
        "unexpected-multiple-outputs ONE",
        "missing-required-output GONE",
        "missing-required-output OUT",
        "missing-required-output a",
    ];
    assert_eq!(problems(&outputs), expected);
    assert_eq!(outputs.problems[0].message, "it is a single file, but 2 match *.txt: 1.txt, 2.txt.");
    assert_eq!(outputs.problems[1].message, "no file matches *.tif; the job wrote 1.txt, 2.txt, only.csv.");
    let rules = OutputRules { strict_json: false, ..OutputRules::default() };
    let lenient = capture(&manifest, left(&[]).path(), rules, &HaltSignal::default()).expect("nobody halts it");
    assert_eq!((lenient.problems.len(), lenient.warnings.len()), (4, 1), "{lenient:?}");
    assert!(lenient.problems[0].message.ends_with("the job wrote nothing."), "{lenient:?}");
}

#[test]
fn values_are_of_their_types() {
    let manifest = manifest(
        json!([]),
        json!([{"name": "i", "type": "integer"}, {"name": "o", "type": "object", "required": false}, {"name": "K", "key": "k", "type": "string"}]),
    );
    let judged = |text: &str| problems(&captured(&manifest, &left(&[(JSON_FILE, text)])));
    assert!(judged(r#"{"i": 1, "k": ""}"#).is_empty());
    let expected = ["invalid-results-manifest i", "invalid-results-manifest o", "missing-required-output K"];
    assert_eq!(judged(r#"{"i": 1.5, "o": null, "K": "x"}"#), expected);
    for broken in ["", "[]", "{", "null", "{}{}", "\u{feff}{}", &"[".repeat(100_000)] {
        assert_eq!(judged(broken), ["invalid-results-manifest seed.outputs.json"], "{broken:.20}");
    }
}

#[test]
fn metadata_that_cannot_be_used_is_a_warning() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*.txt"}]), json!([]));
    for text in ["[]", "{", "", r#"{"type": "Point"}"#, &" ".repeat(metadata::MAX_BYTES + 1)] {
        let outputs = captured(&manifest, &left(&[("a.txt", ""), ("a.txt.metadata.json", text)]));
        assert_eq!((outputs.problems.len(), outputs.warnings.len()), (0, 1), "{outputs:?}");
        assert!(outputs.warnings[0].starts_with("a.txt.metadata.json is not used: it is "), "{outputs:?}");
        assert!(outputs.extra.is_empty() && outputs.files[0].files[0].metadata.is_none());
    }
}

#[test]
fn links_do_not_lead_out() {
    let manifest =
        manifest(json!([{"name": "F", "pattern": "*", "multiple": true}]), json!([{"name": "a", "type": "string"}]));
    let folder = left(&[("real", "abc"), ("deep/x", "")]);
    let elsewhere = left(&[("secret", "s"), (JSON_FILE, r#"{"a": "s"}"#)]);
    let links = [
        ("inside", Path::new("real")),
        ("passwd", Path::new("/etc/passwd")),
        ("up", Path::new("../../../../etc/passwd")),
        ("dangling", Path::new("/seed/out/real")),
        ("folder", Path::new("deep")),
        ("loop", Path::new("loop")),
        ("out", elsewhere.path()),
    ];
    for (name, target) in links {
        symlink(target, folder.path().join(name)).expect("a link");
    }
    symlink(elsewhere.path().join(JSON_FILE), folder.path().join(JSON_FILE)).expect("a link");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().expect("mkfifo is there");
    assert!(made.success());
    let outputs = captured(&manifest, &folder);
    assert_eq!(paths(&outputs.files[0].files), ["inside", "real"]);
    assert_eq!(outputs.files[0].files[0].sha256, outputs.files[0].files[1].sha256);
    assert_eq!(problems(&outputs), ["missing-required-output a"]);
    assert_eq!(outputs.warnings.len(), 8, "{:?}", outputs.warnings);
    assert!(outputs.warnings.contains(&"passwd is a link that leads out of OUTPUT_DIR; it is left out.".to_owned()));
}

#[test]
fn count_depth_and_size_are_bounded() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*", "multiple": true}]), json!([]));
    let text = "x".repeat(40_000);
    let folder = left(&[("a", &text), ("b", &text)]);
    let judged = |bytes| {
        let rules = OutputRules { bytes: Some(bytes), strict_json: true };
        capture(&manifest, folder.path(), rules, &HaltSignal::default()).expect("nobody halts it")
    };
    assert!(judged(160_000).problems.is_empty() && judged(160_000).bytes == 80_000);
    assert_eq!(problems(&judged(79_999)), ["too-large-output disk"]);
    let deep = folder.path().join(vec!["d"; 100].join("/"));
    fs::create_dir_all(&deep).expect("folders");
    fs::write(deep.join("x"), "").expect("a file");
    let outputs = judged(1_000_000);
    assert!(
        outputs.problems.is_empty() && outputs.warnings[0].ends_with("is nested too deep; it is left out."),
        "{outputs:?}"
    );
    assert_eq!(outputs.files[0].files.len(), 2);
    // Files that are too deep to be outputs still count.
    fs::write(deep.join("x"), "x".repeat(1_000_000)).expect("a file");
    assert_eq!(problems(&judged(1_000_000)), ["too-large-output disk"]);
    let listed = |folder: TempDir, entries| {
        tree::list(folder.path(), WalkBounds { entries, bytes: None }, &HaltSignal::default()).expect("nobody halts it")
    };
    let cut = listed(left(&[("a", ""), ("b", ""), ("c", "")]), 2);
    assert!(cut.is_cut && cut.fault.as_deref() == Some("the job wrote more than 2 files and folders."));
    assert!(!listed(left(&[("a", ""), ("b/c", "")]), 3).is_cut);
}

/// Many hard links to a sparse file: reading each of them would take very long.
#[test]
fn what_is_too_large_is_not_read() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*"}, {"name": "G", "pattern": "*.tif"}]), json!([]));
    let folder = left(&[]);
    fs::File::create(folder.path().join("a")).and_then(|file| file.set_len(1 << 42)).expect("a file");
    for number in 0..60 {
        fs::hard_link(folder.path().join("a"), folder.path().join(format!("b{number}"))).expect("a link");
    }
    let rules = OutputRules { bytes: Some(1 << 20), strict_json: true };
    let outputs = capture(&manifest, folder.path(), rules, &HaltSignal::default()).expect("nobody halts it");
    assert_eq!(problems(&outputs), ["too-large-output disk"]);
    assert!(outputs.files.iter().flat_map(|it| &it.files).all(|file| file.sha256.is_none()));
    // Below the limit it is read, until it is halted.
    let halt = HaltSignal::default().within(Some(std::time::Duration::from_millis(50)));
    let late = capture(&manifest, folder.path(), OutputRules::default(), &halt);
    assert!(matches!(late, Err(HaltReason::Late(_))), "{late:?}");
}

#[test]
fn a_file_with_several_names_has_one_digest() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*", "multiple": true}]), json!([]));
    let folder = left(&[("a", "abc")]);
    fs::hard_link(folder.path().join("a"), folder.path().join("b")).expect("a link");
    let outputs = captured(&manifest, &folder);
    let digests: BTreeSet<_> = outputs.files[0].files.iter().map(|file| file.sha256.clone()).collect();
    assert_eq!((outputs.files[0].files.len(), digests.len(), outputs.bytes), (2, 1, 3));
}

/// Each name is short, but the whole path exceeds `PATH_MAX`.
#[test]
fn a_path_may_be_longer_than_the_disk_takes_at_once() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*", "required": false}]), json!([]));
    let folder = left(&[]);
    let mut handle = crate::engine::walk::open(folder.path()).expect("it is there");
    for _ in 0..30 {
        let name = "n".repeat(255);
        rustix::fs::mkdirat(&handle, &name, rustix::fs::Mode::RWXU).expect("a folder");
        handle = rustix::fs::openat(&handle, &name, crate::engine::walk::FOLDER, rustix::fs::Mode::empty())
            .expect("it is there");
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&handle, "x", flags, rustix::fs::Mode::RUSR).expect("a file");
    rustix::fs::ftruncate(&file, 1 << 30).expect("it has no bytes on the disk");
    let rules = OutputRules { bytes: Some(1 << 20), strict_json: true };
    let outputs = capture(&manifest, folder.path(), rules, &HaltSignal::default()).expect("nobody halts it");
    assert_eq!(problems(&outputs), ["too-large-output disk"]);
    crate::engine::file_removal::remove(folder.path(), &HaltSignal::default()).expect("it can be removed");
}

#[test]
fn metadata_is_bounded_in_all() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*", "multiple": true}]), json!([]));
    let folder = left(&[]);
    let text =
        format!(r#"{{"type": "Point", "coordinates": [1, 2], "x": "{}"}}"#, "x".repeat(metadata::MAX_BYTES - 100));
    for number in 0..70 {
        fs::write(folder.path().join(number.to_string()), "").expect("a file");
        fs::write(folder.path().join(format!("{number}.metadata.json")), &text).expect("a file");
    }
    let outputs = captured(&manifest, &folder);
    let with = outputs.files[0].files.iter().filter(|file| file.metadata.is_some()).count();
    assert_eq!((with, outputs.warnings.len()), (64, 6), "{:?}", outputs.warnings);
}

#[test]
fn a_directory_that_is_gone_holds_nothing() {
    let manifest = manifest(json!([{"name": "F", "pattern": "*"}]), json!([]));
    let gone = left(&[]).path().join("gone");
    let outputs = capture(&manifest, &gone, OutputRules::default(), &HaltSignal::default()).expect("nobody halts it");
    assert_eq!(problems(&outputs), ["unreadable-output OUTPUT_DIR", "missing-required-output F"]);
}

#[test]
fn odd_names_are_names() {
    use std::os::unix::ffi::OsStrExt as _;
    let manifest = manifest(json!([{"name": "F", "pattern": "*", "multiple": true}]), json!([]));
    let long = "n".repeat(255);
    let folder = left(&[("a\nb", ""), ("é\u{202e}", ""), ("-rf", ""), (&long, "")]);
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").expect("a file");
    let outputs = captured(&manifest, &folder);
    assert_eq!(paths(&outputs.files[0].files), ["-rf", "a\nb", &long, "é\u{202e}"]);
    assert_eq!(outputs.warnings, ["A name in OUTPUT_DIR is not UTF-8; the entry is left out."]);
}
