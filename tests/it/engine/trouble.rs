//! Engines that are missing or disconnect, full disks, images that cannot be run.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use silo::engine::docker::DockerClient;
use silo::engine::plan::container::BindMount;
use silo::engine::run::attempt_error::Error;
use silo::engine::run::orphans::{ContainerOwner, OWNER_LABEL, PROCESS_LABEL, SweepReport, sweep};
use silo::engine::runtime::{self, ContainerRuntime as _};

use super::Job;
use crate::support::docker_engine::{self, DockerEngine, deaf_to_errors};
use crate::support::output;

#[tokio::test]
async fn without_an_engine_it_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = format!("unix://{}/docker.sock", folder.path().display());
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = format!("tcp://127.0.0.1:{}", deaf.local_addr().unwrap().port());
    drop(deaf);
    for address in [nothing.as_str(), &refusing] {
        let why = DockerClient::open(Some(address)).await.unwrap_err();
        let text = why.to_string();
        assert!(matches!(why, runtime::Error::NoEngine { .. }) && why.is_passing());
        assert!(text.contains(address) && text.contains("install Docker or Podman"), "{text}");
    }
    for address in ["ssh://somewhere", "nonsense"] {
        let why = DockerClient::open(Some(address)).await.unwrap_err();
        assert!(matches!(why, runtime::Error::Address { .. }) && !why.is_passing(), "{why:?}");
        assert!(why.to_string().contains(address), "{why}");
    }
}

#[tokio::test]
async fn images_that_cannot_be_run_are_refused_in_words() {
    let mut job = Job::new("exit 0").await;
    job.container.image = "silo-test/not-there:1".parse().unwrap();
    let why = job.run().await.main.unwrap_err();
    assert_eq!(why, Error::Engine(runtime::Error::NoImage { image: "silo-test/not-there:1".to_owned() }));
    // An unescaped id would change the path of the request, which the engine would answer.
    for id in ["", "..", "../info?x=", "json?all=1&x=", "a/../../info#"] {
        for refused in [job.docker.remove(id).await, job.docker.wait(id).await.map(drop)] {
            assert!(matches!(refused, Err(runtime::Error::Refused { .. })), "{id}: {refused:?}");
        }
        assert!(job.docker.output(id).await.is_err() && job.docker.start(id).await.is_err(), "{id}");
    }
}

/// Commands that cannot be started have a shell's exit codes, even if the init process's message is lost.
pub(super) async fn commands_that_cannot_begin_are_told(engine: &DockerEngine) {
    let job = async |command: &[&str]| {
        let mut job = Job::on(engine.clone(), "").await;
        let words = command.iter().map(|&word| word.to_owned()).collect();
        (job.container.entrypoint, job.container.command) = (Some(words), None);
        job
    };
    for (command, code) in [("/no/such/program", 127), ("nothing-in-path", 127), ("bin/nothing", 127), ("/bin", 126)] {
        for is_heard in [true, false] {
            let mut job = job(&[command]).await;
            let (deaf, count) = deaf_to_errors(&job.engine.host, job.folder.path());
            if !is_heard {
                job.docker = DockerClient::open(Some(&deaf)).await.unwrap();
            }
            let why = job.run().await.main.unwrap_err();
            let Error::Engine(runtime::Error::Command { exit_code, reason }) = &why else {
                panic!("{command}: {why:?}")
            };
            assert_eq!(*exit_code, code, "{why}");
            assert!(is_heard || count.load(Ordering::Relaxed) == 0 || reason.contains("image"), "{why}");
            assert!(job.text("system.log").contains("cannot be started"));
        }
    }
    // A command that was started has its own exit code, even if it prints nothing: by its path, in PATH, through a
    // symlink, and from a mount.
    let silent = ["/bin/busybox sh -c", "busybox sh -c", "sh -c", "/in/sh -c"];
    for command in silent {
        let words: Vec<&str> = command.split(' ').chain(["exit 127"]).collect();
        let mut job = job(&words).await;
        let program = job.path("sh");
        std::fs::copy("/bin/busybox", &program).unwrap();
        let source = program.display().to_string();
        job.container.binds.push(BindMount { source, target: "/in/sh".to_owned(), read_only: true, held: None });
        assert_eq!(job.ended().await.ended.exit_code, 127, "{command}");
    }
}

#[tokio::test]
async fn commands_that_are_not_there_have_the_codes_of_a_shell() {
    let engine = docker_engine::engine().await;
    commands_that_cannot_begin_are_told(&engine).await;
    // The base image has neither entry point nor command.
    let mut job = Job::on(engine, "").await;
    (job.container.entrypoint, job.container.command) = (None, None);
    let why = job.run().await.main.unwrap_err();
    assert!(matches!(why, Error::Engine(runtime::Error::Command { exit_code: 127, .. })), "{why:?}");
}

