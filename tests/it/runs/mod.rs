//! Runs of the service: the program as a child process, a real Docker Engine, and jobs that wait for a file.

mod batches;
mod cli;
mod crash;
mod disk;
mod engine_away;
mod files;
mod inputs;
mod pages;
mod queue;
mod quota;
mod reach;
mod samples;
mod worlds;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use silo::seed::LABEL;

use crate::support::docker_engine::{self, DockerEngine, WAITS, there};
use crate::support::manifest::of_job;
use crate::support::process::{Engine, PATIENCE, Setup, Silo};

const NOOP: &str = "echo once >>$OUTPUT_DIR/begun";

/// A service that runs jobs.
pub(crate) struct Runs {
    pub silo: Silo,
    pub engine: DockerEngine,
}

impl Runs {
    pub(crate) async fn on(database: Engine) -> Self {
        Self::with(database, &[]).await
    }

    /// With additional options, as environment variables.
    pub(crate) async fn with(database: Engine, options: &[(&str, &str)]) -> Self {
        let engine = docker_engine::engine().await;
        let host = engine.host.clone();
        Self::at(database, (engine, &host), options).await
    }

    /// With this engine, which the service uses at this address.
    pub(crate) async fn at(database: Engine, (engine, host): (DockerEngine, &str), options: &[(&str, &str)]) -> Self {
        Self::started(Setup::on(database).await, (engine, host), options).await
    }

    async fn started(setup: Setup, (engine, host): (DockerEngine, &str), options: &[(&str, &str)]) -> Self {
        let setup = setup.env("SILO__RUNS__ENGINE", host).env("SILO__RUNS__NETWORK", "none");
        let setup = options.iter().fold(setup, |setup, (name, value)| setup.env(name, value));
        Self { silo: setup.start().await, engine }
    }

    /// An image of a job with this script; its output is the file `begun`.
    pub(crate) async fn image(&self, script: &str) -> String {
        self.image_of("0", script).await
    }

    /// The same with this USER.
    pub(crate) async fn image_of(&self, user: &str, script: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("job-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let manifest = of_job(
            &name,
            json!({
                "timeout": 600,
                "interface": {
                    "inputs": {"files": [{"name": "FILE", "required": false}]},
                    "outputs": {"files": [{"name": "BEGUN", "mediaType": "text/plain", "pattern": "begun"}]}
                },
                "errors": [{"code": 3, "name": "bad-input", "title": "Bad input", "description": "Of no use", "category": "data"}]
            }),
        );
        let label = manifest.to_string();
        self.engine.script_of(&format!("{name}-1.0.0-seed:1.0.0"), script, &[(LABEL, &label)], user).await
    }

    /// Submits a run; returns its record.
    pub(crate) async fn submit(&self, form: Value) -> Value {
        self.silo.post("/api/v1/runs", form).await.expect(201)
    }

    pub(crate) async fn get(&self, id: &str) -> Value {
        self.silo.get(&format!("/api/v1/runs/{id}")).await.expect(200)
    }

    /// Waits until a run fulfils a condition.
    pub(crate) async fn when(&self, id: &str, looks_so: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("/api/v1/runs/{id}"), looks_so).await
    }

    /// Waits until the reply at a path fulfils a condition.
    pub(crate) async fn until(&self, path: &str, looks_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let reply = self.silo.get(path).await.expect(200);
            if looks_so(&reply) {
                return reply;
            }
            assert!(began.elapsed() < PATIENCE, "it does not come to that: {reply:#}\n{}", self.silo.log());
            tokio::time::sleep(Duration::from_millis(20)).await; // because HTTP only answers when asked
        }
    }

    /// Waits for a run's end.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        self.when(id, |run| run["finished"].is_string()).await
    }

    /// Submits a waiting job, and waits until it has begun; returns its id and its output directory.
    pub(crate) async fn begun(&self, form: Value) -> (String, PathBuf) {
        let (id, output) = told(&self.submit(form).await);
        there(&output.join("begun")).await;
        (id, output)
    }

    pub(crate) async fn no_containers_of(&self, id: &str) {
        self.engine.until_containers(&format!("silo.run={id}"), 0).await;
    }
}

/// The id of a run, and its output directory.
pub(crate) fn told(record: &Value) -> (String, PathBuf) {
    let id = record["id"].as_str().expect("a record has an id").to_owned();
    (id, Path::new(record["folder"].as_str().expect("a run has a folder")).join("output"))
}

pub(crate) fn go(output: &Path) {
    fs::write(output.join("go"), "").expect("the job has made its directory ours to write");
}

/// How often its script was started.
pub(crate) fn times_begun(output: &Path) -> usize {
    fs::read_to_string(output.join("begun")).unwrap_or_default().lines().count()
}
