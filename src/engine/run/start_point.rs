//! Where an attempt begins: anew, or where an earlier process left it.

use std::path::Path;
use std::time::Duration;

use super::AttemptRequest;
use super::attempt_error::{Error, written};
use super::checkpoint::{CheckpointEnd, CheckpointFiles, CheckpointState};
use super::logs::AttemptLogs;
use super::samples;
use crate::clock::Clock;
use crate::engine::away::EngineWait;
use crate::engine::plan::container::{ATTEMPT, RUN};
use crate::engine::runtime::{ContainerRuntime, FoundContainer};

/// Point at which an attempt begins or resumes.
pub(super) enum StartPoint {
    Anew,
    /// Take over this container of an earlier process.
    Adopt(FoundContainer),
    /// The job has exited; capture its outputs.
    Ended(CheckpointEnd),
    /// The container is gone, and its exit was not recorded.
    Lost(String),
}

/// The files of its logs: as they are where the job has ended, else from the beginning.
pub(super) async fn open_logs(
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
pub(super) async fn find_start_point<R: ContainerRuntime>(
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
pub(super) async fn find_start_point_by_now<R: ContainerRuntime>(
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
        samples::clear(logs)?;
    }
    job.folder.create()?;
    std::fs::create_dir_all(logs)?;
    job.folder.write_plan(job.plan)
}
