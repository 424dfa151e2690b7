//! Running jobs: the overhead of a run compared with `docker run` of the same container, a queue drained while the
//! service is repeatedly killed, and a job that prints a gigabyte. `cargo bench --bench runs`; see
//! `docs/benchmarks.md`.
//!
//! Starts its own Docker Engine (as root), with Debian's docker.io and busybox-static.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use silo::seed::LABEL;
use tempfile::TempDir;

use silo_testkit::figures::{self, Times, line, ratio};

const SILO: &str = env!("CARGO_BIN_EXE_silo");
const PASSWORD: &str = "correct horse battery staple";
const ROUNDS: usize = 20;
const QUEUED: usize = 200;
/// Time between two kills.
const LIFE: Duration = Duration::from_secs(3);
const GIGABYTE: u64 = 1_000_000_000;

fn main() {
    let engine = Engine::start();
    let noop = engine.image("noop", "exit 0");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(overhead(&engine, &noop));
    let once = engine.image("once", "echo once >>$OUTPUT_DIR/begun");
    runtime.block_on(killed(&engine, &once, figures::size(QUEUED)));
    let chatty = engine.image("chatty", &format!("yes 0123456789abcdef0123456789abcde | head -c {GIGABYTE}"));
    runtime.block_on(chatter(&engine, &chatty));
}

/// The same no-op job with `docker run`, with `silo run`, and in the service, in turn.
async fn overhead(engine: &Engine, image: &str) {
    println!("A job that does nothing, {ROUNDS} rounds");
    let service = Service::start(engine).await;
    let [mut bare, mut silo, mut served] = [(); 3].map(|()| Times::default());
    // A first round is not counted.
    for round in 0..=ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        fs::create_dir(&out).expect("a folder");
        let bind = format!("{}:/seed/out", out.display());
        let began = Instant::now();
        engine.docker(&["run", "--rm", "--network", "none", "-e", "OUTPUT_DIR=/seed/out", "-v", &bind, image]);
        let took = [began.elapsed(), engine.silo_run(image, &folder.path().join("silo")).1, service.run(image).await];
        if round > 0 {
            for (times, took) in [&mut bare, &mut silo, &mut served].into_iter().zip(took) {
                times.add(took);
            }
        }
    }
    line("docker run", &bare);
    line("silo run", &silo);
    line("service, from the request to the end", &served);
    line("silo run / docker run", format!("{:.2}", 1.0 / ratio(silo.median(), bare.median())));
    line("service / docker run", format!("{:.2}", 1.0 / ratio(served.median(), bare.median())));
}

/// Drains a queue under kill -9.
async fn killed(engine: &Engine, image: &str, number: usize) {
    println!("\n{number} queued runs, kill -9 every {} s", LIFE.as_secs());
    let mut service = Service::start(engine).await;
    let mut runs = Vec::new();
    for _ in 0..number {
        runs.push(service.submit(image).await);
    }
    let began = Instant::now();
    let (mut kills, mut ended) = (0, 0);
    while ended < number {
        tokio::time::sleep(LIFE).await;
        ended = service.counts().await["successful"].as_u64().expect("a number") as usize;
        if ended < number {
            service.kill_and_start_again().await;
            kills += 1;
        }
    }
    let took = began.elapsed();
    let counts = service.counts().await;
    let mut begun = Vec::new();
    for (_, folder) in &runs {
        let lines = fs::read_to_string(folder.join("output/begun")).unwrap_or_default();
        begun.push(lines.lines().count());
    }
    assert_eq!(counts["successful"], number, "none is lost: {counts}");
    assert!(begun.iter().all(|times| *times == 1), "none is done twice: {begun:?}");
    assert_eq!(engine.containers(), 0, "no container is left");
    line("successful, each begun once", format!("{number} of {number}"));
    line("kills", kills);
    line("time", format!("{:.0} s, {:.1} runs/s", took.as_secs_f64(), number as f64 / took.as_secs_f64()));
}

