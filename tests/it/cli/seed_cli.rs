//! The program under its other name, `seed`: Seed CLI's commands work, and its known bugs are absent.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::build::{Project, manifest};
use crate::support::docker_engine::engine;
use crate::support::process::Exit;

/// A shell in a folder, in which `seed` is this program.
pub(super) fn shell(folder: &Path, environment: &[(&str, &str)], line: &str) -> Exit {
    let bin = tempfile::tempdir().unwrap();
    for name in ["seed", "silo"] {
        symlink(env!("CARGO_BIN_EXE_silo"), bin.path().join(name)).unwrap();
    }
    let mut command = Command::new("bash");
    command.current_dir(folder).env_clear().envs(environment.iter().copied()).args(["-c", line]).stdin(Stdio::null());
    let output = command.env("PATH", format!("{}:/usr/bin:/bin", bin.path().display())).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Exit { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Project {
    /// `seed …` in the project's folder.
    fn seed(&self, line: &str) -> Exit {
        let home = self.path().display().to_string();
        shell(self.path(), &[("DOCKER_HOST", &self.engine.host), ("HOME", &home)], &format!("seed {line}"))
    }
}

#[test]
fn what_does_not_exist_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let seed = |line: &str| shell(folder.path(), &[], &format!("seed {line}"));
    for (line, part) in [
        ("publsh", "did you mean publish?"),
        ("init --bogus", "--bogus"),
        ("init -bogus", "no flag -bogus"),
        ("run -outdir x", "did you mean -outDir?"),
        ("build -f -r x", "--publish"),
        ("run -in", "needs a value"),
        ("validate -v 9.9.9", "version 1.0.0"),
    ] {
        let said = seed(line).expect_failure(2);
        assert!(said.contains(part), "{line}: {said}");
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was done all the same");
    let help = seed("--help").expect_success();
    let alone = seed("").expect_success();
    assert!(alone.ends_with(&help) && alone.len() > help.len(), "a logo, then the usage: {alone}");
    assert!(help.contains("Usage: seed [OPTIONS] [COMMAND]") && !help.contains("\n  registry "), "{help}");
    assert_eq!(
        shell(folder.path(), &[], "silo seed").expect_success(),
        alone.replace("Usage: seed", "Usage: silo seed")
    );
    for verb in ["init", "validate", "build", "run", "batch", "publish", "unpublish", "pull", "list", "search", "spec"]
    {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
        assert!(seed(&format!("{verb} -h")).expect_success().contains("Usage"), "{verb}");
    }
    let version = seed("version").expect_success();
    assert!(version.ends_with("Seed standard 1.0.0\n"), "{version}");
    let said = seed("validate -s schema.json").expect_failure(2);
    assert!(
        said.contains("note: -s schema.json is ignored: ") && said.contains("there is no seed.manifest.json"),
        "{said}"
    );
}

/// Hints use the name by which the program was called.
#[test]
fn hints_name_the_program_as_it_was_called() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["silo", "seed", "silo seed"] {
        let said = shell(folder.path(), &[], &format!("{name} validate")).expect_failure(2);
        let hint = format!("{name}: there is no seed.manifest.json in .; make one with: {name} init .\n");
        assert_eq!(said, hint);
        let usage = shell(folder.path(), &[], &format!("{name} pull --help")).expect_success();
        assert!(usage.contains(&format!("Usage: {name} pull ")), "{usage}");
        assert!(usage.contains(&format!("Example: {name} pull ")), "{usage}");
    }
}

/// Cases in which Seed CLI exited with 0, or did something else than expected.
#[tokio::test]
async fn what_misled_its_users_does_not_happen() {
    let project = Project::new("misleads").await;
    let mut job = manifest("misleads");
    job["job"]["interface"] = json!({
        "command": "sh /job.sh \"$OUTPUT_DIR\" ${INPUT/#/-d } '$INPUT_OTHER' ${TEXT}",
        "inputs": {
            "files": [
                {"name": "INPUT", "required": false},
                {"name": "MANY", "multiple": true, "required": false},
                {"name": "OTHERS", "multiple": true, "required": false}
            ],
            "json": [
                {"name": "TEXT", "type": "string", "required": false},
                {"name": "OBJECT", "type": "object", "required": false}
            ]
        },
        "outputs": {"files": [{"name": "RESULT", "pattern": "*.txt"}]}
    });
    project.write("seed.manifest.json", &job.to_string());
    project.write(
        "job.sh",
        "dir=$1; shift\n[ \"$TEXT\" != none ] || exit 0\nfor word; do echo \"<$word>\"; done | tee $dir/a.txt\n\
         echo \"$OBJECT\" ${MANY-unset} $(ls $MANY) $(ls $OTHERS)\necho x >>$INPUT || true\n",
    );
    for name in ["in.txt", "a,b.txt", "c.txt"] {
        project.write(name, "");
    }
    let exit = project.seed("build -q --build-network none");
    assert_eq!(exit.code, Some(0), "{exit:#?}");

    // A missing image; missing outputs.
    project.seed("run -in misleads-1.0.0-seed:9.9.9 --engine unix:///nowhere").expect_failure(1);
    let missing = project.seed("run -rm --network none -j TEXT=none -o missing -q");
    assert_eq!(missing.code, Some(3), "{missing:#?}");

    // Commas in values, words of a command, read-only inputs, and a folder for each `multiple` input.
    let exit = project.seed(
        "run -rm --network none -i INPUT=in.txt -j TEXT='a b' -j 'OBJECT={\"k\":1,\"l\":[2,3]}' -i MANY=a,b.txt -i \
         MANY=c.txt -i OTHERS=c.txt -o out",
    );
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let said: Vec<&str> = exit.stdout.lines().collect();
    assert_eq!(said[..4], ["<-d>", "</seed/in/INPUT/in.txt>", "<$INPUT_OTHER>", "<a>"], "{exit:#?}");
    assert!(said[5].starts_with(r#"{"k":1,"l":[2,3]} /seed/in/MANY a,b.txt c.txt c.txt"#), "{exit:#?}");
    assert_eq!(project.read("in.txt"), "", "an input cannot be written to");

    // Absent optional inputs are unset, and leave no empty argument.
    let exit = project.seed("run --network none -j TEXT=x -o out2");
    assert!(exit.stdout.starts_with("<$INPUT_OTHER>\n<x>\n") && exit.stdout.contains(" unset"), "{exit:#?}");

    // A batch with several columns and relative paths; and a failing one reports it.
    project.write("rows.csv", "INPUT, TEXT\nin.txt,\"a, b\"\nin.txt, c\n");
    let exit = project.seed("batch -b rows.csv -in misleads-1.0.0-seed:1.0.0 -o rows --network none");
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    project.write("bad.csv", "INPUT,TEXT\nin.txt,none\n");
    let exit = project.seed("batch -b bad.csv -in misleads-1.0.0-seed:1.0.0 -o bad --network none");
    assert_eq!(exit.code, Some(3), "{exit:#?}");
    // The files of the current folder by default.
    let exit = project.seed("batch -in misleads-1.0.0-seed:1.0.0 --dry-run -o none");
    assert!(exit.code == Some(0) && exit.stdout.contains("target=/seed/in/INPUT/in.txt"), "{exit:#?}");
}

/// A label as Seed CLI writes it: Go's JSON encoder, then escapes for a shell; the quotes are kept.
fn old_label(manifest: &Value) -> String {
    let text = serde_json::to_string(&manifest.to_string()).unwrap();
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    text.replace('$', "\\$").replace('/', "\\/")
}

#[tokio::test]
async fn images_that_it_built_run() {
    let engine = engine().await;
    let mut job = manifest("built-by-seed-cli");
    job["job"]["interface"]["command"] = "\"${INPUT_FILE}\" $OUTPUT_DIR".into();
    let label = old_label(&job);
    assert!(label.starts_with(r#""{\"seedVersion"#) && label.contains(r"\${INPUT_FILE}"), "{label}");
    let script = "echo \"$1\" >$2/a.txt";
    let image = engine.script("built-by-seed-cli-1.0.0-seed:1.0.0", script, &[(LABEL, &label)]).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.txt"), "").unwrap();
    let line = format!("seed run -rm -in {image} -i INPUT_FILE=x.txt -o out --network none");
    let exit = shell(folder.path(), &[("DOCKER_HOST", &engine.host)], &line);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert_eq!(fs::read_to_string(folder.path().join("out/a.txt")).unwrap(), "/seed/in/INPUT_FILE/x.txt\n");
}
