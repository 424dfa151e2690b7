//! The module `engine`, with real containers.

mod cases;
mod examples;
mod export;
mod life;
mod output;
mod podman;
mod pull;
mod resume;
mod samples;
mod shell;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use silo::clock::Clock;
use silo::engine::disk_quota::DiskQuota;
use silo::engine::docker::DockerClient;
use silo::engine::plan::container::{
    BindMount, ContainerSpec, EnvironmentVariable, MaskedText, NetworkMode, StdinMode,
};
use silo::engine::run::attempt_error::Error;
use silo::engine::run::job_exit::JobExit;
use silo::engine::run::logs::AttemptLogs;
use silo::engine::run::removal_guard::KeepContainer;
use silo::engine::run::supervisor::{AttemptContext, AttemptEvent, AttemptSummary, AttemptSupervisor};
use silo::engine::runtime::OutputStream;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::docker_engine::{self, BASE, DockerEngine};

/// The label of this test's containers.
const LABEL: &str = "silo.test";

/// Size of live output that a test examines, in bytes, approximately.
const LIVE: usize = 1 << 20;

/// One attempt in its own folder.
struct Job {
    engine: DockerEngine,
    docker: DockerClient,
    container: ContainerSpec,
    folder: TempDir,
    log_cap: u64,
    output_limit: Option<u64>,
    keep_free: u64,
    stop: CancellationToken,
    leave: KeepContainer,
}

/// The result of an attempt.
struct Done {
    main: Result<JobExit, Error>,
    remains: AttemptSummary,
    /// The live output.
    live: Vec<u8>,
}

impl Job {
    /// A job with a shell script, on the shared engine.
    async fn new(script: &str) -> Self {
        Self::on(docker_engine::engine().await, script).await
    }

    async fn on(engine: DockerEngine, script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        let out = folder.path().join("out").display().to_string();
        let label = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let container = ContainerSpec {
            image: BASE.parse().expect("a name"),
            entrypoint: Some(["sh", "-c"].map(str::to_owned).to_vec()),
            command: Some(vec![MaskedText::plain(script)]),
            environment: vec![EnvironmentVariable { name: "OUTPUT_DIR".to_owned(), value: MaskedText::plain("/out") }],
            binds: vec![BindMount { source: out, target: "/out".to_owned(), read_only: false, held: None }],
            memory: None,
            cpus: None,
            shared_memory: None,
            processes: None,
            gpus: 0,
            network: NetworkMode::None,
            user: None,
            timeout: None,
            grace: Duration::from_secs(10),
            labels: BTreeMap::from([(LABEL.to_owned(), label)]),
            platform: None,
            input: StdinMode::Nothing,
        };
        let docker = engine.open().await;
        let stop = CancellationToken::new();
        Self {
            engine,
            docker,
            container,
            folder,
            log_cap: 1 << 20,
            output_limit: None,
            keep_free: 0,
            stop,
            leave: KeepContainer::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn out(&self) -> PathBuf {
        self.path("out")
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    fn label(&self) -> String {
        format!("{LABEL}={}", self.container.labels[LABEL])
    }

    fn room<'a>(&self, out: &'a Path) -> DiskQuota<'a> {
        DiskQuota { output: out, output_limit: self.output_limit, keep_free: self.keep_free }
    }

    /// An attempt, and its events.
    async fn attempt(&self) -> (AttemptSupervisor<DockerClient>, mpsc::Receiver<AttemptEvent>) {
        let (tell, told) = mpsc::channel(1000);
        let (clock, folder) = (Clock::system(), self.folder.path());
        let logs = AttemptLogs::create(folder, self.log_cap, &clock).await.expect("the folder can be written");
        let context = AttemptContext { folder, logs, clock: &clock, events: tell, leave: &self.leave };
        (AttemptSupervisor::begin(&self.docker, context, Vec::new()), told)
    }

    /// Runs the attempt. `seen` gets the whole standard output so far, each time that more arrives.
    async fn watched(&self, mut seen: impl FnMut(&[u8]) + Send + 'static) -> Done {
        let (mut attempt, mut told) = self.attempt().await;
        let listener = tokio::spawn(async move {
            let mut live = Vec::new();
            while let Some(event) = told.recv().await {
                if let AttemptEvent::Output(chunk) = event {
                    if chunk.stream == OutputStream::Stdout && live.len() < LIVE {
                        live.extend_from_slice(&chunk.bytes);
                    }
                    seen(&live);
                }
            }
            live
        });
        let out = self.out();
        let main = attempt.main(&self.container, self.room(&out), &self.stop).await;
        let remains = attempt.finish();
        Done { main, remains, live: listener.await.unwrap() }
    }

    /// Runs the attempt, and asserts that its container is removed.
    async fn run(&self) -> Done {
        let done = self.watched(|_| {}).await;
        assert_eq!(self.engine.containers(&self.label()).await, [""; 0]);
        done
    }

    /// Like [`Job::run`], for an attempt whose container must end, with success or not.
    async fn ended(&self) -> JobExit {
        self.run().await.main.expect("the engine does its part")
    }
}
