//! A service under combined load: honest clients on 50 connections, scans, hooks, runs, and malicious clients. Honest
//! clients should see no errors, and memory and file handles should stay constant.
//! `cargo bench --bench soak -- SECONDS` (ten minutes by default); see `docs/benchmarks.md`.
//!
//! Runs need a container engine: `SILO_SOAK_ENGINE=unix:///…/docker.sock`, with an image given by `SILO_SOAK_IMAGE`.

mod honest;
mod hostile;
mod target;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use silo_testkit::fake_registry::{FakeRegistry, Image};
use silo_testkit::figures::{self, Times, line};
use target::Target;

const REPOSITORIES: usize = 100;
const TAGS: usize = 5;
const CONNECTIONS: usize = 50;
/// Number of samples of the process over the whole time.
const SAMPLES: u32 = 20;

/// Results of honest clients.
#[derive(Default)]
pub struct Seen {
    times: BTreeMap<&'static str, Vec<Duration>>,
    errors: BTreeMap<String, usize>,
}

/// Shared by all clients.
pub type Tally = Arc<Mutex<Seen>>;

pub fn told(tally: &Tally, what: &'static str, took: Duration, outcome: Result<(), String>) {
    let mut seen = tally.lock();
    seen.times.entry(what).or_default().push(took);
    if let Err(why) = outcome {
        *seen.errors.entry(format!("{what}: {why}")).or_default() += 1;
    }
}

#[tokio::main]
async fn main() {
    let seconds = figures::size(600) as u64;
    let registry = filled().await;
    let target = Arc::new(Target::start(&registry.url()).await);
    println!("{seconds} s, {CONNECTIONS} connections, {} tags, runs: {}", REPOSITORIES * TAGS, target.image.is_some());
    let (tally, stop) = (Tally::default(), CancellationToken::new());
    let mut clients = honest::start(&target, &registry, &tally, &stop, CONNECTIONS);
    clients.extend(hostile::start(&target, &stop));

    let (began, every) = (Instant::now(), Duration::from_secs(seconds) / SAMPLES);
    println!("\n  {:>6} {:>10} {:>10} {:>10}", "s", "MiB", "handles", "threads");
    let mut samples = Vec::new();
    for round in 0..=SAMPLES {
        tokio::time::sleep_until((began + every * round).into()).await;
        let sample = Sample::of(target.process());
        println!(
            "  {:>6.0} {:>10.0} {:>10} {:>10}",
            began.elapsed().as_secs_f64(),
            sample.mib,
            sample.handles,
            sample.threads
        );
        samples.push(sample);
    }
    stop.cancel();
    for client in clients {
        // Clients that wait for a stalled server would wait forever.
        _ = tokio::time::timeout(Duration::from_secs(60), client).await;
    }
    report(&tally, &samples);
    target.ends_in_good_order().await;
}

/// A registry with jobs to search for.
async fn filled() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for number in 0..REPOSITORIES {
        for tag in 0..TAGS {
            push(&registry, number, tag);
        }
    }
    registry
}

/// Pushes one version of one job.
pub fn push(registry: &FakeRegistry, number: usize, tag: usize) -> String {
    let name = format!("soak-job-{number}");
    let manifest = serde_json::json!({"seedVersion": "1.0.0", "job": {
        "name": name, "jobVersion": format!("1.{tag}.0"), "packageVersion": "1.0.0", "title": format!("Cloud mask {number}"),
        "description": "A job that is searched for while much else goes on", "timeout": 60,
        "maintainer": {"name": "Ada", "email": "ada@example.org"}
    }});
    let repository = format!("soak/{name}-1.{tag}.0-seed");
    registry.push(&repository, "1.0.0", &Image::new().label(silo::seed::LABEL, manifest.to_string()));
    repository
}

struct Sample {
    mib: f64,
    handles: usize,
    threads: usize,
}

impl Sample {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the service lives");
        let number = |key: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux tells it");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let handles = fs::read_dir(format!("/proc/{process}/fd")).expect("our own child's").count();
        Self { mib: number("VmRSS:") as f64 / 1024.0, handles, threads: number("Threads:") }
    }
}

fn report(tally: &Tally, samples: &[Sample]) {
    let seen = tally.lock();
    println!("\nHonest clients");
    let mut requests = 0;
    for (what, times) in &seen.times {
        requests += times.len();
        let mut sorted = Times::default();
        times.iter().for_each(|time| sorted.add(*time));
        line(what, format!("{:>7}  {sorted}", times.len()));
    }
    line("requests", requests);
    line("errors", seen.errors.values().sum::<usize>());
    for (why, times) in &seen.errors {
        line("", format!("{times} × {why}"));
    }
    // The warm-up ends after a quarter of the time.
    let steady = &samples[samples.len() / 4..];
    let (first, last) = (&steady[0], &steady[steady.len() - 1]);
    let most = steady.iter().map(|sample| sample.mib).fold(0.0, f64::max);
    println!("\nThe service, from a quarter of the time to the end");
    line("memory", format!("{:.0} → {:.0} MiB, {most:.0} at most", first.mib, last.mib));
    line("handles", format!("{} → {}", first.handles, last.handles));
    line("threads", format!("{} → {}", first.threads, last.threads));
}
