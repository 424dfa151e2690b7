//! The life of a container: creation, exit codes, limits, timeouts, signals, cancellation, removal.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use silo::engine::docker::DockerClient;
use silo::engine::plan::container::{BindMount, EnvironmentVariable, MaskedText};
use silo::engine::run::attempt_error::Error;
use silo::engine::run::record::Phase;
use silo::engine::run::stop_reason::StopReason;
use silo::engine::runtime::{self, ContainerRuntime as _};

use super::{Job, docker_engine};
use crate::support::docker_engine::late_to_hear;

/// Prints `ready`, and sleeps until a signal arrives.
const SLEEPER: &str = "trap 'echo got TERM; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

#[tokio::test]
async fn a_job_gets_what_it_is_promised_and_leaves_its_outputs() {
    let mut job = Job::new("echo \"$A|$1|$0\"; cat /in/x; echo >/in/x; echo done >$OUTPUT_DIR/a; id -u").await;
    let input = job.path("a file: with, colons");
    fs::write(&input, "input\n").unwrap();
    let bind =
        |source: String, target: &str| BindMount { source, target: target.to_owned(), read_only: true, held: None };
    job.container.binds.push(bind(input.display().to_string(), "/in/x"));
    job.container.environment.push(EnvironmentVariable { name: "A".to_owned(), value: MaskedText::plain("b c\n$d") });
    job.container.command.as_mut().unwrap().extend(["zero", "one two"].map(MaskedText::plain));
    job.container.user = Some("1234".to_owned());
    fs::set_permissions(job.out(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let done = job.run().await;
    let main = done.main.unwrap();
    assert_eq!((main.ended.exit_code, main.ended.oom, main.stopped, main.output_bytes), (0, false, None, 5));
    assert_eq!(job.text("_stdout.txt"), "b c\n$d|one two|zero\ninput\n1234\n");
    assert!(job.text("_stderr.txt").contains("Read-only file system"), "inputs are read-only");
    assert_eq!((fs::read_to_string(&input).unwrap().as_str(), job.text("out/a").as_str()), ("input\n", "done\n"));
    assert_eq!(done.live, job.read("_stdout.txt"));
    let [phase] = &done.remains.phases[..] else { panic!("{:?}", done.remains) };
    assert!(phase.name == Phase::Main && phase.finished >= Some(phase.started) && phase.message.is_none());
}

#[tokio::test]
async fn exit_codes_and_signals_come_through() {
    for (script, code) in [("exit 1", 1), ("exit 255", 255), ("kill -SEGV $$; sleep 9", 139)] {
        // The kernel does not deliver unhandled signals to process 1, so a child of the shell dies.
        let mut job = Job::new("sh -c \"$0\"; exit $?").await;
        job.container.command.as_mut().unwrap().push(MaskedText::plain(script));
        let ended = job.ended().await.ended;
        assert_eq!((ended.exit_code, ended.oom), (code, false), "{script}");
    }
}

#[tokio::test]
async fn limits_are_set_as_asked() {
    let mut job = Job::new(SLEEPER).await;
    job.container.memory = Some(32 << 20);
    job.container.cpus = Some(0.25);
    job.container.shared_memory = Some(5 << 20);
    job.container.processes = Some(20);
    let id = job.docker.create(&job.container).await.unwrap();
    let config = job.engine.inspect(&id).await["HostConfig"].clone();
    for (name, value) in [
        ("Memory", json!(32 << 20)),
        ("MemorySwap", json!(32 << 20)),
        ("NanoCpus", json!(250_000_000)),
        ("ShmSize", json!(5 << 20)),
        ("PidsLimit", json!(20)),
        ("NetworkMode", json!("none")),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("Privileged", json!(false)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    let found = job.docker.containers(&job.label()).await.unwrap();
    assert_eq!((found.len(), found[0].state, &found[0].id), (1, runtime::ContainerState::Created, &id));
    job.docker.remove(&id).await.unwrap();
    job.docker.remove(&id).await.expect("what is gone is gone");
    assert_eq!(job.engine.containers(&job.label()).await, [""; 0]);
}

#[tokio::test]
async fn a_gpu_that_is_not_there_is_refused_in_words() {
    let mut job = Job::new("exit 0").await;
    job.container.gpus = 1;
    let why = job.run().await.main.unwrap_err();
    assert!(matches!(why, Error::Engine(runtime::Error::NoGpu { .. })), "{why:?}");
}

/// Processes left by a job are ended and reaped by the engine's init process, which is process 1.
#[tokio::test]
async fn a_job_is_not_the_first_process_and_leaves_no_zombies() {
    let script = "sh -c 'sleep 0 & exec true'; i=0; while grep -l '^[0-9]* (sleep) Z' /proc/[0-9]*/stat; do sleep 0.05
i=$((i+1)); [ $i -lt 200 ] || exit 9; done >/dev/null 2>&1; [ $$ != 1 ] || exit 8";
    let ended = Job::new(script).await.ended().await.ended;
    assert_eq!(ended.exit_code, 0);
}

#[tokio::test]
async fn too_much_memory_is_told_from_a_kill() {
    let mut job = Job::new("awk 'BEGIN { s = \"x\"; while (1) s = s s }'; exit $?").await;
    job.container.memory = Some(16 << 20);
    let ended = job.ended().await.ended;
    assert!(ended.oom && ended.exit_code != 0, "{ended:?}");
}

#[tokio::test]
async fn too_much_memory_is_told_though_the_engine_hears_of_it_late() {
    let mut job = Job::new("awk 'BEGIN { s = \"x\"; while (1) s = s s }'; exit $?").await;
    let (late, hidden) = late_to_hear(&job.engine.host, job.folder.path());
    job.docker = DockerClient::open(Some(&late)).await.unwrap();
    job.container.memory = Some(16 << 20);
    let ended = job.ended().await.ended;
    assert!(ended.oom && hidden.load(Ordering::Relaxed) > 0, "{ended:?}");
    // The same exit code with enough memory is no out-of-memory error.
    job.container.command = Some(vec![MaskedText::plain("exit 137")]);
    let ended = job.ended().await.ended;
    assert!(!ended.oom && ended.exit_code == 137, "{ended:?}");
}

#[tokio::test]
async fn a_fork_bomb_stays_inside() {
    let mut job = Job::new("for i in $(seq 100); do sleep 60 & done; echo all").await;
    job.container.processes = Some(16);
    let main = job.ended().await;
    assert!(main.ended.exit_code != 0 && job.text("_stderr.txt").contains("fork"), "{main:?}");
}

#[tokio::test]
async fn at_the_time_out_a_job_may_end_in_order() {
    let mut job = Job::new(SLEEPER).await;
    job.container.timeout = Some(Duration::from_secs(1));
    let main = job.ended().await;
    assert_eq!((main.stopped, main.ended.exit_code), (Some(StopReason::TimedOut), 7));
    assert_eq!(job.text("_stdout.txt"), "ready\ngot TERM\n");
}

#[tokio::test]
async fn a_job_that_ignores_term_is_killed() {
    let mut job = Job::new(DEAF).await;
    job.container.timeout = Some(Duration::from_secs(1));
    job.container.grace = Duration::from_millis(200);
    let main = job.ended().await;
    assert_eq!((main.stopped, main.ended.exit_code, main.ended.oom), (Some(StopReason::TimedOut), 137, false));
}

#[tokio::test]
async fn cancelling_stops_the_container() {
    let job = Job::new(SLEEPER).await;
    let stop = job.stop.clone();
    let done = job
        .watched(move |live| {
            if live.starts_with(b"ready") {
                stop.cancel()
            }
        })
        .await;
    let main = done.main.unwrap();
    assert_eq!((main.stopped, main.ended.exit_code), (Some(StopReason::Cancelled), 7));
    assert_eq!(job.engine.containers(&job.label()).await, [""; 0]);
    // Cancelled before the start: no container is created.
    assert_eq!(job.run().await.main, Err(Error::Cancelled));
}

#[tokio::test]
async fn a_job_that_writes_too_much_is_stopped() {
    let mut job = Job::new("echo ready; dd if=/dev/zero of=/out/big bs=1M count=3; sleep 60").await;
    job.output_limit = Some(2 << 20);
    job.container.grace = Duration::from_millis(200);
    let main = job.ended().await;
    assert_eq!(main.stopped, Some(StopReason::OutputTooLarge));
    assert!(main.output_bytes > 2 << 20, "{main:?}");
    // A job that ignores TERM and writes at full speed is killed early.
    let all = 2000 << 20;
    let script = "trap '' TERM; dd if=/dev/zero of=/out/big bs=1M count=2000; sleep 60";
    let mut job = Job::new(script).await;
    job.output_limit = Some(40 << 20);
    let main = job.ended().await;
    assert!(main.stopped == Some(StopReason::OutputTooLarge) && main.output_bytes < all, "{main:?}");
}

#[tokio::test]
async fn dropped_at_any_await_nothing_stays() {
    let job = Job::new(SLEEPER).await;
    // Cancelled while it runs.
    {
        let (seen, mut ready) = tokio::sync::mpsc::unbounded_channel();
        tokio::select! {
            _ = job.watched(move |_| _ = seen.send(())) => panic!("it sleeps for ever"),
            _ = ready.recv() => {}
        }
    }
    job.engine.until_containers(&job.label(), 0).await;
    // Cancelled while it is created: a little later each time.
    for polls in 1..40 {
        let mut run = Box::pin(job.watched(|_| {}));
        for _ in 0..polls {
            if futures_util::poll!(&mut run).is_ready() {
                panic!("it sleeps for ever");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    job.engine.until_containers(&job.label(), 0).await;
}

#[tokio::test]
async fn two_at_once_do_not_meet() {
    let jobs = [Job::new("echo one; exit 1").await, Job::new("echo two; exit 2").await];
    let [one, two] = &jobs;
    let (first, second) = tokio::join!(one.ended(), two.ended());
    assert_eq!((first.ended.exit_code, second.ended.exit_code), (1, 2));
    assert_eq!((one.text("_stdout.txt").as_str(), two.text("_stdout.txt").as_str()), ("one\n", "two\n"));
}

#[tokio::test]
async fn a_leftover_is_taken_over() {
    let job = Job::new("echo early; while [ ! -e /out/go ]; do sleep 0.05; done; echo late; exit 4").await;
    // Another process started it, and is gone.
    let id = job.docker.create(&job.container).await.unwrap();
    drop(job.docker.start(&id).await.unwrap());
    let found = job.docker.containers(&job.label()).await.unwrap().remove(0);
    assert_eq!(found.state, runtime::ContainerState::Running);
    fs::write(job.out().join("go"), "").unwrap();
    let (mut attempt, _) = job.attempt().await;
    let out = job.out();
    let main = attempt.adopt(&found, &job.container, job.room(&out), &job.stop).await.unwrap();
    assert_eq!((main.ended.exit_code, attempt.finish().printed.stdout_bytes), (4, 11));
    assert_eq!(job.text("_stdout.txt"), "early\nlate\n");
    assert_eq!(job.engine.containers(&job.label()).await, [""; 0]);
}

#[tokio::test]
async fn an_engine_says_what_it_is() {
    let docker = docker_engine::engine().await.open().await;
    let engine = docker.engine().await.unwrap();
    assert!(engine.name.starts_with("Docker Engine 2") && engine.platform.starts_with("linux/"), "{engine:?}");
    assert!(engine.cpus >= 1 && engine.memory > 1 << 28 && !engine.gpus, "{engine:?}");
}
