//! A run from its plan to its record, an attempt at a time. Needs no database.

pub mod attempt_error;
mod attempt_verdict;
pub(super) mod checkpoint;
pub mod folder;
pub(super) mod input_metadata;
pub mod inputs;
pub mod job_exit;
pub mod logs;
pub mod orphans;
pub mod outputs;
pub mod record;
mod record_files;
pub mod removal_guard;
pub mod samples;
mod start_point;
mod steps;
pub mod stop_reason;
pub mod supervisor;
pub mod verdict;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::docker::ContainerEngine;
use super::fetch::WantedImage;
use super::plan::RunPlan;
use super::plan::container::NetworkMode;
use super::runtime::{self, ContainerRuntime, EngineImage};
use crate::clock::Clock;
use crate::seed::model::SeedManifest;
use attempt_error::Error;
use attempt_verdict::{ending, verdict};
use folder::RunPaths;
use job_exit::JobExit;
use outputs::{OutputRules, RunOutputs};
use record::{AttemptRecord, GivenInput, RunRecord};
use removal_guard::KeepContainer;
use samples::{SampleFile, SampleTotals};
use start_point::{StartPoint, find_start_point, find_start_point_by_now, open_logs};
use steps::AttemptState;
use stop_reason::StopReason;
use supervisor::{AttemptContext, AttemptEvent, AttemptSupervisor};
use verdict::RunVerdict;

/// Warning for a failed job without network.
const NO_NETWORK: &str = "The job failed and had no network. If it needs one: use --network with `silo run`, or \
                          runs.network or runs.bridge_registries with a service.";

/// What is said where the engine was waited for in vain.
const LEFT_RUNNING: &str =
    "The engine does not answer, so the job's container may still be running. The next `silo run` removes it.";

/// One attempt that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRequest<'a> {
    pub manifest: &'a SeedManifest,
    pub plan: &'a RunPlan,
    pub wanted: WantedImage<'a>,
    /// The inputs as they were read; `None`: they are to be read.
    pub given: Option<&'a [GivenInput]>,
    pub rules: OutputRules,
    pub folder: &'a RunPaths,
    pub engine: &'a ContainerEngine,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// Log limit of each stream, in bytes.
    pub log_cap: u64,
    /// Time limit for capturing the outputs.
    pub capture_limit: Option<Duration>,
    /// See `DiskQuota::keep_free`.
    pub keep_free: u64,
    /// How long an engine is waited for that does not answer while the job runs; `None`: the attempt is to be resumed by the caller.
    pub engine_away: Option<Duration>,
    /// Whether an image with another manifest in its label is refused.
    pub must_match: bool,
    /// Record of the attempt, if an earlier `silo` process began it and was killed.
    pub resumed: Option<&'a AttemptRecord>,
    /// Set before this process exits, to leave the container running.
    pub leave: &'a KeepContainer,
}

/// Result of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptOutcome {
    pub verdict: RunVerdict,
    pub attempt: AttemptRecord,
    /// `None`: the pull phase failed, or an earlier process did it.
    pub image: Option<EngineImage>,
    /// The inputs as they were read. Empty if the attempt did not get to staging.
    pub given: Vec<GivenInput>,
    /// Warnings about the inputs, a sentence each.
    pub warnings: Vec<String>,
    /// Captured outputs if the job ran, also if it failed.
    pub outputs: Option<RunOutputs>,
}

/// Makes the attempt that was begun in `record` ([`RunRecord::begin_attempt`]). Returns the record with its result: the
/// run has ended, or waits for a retry.
///
/// # Errors
/// As [`execute`].
pub async fn run(
    job: AttemptRequest<'_>,
    mut record: RunRecord,
    clock: &Clock,
    events: mpsc::Sender<AttemptEvent>,
    stop: &CancellationToken,
) -> Result<RunRecord, Error> {
    let outcome = execute(job, clock, events, stop).await?;
    record.show(job.plan);
    record.warn(outcome.warnings);
    if job.given.is_none() {
        record.given.files = outcome.given;
    }
    if let Some(image) = outcome.image {
        record.image.digest = record.image.digest.or_else(|| image.digests.first().cloned());
        record.image.platform = Some(image.platform);
    }
    record.outputs = outcome.outputs;
    for phase in &outcome.attempt.phases {
        record.progress = record.progress.max(phase.name.progress());
    }
    if let Some(last) = record.attempts.last_mut() {
        *last = outcome.attempt;
    }
    record.end(outcome.verdict, clock.now());
    Ok(record)
}

