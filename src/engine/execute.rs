//! One attempt of a planned run, from its pull to its verdict, without a database.

use std::path::Path;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Error, Event, Main, Room, Stopped, written};
use super::fetch::Wanted;
use super::folder::Folder;
use super::inputs::{self, GivenInput};
use super::outputs::{Outputs, Rules, capture};
use super::plan::Plan;
use super::record::{AttemptRecord, Phase};
use super::runtime::{self, Engine, Image, Runtime};
use super::verdict::{Ending, Failure, RunError, Verdict, judge};
use crate::clock::Clock;
use crate::seed::model::Manifest;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub manifest: &'a Manifest,
    pub plan: &'a Plan,
    pub wanted: Wanted<'a>,
    /// What is known of the inputs; `None`: they are looked at.
    pub given: Option<&'a [GivenInput]>,
    pub rules: Rules,
    pub folder: &'a Folder,
    pub engine: &'a Engine,
    /// Of the attempt, from 1.
    pub number: u32,
    /// Bytes of each of the job's streams that are kept.
    pub log_cap: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub attempt: AttemptRecord,
    /// `None`: there was none.
    pub image: Option<Image>,
    /// Empty when the attempt did not come so far.
    pub given: Vec<GivenInput>,
    /// What does not look right about the inputs, a sentence each.
    pub warnings: Vec<String>,
    /// What the job left behind, if it ran: also one that failed leaves something to look at.
    pub outputs: Option<Outputs>,
}

/// Does it. Whoever drops this at any await leaves no container behind.
///
/// # Errors
/// The folder cannot be written, so that there are not even logs. All else is in the outcome.
pub async fn execute<R: Runtime>(
    runtime: &R,
    job: Job<'_>,
    clock: &Clock,
    events: mpsc::Sender<Event>,
    stop: &CancellationToken,
) -> Result<Outcome, Error> {
    let started = clock.now();
    let logs = job.folder.attempt(job.number);
    prepare(job, &logs).map_err(|why| written(&job.folder.root, &why))?;
    let mut attempt = Attempt::begin(runtime, &logs, job.log_cap, clock, events).await?;
    let mut seen = Seen::default();
    let main = seen.steps(&mut attempt, job, stop).await;
    let verdict = verdict(job.manifest, &main, seen.outputs.as_ref());
    if let Verdict::Failed(error) = &verdict {
        // The disk may be full; then the verdict says so.
        _ = attempt.note(&format!("{}: {} {}", error.name, error.title, error.description)).await;
    }
    let Seen { image, given, warnings, outputs } = seen;
    let attempt = record(job, started, clock.now(), attempt, main.ok().as_ref(), &verdict);
    Ok(Outcome { verdict, attempt, image, given, warnings, outputs })
}

fn prepare(job: Job<'_>, logs: &Path) -> std::io::Result<()> {
    job.folder.create()?;
    std::fs::create_dir_all(logs)?;
    job.folder.write_plan(job.plan)
}

/// What came to light on the way, however far it went.
#[derive(Default)]
struct Seen {
    image: Option<Image>,
    given: Vec<GivenInput>,
    warnings: Vec<String>,
    outputs: Option<Outputs>,
}

impl Seen {
    async fn steps<R: Runtime>(
        &mut self,
        attempt: &mut Attempt<R>,
        job: Job<'_>,
        stop: &CancellationToken,
    ) -> Result<Main, Error> {
        self.image = Some(attempt.pull(&job.wanted, stop).await?);
        let (manifest, plan, folder) = (job.manifest.clone(), job.plan.clone(), job.folder.clone());
        let given = job.given.map(<[GivenInput]>::to_vec);
        let staged = attempt.phase(Phase::Stage, move || stage(&manifest, &plan, given, &folder)).await?;
        (self.given, self.warnings) = staged;
        let room = Room { output: &job.folder.output, output_limit: job.rules.bytes };
        let main = attempt.main(&job.plan.container, room, stop).await?;
        let (manifest, output, rules) = (job.manifest.clone(), job.folder.output.clone(), job.rules);
        self.outputs = Some(attempt.phase(Phase::Capture, move || Ok(capture(&manifest, &output, rules))).await?);
        Ok(main)
    }
}

