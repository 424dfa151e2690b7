//! `silo run` with a real engine.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::{Value, json};
use silo::seed::LABEL;
use tempfile::TempDir;

use super::program::silo;
use crate::support::docker_engine::{CutSocket, DockerEngine, WAITS, engine};
use crate::support::manifest::{few_resources, of_job};
use crate::support::output;
use crate::support::process::Exit;

/// An image with a shell script; `$1` is the input's path, if there is one.
struct Job {
    engine: DockerEngine,
    image: String,
    folder: TempDir,
}

fn manifest(name: &str) -> Value {
    let job = json!({
        "interface": {
            "command": "${INPUT_FILE}",
            "inputs": {"files": [{"name": "INPUT_FILE", "required": false}]},
            "outputs": {"files": [{"name": "RESULT", "pattern": "*.txt", "required": false}]},
            "settings": [{"name": "API_KEY", "secret": true}]
        },
        "resources": few_resources(),
        "errors": [{"code": 9, "name": "bad-picture", "title": "Bad picture", "category": "data"}]
    });
    of_job(name, job)
}

impl Job {
    async fn new(name: &str, script: &str) -> Self {
        let engine = engine().await;
        let label = manifest(name).to_string();
        let image = engine.script(&format!("{name}-1.0.0-seed:1.0.0"), script, &[(LABEL, &label)]).await;
        Self { engine, image, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let common = ["run", &self.image, "--engine", &self.engine.host, "--network", "none"];
        [&common[..], &["-e", "API_KEY=hunter2", "-o", "out"], more].concat()
    }

    fn run(&self, more: &[&str]) -> Exit {
        silo(self.path(), &self.arguments(more))
    }

    /// Starts a run; returns when it has printed its first line.
    fn start(&self, more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
        command.current_dir(self.path()).env_clear().args(self.arguments(more));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, printed)
    }

    /// Its containers, in any state.
    async fn containers(&self) -> Vec<String> {
        self.engine.containers(&format!("silo.job={}", self.label())).await
    }

    fn label(&self) -> String {
        let name = self.image.rsplit('/').next().unwrap();
        name.split_once("-seed").unwrap().0.to_owned()
    }
}

#[tokio::test]
async fn what_a_job_prints_is_seen_and_kept() {
    let job = Job::new("prints", "echo to-stdout; echo to-stderr >&2; echo x >$OUTPUT_DIR/a.txt").await;
    let exit = job.run(&[]);
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), "to-stdout\n"), "{exit:#?}");
    assert!(exit.stderr.contains("to-stderr\n") && exit.stderr.contains("a.txt"), "{}", exit.stderr);
    assert_eq!(fs::read_to_string(job.path().join("out/a.txt")).unwrap(), "x\n");
    let kept = job.path().join("out.run/attempt-1/_stdout.txt");
    assert_eq!(fs::read_to_string(kept).unwrap(), "to-stdout\n");
    // A folder with content is not overwritten.
    let exit = job.run(&["-q", "--rm"]);
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), ""), "{exit:#?}");
    assert!(!exit.stderr.contains("to-stderr") && exit.stderr.contains("out is not empty"), "{}", exit.stderr);
    let inside = fs::read_dir(job.path().join("out")).unwrap().map(|it| it.unwrap().path());
    assert_eq!(inside.filter(|path| path.is_dir() && path.join("a.txt").is_file()).count(), 1);
    assert_eq!(job.containers().await, [""; 0]);
}

