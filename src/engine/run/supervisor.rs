//! Supervises one attempt: pull, container start, limits, output, exit and removal. Knows neither plan nor verdict.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{CheckpointEnd, CheckpointFiles};
use super::logs::{AttemptLogs, LogTotals, STDERR};
use super::record::{Phase, PhaseRecord};
use super::removal_guard::{ContainerGuard, KeepContainer, create};
use crate::clock::Clock;
use crate::engine::away::PassedOn;
use crate::engine::disk_quota::{DiskQuota, LowWaterMark};
use crate::engine::fetch::{WantedImage, fetch};
use crate::engine::halt::{HaltReason, HaltSignal};
use crate::engine::plan::container::{ContainerSpec, RUN};
use crate::engine::runtime;
use crate::engine::runtime::{
    ClosedPath, ContainerExit, ContainerOutput, ContainerRuntime, ContainerSignal, ContainerState, EngineImage,
    FoundContainer, OutputChunk, PullProgress,
};

/// How long to wait for more output after the container has exited; the rest is dropped.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a container may take to exit after SIGKILL.
const DYING: Duration = Duration::from_secs(60);
/// How long an engine may take to carry out a start request.
const STARTING: Duration = Duration::from_secs(5);
/// Poll interval meanwhile: an engine reports that a container has started, but not that none will start.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Exit codes of a process ended by SIGTERM or SIGKILL: 128 + signal number.
const SIGNALLED: [i64; 2] = [143, 137];
/// How many bytes an init process may take to say why it could not begin the job's.
const LAST_WORDS: u64 = 1024;
/// How many bytes must fit on a disk that is not full.
const PROBE: usize = 64 * 1024;

/// Progress of an attempt, sent to the caller.
#[derive(Clone, Debug)]
pub enum AttemptEvent {
    Phase(Phase),
    Pull(PullProgress),
    Output(OutputChunk),
    /// The engine does not answer, and is waited for so long at most.
    Silence {
        why: runtime::Error,
        most: Duration,
    },
    /// It answers again.
    Answer,
}

/// Why an attempt failed, apart from the job's own exit.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] runtime::Error),
    #[error("the disk that holds {} is full: make room, and run the job again", .folder.display())]
    DiskFull { folder: PathBuf },
    #[error("{} cannot be written ({reason}): look at its permissions", .folder.display())]
    Folder { folder: PathBuf, reason: String },
    /// An input is missing or unreadable; the text comes from [`super::inputs`].
    #[error("{0}")]
    Input(String),
    #[error(
        "the manifest in the label of {image} is not the one that the run was made for: scan its registry, so that the \
         catalogue has the new one, and run the job again"
    )]
    OtherManifest { image: String },
    #[error("the run was cancelled")]
    Cancelled,
    #[error(
        "what the job left could not be read within {} minutes: let it leave less, or allow more (runs.capture_minutes)",
        .0.as_secs().div_ceil(60)
    )]
    CaptureTooSlow(Duration),
}

impl From<HaltReason> for Error {
    fn from(why: HaltReason) -> Self {
        match why {
            HaltReason::Cancelled => Self::Cancelled,
            HaltReason::Late(most) => Self::CaptureTooSlow(most),
        }
    }
}

impl Error {
    /// Whether the engine does not answer, so that the state of the container is unknown.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Engine(why) if why.is_silence())
    }

    /// Whether a later attempt may succeed without a change to the job.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Engine(why) => why.is_passing(),
            Self::DiskFull { .. } => true,
            Self::Folder { .. }
            | Self::Input(_)
            | Self::OtherManifest { .. }
            | Self::Cancelled
            | Self::CaptureTooSlow(_) => false,
        }
    }
}

/// How the job's container exited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobExit {
    pub container_id: String,
    pub ended: ContainerExit,
    /// Why SILO stopped it; `None`: it exited by itself.
    pub stopped: Option<StopReason>,
    /// Bytes of the files in the output folder, by their length; 0 or too low if the folder could not be read fully.
    pub output_bytes: u64,
}

/// Why SILO stopped a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    TimedOut,
    Cancelled,
    /// It exceeded its output limit.
    OutputTooLarge,
    /// The disk of its outputs ran full.
    DiskFull,
}

