//! A planned run from its pull to its outputs, once, without a database.

use std::fs;
use std::io;
use std::path::Path;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Error, Event, Main, Phase, Remains, Room, written};
use super::fetch::Wanted;
use super::outputs::{Outputs, Rules, capture};
use super::plan::Plan;
use super::request::Folder;
use super::runtime::{Image, Runtime};
use crate::clock::Clock;
use crate::seed::model::Manifest;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub manifest: &'a Manifest,
    pub plan: &'a Plan,
    pub rules: Rules,
    pub wanted: Wanted<'a>,
    /// Both parts of it are made when they are not there.
    pub folder: &'a Folder,
    /// Bytes of each of the job's streams that are kept.
    pub log_cap: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `None`: there was none.
    pub image: Option<Image>,
    pub main: Result<Main, Error>,
    /// What the job left behind, if it ran: also one that failed leaves something to look at.
    pub outputs: Option<Outputs>,
    pub remains: Remains,
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
    let folder = job.folder.clone();
    for path in [&folder.root, &folder.output] {
        make(path).map_err(|why| written(path, &why))?;
    }
    let mut attempt = Attempt::begin(runtime, &folder.root, job.log_cap, clock, events).await?;
    let mut image = None;
    let main = steps(&mut attempt, job, &mut image, stop).await;
    let outputs = match &main {
        Ok(_) => Some(capture_in(&mut attempt, job).await?),
        Err(_) => None,
    };
    Ok(Outcome { image, main, outputs, remains: attempt.finish() })
}

async fn capture_in<R: Runtime>(attempt: &mut Attempt<R>, job: Job<'_>) -> Result<Outputs, Error> {
    let (manifest, output, rules) = (job.manifest.clone(), job.folder.output.clone(), job.rules);
    attempt.phase(Phase::Capture, move || capture(&manifest, &output, rules)).await
}

async fn steps<R: Runtime>(
    attempt: &mut Attempt<R>,
    job: Job<'_>,
    image: &mut Option<Image>,
    stop: &CancellationToken,
) -> Result<Main, Error> {
    *image = Some(attempt.pull(&job.wanted, stop).await?);
    let (plan, folder) = (job.plan.clone(), job.folder.clone());
    attempt.phase(Phase::Stage, move || stage(&plan, &folder)).await??;
    let room = Room { output: &job.folder.output, output_limit: job.plan.disk };
    attempt.main(&job.plan.container, room, stop).await
}

fn stage(_plan: &Plan, folder: &Folder) -> Result<(), Error> {
    fs::write(folder.input_metadata(), "{}").map_err(|why| written(&folder.root, &why))
}

/// Makes a folder. Anybody may write to it, for the job may be anybody.
fn make(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        fs::create_dir_all(path)?;
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    }
    Ok(())
}
