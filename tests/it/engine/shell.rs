//! `silo shell`, with a real engine.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::examples::{build, example};
use crate::cli::program::{silo_fed, silo_on_terminal};
use crate::support::docker_engine::engine;

#[tokio::test]
async fn commands_are_run_where_the_job_would_be() {
    let engine = engine().await;
    let image = build(&engine, "two-directories").await;
    let folder = tempfile::tempdir().unwrap();
    let granules = format!("GRANULES={}", example("two-directories").join("inputs").display());
    let shell = |more: &[&str], typed: &str| {
        let common = ["shell", &image, "--engine", &engine.host, "--network", "none"];
        silo_fed(folder.path(), &[&common[..], more].concat(), typed.as_bytes())
    };
    // Its files, variables and limits; its folder; its output files.
    let given = ["-i", &granules, "-e", "SHORT_NAME=hs3cpl", "-o", "out"];
    let typed = "pwd; ls $GRANULES; echo $SHORT_NAME $ALLOCATED_MEM; touch $GRANULES/x || echo read-only
        sh process.sh $GRANULES $OUTPUT_DIR >/dev/null; echo no newline at the end >&2";
    let exit = shell(&given, typed);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert_eq!(exit.stdout, "/job\nday-1.csv\nday-2.csv\nhs3cpl 64\nread-only\n", "{exit:#?}");
    assert!(exit.stderr.contains("Command of the job: /seed/in/GRANULES /seed/out\n"), "{exit:#?}");
    assert!(exit.stderr.contains("no newline at the end\n"), "{exit:#?}");
    let written = fs::read(folder.path().join("out/hs3cpl.day-1.sum.csv")).unwrap();
    assert_eq!(written, fs::read(example("two-directories").join("expected/hs3cpl.day-1.sum.csv")).unwrap());

    // Without inputs; with large standard input; the exit code.
    let exit = shell(&["-o", "out2", "-q"], "echo ${GRANULES-unset} ${SHORT_NAME-unset}; exit 7");
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(3), "unset unset\n"), "{exit:#?}");
    assert_eq!(exit.stderr, "silo: the shell ended with exit code 7\n");
    let exit = shell(&["-o", "out3"], "echo ${GRANULES-unset} ${SHORT_NAME-unset}; exit 7");
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(3), "unset unset\n"), "{exit:#?}");
    assert!(exit.stderr.contains("note: not given and left out: GRANULES, SHORT_NAME\n"), "{exit:#?}");
    assert!(exit.stderr.contains("the shell ended with exit code 7"), "{exit:#?}");
    let exit = shell(&["-o", "out4", "--", "wc", "-c"], &"x".repeat(3_000_000));
    assert_eq!((exit.code, exit.stdout.trim()), (Some(0), "3000000"), "{exit:#?}");

    // Errors.
    let nothing = shell(&["-o", "out5", "--", "no-such-program"], "").expect_failure(1);
    assert!(nothing.contains("no-such-program cannot be started in the image"), "{nothing}");
    let unknown = shell(&["-i", "NOTHING=/etc/passwd"], "").expect_failure(2);
    assert!(unknown.contains("Usage for this job: silo shell"), "{unknown}");
    for (flags, part) in [(&["--json"][..], "--json needs --dry-run"), (&["--timeout", "5"], "no time limit")] {
        assert!(shell(flags, "").expect_failure(2).contains(part));
    }
    let line = shell(&["--dry-run", "-e", "SHORT_NAME=x"], "").expect_success();
    assert!(line.contains(" run --rm --init --interactive ") && line.contains("--entrypoint /bin/sh"), "{line}");
    assert_eq!(engine.containers("silo.job=two-directories-1.0.0").await, [""; 0]);
}

#[tokio::test]
async fn somebody_may_type_on_a_terminal() {
    let engine = engine().await;
    let image = build(&engine, "io-demo").await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["shell", &image, "--engine", &engine.host, "--network", "none"];
    let exit = silo_on_terminal(folder.path(), &[], &arguments, "tty; echo $((6 * 7)) $OUTPUT_DIR\nexit 5\n");
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stdout.contains("/dev/pts/0") || exit.stdout.contains("/dev/console"), "{exit:#?}");
    assert!(exit.stdout.contains("42 /seed/out"), "{exit:#?}");
}

#[tokio::test]
async fn a_signal_takes_the_container_along() {
    let engine = engine().await;
    let image = engine.script("shell-stopped", "", &[(silo::seed::LABEL, &manifest())]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    command.current_dir(folder.path()).env_clear().args(["shell", &image, "--engine", &engine.host]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"echo ready; while :; do sleep 1; done\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let label = "silo.job=shell-stopped-1.0.0";
    assert_eq!(engine.containers(label).await.len(), 1);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(engine.containers(label).await, [""; 0]);
}

fn manifest() -> String {
    let text = fs::read_to_string(Path::new(&example("io-demo")).join("seed.manifest.json")).unwrap();
    text.replace("io-demo", "shell-stopped")
}