#[tokio::test]
async fn the_report_tells_how_it_ended() {
    let job =
        Job::new("ends", "cat $1; [ -z \"$1\" ] || exit $(cat $1); trap 'exit 0' TERM; while :; do sleep 0.05; done")
            .await;
    for (content, code, name) in [("9", 3, "bad-picture"), ("4", 3, "algorithm-unknown"), ("0", 0, "")] {
        fs::write(job.path().join("in"), content).unwrap();
        let exit = job.run(&["-i", "INPUT_FILE=in", "--json"]);
        assert_eq!(exit.code, Some(code), "{exit:#?}");
        let report: Value = serde_json::from_str(&exit.stdout).expect("only the report is on standard output");
        assert_eq!(report["error"]["name"].as_str().unwrap_or_default(), name, "{report:#}");
        assert_eq!(report["attempts"][0]["exitCode"], content.parse::<i64>().unwrap());
        assert_eq!(report["attempts"][0]["stdoutBytes"], 1);
    }
    let exit = job.run(&["--timeout", "1", "--json"]);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((exit.code, &report["error"]["name"]), (Some(3), &json!("timeout")), "{report:#}");
    assert_eq!((&report["attempts"][0]["timedOut"], &report["status"]), (&json!(true), &json!("failed")));
    assert_eq!(job.containers().await, [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_run_is_not_the_jobs_failure() {
    let job = Job::new("refused", "exit 0").await;
    let wrong = job.run(&["-i", "NOTHING=/etc/passwd"]).expect_failure(2);
    assert!(wrong.contains("INPUT_FILE"), "{wrong}");
    let run = |image: &str, more: &[&str]| {
        silo(job.path(), &[&["run", image, "--engine", &job.engine.host, "-e", "API_KEY=x"], more].concat())
    };
    let nothing = run("127.0.0.1:1/nothing-1.0.0-seed:1.0.0", &[]).expect_failure(1);
    assert!(nothing.contains("cannot be pulled") && nothing.contains("cannot be reached"), "{nothing}");
    let unlabelled = run(crate::support::docker_engine::BASE, &[]).expect_failure(1);
    assert!(unlabelled.contains("is no Seed image"), "{unlabelled}");
    fs::write(job.path().join("seed.manifest.json"), manifest("not-built").to_string()).unwrap();
    let unbuilt = run(".", &[]).expect_failure(1);
    assert!(
        unbuilt.contains("no image not-built-1.0.0-seed:1.0.0: build it in the manifest's folder with silo build"),
        "{unbuilt}"
    );
    let no_engine = silo(job.path(), &["run", &job.image, "--engine", "unix:///nowhere.sock"]).expect_failure(1);
    assert!(no_engine.contains("install Docker or Podman"), "{no_engine}");
    // Planning needs no engine for a manifest on disk, and reads the label otherwise.
    silo(job.path(), &["run", ".", "--dry-run", "-e", "API_KEY=x"]).expect_success();
    let planned = run(&job.image, &["--dry-run"]).expect_success();
    assert!(
        planned.contains(&format!(" && docker -H {} run ", job.engine.host)) && !job.path().join("out").exists(),
        "{planned}"
    );
}

#[tokio::test]
async fn secrets_are_for_the_job_alone() {
    let job = Job::new("secret", "echo ${#API_KEY} >$OUTPUT_DIR/length.txt").await;
    let exit = job.run(&["--json"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert_eq!(fs::read_to_string(job.path().join("out/length.txt")).unwrap(), "7\n");
    let grep = Command::new("grep").args(["-r", "hunter2", "."]).current_dir(job.path()).output().unwrap();
    assert!(!format!("{exit:?}").contains("hunter2") && grep.stdout.is_empty(), "{exit:#?} {grep:?}");
    assert!(exit.stdout.contains("*****"));
}

#[tokio::test]
async fn it_runs_as_often_as_asked() {
    let job = Job::new("repeats", "echo x >$OUTPUT_DIR/a.txt").await;
    assert_eq!(job.run(&["--rep", "2"]).code, Some(0));
    assert!(["out-0/a.txt", "out-1/a.txt"].iter().all(|path| job.path().join(path).is_file()));
}

#[tokio::test]
async fn signals_stop_the_container() {
    let job = Job::new("signals", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done").await;
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (mut child, mut printed) = job.start(&[]);
        assert_eq!(job.containers().await.len(), 1);
        output(Command::new("kill").args([signal, &child.id().to_string()]));
        let mut rest = String::new();
        printed.read_to_string(&mut rest).unwrap();
        assert_eq!((child.wait().unwrap().code(), rest.as_str()), (Some(130), "bye\n"));
        assert_eq!(job.containers().await, [""; 0]);
    }
}

/// A run whose engine is disconnected; its standard error is read line by line.
fn cut_off(job: &Job, socket: &CutSocket) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    let arguments = ["run", &job.image, "--engine", &socket.host, "--network", "none", "-e", "API_KEY=x", "-o", "out"];
    command.current_dir(job.path()).env_clear().args(arguments).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The stream stays open: later output is read at the end.
    let printed = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    while !line.ends_with('\n') {
        printed.read_exact(&mut byte).unwrap();
        line.push(byte[0].into());
    }
    assert_eq!(line, "begun\n");
    socket.cut();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, said)
}

fn until_said(said: &mut Lines<BufReader<ChildStderr>>, words: &str) {
    said.by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("{words} is not said"));
}

/// As in the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_the_connection_to_its_engine() {
    let job = Job::new("cut-off", WAITS).await;
    let socket = CutSocket::to(&job.engine);
    let (child, mut said) = cut_off(&job, &socket);
    until_said(&mut said, "does not answer any more");
    until_said(&mut said, "waiting up to 15 minutes for the engine; Ctrl-C stops waiting");
    assert_eq!(job.containers().await.len(), 1, "it runs on");
    socket.mend();
    until_said(&mut said, "The engine answers again");
    fs::write(job.path().join("out/go"), "").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{:?}", said.collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "gone on\n", "what was shown is not shown again");
    assert_eq!(fs::read_to_string(job.path().join("out/begun")).unwrap(), "once\n");
    let kept = fs::read_to_string(job.path().join("out.run/attempt-1/_stdout.txt")).unwrap();
    assert_eq!(kept, "begun\ngone on\n", "whole, and once");
    let record: Value = serde_json::from_slice(&fs::read(job.path().join("out.run/job.json")).unwrap()).unwrap();
    assert_eq!(record["status"], "successful", "{record:#}");
    assert_eq!(job.containers().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_for_an_engine_presses_ctrl_c() {
    let job = Job::new("cut-for-good", WAITS).await;
    let socket = CutSocket::to(&job.engine);
    let (mut child, mut said) = cut_off(&job, &socket);
    until_said(&mut said, "Ctrl-C stops waiting");
    output(Command::new("kill").args(["-INT", &child.id().to_string()]));
    until_said(&mut said, "The next `silo run` removes it");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(job.containers().await.len(), 1, "nobody could remove it");
    let other = Job::new("after-cut", "exit 0").await;
    assert_eq!(other.run(&[]).code, Some(0));
    assert_eq!(job.containers().await, [""; 0], "the next run has removed it");
}

/// A second Ctrl-C kills a job that ignores the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_kills_the_job() {
    let job = Job::new("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    command.current_dir(job.path()).env_clear().args(job.arguments(&["--grace", "100000"])).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let process = child.id().to_string();
    let press = || output(Command::new("kill").args(["-INT", &process]));
    press();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = said.find(|line| line.starts_with("Stopping")).expect("it answers");
    assert_eq!(told, "Stopping: the job has 100000 s to exit; Ctrl-C again kills it");
    press();
    let rest: Vec<String> = said.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(job.containers().await, [""; 0]);
    let record: Value = serde_json::from_slice(&fs::read(job.path().join("out.run/job.json")).unwrap()).unwrap();
    assert_eq!(record["status"], "dismissed", "{record:#}");
}

/// The printed line does the same as the run itself, without any preparation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_a_dry_run_runs_as_it_is() {
    let script = "cat $INPUT_METADATA >$OUTPUT_DIR/context.json; cat $1 >$OUTPUT_DIR/a.txt; echo \"$API_KEY\"";
    let job = Job::new("copied", script).await;
    let file = "it's,\"one\".txt";
    fs::write(job.path().join(file), "content").unwrap();
    let given = format!("INPUT_FILE={file}");
    let line = ["run", &job.image, "--engine", &job.engine.host, "--network", "none", "-e", "API_KEY=hunter2"];
    let exit = silo(job.path(), &[&line[..], &["-i", &given, "--dry-run", "-o", "dry/o'ut"]].concat());
    assert_eq!((exit.code, exit.stdout.lines().count()), (Some(0), 1), "{exit:#?}");
    assert_eq!(exit.stderr, "note: secrets are not shown: export API_KEY before you run the command\n");
    assert!(!job.path().join("dry").exists());
    let mut sh = Command::new("sh");
    sh.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("API_KEY", "hunter2");
    let ran = sh.current_dir("/").args(["-c", &exit.stdout]).output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(0), &b"hunter2\n"[..]), "{exit:#?} {ran:?}");
    let left = |folder: &str, name: &str| fs::read_to_string(job.path().join(folder).join(name)).unwrap();
    assert_eq!(left("dry/o'ut", "a.txt"), "content");
    assert_eq!(job.run(&["-i", &given]).code, Some(0));
    let [dry, real] =
        ["dry/o'ut", "out"].map(|folder| serde_json::from_str::<Value>(&left(folder, "context.json")).unwrap());
    assert_eq!(dry, real, "the job is told the same");
}