fn stage(
    manifest: &Manifest,
    plan: &Plan,
    given: Option<Vec<GivenInput>>,
    folder: &Folder,
) -> Result<(Vec<GivenInput>, Vec<String>), Error> {
    let (given, warnings) = match given {
        Some(given) => (given, Vec::new()),
        None => inputs::read(manifest, plan).map_err(|why| Error::Input(why.to_string()))?,
    };
    inputs::stage(manifest, plan, &given, folder).map_err(|why| written(&folder.root, &why))?;
    Ok((given, warnings))
}

fn record<R: Runtime>(
    job: Job<'_>,
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    attempt: Attempt<R>,
    main: Option<&Main>,
    verdict: &Verdict,
) -> AttemptRecord {
    let remains = attempt.finish();
    let error = match verdict {
        Verdict::Failed(error) => Some(error.clone()),
        Verdict::Successful | Verdict::Dismissed => None,
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
        signal: main.and_then(|main| ending(main).signal()),
        oom: main.is_some_and(|main| main.ended.oom),
        timed_out: main.is_some_and(|main| main.stopped == Some(Stopped::TimedOut)),
        error,
        stdout_bytes: remains.printed.stdout_bytes,
        stderr_bytes: remains.printed.stderr_bytes,
        truncated: remains.printed.truncated,
    }
}

fn ending(main: &Main) -> Ending {
    Ending {
        exit_code: Some(main.ended.exit_code),
        oom: main.ended.oom,
        timed_out: main.stopped == Some(Stopped::TimedOut),
        cancelled: main.stopped == Some(Stopped::Cancelled),
    }
}

/// How it ended, by all that is known.
fn verdict(manifest: &Manifest, main: &Result<Main, Error>, outputs: Option<&Outputs>) -> Verdict {
    let why = match main {
        Ok(main) if main.stopped == Some(Stopped::OutputTooLarge) => {
            // What it left says why it was stopped; its exit code only that.
            let ending = Ending { exit_code: Some(0), ..ending(main) };
            return named(judge(manifest, ending, outputs), |error| error.exit_code = Some(main.ended.exit_code));
        }
        Ok(main) => return judge(manifest, ending(main), outputs),
        Err(why) => why,
    };
    let failure = match why {
        Error::Cancelled => return Verdict::Dismissed,
        Error::Engine(runtime::Error::Command { exit_code, reason }) => {
            let ending = Ending { exit_code: Some(*exit_code), ..Ending::default() };
            let tell =
                |error: &mut RunError| error.description = format!("{} The engine says: {reason}", error.description);
            return named(judge(manifest, ending, None), tell);
        }
        Error::Engine(why) => failure(why),
        Error::Input(_) => Failure::MissingFile,
        Error::DiskFull { .. } | Error::Folder { .. } => Failure::Disk,
    };
    Verdict::Failed(failure.error(why.to_string()))
}

fn named(mut verdict: Verdict, change: impl FnOnce(&mut RunError)) -> Verdict {
    if let Verdict::Failed(error) = &mut verdict {
        change(error);
    }
    verdict
}

fn failure(why: &runtime::Error) -> Failure {
    match why {
        runtime::Error::Pull { .. } if why.is_passing() => Failure::Pull,
        runtime::Error::Pull { .. } | runtime::Error::NoImage { .. } => Failure::PullRefused,
        runtime::Error::NoEngine { .. } | runtime::Error::Lost { .. } => Failure::EngineLost,
        runtime::Error::DiskFull { .. } => Failure::Disk,
        runtime::Error::NoGpu { .. }
        | runtime::Error::Command { .. }
        | runtime::Error::Build { .. }
        | runtime::Error::Push { .. }
        | runtime::Error::Refused { .. } => Failure::Launch,
    }
}