/// A running attempt. Dropping it at any await stops and removes its container, unless `leave` is set.
pub struct AttemptSupervisor<R> {
    runtime: R,
    folder: PathBuf,
    logs: AttemptLogs,
    marks: CheckpointFiles,
    leave: KeepContainer,
    clock: Clock,
    phases: Vec<PhaseRecord>,
    events: mpsc::Sender<AttemptEvent>,
    passed_on: PassedOn,
}

/// Phases and log totals of a finished attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSummary {
    pub phases: Vec<PhaseRecord>,
    pub printed: LogTotals,
}

impl<R: ContainerRuntime> AttemptSupervisor<R> {
    /// Begins an attempt, or resumes one with the phases it has already passed. The logs are in `folder`. The job is
    /// slowed down by a slow receiver of `events`, but not by a closed channel.
    pub fn begin(
        runtime: &R,
        (folder, logs): (&Path, AttemptLogs),
        (clock, events): (&Clock, mpsc::Sender<AttemptEvent>),
        leave: &KeepContainer,
        phases: Vec<PhaseRecord>,
    ) -> Self {
        let (runtime, clock, leave) = (runtime.clone(), clock.clone(), leave.clone());
        let (marks, folder) = (CheckpointFiles::new(folder), folder.to_owned());
        Self { runtime, folder, logs, marks, leave, clock, phases, events, passed_on: PassedOn::default() }
    }

    /// Writes a line to `system.log`.
    pub async fn note(&mut self, text: &str) -> Result<(), Error> {
        self.logs.note(text).await.map_err(|why| written(&self.folder, &why))
    }

    /// Tells whoever watches.
    pub(in crate::engine) async fn tell(&self, event: AttemptEvent) {
        _ = self.events.send(event).await;
    }

    /// Goes on with logs that are written again from the beginning.
    pub(in crate::engine) fn go_on(&mut self, logs: AttemptLogs) {
        self.logs = logs;
        self.passed_on.begin_again();
    }

    /// Sees to it that the engine has the image.
    pub async fn pull(&mut self, wanted: &WantedImage<'_>, stop: &CancellationToken) -> Result<EngineImage, Error> {
        self.enter(Phase::Pull).await;
        let outcome = tokio::select! {
            outcome = self.fetch(wanted) => outcome,
            () = stop.cancelled() => Err(Error::Cancelled),
        };
        self.leave(outcome).await
    }

    async fn fetch(&mut self, wanted: &WantedImage<'_>) -> Result<EngineImage, Error> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let runtime = self.runtime.clone();
        let mut fetching = pin!(fetch(&runtime, wanted, move |progress| _ = tell.send(progress)));
        loop {
            tokio::select! {
                biased;
                Some(progress) = told.recv() => self.report_pull_progress(progress).await?,
                outcome = &mut fetching => break Ok(outcome?),
            }
        }
    }

    /// Forwards pull progress; byte counts are not written to `system.log`.
    async fn report_pull_progress(&mut self, progress: PullProgress) -> Result<(), Error> {
        if progress.bytes.is_none() {
            let layer = progress.layer.as_deref().map(|layer| format!("{layer}: ")).unwrap_or_default();
            self.note(&format!("{layer}{}", progress.status)).await?;
        }
        // Progress is lossy: a full channel drops the event.
        _ = self.events.try_send(AttemptEvent::Pull(progress));
        Ok(())
    }

    /// Has the engine open files and folders of other users below `root`.
    pub(in crate::engine) async fn open_up(&mut self, root: &Path, closed: &[ClosedPath]) -> Result<(), Error> {
        Ok(self.runtime.open_up(root, closed).await?)
    }

