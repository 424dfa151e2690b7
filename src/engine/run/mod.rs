//! Runs one attempt of a planned run, from pull to verdict. Needs no database.

pub(super) mod checkpoint;
pub mod folder;
pub(super) mod input_metadata;
pub mod inputs;
pub mod logs;
pub mod orphans;
pub mod outputs;
pub mod record;
pub mod removal_guard;
pub mod supervisor;
pub mod verdict;

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::access::{self, JobUser, MadeAccess};
use super::away::EngineWait;
use super::disk::FileReadError;
use super::disk_quota::DiskQuota;
use super::fetch::WantedImage;
use super::file_removal::{AccessPurpose, closed};
use super::halt::HaltSignal;
use super::plan::RunPlan;
use super::plan::container::{ATTEMPT, ContainerSpec, NetworkMode, RUN};
use super::runtime::{self, ContainerRuntime, EngineFacts, EngineImage, FoundContainer};
use crate::clock::Clock;
use crate::seed::model::SeedManifest;
use crate::seed::{LABEL, label};
use checkpoint::{CheckpointEnd, CheckpointFiles, CheckpointState};
use folder::RunPaths;
use inputs::{GivenInput, InputError};
use logs::AttemptLogs;
use outputs::{OutputRules, RunOutputs, capture, mend_links};
use record::{AttemptRecord, Phase};
use removal_guard::KeepContainer;
use supervisor::{AttemptEvent, AttemptSupervisor, Error, JobExit, StopReason, written};
use verdict::{RunEnding, RunError, RunVerdict, SystemFailure, judge};

/// Limit for rounds of opening files of other users: each round may reveal more below.
const OPENINGS: u32 = 50;

/// Warning for a failed job without network.
const NO_NETWORK: &str = "The job failed, and had no network. If it needs one: `silo run` gives it by --network, a service by \
    runs.network or runs.bridge_registries.";

/// What is said where the engine was waited for in vain.
const LEFT_RUNNING: &str =
    "The engine does not answer, so the job's container may run on. The next `silo run` removes it.";

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRequest<'a> {
    pub manifest: &'a SeedManifest,
    pub plan: &'a RunPlan,
    pub wanted: WantedImage<'a>,
    /// Metadata of the inputs; `None`: the files are read.
    pub given: Option<&'a [GivenInput]>,
    pub rules: OutputRules,
    pub folder: &'a RunPaths,
    pub engine: &'a EngineFacts,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// Log limit of each stream, in bytes.
    pub log_cap: u64,
    /// Time limit for capturing the outputs.
    pub capture_limit: Option<Duration>,
    /// See [`DiskQuota::keep_free`].
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
    /// Empty if the attempt did not get to staging.
    pub given: Vec<GivenInput>,
    /// Warnings about the inputs, a sentence each.
    pub warnings: Vec<String>,
    /// Captured outputs if the job ran, also if it failed.
    pub outputs: Option<RunOutputs>,
}

/// Point at which an attempt begins or resumes.
enum StartPoint {
    Anew,
    /// Take over this container of an earlier process.
    Adopt(FoundContainer),
    /// The job has exited; capture its outputs.
    Ended(CheckpointEnd),
    /// The container is gone, and its exit was not recorded.
    Lost(String),
}

