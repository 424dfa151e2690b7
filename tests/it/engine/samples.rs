//! What a job uses is measured while it runs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use silo::engine::docker::DockerClient;
use silo::engine::run::samples::{SampleFile, SampleTotals};

use super::Job;
use crate::support::docker_engine::{BURNS, BURNT, DockerEngine, without_statistics};
use crate::support::process::PATIENCE;

/// Waits for something that only polling tells: samples are a file, which nothing announces, and requests are only counted.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A job that holds memory and burns time until it was seen.
pub(super) async fn is_measured(engine: &DockerEngine) {
    let job = Job::on(engine.clone(), BURNS).await;
    let folder = job.folder.path().to_owned();
    let has_seen = async || {
        let file = SampleFile::open(&folder).await;
        file.samples().len() > 1 && file.totals().is_some_and(|totals| totals.peak_memory >= BURNT)
    };
    let seeing = async {
        until(has_seen).await;
        std::fs::write(job.out().join("go"), "").unwrap();
    };
    let (done, ()) = tokio::join!(job.run(), seeing);
    assert_eq!(done.main.unwrap().ended.exit_code, 0);
    let file = SampleFile::open(&folder).await;
    let SampleTotals { peak_memory, cpu_seconds } = file.totals().expect("it was measured");
    assert!(peak_memory >= BURNT && cpu_seconds > 0.0, "{peak_memory} {cpu_seconds}");
    let in_order =
        file.samples().windows(2).all(|two| two[0].time < two[1].time && two[0].cpu_seconds <= two[1].cpu_seconds);
    assert!(in_order, "{:?}", file.samples());
}

#[tokio::test]
async fn memory_and_time_of_a_job_are_measured() {
    is_measured(&crate::support::docker_engine::engine().await).await;
}

#[tokio::test]
async fn an_engine_without_statistics_harms_no_job() {
    let mut job = Job::new(BURNS).await;
    let (host, count) = without_statistics(&job.engine.host, job.folder.path());
    job.docker = DockerClient::open(Some(&host)).await.unwrap();
    let refusing = async {
        until(async || count.load(Ordering::Relaxed) > 1).await;
        std::fs::write(job.out().join("go"), "").unwrap();
    };
    let (done, ()) = tokio::join!(job.run(), refusing);
    assert_eq!(done.main.unwrap().ended.exit_code, 0);
    assert_eq!(SampleFile::open(job.folder.path()).await.totals(), None);
}