    /// Runs blocking work as a phase, on a blocking thread. The work is halted by `stop`, after `most`, and when the
    /// returned future is dropped.
    pub async fn phase<T: Send + 'static>(
        &mut self,
        phase: Phase,
        (stop, most): (&CancellationToken, Option<Duration>),
        work: impl FnOnce(&HaltSignal) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.enter(phase).await;
        let stop = stop.child_token();
        let (halt, _dropped) = (HaltSignal::on(&stop).within(most), stop.drop_guard());
        let outcome = tokio::task::spawn_blocking(move || work(&halt)).await;
        let outcome =
            outcome.unwrap_or_else(|why| Err(Error::Folder { folder: self.folder.clone(), reason: why.to_string() }));
        self.leave(outcome).await
    }

    /// Runs the job. The container is removed before this returns.
    pub async fn main(
        &mut self,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        self.enter(Phase::Main).await;
        let outcome = self.start_and_watch(container, room, stop).await;
        self.leave(outcome).await
    }

    /// Takes over a container that an earlier `silo` process started. The logs are written anew from what the engine
    /// has kept.
    pub async fn adopt(
        &mut self,
        found: &FoundContainer,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        self.enter(Phase::Main).await;
        let removal = ContainerGuard::of(&self.runtime, found.id.clone(), &self.leave);
        let outcome = async {
            self.note(&format!("taking over container {}", found.id)).await?;
            if self.was_never_started(found).await? {
                self.marks.begun(&found.id).map_err(|why| written(&self.folder, &why))?;
                let output = self.runtime.start(&found.id).await.map_err(|why| match why {
                    // The engine had started it before, and went down before it recorded that.
                    runtime::Error::Refused { reason } => runtime::Error::Interrupted { reason },
                    why => why,
                })?;
                return self.watch(removal, output, container, (container.timeout, false), room, stop).await;
            }
            let is_over = found.state == ContainerState::Ended;
            let output = self.runtime.output(&found.id).await?;
            let ran = found.created.and_then(|created| (self.clock.now() - created).to_std().ok()).unwrap_or_default();
            let left = container.timeout.map(|timeout| timeout.saturating_sub(ran));
            self.watch(removal, output, container, (left, is_over), room, stop).await
        };
        let outcome = outcome.await;
        self.leave(outcome).await
    }

    /// Whether the container was created but never started. An engine that received a start request just before its
    /// `silo` process died may still carry it out, and starting an exited container would run the job twice. So a
    /// created container is polled until [`STARTING`] has passed since the mark that is written before the start
    /// request; without that mark no request was sent. The time counts from the mark, so a restart of `silo` does not
    /// begin the wait again.
    async fn was_never_started(&self, found: &FoundContainer) -> Result<bool, Error> {
        let Some(before) = self.marks.since_begun(&found.id) else { return Ok(found.state == ContainerState::Created) };
        let began = Instant::now();
        let mut state = found.state;
        while state == ContainerState::Created && before + began.elapsed() < STARTING {
            sleep(LOOK_AGAIN).await;
            let label = found.labels.get(RUN).map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"));
            let now = self.runtime.containers(&label).await?;
            state = now.iter().find(|it| it.id == found.id).map_or(ContainerState::Ended, |it| it.state);
        }
        Ok(state == ContainerState::Created)
    }

    async fn start_and_watch(
        &mut self,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        if stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let removal = create(&self.runtime, container, &self.leave).await?;
        let marked = self.marks.begun(removal.id()).map_err(|why| written(&self.folder, &why));
        let noted = self.note(&format!("container {}", removal.id())).await;
        let started = match marked.and(noted) {
            Ok(()) => self.runtime.start(removal.id()).await.map_err(Error::from),
            Err(why) => Err(why),
        };
        match started {
            Ok(output) => self.watch(removal, output, container, (container.timeout, false), room, stop).await,
            Err(why) => {
                self.removed(removal, why.is_silence()).await?;
                Err(why)
            }
        }
    }

    /// Removes the container of a job that has exited or is to be stopped. If the engine does not answer, the
    /// container may still run: it is kept for a resumed attempt if `leave` says so.
    async fn removed(&mut self, removal: ContainerGuard<R>, is_silence: bool) -> Result<(), Error> {
        if is_silence && self.leave.keeps_lost() {
            removal.keep();
            return self.note("the container is left, to be taken over when its engine answers").await;
        }
        match removal.now().await {
            Some(why) => self.note(&format!("the container stays behind: {why}")).await,
            None => Ok(()),
        }
    }

    async fn watch(
        &mut self,
        removal: ContainerGuard<R>,
        output: ContainerOutput,
        container: &ContainerSpec,
        (limit, is_over): (Option<Duration>, bool),
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        let runtime = self.runtime.clone();
        let [broken, exited, lost] = [(); 3].map(|()| CancellationToken::new());
        let low = LowWaterMark::default();
        let supervised = async {
            let ended = supervise(&runtime, removal.id(), limit, container.grace, (room, &low), stop, &broken).await;
            if ended.is_ok() {
                exited.cancel()
            } else {
                lost.cancel()
            }
            ended
        };
        let keeping = async {
            tokio::select! {
                kept = self.keep(output, &broken, &exited) => kept,
                // The container may print forever. The error of `supervise` is returned.
                () = lost.cancelled() => Ok(()),
            }
        };
        let (kept, supervised) = tokio::join!(keeping, supervised);
        let ended = match (supervised, kept) {
            (Ok((ended, None)), Ok(())) if is_over => {
                let ended = classify_late_end(ended, limit, stop);
                self.ended(removal.id(), ended, (room, &low)).await
            }
            (Ok(ended), Ok(())) => self.ended(removal.id(), ended, (room, &low)).await,
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        self.removed(removal, ended.as_ref().is_err_and(Error::is_silence)).await?;
        ended
    }

    /// Records how the job exited, before its container is removed.
    async fn ended(
        &mut self,
        container: &str,
        (ended, stopped): (ContainerExit, Option<StopReason>),
        (room, low): (DiskQuota<'_>, &LowWaterMark),
    ) -> Result<JobExit, Error> {
        if stopped.is_none()
            && let Some(said) = self.short_words().await
            && let Some(why) = self.runtime.not_begun(container, ended.exit_code, &said).await
        {
            return Err(why.into());
        }
        let output_bytes = room.usage().await.map_or(0, |(usage, _)| usage.length);
        let outputs = room.output.to_owned();
        let is_full = tokio::task::spawn_blocking(move || is_full(&outputs)).await.unwrap_or_default();
        let is_full = ended.exit_code != 0 && stopped.is_none() && (is_full || low.was_full());
        if is_full || stopped == Some(StopReason::DiskFull) {
            return Err(Error::DiskFull { folder: room.output.to_owned() });
        }
        if ended.was_signalled && stopped.is_none() {
            return Err(interrupted(&ended).into());
        }
        let main = JobExit { container_id: container.to_owned(), ended, stopped, output_bytes };
        let end = CheckpointEnd { main, printed: self.logs.printed() };
        self.marks.ended(&end).map_err(|why| written(&self.folder, &why))?;
        Ok(end.main)
    }

    /// All that was printed, where it is no more than what an init process says when it cannot begin the job's.
    async fn short_words(&self) -> Option<String> {
        let LogTotals { stdout_bytes: 0, stderr_bytes: 0..=LAST_WORDS, .. } = self.logs.printed() else { return None };
        let said = tokio::fs::read(self.folder.join(STDERR)).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    }

    /// Keeps and passes on what the job prints. Reads on when it cannot be kept, so that the job does not wait for ever.
    async fn keep(
        &mut self,
        mut output: ContainerOutput,
        broken: &CancellationToken,
        exited: &CancellationToken,
    ) -> Result<(), Error> {
        let mut outcome = Ok(());
        loop {
            let next = tokio::select! {
                biased;
                next = output.next() => next,
                () = exited.cancelled() => timeout(DRAIN, output.next()).await.unwrap_or_default(),
            };
            let chunk = match next {
                Some(Ok(chunk)) => chunk,
                None => break,
                // `runtime.wait` fails, too.
                Some(Err(why)) => {
                    outcome = outcome.and(Err(why.into()));
                    break;
                }
            };
            if outcome.is_ok() {
                outcome = self.logs.write(&chunk).await.map_err(|why| written(&self.folder, &why));
                if outcome.is_err() {
                    broken.cancel();
                }
            }
            if let Some(news) = self.passed_on.news(chunk) {
                _ = self.events.send(AttemptEvent::Output(news)).await;
            }
        }
        let finished = self.logs.finish().await.map_err(|why| written(&self.folder, &why));
        outcome.and(finished.map(drop))
    }

    async fn enter(&mut self, phase: Phase) {
        let started = self.clock.now();
        self.phases.push(PhaseRecord { name: phase, started, finished: None, message: None });
        _ = self.events.send(AttemptEvent::Phase(phase)).await;
    }

    async fn leave<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        let now = self.clock.now();
        let message = outcome.as_ref().err().map(ToString::to_string);
        if let Some(message) = &message {
            // Ignored: if the disk is full, `outcome` already says so.
            _ = self.logs.note(message).await;
        }
        if let Some(phase) = self.phases.last_mut() {
            phase.finished = Some(now);
            phase.message = message;
        }
        outcome
    }

    /// Whether a container may have been requested from the engine.
    pub(in crate::engine) fn has_begun(&self) -> bool {
        self.phases.iter().any(|phase| phase.name == Phase::Main)
    }

    /// Ends the attempt.
    pub fn finish(self) -> AttemptSummary {
        AttemptSummary { phases: self.phases, printed: self.logs.printed() }
    }
}