/// A disk of 256 KiB, mounted by root.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: std::path::PathBuf) -> Self {
        output(Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k,mode=777", "silo-test"]).arg(&path));
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_not_the_jobs_fault() {
    let job = Job::new("dd if=/dev/zero of=/out/big bs=64k").await;
    let _disk = SmallDisk::at(job.out());
    let why = job.run().await.main.unwrap_err();
    assert_eq!(why, Error::DiskFull { folder: job.out() });
    assert!(why.is_passing() && job.text("_stderr.txt").contains("No space left"));
}

#[tokio::test]
async fn logs_that_cannot_be_kept_end_the_job() {
    let mut job = Job::new("trap 'exit 0' TERM; while :; do echo 0123456789012345678901234567890123456789; done").await;
    let logs = tempfile::tempdir().unwrap();
    let disk = SmallDisk::at(logs.path().to_owned());
    let outside = std::mem::replace(&mut job.folder, logs);
    // Only the logs are on the small disk.
    job.container.binds[0].source = outside.path().display().to_string();
    std::fs::create_dir(job.out()).unwrap();
    let done = job.run().await;
    assert_eq!(done.main, Err(Error::DiskFull { folder: job.folder.path().to_owned() }));
    drop(disk);
}

#[tokio::test]
async fn an_engine_that_dies_half_way_is_named() {
    let engine = DockerEngine::start().await;
    let job = Job::on(engine.clone(), "echo ready; sleep 600").await;
    let killed = engine.clone();
    let done = job
        .watched(move |live| {
            if live == b"ready\n" {
                killed.kill()
            }
        })
        .await;
    let why = done.main.unwrap_err();
    assert!(matches!(why, Error::Engine(runtime::Error::Lost { .. })) && why.is_passing(), "{why:?}");
    assert!(job.text("_stdout.txt") == "ready\n" && job.text("system.log").contains("cannot be removed"));
    assert_eq!(done.remains.phases[0].message.as_deref(), Some(why.to_string().as_str()));
    assert!(matches!(job.docker.containers(&job.label()).await, Err(runtime::Error::Lost { .. })));
    // When the engine is back, the container is found by its label.
    engine.start_again().await;
    let docker = engine.open().await;
    let left = docker.containers(&job.label()).await.unwrap();
    assert_eq!(left.len(), 1);
    docker.remove(&left[0].id).await.unwrap();
    assert_eq!(docker.containers(&job.label()).await, Ok(vec![]));
}

#[tokio::test]
async fn orphans_are_removed_and_others_are_not() {
    // An engine of its own, because a sweep covers all containers.
    let docker = DockerEngine::start().await;
    let mut job = Job::on(docker, "sleep 600").await;
    let (living, dead, cleaned) =
        (ContainerOwner::new().unwrap(), ContainerOwner::new().unwrap(), ContainerOwner::new().unwrap());
    let unseen = "/not/to/be/seen/silo-run-x.lock".to_owned();
    let mut kept = Vec::new();
    // As in a batch, which creates several containers.
    for owner in [&living, &dead, &dead, &dead, &cleaned, &cleaned] {
        owner.mark(&mut job.container.labels);
        let made = job.docker.create(&job.container).await.unwrap();
        kept.extend((owner.label() == living.label()).then_some(made));
    }
    job.container.labels.insert(OWNER_LABEL.to_owned(), unseen);
    kept.push(job.docker.create(&job.container).await.unwrap());
    // A kill leaves the lock file, unlocked.
    let file = dead.label();
    drop(dead);
    let removed = |removed| Ok(SweepReport { removed, failed: Vec::new() });
    assert_eq!(sweep(&job.docker).await, removed(3));
    let mut left = job.engine.containers(&job.label()).await;
    left.retain(|id| kept.contains(id));
    left.sort();
    kept.sort();
    assert_eq!(left, kept);
    assert!(!Path::new(&file).exists());
    // A living owner is recognized although its file in the temporary folder was deleted.
    std::fs::remove_file(cleaned.label()).unwrap();
    assert_eq!(sweep(&job.docker).await, removed(0));
    // An owner that could not remove its container leaves its file for the next sweep.
    let file = living.label();
    living.settle(&job.docker).await;
    assert_eq!(sweep(&job.docker).await, removed(1));
    assert!(!Path::new(&file).exists());
    for id in job.engine.containers(&job.label()).await {
        job.docker.remove(&id).await.unwrap();
    }
    let owner = ContainerOwner::new().unwrap();
    let file = owner.label();
    owner.settle(&job.docker).await;
    assert!(!Path::new(&file).exists());
}

#[tokio::test]
async fn orphans_are_found_where_the_file_of_their_owner_is_gone() {
    let docker = DockerEngine::start().await;
    let mut job = Job::on(docker, "sleep 600").await;
    let owner = ContainerOwner::new().unwrap();
    owner.mark(&mut job.container.labels);
    // An ended process, in place of this one.
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait().unwrap();
    let ours = &job.container.labels[PROCESS_LABEL];
    let theirs = ours.replacen(&format!(" {} ", std::process::id()), &format!(" {pid} "), 1);
    assert_ne!(*ours, theirs);
    job.container.labels.insert(PROCESS_LABEL.to_owned(), theirs);
    for _ in 0..2 {
        job.docker.create(&job.container).await.unwrap();
    }
    std::fs::remove_file(owner.label()).unwrap();
    assert_eq!(sweep(&job.docker).await, Ok(SweepReport { removed: 2, failed: Vec::new() }));
    assert_eq!(job.engine.containers(&job.label()).await, [""; 0]);
}