/// Runs the attempt. Dropping the future at any await removes the container, unless [`AttemptRequest::leave`] is set.
///
/// # Errors
/// The folder cannot be written, not even the logs; or the engine does not list the run's containers, or stops
/// answering while the container is to be kept for that case ([`KeepContainer::when_lost`]): then resume the attempt. All
/// other errors are in the outcome.
pub async fn execute(
    job: AttemptRequest<'_>,
    clock: &Clock,
    events: mpsc::Sender<AttemptEvent>,
    stop: &CancellationToken,
) -> Result<AttemptOutcome, Error> {
    let started = job.resumed.map_or_else(|| clock.now(), |resumed| resumed.started);
    let (runtime, folder) = (&job.engine.docker, job.folder.attempt(job.number));
    let start = find_start_point(runtime, job, &folder).await?;
    let logs = open_logs(job, &folder, &start, clock).await?;
    let earlier = match (&start, job.resumed) {
        (StartPoint::Anew, _) | (_, None) => Vec::new(),
        (_, Some(resumed)) => resumed.phases.clone(),
    };
    let context = AttemptContext { folder: &folder, logs, clock, events, leave: job.leave };
    let mut attempt = AttemptSupervisor::begin(runtime, context, earlier);
    let mut seen = AttemptState::default();
    let mut main = seen.steps(&mut attempt, job, start, stop).await;
    let began = AttemptRecord::new(job.number, started);
    let resumed = AttemptRequest { resumed: Some(&began), ..job };
    while let Some(why) = silence(&main, job, &attempt) {
        let Some(most) = job.engine_away else { return Err(why.into()) };
        attempt.tell(AttemptEvent::Silence { why, most }).await;
        let answered = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Error::Cancelled),
            answered = find_start_point_by_now(runtime, resumed, &folder, most) => answered,
        };
        match answered {
            Ok(start) => {
                attempt.tell(AttemptEvent::Answer).await;
                attempt.go_on(open_logs(job, &folder, &start, clock).await?);
                main = seen.steps(&mut attempt, resumed, start, stop).await;
            }
            Err(why) => {
                seen.warnings.push(LEFT_RUNNING.to_owned());
                main = Err(why);
                break;
            }
        }
    }
    let verdict = verdict(job, &main, seen.outputs.as_ref());
    if let RunVerdict::Failed(error) = &verdict {
        // The disk may be full; the verdict says so then.
        _ = attempt.note(&format!("{}: {} {}", error.name, error.title, error.description)).await;
    }
    let AttemptState { image, given, mut warnings, outputs, made } = seen;
    made.undo(job.folder);
    let has_failed = main.as_ref().is_ok_and(|main| main.ended.exit_code != 0 && main.stopped.is_none());
    if has_failed && job.plan.container.network == NetworkMode::None {
        warnings.push(NO_NETWORK.to_owned());
    }
    let used = SampleFile::open(&folder).await.totals();
    let attempt = record(job, started, clock.now(), attempt, main.ok().as_ref(), used, &verdict);
    Ok(AttemptOutcome { verdict, attempt, image, given, warnings, outputs })
}

/// Why nobody knows how the job ended, which may run on: its engine has stopped answering.
fn silence<R: ContainerRuntime>(
    main: &Result<JobExit, Error>,
    job: AttemptRequest<'_>,
    attempt: &AttemptSupervisor<R>,
) -> Option<runtime::Error> {
    match main {
        Err(Error::Engine(why)) if why.is_silence() && job.leave.keeps_lost() && attempt.has_begun() => {
            Some(why.clone())
        }
        _ => None,
    }
}

fn record<R: ContainerRuntime>(
    job: AttemptRequest<'_>,
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    attempt: AttemptSupervisor<R>,
    main: Option<&JobExit>,
    used: Option<SampleTotals>,
    verdict: &RunVerdict,
) -> AttemptRecord {
    let remains = attempt.finish();
    let error = match verdict {
        RunVerdict::Failed(error) => Some(error.clone()),
        RunVerdict::Successful | RunVerdict::Dismissed => None,
    };
    AttemptRecord {
        number: job.number,
        started,
        finished: Some(finished),
        host: Some(job.engine.facts.host.clone()),
        engine: Some(job.engine.facts.name.clone()),
        container_id: main.map(|main| main.container_id.clone()),
        phases: remains.phases,
        exit_code: main.map(|main| main.ended.exit_code),
        signal: main.and_then(|main| ending(job.plan, main).signal()),
        oom: main.is_some_and(|main| main.ended.oom),
        timed_out: main.is_some_and(|main| main.stopped == Some(StopReason::TimedOut)),
        error,
        stdout_bytes: remains.printed.stdout_bytes,
        stderr_bytes: remains.printed.stderr_bytes,
        truncated: remains.printed.truncated,
        peak_memory: used.map(|used| used.peak_memory),
        cpu_seconds: used.map(|used| used.cpu_seconds),
    }
}