/// Exit of a container that had exited before this process looked at it. Signals sent by an earlier `silo` process
/// are reported by the engine (`was_signalled`); an exit that the engine did not observe was caused by its own stop
/// or restart.
fn classify_late_end(
    ended: ContainerExit,
    limit: Option<Duration>,
    stop: &CancellationToken,
) -> (ContainerExit, Option<StopReason>) {
    let by_engine = ended.is_unseen || SIGNALLED.contains(&ended.exit_code);
    let was_signalled = ended.was_signalled || (by_engine && !ended.oom);
    let stopped = match was_signalled {
        true if stop.is_cancelled() => Some(StopReason::Cancelled),
        true if ended.was_signalled && limit == Some(Duration::ZERO) => Some(StopReason::TimedOut),
        _ => None,
    };
    (ContainerExit { was_signalled, ..ended }, stopped)
}

fn interrupted(ended: &ContainerExit) -> runtime::Error {
    runtime::Error::Interrupted { reason: format!("its exit code is {}", ended.exit_code) }
}

/// Waits for the container's exit; stops it on cancellation, time limit, disk quota or broken logs.
async fn supervise<R: ContainerRuntime>(
    runtime: &R,
    id: &str,
    limit: Option<Duration>,
    grace: Duration,
    (room, low): (DiskQuota<'_>, &LowWaterMark),
    stop: &CancellationToken,
    broken: &CancellationToken,
) -> Result<(ContainerExit, Option<StopReason>), Error> {
    let mut waited = pin!(runtime.wait(id));
    let stopped = tokio::select! {
        biased;
        ended = &mut waited => return Ok((ended?, None)),
        () = stop.cancelled() => Some(StopReason::Cancelled),
        () = await_or_pend(limit.map(sleep)) => Some(StopReason::TimedOut),
        stopped = room.wait_until_exceeded(low) => Some(stopped),
        () = broken.cancelled() => None,
    };
    // No grace period (SIGTERM) for a job that writes too much: it would go on writing.
    if !matches!(stopped, Some(StopReason::OutputTooLarge | StopReason::DiskFull)) {
        runtime.signal(id, ContainerSignal::Term).await?;
        if let Ok(ended) = timeout(grace, &mut waited).await {
            return Ok((ended?, stopped));
        }
    }
    runtime.signal(id, ContainerSignal::Kill).await?;
    match timeout(DYING, waited).await {
        Ok(ended) => Ok((ended?, stopped)),
        Err(_) => {
            let reason = format!("container {id} does not end, {} seconds after it was killed", DYING.as_secs());
            Err(runtime::Error::Refused { reason }.into())
        }
    }
}

async fn await_or_pend(future: Option<impl Future<Output = ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Whether the disk of a folder is full, tested by writing [`PROBE`] bytes.
fn is_full(folder: &Path) -> bool {
    let probe = || {
        let mut file = tempfile::tempfile_in(folder)?;
        io::Write::write_all(&mut file, &[0; PROBE])?;
        file.sync_all()
    };
    probe().is_err_and(|why| is_storage_full(&why))
}

fn is_storage_full(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error of a failed write: disk full, or the folder.
pub(in crate::engine) fn written(folder: &Path, why: &io::Error) -> Error {
    let folder = folder.to_owned();
    if is_storage_full(why) { Error::DiskFull { folder } } else { Error::Folder { folder, reason: why.to_string() } }
}