/// A job that prints a gigabyte, with `silo run`, and in the service with a client that follows the log.
async fn chatter(engine: &Engine, image: &str) {
    println!("\nA job that prints {GIGABYTE} bytes");
    let folder = tempfile::tempdir().expect("a folder");
    let (peak, took) = engine.silo_run(image, &folder.path().join("out"));
    line("silo run", format!("{:.1} s, {peak} at most", took.as_secs_f64()));
    let service = Service::start(engine).await;
    let (id, _) = service.submit(image).await;
    let began = Instant::now();
    let followed = tokio::spawn(service.follow(&id));
    service.ended(&id).await;
    let took = began.elapsed();
    let bytes = followed.await.expect("following does not panic");
    line("service", format!("{:.1} s, {} at most", took.as_secs_f64(), peak_of(service.child().id())));
    line("bytes that somebody followed", bytes);
}

/// A Docker Engine with the base image.
struct Engine {
    folder: TempDir,
    child: Child,
}

impl Engine {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerd");
        let child = Command::new(script).arg(folder.path()).spawn().expect("tests/dockerd can be started");
        let engine = Self { folder, child };
        while !engine.command("docker", &["version"]).output().expect("Debian's docker.io").status.success() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let context = engine.folder.path().join("base");
        fs::create_dir(&context).expect("a folder");
        fs::copy("/bin/busybox", context.join("busybox")).expect("Debian's busybox-static");
        let dockerfile =
            "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
        fs::write(context.join("Dockerfile"), dockerfile).expect("a file");
        engine.docker(&["build", "-t", "bench/base", "--network", "none", &context.display().to_string()]);
        engine
    }

    fn address(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("DOCKER_HOST", self.address()).env("DOCKER_BUILDKIT", "0");
        command
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let output = self.command("docker", arguments).output().expect("Debian's docker.io");
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Builds the image of a script with a manifest.
    fn image(&self, name: &str, script: &str) -> String {
        let manifest = json!({"seedVersion": "1.0.0", "job": {
            "name": name, "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "", "description": "A job to measure with",
            "maintainer": {"name": "Ada", "email": "ada@example.org"}, "timeout": 600
        }});
        let context = self.folder.path().join(name);
        fs::create_dir(&context).expect("a folder");
        fs::write(context.join("job.sh"), script).expect("a file");
        let dockerfile = "FROM bench/base\nCOPY job.sh /job.sh\nENTRYPOINT [\"/bin/sh\", \"/job.sh\"]\n";
        fs::write(context.join("Dockerfile"), dockerfile).expect("a file");
        let (image, label) = (format!("bench/{name}-1.0.0-seed:1.0.0"), format!("{LABEL}={manifest}"));
        self.docker(&["build", "-t", &image, "--label", &label, &context.display().to_string()]);
        image
    }

    /// `silo run`: its peak memory, and its duration.
    fn silo_run(&self, image: &str, out: &Path) -> (String, Duration) {
        let out = out.display().to_string();
        let began = Instant::now();
        let mut command = self.command(SILO, &["run", image, "-o", &out, "--network", "none"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("cargo built it");
        let mut stdout = child.stdout.take().expect("it is piped");
        let (mut buffer, mut peak) = (vec![0; 1 << 20], String::new());
        let mut read = 0_u64;
        // The peak can be read only while the process lives.
        loop {
            match stdout.read(&mut buffer).expect("a pipe") {
                0 => break,
                more => read += more as u64,
            }
            if read.is_multiple_of(64) {
                peak = peak_of(child.id());
            }
        }
        assert!(child.wait().expect("our own child").success(), "{image}");
        (peak, began.elapsed())
    }

    fn containers(&self) -> usize {
        let listed = self.docker(&["ps", "-aq"]).stdout;
        String::from_utf8_lossy(&listed).lines().count()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        _ = self.child.wait();
    }
}

/// `silo serve`.
struct Service {
    folder: TempDir,
    engine: String,
    child: Option<Child>,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Service {
    async fn start(engine: &Engine) -> Self {
        silo::registry::install_tls();
        let http = reqwest::Client::builder().no_proxy().build().expect("a plain client can be built");
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, url, token) = (engine.address(), String::new(), String::new());
        let mut service = Self { folder, engine, child: None, url, token, http };
        service.launch();
        let form = json!({"username": "admin", "password": PASSWORD});
        let login = service.http.post(format!("{}/api/v1/login", service.url)).json(&form).send().await;
        let login: Value = login.expect("it answers").json().await.expect("JSON");
        service.token = login["token"].as_str().expect("a token").to_owned();
        service
    }

    fn launch(&mut self) {
        let mut command = Command::new(SILO);
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let data = self.folder.path().join("data");
        command.env("SILO_DATA", data).env("SILO_ADMIN_PASSWORD", PASSWORD).env("SILO__SCAN__SCHEDULE", "off");
        command.env("SILO__RUNS__ENGINE", &self.engine).env("SILO__RUNS__NETWORK", "none");
        let mut child = command.spawn().expect("cargo built it");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let welcome = lines.find_map(|line| Some(line.split_once("http://")?.1.to_owned()));
        self.url = format!("http://{}", welcome.expect("it says where it listens").trim());
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("it runs")
    }

    async fn kill_and_start_again(&mut self) {
        self.stop();
        self.launch();
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
        }
    }

    async fn get(&self, path: &str) -> Value {
        let asked = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await;
        asked.expect("it answers").json().await.expect("JSON")
    }

    /// Submits a run; returns its id and folder.
    async fn submit(&self, image: &str) -> (String, PathBuf) {
        let asked = self.http.post(format!("{}/api/v1/runs", self.url)).bearer_auth(&self.token);
        let answer = asked.json(&json!({"image": image})).send().await.expect("it answers");
        assert_eq!(answer.status(), 201);
        let record: Value = answer.json().await.expect("JSON");
        let text = |key: &str| record[key].as_str().expect("a text").to_owned();
        (text("id"), PathBuf::from(text("folder")))
    }

    async fn counts(&self) -> Value {
        self.get("/api/v1/runs?limit=1").await["counts"].clone()
    }

    /// Waits for a run's end as a client does: by its event stream.
    async fn ended(&self, id: &str) {
        let asked = self.http.get(format!("{}/api/v1/runs/{id}/events", self.url)).bearer_auth(&self.token);
        let answer = asked.header("accept", "text/event-stream").send().await.expect("it answers");
        answer.bytes().await.expect("the stream ends with the run");
        let run = self.get(&format!("/api/v1/runs/{id}")).await;
        assert_eq!(run["status"], "successful", "{run:#}");
    }

    async fn run(&self, image: &str) -> Duration {
        let began = Instant::now();
        let (id, _) = self.submit(image).await;
        self.ended(&id).await;
        began.elapsed()
    }

    /// Follows the log to its end; returns the bytes of events received.
    fn follow(&self, id: &str) -> impl Future<Output = u64> + use<> {
        let url = format!("{}/api/v1/runs/{id}/logs/stdout?follow=true", self.url);
        let (http, token) = (self.http.clone(), self.token.clone());
        async move {
            let mut bytes = 0;
            loop {
                let answer = http.get(&url).bearer_auth(&token).header("accept", "text/event-stream").send().await;
                let mut answer = answer.expect("it answers");
                if !answer.status().is_success() {
                    // Not started yet.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                while let Some(chunk) = answer.chunk().await.expect("the stream goes on") {
                    bytes += chunk.len() as u64;
                }
                return bytes;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Peak memory of a process.
fn peak_of(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("? kB").trim();
    let kib: f64 = peak.trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    format!("{:.0} MiB", kib / 1024.0)
}
