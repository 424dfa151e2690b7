//! `silo export` of manifests: the output, and the notes about what is left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::silo;
use crate::support::manifest::of_job;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// A folder with a manifest that uses every feature.
fn everything() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let job = json!({
        "jobVersion": "1.2.0", "packageVersion": "0.1.0",
        "title": "All of it\n; rm -rf /", "description": "Says $(touch x) and `y` and \"z\"",
        "timeout": 3600,
        "interface": {
            "command": "'it''s' \"$(scene)\" ${scene_set:+--set} ${NOTE/#/--note } --in=\"$SCENE\" $ALL ${WHERE:-nowhere} $TEXT\"$KEY\" > 'a b' $OUTPUT_DIR",
            "inputs": {
                "files": [
                    {"name": "SCENE", "mediaTypes": ["image/tiff"]},
                    {"name": "MASK", "required": false},
                    {"name": "all", "multiple": true},
                    {"name": "MORE", "multiple": true, "required": false}
                ],
                "json": [
                    {"name": "NOTE", "type": "string", "required": false},
                    {"name": "where-it-is", "type": "object", "required": false},
                    {"name": "TEXT", "type": "string"},
                    {"name": "COUNT", "type": "integer", "required": false},
                    {"name": "SHARE", "type": "number"},
                    {"name": "YES", "type": "boolean"}
                ]
            },
            "outputs": {
                "files": [
                    {"name": "one", "pattern": "*.tif", "mediaType": "image/tiff"},
                    {"name": "many", "pattern": "many/$(x)*", "multiple": true, "required": false}
                ],
                "json": [
                    {"name": "n", "key": "a\"b", "type": "integer"},
                    {"name": "list", "type": "array", "required": false}
                ]
            },
            "mounts": [{"name": "data", "path": "/data", "mode": "rw"}, {"name": "reference", "path": "/ref"}],
            "settings": [{"name": "HOST"}, {"name": "KEY", "secret": true}]
        },
        "resources": {"scalar": [
            {"name": "cpus", "value": 1.5}, {"name": "mem", "value": 10, "inputMultiplier": 2.5},
            {"name": "disk", "value": 5, "inputMultiplier": 1}, {"name": "sharedMem", "value": 64},
            {"name": "gpus", "value": 1}, {"name": "licence", "value": 2}
        ]},
        "errors": [{"code": 3, "name": "bad-scene", "title": "It's bad"}, {"code": 4, "name": "other"}]
    });
    let text = of_job("everything", job)
        .to_string()
        .replace("\\\"$(scene)\\\" ${scene_set:+--set}", "'$(scene)' ${MASK:+--mask \\\"$MASK\\\"}");
    fs::write(folder.path().join("seed.manifest.json"), text.replace("${WHERE:-", "${WHERE_IT_IS:-")).unwrap();
    folder
}

/// The output and the messages.
fn export(form: &str, folder: &Path) -> String {
    let exit = silo(Path::new("/"), &["export", form, folder.to_str().unwrap(), "--engine", "unix:///nowhere"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    format!("{}---\n{}", exit.stdout, exit.stderr)
}

#[test]
fn tools_of_cwl() {
    for name in ["image-rotate", "image-watermark", "io-demo", "two-directories"] {
        assert_snapshot!(format!("cwl-{name}"), export("cwl", &example(name)));
    }
    assert_snapshot!("cwl-everything", export("cwl", everything().path()));
}

#[test]
fn scripts_for_docker() {
    let everything = everything();
    let folders = ["image-rotate", "image-watermark", "io-demo", "two-directories"].map(|name| (name, example(name)));
    for (name, folder) in folders.into_iter().chain([("everything", everything.path().to_owned())]) {
        let written = export("docker", &folder);
        let script = written.split("---\n").next().unwrap();
        let mut bash = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(bash.wait().unwrap().success(), "{script}");
        assert_snapshot!(format!("docker-{name}"), written);
    }
}

/// Invalid arguments are reported, and docker is not started.
#[test]
fn scripts_say_what_is_missing() {
    let folder = everything();
    let script = folder.path().join("job.sh");
    silo(folder.path(), &["export", "docker", "-o", "job.sh"]).expect_success();
    let run = |given: &[&str]| {
        let mut command = Command::new("bash");
        command.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").arg(&script).args(given);
        let ended = command.output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for (given, part) in [
        (&[][..], "Name a folder for the outputs."),
        (&["out"], "SCENE is needed: a file."),
        (&["out", "SCENE"], "What is SCENE?"),
        (&["out", "SCNE=x"], "There is no SCNE; there are: SCENE MASK all"),
        (&["out", "SCENE=nowhere"], "SCENE: there is no such file."),
    ] {
        let (code, said) = run(given);
        assert!(code == Some(2) && said.contains(part) && said.contains("Usage: bash"), "{given:?}: {said}");
    }
}

#[test]
fn what_cannot_be_exported_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let exit = silo(folder.path(), &["export", "cwl"]).expect_failure(2);
    assert!(exit.contains("there is no seed.manifest.json"), "{exit}");
    let mut manifest: Value =
        serde_json::from_str(&fs::read_to_string(example("io-demo").join("seed.manifest.json")).unwrap()).unwrap();
    let mut export = |command: &str| {
        manifest["job"]["interface"]["command"] = command.into();
        fs::write(folder.path().join("seed.manifest.json"), manifest.to_string()).unwrap();
        silo(folder.path(), &["export", "cwl"])
    };
    let said = export("sh $(date)").expect_failure(1);
    assert!(said.contains("cannot be exported") && said.contains("cannot be expanded"), "{said}");
    // The image's own command is kept, and its name can be overridden.
    assert!(!export("").expect_success().contains("\"arguments\""));
    let tool = silo(folder.path(), &["export", "cwl", "--name", "r.org/x:1", "--workdir", "/a b"]).expect_success();
    assert!(tool.contains("\"dockerPull\": \"r.org/x:1\"") && tool.contains("cd '/a b' && exec"), "{tool}");
    fs::write(folder.path().join("seed.manifest.json"), "{}").unwrap();
    let said = silo(folder.path(), &["export", "docker"]).expect_failure(1);
    assert!(said.contains("not valid"), "{said}");
}