/// A name that may be a mistyped folder is not looked up on Docker Hub.
#[tokio::test]
async fn a_mistyped_folder_is_not_asked_of_a_registry() {
    let job = Job::new("mistyped", "exit 0").await;
    fs::create_dir_all(job.path().join("jobs/image-rotate")).unwrap();
    let run = |name: &str| silo(job.path(), &["run", name, "--engine", &job.engine.host]).expect_failure(2);
    let said = run("jobs/image-rotat");
    assert_eq!(
        said,
        "silo: there is no folder jobs/image-rotat, and the engine has no image of that name; did you mean jobs/image-rotate?\n"
    );
    assert!(run("nothing-like-it").contains("needs a tag, as in my-job-1.0.0-seed:1.0.0"));
}

#[tokio::test]
async fn what_a_killed_silo_leaves_goes_with_the_next() {
    let job = Job::new("killed", "echo ready; [ -n \"$1\" ] || sleep 600").await;
    let (mut child, _) = job.start(&[]);
    let left = job.containers().await;
    assert_eq!(left.len(), 1);
    child.kill().and_then(|()| child.wait()).unwrap();
    fs::write(job.path().join("in"), "").unwrap();
    let exit = job.run(&["-i", "INPUT_FILE=in"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    // A concurrent test may have removed it already.
    assert_eq!(job.containers().await, [""; 0]);
}

#[tokio::test]
async fn an_image_that_says_otherwise_than_the_folder_is_told() {
    let job = Job::new("differs", "exit 0").await;
    let folder = job.path().join("job");
    fs::create_dir(&folder).unwrap();
    let mut other = manifest("differs");
    other["job"]["timeout"] = json!(61);
    fs::write(folder.join("seed.manifest.json"), other.to_string()).unwrap();
    let name = job.image.rsplit('/').next().unwrap().to_owned();
    // The image of a folder has no registry in its name.
    let (repository, tag) = name.split_once(':').unwrap();
    let options = bollard::query_parameters::TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    job.engine.client.tag_image(&job.image, Some(options)).await.unwrap();
    let exit =
        silo(&folder, &["run", "--engine", &job.engine.host, "--network", "none", "-e", "API_KEY=x", "-o", "out"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stderr.contains("was built with another manifest"), "{}", exit.stderr);
}

#[tokio::test]
async fn a_job_that_fills_the_disk_or_lacks_its_output_is_told_so() {
    let job = Job::new(
        "fills",
        "dd if=/dev/zero of=$OUTPUT_DIR/a.txt bs=1M count=3; trap 'exit 0' TERM; while :; do sleep 0.05; done",
    )
    .await;
    let exit = job.run(&["--json", "-q"]);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((exit.code, &report["error"]["name"]), (Some(3), &json!("too-large-output")), "{report:#}");
    assert_eq!(report["error"]["exitCode"], report["attempts"][0]["exitCode"]);
    let phases = report["attempts"][0]["phases"].as_array().unwrap().iter();
    let phases: Vec<&str> = phases.map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(phases, ["pull", "stage", "main", "capture"]);
    let stored = fs::read(job.path().join("out.run/job.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), report, "the same report is kept");
}