/// Runs the attempt. Dropping the future at any await removes the container, unless [`AttemptRequest::leave`] is set.
///
/// # Errors
/// The folder cannot be written, not even the logs; or the engine does not list the run's containers, or stops
/// answering while the container is to be kept for that case ([`KeepContainer::when_lost`]): then resume the attempt. All
/// other errors are in the outcome.
pub async fn execute<R: ContainerRuntime>(
    runtime: &R,
    job: AttemptRequest<'_>,
    clock: &Clock,
    events: mpsc::Sender<AttemptEvent>,
    stop: &CancellationToken,
) -> Result<AttemptOutcome, Error> {
    let started = job.resumed.map_or_else(|| clock.now(), |resumed| resumed.started);
    let folder = job.folder.attempt(job.number);
    let start = find_start_point(runtime, job, &folder).await?;
    let logs = open_logs(job, &folder, &start, clock).await?;
    let earlier = match (&start, job.resumed) {
        (StartPoint::Anew, _) | (_, None) => Vec::new(),
        (_, Some(resumed)) => resumed.phases.clone(),
    };
    let mut attempt = AttemptSupervisor::begin(runtime, (&folder, logs), (clock, events), job.leave, earlier);
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
            answered = how_far_by_now(runtime, resumed, &folder, most) => answered,
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
    let attempt = record(job, started, clock.now(), attempt, main.ok().as_ref(), &verdict);
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

/// The files of its logs: as they are where the job has ended, else from the beginning.
async fn open_logs(
    job: AttemptRequest<'_>,
    folder: &Path,
    start: &StartPoint,
    clock: &Clock,
) -> Result<AttemptLogs, Error> {
    let opened = match start {
        StartPoint::Ended(end) => AttemptLogs::reopen(folder, job.log_cap, clock, end.printed).await,
        _ => match prepare(job, folder, start) {
            Ok(()) => AttemptLogs::create(folder, job.log_cap, clock).await,
            Err(why) => Err(why),
        },
    };
    opened.map_err(|why| written(&job.folder.root, &why))
}

/// How far an attempt came that was begun before. What the engine has of the run besides is removed: an earlier attempt may run
/// on at an engine that did not answer for a while.
async fn find_start_point<R: ContainerRuntime>(
    runtime: &R,
    job: AttemptRequest<'_>,
    folder: &Path,
) -> Result<StartPoint, Error> {
    let mark = if job.resumed.is_some() { CheckpointFiles::new(folder).read() } else { CheckpointState::Nothing };
    if let CheckpointState::Ended(end) = mark {
        return Ok(StartPoint::Ended(end));
    }
    let labels = &job.plan.container.labels;
    let Some(run) = labels.get(RUN) else { return Ok(StartPoint::Anew) };
    let found = runtime.containers(&format!("{RUN}={run}")).await?;
    let attempt = labels.get(ATTEMPT);
    let (mut ours, others): (Vec<FoundContainer>, Vec<FoundContainer>) =
        found.into_iter().partition(|it| attempt.is_none() || it.labels.get(ATTEMPT) == attempt);
    // There may be several: a create request that was pending when its `silo` process died is still carried out. The
    // started one is the one in the mark.
    let place = match &mark {
        CheckpointState::Begun(container) => ours.iter().position(|it| it.id == *container),
        _ => (job.resumed.is_some() && !ours.is_empty()).then_some(0),
    };
    let adopted = place.map(|place| ours.swap_remove(place));
    for rest in ours.iter().chain(&others) {
        runtime.remove(&rest.id).await?;
    }
    Ok(match (adopted, mark) {
        (Some(found), _) => StartPoint::Adopt(found),
        (None, CheckpointState::Begun(container)) => StartPoint::Lost(container),
        (None, _) => StartPoint::Anew,
    })
}

/// The same of an engine that does not answer: when it does, or is not waited for any more.
async fn how_far_by_now<R: ContainerRuntime>(
    runtime: &R,
    job: AttemptRequest<'_>,
    folder: &Path,
    most: Duration,
) -> Result<StartPoint, Error> {
    let wait = EngineWait::begin(most);
    loop {
        let goes_on = wait.goes_on().await;
        match find_start_point(runtime, job, folder).await {
            Err(why) if why.is_silence() && goes_on => {}
            answered => break answered,
        }
    }
}

fn prepare(job: AttemptRequest<'_>, logs: &Path, start: &StartPoint) -> std::io::Result<()> {
    std::fs::create_dir_all(&job.folder.root)?;
    if matches!(start, StartPoint::Anew) {
        CheckpointFiles::new(logs).clear()?;
    }
    job.folder.create()?;
    std::fs::create_dir_all(logs)?;
    job.folder.write_plan(job.plan)
}

/// What is known of the attempt so far.
#[derive(Default)]
struct AttemptState {
    image: Option<EngineImage>,
    given: Vec<GivenInput>,
    warnings: Vec<String>,
    outputs: Option<RunOutputs>,
    made: MadeAccess,
}

impl AttemptState {
    async fn steps<R: ContainerRuntime>(
        &mut self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        start: StartPoint,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        let room = DiskQuota { output: &job.folder.output, output_limit: job.rules.bytes, keep_free: job.keep_free };
        let container = &job.plan.container;
        let is_resumed = !matches!(start, StartPoint::Anew);
        let main = match start {
            StartPoint::Anew => {
                let container = self.begin(attempt, job, stop).await?;
                attempt.main(&container, room, stop).await?
            }
            StartPoint::Adopt(found) => attempt.adopt(&found, container, room, stop).await?,
            StartPoint::Ended(end) => end.main,
            StartPoint::Lost(container) => {
                let reason = format!("container {container} is gone, and nobody saw how it ended");
                return Err(runtime::Error::Interrupted { reason }.into());
            }
        };
        self.open_up(attempt, job, stop).await?;
        self.mend_links(attempt, job, stop).await?;
        let (manifest, plan) = (job.manifest.clone(), job.plan.clone());
        let (output, rules) = (job.folder.output.clone(), job.rules);
        let work = move |halt: &HaltSignal| {
            let given = match is_resumed.then(|| inputs::read(&manifest, &plan, halt)) {
                Some(Err(InputError::Halted(why))) => return Err(why.into()),
                // The inputs may be gone by now.
                given => given.and_then(Result::ok).unwrap_or_default(),
            };
            Ok((capture(&manifest, &output, rules, halt)?, given))
        };
        let (outputs, given) = attempt.phase(Phase::Capture, (stop, job.capture_limit), work).await?;
        if is_resumed {
            (self.given, self.warnings) = given;
        }
        self.outputs = Some(outputs);
        Ok(main)
    }

    /// Makes files of other users in the output directory readable, with the engine's permissions. What stays closed
    /// is reported when the outputs are captured.
    async fn open_up<R: ContainerRuntime>(
        &self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        for _ in 0..OPENINGS {
            let output = job.folder.output.clone();
            let stop = stop.child_token();
            let (halt, _dropped) = (HaltSignal::on(&stop), stop.drop_guard());
            let found = tokio::task::spawn_blocking(move || closed(&output, AccessPurpose::Read, &halt)).await;
            let Some(found) = found.ok().and_then(Result::ok).filter(|found| !found.paths.is_empty()) else { break };
            if let Err(why) = attempt.open_up(&found.root, &found.paths).await {
                if why.is_silence() {
                    return Err(why);
                }
                attempt.note(&format!("files of other users stay closed: {why}")).await?;
                break;
            }
        }
        Ok(())
    }

    /// Rewrites links to paths in the container, so that they work on the host.
    async fn mend_links<R: ContainerRuntime>(
        &self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        // A second time after the engine has opened folders that only their owner could write to.
        for _ in 0..2 {
            let (plan, output, bytes) = (job.plan.clone(), job.folder.output.clone(), job.rules.bytes);
            let stop = stop.child_token();
            let (halt, _dropped) = (HaltSignal::on(&stop), stop.drop_guard());
            let mended = tokio::task::spawn_blocking(move || mend_links(&plan, &output, bytes, &halt)).await;
            let closed = mended.ok().and_then(Result::ok).unwrap_or_default();
            if closed.is_empty() {
                break;
            }
            match attempt.open_up(&job.folder.output, &closed).await {
                Err(why) if why.is_silence() => return Err(why),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Pull and staging. Returns the container, adapted to the user that the image sets.
    async fn begin<R: ContainerRuntime>(
        &mut self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<ContainerSpec, Error> {
        let image = attempt.pull(&job.wanted, stop).await?;
        let differs = job.must_match && !has_manifest_in_label(&image, job.manifest);
        let user = job.plan.container.user.as_ref().unwrap_or(&image.config.user);
        let user = JobUser::new(user, job.engine.maps_users);
        self.image = Some(image);
        if differs {
            return Err(Error::OtherManifest { image: job.wanted.image.to_string() });
        }
        let (manifest, plan, folder) = (job.manifest.clone(), job.plan.clone(), job.folder.clone());
        let given = job.given.map(<[GivenInput]>::to_vec);
        let work = move |halt: &HaltSignal| {
            let (given, mut warnings) = stage(&manifest, &plan, given, &folder, halt)?;
            let mut container = plan.container.clone();
            let Some(user) = user else { return Ok((given, warnings, container, MadeAccess::default())) };
            let (made, told) = access::give((&plan, &mut container), &user, &folder, halt)?;
            warnings.extend(told);
            Ok((given, warnings, container, made))
        };
        let (given, warnings, container, made) = attempt.phase(Phase::Stage, (stop, None), work).await?;
        for warning in &warnings {
            attempt.note(warning).await?;
        }
        (self.given, self.warnings, self.made) = (given, warnings, made);
        Ok(container)
    }
}

/// Whether the image's label holds this manifest.
fn has_manifest_in_label(image: &EngineImage, manifest: &SeedManifest) -> bool {
    let text = image.labels.get(LABEL).and_then(|raw| label::read(raw).ok());
    text.and_then(|text| SeedManifest::parse(&text).ok()).is_some_and(|labelled| labelled == *manifest)
}

fn stage(
    manifest: &SeedManifest,
    plan: &RunPlan,
    given: Option<Vec<GivenInput>>,
    folder: &RunPaths,
    halt: &HaltSignal,
) -> Result<(Vec<GivenInput>, Vec<String>), Error> {
    let (given, warnings) = match given {
        Some(given) => (given, Vec::new()),
        None => inputs::read(manifest, plan, halt).map_err(|why| match why {
            InputError::Halted(why) => why.into(),
            why => Error::Input(why.to_string()),
        })?,
    };
    inputs::stage(manifest, plan, &given, folder, halt).map_err(|why| match why {
        FileReadError::Halted(why) => why.into(),
        FileReadError::Disk(why) => written(&folder.root, &why),
    })?;
    Ok((given, warnings))
}

fn record<R: ContainerRuntime>(
    job: AttemptRequest<'_>,
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    attempt: AttemptSupervisor<R>,
    main: Option<&JobExit>,
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
        host: Some(job.engine.host.clone()),
        engine: Some(job.engine.name.clone()),
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
    }
}

fn ending(plan: &RunPlan, main: &JobExit) -> RunEnding {
    RunEnding {
        exit_code: Some(main.ended.exit_code),
        oom: main.ended.oom,
        timed_out: (main.stopped == Some(StopReason::TimedOut)).then(|| plan.container.timeout.unwrap_or_default()),
        cancelled: main.stopped == Some(StopReason::Cancelled),
    }
}

/// The verdict of the attempt.
fn verdict(job: AttemptRequest<'_>, main: &Result<JobExit, Error>, outputs: Option<&RunOutputs>) -> RunVerdict {
    let manifest = job.manifest;
    let why = match main {
        Ok(main) if main.stopped == Some(StopReason::OutputTooLarge) => {
            // Its outputs show why it was stopped; the exit code only shows that it was.
            let ending = RunEnding { exit_code: Some(0), ..ending(job.plan, main) };
            return named(judge(manifest, ending, outputs), |error| error.exit_code = Some(main.ended.exit_code));
        }
        Ok(main) => return judge(manifest, ending(job.plan, main), outputs),
        Err(why) => why,
    };
    let failure = match why {
        Error::Cancelled => return RunVerdict::Dismissed,
        Error::Engine(runtime::Error::Command { exit_code, reason }) => {
            let ending = RunEnding { exit_code: Some(*exit_code), ..RunEnding::default() };
            let tell =
                |error: &mut RunError| error.description = format!("{} The engine says: {reason}", error.description);
            return named(judge(manifest, ending, None), tell);
        }
        Error::Engine(why) => failure(why),
        Error::Input(_) => SystemFailure::MissingFile,
        Error::OtherManifest { .. } => SystemFailure::OtherManifest,
        Error::DiskFull { .. } | Error::Folder { .. } => SystemFailure::Disk,
        Error::CaptureTooSlow(_) => SystemFailure::Capture,
    };
    RunVerdict::Failed(failure.error(why.to_string()))
}

fn named(mut verdict: RunVerdict, change: impl FnOnce(&mut RunError)) -> RunVerdict {
    if let RunVerdict::Failed(error) = &mut verdict {
        change(error);
    }
    verdict
}

fn failure(why: &runtime::Error) -> SystemFailure {
    match why {
        runtime::Error::Pull { .. } if why.is_passing() => SystemFailure::Pull,
        runtime::Error::Pull { .. } | runtime::Error::NoImage { .. } => SystemFailure::PullRefused,
        runtime::Error::NoEngine { .. } | runtime::Error::Lost { .. } | runtime::Error::Interrupted { .. } => {
            SystemFailure::EngineLost
        }
        runtime::Error::DiskFull { .. } => SystemFailure::Disk,
        runtime::Error::NoGpu { .. }
        | runtime::Error::Command { .. }
        | runtime::Error::Build { .. }
        | runtime::Error::Push { .. }
        | runtime::Error::Refused { .. }
        | runtime::Error::Address { .. } => SystemFailure::Launch,
    }
}
